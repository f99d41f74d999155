//! Places of fields: MS-CIFS §2.2.3 for SMB 1, MS-SMB2 §2.2 for what came after.

/// Commands of SMB 1 that are read.
pub mod old_command {
    pub const TRANSACTION: u8 = 0x25;
    pub const TRANSACTION_SECONDARY: u8 = 0x26;
    pub const TRANSACTION2: u8 = 0x32;
    pub const TRANSACTION2_SECONDARY: u8 = 0x33;
    pub const SESSION_SETUP: u8 = 0x73;
    pub const NT_TRANSACT: u8 = 0xa0;
    pub const NT_TRANSACT_SECONDARY: u8 = 0xa1;
}

/// Commands of SMB 2 that are read.
pub mod new_command {
    pub const SESSION_SETUP: u16 = 1;
}

/// Bytes of a message that tell its command.
pub const COMMAND_BYTES: usize = 14;
/// Length of the header of SMB 1.
const OLD_HEADER_BYTES: usize = 32;
/// Flags of the session in an answer of SMB 2.
pub const NEW_SESSION_FLAGS: usize = 66;
/// Action of a session setup's answer in SMB 1: after the header, a count, and the next command.
pub const OLD_SESSION_FLAGS: usize = OLD_HEADER_BYTES + 1 + 4;
/// Place of a transaction's setup words among its words.
const SETUP_PLACE: usize = OLD_HEADER_BYTES + 1 + 28;
/// Words of a session setup without NTLM messages.
const PLAIN_SETUP_WORDS: u8 = 13;
/// Texts are UTF-16, in the second flags of SMB 1.
const UNICODE: u16 = 0x8000;
/// Longest account name that is looked for, in characters; Windows allows 104.
const ACCOUNT_MAX_CHARACTERS: usize = 256;

/// The word, least byte first, at a place.
pub fn little_word(bytes: &[u8], place: usize) -> Option<u16> {
    bytes.get(place..)?.first_chunk::<2>().map(|word| u16::from_le_bytes(*word))
}

/// The double word, least byte first, at a place.
pub fn little_double(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk::<4>().map(|word| u32::from_le_bytes(*word))
}

/// The header of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// SMB 3, compressed: where the compressed part begins.
    Compressed {
        /// Its offset.
        offset: u32,
    },
    /// SMB 2 and 3.
    New {
        /// The command.
        command: u16,
        /// Number that ties an answer to its request.
        number: u64,
        /// Status of an answer.
        status: u32,
    },
    /// SMB 1.
    Old {
        /// The command.
        command: u8,
        /// Number that ties an answer to its request.
        number: u64,
        /// Status of an answer.
        status: u32,
    },
}

/// How much of a message is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Its header.
    Head,
    /// What it holds.
    Whole,
}

impl Header {
    /// Reads a header.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, b'S', b'M', b'B', command, ..] => {
                let number = little_word(bytes, 30)?.into();
                Some(Self::Old { command: *command, number, status: little_double(bytes, 5)? })
            }
            [0xfe, b'S', b'M', b'B', ..] => {
                let number = bytes.get(24..)?.first_chunk::<8>().map(|number| u64::from_le_bytes(*number))?;
                Some(Self::New { command: little_word(bytes, 12)?, number, status: little_double(bytes, 8)? })
            }
            [0xfc, b'S', b'M', b'B', ..] => Some(Self::Compressed { offset: little_double(bytes, 12)? }),
            _ => None,
        }
    }

    /// How much is wanted of a message that begins so.
    pub fn command(bytes: &[u8]) -> Option<Wanted> {
        let is_wanted = match bytes {
            [0xff, _, _, _, command, ..] => matches!(
                *command,
                old_command::TRANSACTION
                    | old_command::TRANSACTION2
                    | old_command::NT_TRANSACT
                    | old_command::SESSION_SETUP
            ),
            [0xfe, ..] => little_word(bytes, 12)? == new_command::SESSION_SETUP,
            _ => false,
        };
        Some(if is_wanted { Wanted::Whole } else { Wanted::Head })
    }
}

/// The kinds of transactions of SMB 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `NT_TRANSACT`.
    Nt,
    /// `TRANSACTION`.
    Plain,
    /// `TRANSACTION2`.
    Second,
}

/// A transaction, or a part of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transaction<'a> {
    /// Its first message.
    Opened {
        /// Its kind.
        kind: Kind,
        /// Its setup words; none where they stand elsewhere.
        setup: &'a [u8],
    },
    /// A later one.
    Continued {
        /// Its kind.
        kind: Kind,
    },
}

/// Reads a message of SMB 1 as one of a transaction. Setup words are counted at the end of the fixed words.
pub fn transaction(bytes: &[u8]) -> Option<Transaction<'_>> {
    let opened = |kind, setup| Some(Transaction::Opened { kind, setup });
    let continued = |kind| Some(Transaction::Continued { kind });
    let setup = || {
        let count = bytes.get(SETUP_PLACE - 2).copied().unwrap_or_default();
        bytes.get(SETUP_PLACE..SETUP_PLACE + 2 * usize::from(count)).unwrap_or_default()
    };
    match *bytes.get(4)? {
        old_command::TRANSACTION => opened(Kind::Plain, setup()),
        old_command::TRANSACTION2 => opened(Kind::Second, setup()),
        old_command::NT_TRANSACT => opened(Kind::Nt, &[]),
        old_command::TRANSACTION_SECONDARY => continued(Kind::Plain),
        old_command::TRANSACTION2_SECONDARY => continued(Kind::Second),
        old_command::NT_TRANSACT_SECONDARY => continued(Kind::Nt),
        _ => None,
    }
}

/// The account of a session setup of SMB 1 without NTLM messages (MS-CIFS §2.2.4.53.1): two passwords, the account. Nothing
/// where no password is presented.
pub fn old_setup(bytes: &[u8]) -> Option<String> {
    if *bytes.get(OLD_HEADER_BYTES)? != PLAIN_SETUP_WORDS {
        return None;
    }
    let words = OLD_HEADER_BYTES + 1;
    let passwords =
        usize::from(little_word(bytes, words + 14)?) + usize::from(little_word(bytes, words + 16)?);
    // One byte of zero stands for no password.
    if passwords <= 2 {
        return None;
    }
    let begin = words + 2 * usize::from(PLAIN_SETUP_WORDS) + 2 + passwords;
    if little_word(bytes, 10)? & UNICODE == 0 {
        let name = bytes.get(begin..)?.split(|byte| *byte == 0).next()?;
        return Some(String::from_utf8_lossy(name).into_owned());
    }
    // UTF-16 stands at even places.
    let text = bytes.get(begin.next_multiple_of(2)..)?;
    Some(wide(text))
}

/// UTF-16 up to its end or a zero.
pub fn wide(bytes: &[u8]) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let units = units.take_while(|unit| *unit != 0).take(ACCOUNT_MAX_CHARACTERS);
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
