//! memcached over UDP: a frame header of eight bytes, then a command as over TCP.

pub mod binary;
pub mod stream;

use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::found::Oddity;

/// Request number, number and count of datagrams, reserved: two bytes each.
const HEADER_BYTES: usize = 8;
/// Words that begin a command.
const COMMANDS: [&[u8]; 12] = [
    b"stats",
    b"version",
    b"get",
    b"gets",
    b"set",
    b"add",
    b"replace",
    b"append",
    b"delete",
    b"incr",
    b"decr",
    b"flush_all",
];

/// Clients get and set. What a server says of itself is asked by those who look for amplifiers: UDP is off since 1.5.6 (2018).
pub static STATS: Oddity = Oddity {
    id: "memcached.udp_stats",
    class: Class::ScanService,
    weight: 0.95,
    title: "memcached asked over UDP for its statistics or version: a probe for an amplifier (CVE-2018-1000115)",
};
/// The flood itself is asked for so, and by clients of old installations as well.
pub static COMMAND: Oddity = Oddity {
    id: "memcached.udp_command",
    class: Class::ScanService,
    weight: 0.6,
    title: "memcached command over UDP",
};

/// Its row of the table.
pub const DATAGRAM_ROW: DatagramRow = DatagramRow {
    name: "memcached",
    recognise: |message| message.from == Side::Client && command(message.bytes).is_some(),
    read,
    reflector_port: Some(11_211),
    oddities: &[&STATS, &COMMAND],
};

fn read(message: &Message<'_>, _: &mut u64, sink: &mut dyn Sink) {
    if message.from == Side::Client
        && let Some(command) = command(message.bytes)
    {
        let oddity = if matches!(command, b"stats" | b"version") { &STATS } else { &COMMAND };
        sink.oddity(&message.at, oddity, command);
    }
}

/// The command of a request in one datagram. The count is 1, or 0 in what attack tools send.
fn command(bytes: &[u8]) -> Option<&[u8]> {
    let ([_, _, 0, 0, 0, 0 | 1, 0, 0], text) = bytes.split_first_chunk::<HEADER_BYTES>()? else {
        return None;
    };
    let end = text.iter().position(u8::is_ascii_whitespace)?;
    text.get(..end).filter(|word| COMMANDS.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::datagram::listening::Told;

    #[test]
    fn statistics_over_udp_are_a_probe_on_any_port_and_keys_are_not() {
        for (bytes, ids) in [
            (&b"\0\x01\0\0\0\x01\0\0stats\r\n"[..], &["memcached.udp_stats"][..]),
            (b"\x4f\x21\0\0\0\0\0\0version\r\n", &["memcached.udp_stats"]),
            (b"\0\x01\0\0\0\x01\0\0get a\r\n", &["memcached.udp_command"]),
            (b"\0\x01\0\0\0\x01\0\0hello\r\n", &[]),
            (b"\0\x01\0\0\0\x01\0\0stats", &[]),
            (b"stats\r\n", &[]),
            (b"", &[]),
        ] {
            assert_eq!(Told::of(&DATAGRAM_ROW, bytes, 4_711).ids(), ids, "{}", bytes.escape_ascii());
        }
    }
}
