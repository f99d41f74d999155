//! NTLM messages (MS-NLMP §2.2.1), wherever they stand in a token.

use crate::protocol::smb::fields::{little_double, little_word, wide};

/// Beginning of every message.
const SIGNATURE: &[u8] = b"NTLMSSP\0";
/// The message that holds the answer to a challenge.
const AUTHENTICATE: u32 = 3;
/// Texts are UTF-16.
const UNICODE: u32 = 1;
/// Places of the length and offset of the account, and of the flags.
const ACCOUNT: usize = 36;
const FLAGS: usize = 60;

/// The account of the message that authenticates, if one stands here; empty for an anonymous one.
pub fn account(bytes: &[u8]) -> Option<String> {
    let message = bytes.get(memchr::memmem::find(bytes, SIGNATURE)?..)?;
    if little_double(message, SIGNATURE.len())? != AUTHENTICATE {
        return None;
    }
    let length = usize::from(little_word(message, ACCOUNT)?);
    let offset = little_double(message, ACCOUNT + 4)? as usize;
    let text = message.get(offset..)?.get(..length)?;
    if little_double(message, FLAGS)? & UNICODE == 0 {
        return Some(String::from_utf8_lossy(text).into_owned());
    }
    Some(wide(text))
}
