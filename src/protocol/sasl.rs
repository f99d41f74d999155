//! SASL exchanges within text protocols (RFC 4422): who wants to be let in, and whether a credential was presented.
//!
//! Responses hold secrets: of each only the account's name is kept.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::protocol::found::At;
use crate::protocol::lines::{account_of, is_one_of};

/// Clients pad or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Bytes decoded of a response: names stand at its beginning. A multiple of four, as base64 is cut by.
const RESPONSE_MAX_BYTES: usize = 1_024;

/// What a mechanism's responses hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mechanism {
    /// `authzid NUL account NUL password` (RFC 4616).
    Plain,
    /// The account, then the password.
    Login,
    /// `account SPACE digest` (RFC 2195).
    CramMd5,
    /// Any other: responses as long as the server asks for them.
    Other,
}

/// An exchange that is going on.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    /// Where it began.
    pub at: At,
    /// The account, where it was seen in clear.
    pub account: Option<Box<[u8]>>,
    /// Whether a credential was presented.
    pub is_presented: bool,
    responses: u8,
}

impl Exchange {
    /// Begins with the words after `AUTH` or `AUTHENTICATE`: the mechanism, perhaps the first response.
    pub fn begin(mechanism: &[u8], initial: &[u8], at: At) -> Self {
        let mechanism = if is_one_of(mechanism, &["PLAIN"]) {
            Mechanism::Plain
        } else if is_one_of(mechanism, &["LOGIN"]) {
            Mechanism::Login
        } else if is_one_of(mechanism, &["CRAM-MD5"]) {
            Mechanism::CramMd5
        } else {
            Mechanism::Other
        };
        let mut exchange = Self { mechanism, at, account: None, is_presented: false, responses: 0 };
        if !initial.is_empty() {
            exchange.response(initial);
        }
        exchange
    }

    /// Whether the client's next line is a response, and no command. `is_asked`: the server has just asked for one.
    pub const fn awaits_response(&self, asked: Asked) -> bool {
        match self.mechanism {
            Mechanism::Plain | Mechanism::CramMd5 => self.responses < 1,
            Mechanism::Login => self.responses < 2,
            Mechanism::Other => matches!(asked, Asked::Yes),
        }
    }

    /// A response of the client. `*` gives the exchange up (RFC 4422 §3.4).
    pub fn response(&mut self, text: &[u8]) {
        let text = text.trim_ascii();
        if text == b"*" {
            self.responses = u8::MAX;
            self.is_presented = false;
            return;
        }
        let kept = text.get(..text.len().min(RESPONSE_MAX_BYTES)).unwrap_or_default();
        let clear = BASE64.decode(kept).unwrap_or_default();
        let name = match self.mechanism {
            Mechanism::Plain => clear.split(|byte| *byte == 0).nth(1),
            Mechanism::Login if self.responses == 0 => Some(clear.as_slice()),
            Mechanism::CramMd5 => memchr::memrchr(b' ', &clear).and_then(|end| clear.get(..end)),
            Mechanism::Other if self.responses == 0 => named(&clear),
            Mechanism::Login | Mechanism::Other => None,
        };
        if let Some(name) = name {
            self.account = account_of(name);
        }
        self.is_presented |= self.mechanism != Mechanism::Login || self.responses == 1;
        self.responses = self.responses.saturating_add(1);
    }
}

/// Whether the server's last line asked for a response.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Asked {
    /// It did not.
    #[default]
    No,
    /// It did.
    Yes,
}

/// The name in a first response of SCRAM (`n=`, RFC 5802), DIGEST-MD5 (`username="`, RFC 2831) or OAuth (`user=`, `a=`).
fn named(clear: &[u8]) -> Option<&[u8]> {
    clear.split(|byte| matches!(byte, b',' | 1)).find_map(|part| {
        let starts = [&b"n="[..], b"user=", b"username=\"", b"a="];
        let name = starts.iter().find_map(|start| part.strip_prefix(*start))?;
        Some(name.strip_suffix(b"\"").unwrap_or(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(mechanism: &str, responses: &[&[u8]]) -> (String, bool) {
        let mut exchange = Exchange::begin(mechanism.as_bytes(), b"", At::default());
        for response in responses {
            exchange.response(BASE64.encode(response).as_bytes());
        }
        let name = exchange.account.as_deref().unwrap_or_default();
        (String::from_utf8_lossy(name).into_owned(), exchange.is_presented)
    }

    #[test]
    fn the_account_is_read_where_it_stands_in_clear() {
        for (mechanism, responses, wanted) in [
            ("plain", &[&b"\0alice\0secret"[..]][..], ("alice", true)),
            ("PLAIN", &[b"boss\0alice\0secret"], ("alice", true)),
            ("LOGIN", &[b"alice", b"secret"], ("alice", true)),
            ("LOGIN", &[b"alice"], ("alice", false)),
            ("CRAM-MD5", &[b"alice of mail 0123"], ("alice of mail", true)),
            ("SCRAM-SHA-1", &[b"n,,n=alice,r=abc", b"c=biws,r=abc,p=xyz"], ("alice", true)),
            ("DIGEST-MD5", &[b"username=\"alice\",realm=\"x\""], ("alice", true)),
            ("XOAUTH2", &[b"user=alice\x01auth=Bearer t\x01\x01"], ("alice", true)),
            ("NTLM", &[b"NTLMSSP\0\x01"], ("", true)),
        ] {
            assert_eq!(account(mechanism, responses), (wanted.0.to_owned(), wanted.1), "{mechanism}");
        }
    }

    #[test]
    fn an_exchange_given_up_presents_nothing_and_waits_for_nothing() {
        let mut exchange = Exchange::begin(b"LOGIN", b"YWxpY2U=", At::default());
        assert!(exchange.awaits_response(Asked::No));
        exchange.response(b"*");
        assert!(!exchange.is_presented && !exchange.awaits_response(Asked::Yes));
        let plain = Exchange::begin(b"PLAIN", b"not base64!", At::default());
        assert!(plain.is_presented && plain.account.is_none() && !plain.awaits_response(Asked::Yes));
    }
}
