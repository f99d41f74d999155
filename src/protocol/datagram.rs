//! Protocols over UDP: one datagram is one message, read where it stands.
//!
//! Readers keep no memory of their own but one word a conversation, so that a flood of forged queries costs no allocation.

use crate::model::stream::Side;
use crate::model::surge::Reflector;
use crate::protocol::found::{At, Oddity};
use crate::protocol::{Sink, chargen, cldap, dns, memcached, ntp, sip, snmp, ssdp};

/// A reader sets this bit of its memo once the client has repeated a value of the server that nobody could guess: its address is
/// no forgery then (grade E2).
pub const PROVEN: u64 = 1 << 63;

/// Where the ports begin that systems give to clients: from here on a port says nothing of a service.
const EPHEMERAL_MIN: u16 = 32_768;
/// Ports below need privilege to listen on: services are there.
const SERVICES_END: u16 = 1_024;

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Who sent it.
    pub from: Side,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Port of the server.
    pub port: u16,
    /// Where and when: the offset is the number of the datagram in its conversation.
    pub at: At,
}

/// One protocol over UDP. A new one is a file and a row.
#[derive(Debug)]
pub struct DatagramRow {
    /// Name, as EVE's `app_proto` has it.
    pub name: &'static str,
    /// Whether the first datagram of a conversation is of this protocol, whatever the port; the port decides only where bytes
    /// are ambiguous.
    pub recognise: fn(&Message<'_>) -> bool,
    /// Reads every datagram of a conversation so recognised. `memo` is 0 at its first and kept between them.
    pub read: fn(&Message<'_>, memo: &mut u64, sink: &mut dyn Sink),
    /// The port on which servers of it are abused to reflect floods, where they are.
    pub reflector_port: Option<u16>,
    /// The forms of it that only an attacker sends.
    pub oddities: &'static [&'static Oddity],
}

/// The table, asked in this order.
pub const DATAGRAMS: &[DatagramRow] = &[
    ntp::ROW,
    dns::DATAGRAM_ROW,
    ssdp::ROW,
    memcached::DATAGRAM_ROW,
    snmp::ROW,
    cldap::ROW,
    chargen::CHARGEN_ROW,
    chargen::QOTD_ROW,
    sip::DATAGRAM_ROW,
];

/// The row of a conversation's first datagram.
pub fn recognised(message: &Message<'_>) -> Option<&'static DatagramRow> {
    DATAGRAMS.iter().find(|row| (row.recognise)(message))
}

/// Whether the first datagram between two ports is an answer, to a question that was not seen or never asked. The bytes know
/// best; then the port from which servers answer. An empty datagram answers nothing.
pub fn is_answer(source: u16, destination: u16, bytes: &[u8]) -> bool {
    match (source, bytes) {
        (_, []) => false,
        // DHCP answers to an address that its client has only just been given (RFC 2131 §4.1, RFC 8415 §7.2).
        (67, _) if destination == 68 => true,
        (547, _) if destination == 546 => true,
        // The QR bit of DNS, which NetBIOS names, mDNS and LLMNR share.
        (53 | 137 | 5_353 | 5_355, [_, _, flags, ..]) => flags & 0x80 != 0,
        // NTP: server and broadcast mode; the response bits of modes 6 and 7.
        (123, [first, second, ..]) => match first & 7 {
            6 => second & 0x80 != 0,
            7 => first & 0x80 != 0,
            mode => matches!(mode, 4 | 5),
        },
        // Devices whose ports clients are given as well: only what begins as their messages do is theirs.
        (37_810, [_, _, _, _, b'D', b'H', b'I', b'P', ..]) | (47_808, [0x81, 0x0a | 0x0b, ..]) => {
            source != destination
        }
        _ if source >= EPHEMERAL_MIN || Reflector::of_port(destination).is_some() => false,
        // Forged requests name any port of the victim as theirs, 80 for choice.
        _ if Reflector::of_port(source).is_some() => true,
        _ => source < SERVICES_END && destination >= SERVICES_END,
    }
}

/// A sink that writes down, for the tests of readers.
#[cfg(test)]
pub mod listening {
    use super::*;
    use crate::model::marks::Mark;
    use crate::model::progress::Counter;
    use crate::model::time::Timestamp;
    use crate::protocol::found::Login;
    use crate::protocol::request::Request;
    use crate::protocol::{Reply, RequestMeta};

    /// What a reader told.
    #[derive(Debug, Default, PartialEq)]
    pub struct Told {
        /// Ids and offsets.
        pub oddities: Vec<(String, u64)>,
        /// Field and text.
        pub texts: Vec<String>,
    }

    impl Told {
        /// What a row tells of one datagram of a client, if it recognises it.
        pub fn of(row: &DatagramRow, bytes: &[u8], port: u16) -> Self {
            let at = At { offset: 0, time: Timestamp(0), frames: 1, app: row.name };
            let message = Message { from: Side::Client, bytes, port, at };
            let mut told = Self::default();
            crate::fuzzing::seeds::keep_datagram(row.name, bytes, port);
            if (row.recognise)(&message) {
                (row.read)(&message, &mut 0, &mut told);
            }
            told
        }

        /// The ids of its oddities.
        pub fn ids(&self) -> Vec<&str> {
            self.oddities.iter().map(|(id, _)| id.as_str()).collect()
        }
    }

    impl Sink for Told {
        fn request(&mut self, _: &RequestMeta, _: &Request<'_>) {}
        fn reply(&mut self, _: u64, _: &Reply<'_>) {}
        fn count(&mut self, _: Counter) {}
        fn login(&mut self, _: &At, _: &Login<'_>) {}
        fn oddity(&mut self, at: &At, oddity: &'static Oddity, _: &[u8]) {
            self.oddities.push((oddity.id.to_owned(), at.offset));
        }
        fn text(&mut self, _: &At, field: &'static str, text: &[u8]) {
            self.texts.push(format!("{field} {}", text.escape_ascii()));
        }
        fn mark(&mut self, _: Mark<'_>) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_by_its_bytes_and_then_by_its_ports() {
        let query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0";
        let response = b"\0\x01\x81\x80\0\x01\0\0\0\0\0\0";
        assert!(
            is_answer(53, 40_000, response)
                && is_answer(53, 80, response)
                && is_answer(5_353, 5_353, response)
        );
        assert!(!is_answer(53, 40_000, query) && !is_answer(53, 53, query) && !is_answer(53, 40_000, b""));
        assert!(is_answer(123, 123, b"\x24\0") && !is_answer(123, 123, b"\x23\0"));
        assert!(is_answer(123, 80, b"\xd7\0") && !is_answer(123, 123, b"\x17\0"));
        assert!(
            is_answer(11_211, 80, b"x") && is_answer(1_900, 50_000, b"x") && is_answer(514, 50_000, b"x")
        );
        assert!(is_answer(37_810, 80, b"\x20\0\0\0DHIP") && is_answer(47_808, 443, b"\x81\x0a\0\x12"));
        assert!(is_answer(67, 68, b"x") && !is_answer(68, 67, b"x"));
        for question in [(50_000, 443), (37_810, 443), (5_060, 5_060), (500, 500), (40_000, 50_000)] {
            assert!(!is_answer(question.0, question.1, b"x"), "{question:?}");
        }
    }

    #[test]
    fn any_datagram_on_any_port_is_survived_and_honest_ones_of_other_protocols_are_silent() {
        let quic = [&[0xc3, 0, 0, 0, 1, 8][..], &[7; 1_194]].concat();
        let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12]].concat();
        let dtls = [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50][..], &[1; 50]].concat();
        let rtp = [&[0x80, 0, 0, 1][..], &[3; 168]].concat();
        let wireguard = [&[1, 0, 0, 0][..], &[0x5a; 144]].concat();
        let syslog = b"<34>Oct 11 22:14:15 host su: failed".to_vec();
        for bytes in [quic, stun, dtls, rtp, wireguard, syslog] {
            let at = At::default();
            let message = Message { from: Side::Client, bytes: &bytes, port: 4_711, at };
            assert!(recognised(&message).is_none(), "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived_by_every_reader(
            bytes in proptest::collection::vec(0_u8..=255, 0..200),
            port in proptest::sample::select(vec![17_u16, 19, 53, 123, 161, 389, 1_900, 11_211, 5_000]),
        ) {
            for row in DATAGRAMS {
                listening::Told::of(row, &bytes, port);
                for from in [Side::Client, Side::Server] {
                    let message = Message { from, bytes: &bytes, port, at: At::default() };
                    (row.read)(&message, &mut 0, &mut listening::Told::default());
                }
            }
        }
    }

    #[test]
    fn rows_that_reflect_floods_stand_in_the_list_of_those_that_do() {
        for row in DATAGRAMS {
            let listed = row.reflector_port.and_then(Reflector::of_port);
            assert_eq!(listed.map(Reflector::name), row.reflector_port.map(|_| row.name));
        }
    }
}
