//! The commands within a Telnet stream (RFC 854, RFC 855): recognised by them, and read without them.

use crate::protocol::Recognition;

/// Interpret as command.
const IAC: u8 = 255;
/// Begin of a subnegotiation; its end is `IAC SE`.
const SB: u8 = 250;
const SE: u8 = 240;
/// WILL, WON'T, DO and DON'T take an option.
const WILL: u8 = 251;
const DONT: u8 = 254;

/// Whether a side begins with a command that negotiates.
pub fn is_negotiation(bytes: &[u8]) -> Recognition {
    match bytes {
        [IAC, SB..=DONT, ..] => Recognition::Yes,
        [IAC] => Recognition::More,
        _ => Recognition::No,
    }
}

/// Takes the commands out of one direction, byte by byte.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cleaner {
    #[default]
    Text,
    Command,
    Option,
    Subnegotiation,
    SubnegotiationCommand,
}

impl Cleaner {
    /// A byte of text, where this is one.
    pub fn clean(&mut self, byte: u8) -> Option<u8> {
        let (next, text) = match (*self, byte) {
            (Self::Text, IAC) => (Self::Command, None),
            (Self::Text, _) => (Self::Text, Some(byte)),
            // Doubled, it is data.
            (Self::Command, IAC) => (Self::Text, Some(IAC)),
            (Self::Command, WILL..=DONT) => (Self::Option, None),
            (Self::Command, SB) => (Self::Subnegotiation, None),
            (Self::Subnegotiation, IAC) => (Self::SubnegotiationCommand, None),
            (Self::SubnegotiationCommand, SE) | (Self::Command | Self::Option, _) => (Self::Text, None),
            (Self::Subnegotiation | Self::SubnegotiationCommand, _) => (Self::Subnegotiation, None),
        };
        *self = next;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_out_and_doubled_bytes_are_data() {
        let bytes = b"a\xff\xfd\x01b\xff\xfa\x18\x00vt\xff\xff100\xff\xf0c\xff\xffd\xff\xf1e";
        let mut cleaner = Cleaner::default();
        let text: Vec<u8> = bytes.iter().filter_map(|byte| cleaner.clean(*byte)).collect();
        assert_eq!(text, b"abc\xffde");
        assert_eq!(is_negotiation(b"\xff\xfb"), Recognition::Yes);
        assert_eq!(is_negotiation(b"\xff"), Recognition::More);
        assert_eq!(is_negotiation(b"\xffSMB"), Recognition::No);
    }
}
