//! NTP (RFC 5905): time is asked in mode 3; modes 6 and 7 ask the server of itself, and answer at length.

use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::found::Oddity;

/// Length of the header of modes 1 to 5.
const TIME_BYTES: usize = 48;
/// Length of the header of mode 6 (RFC 9327 §2).
const CONTROL_BYTES: usize = 12;
/// Length of the header of mode 7.
const PRIVATE_BYTES: usize = 8;

/// The list of the last 600 clients of a server: the largest answer there is, and asked by nobody since ntpd 4.2.7 (2010).
pub static MONLIST: Oddity = Oddity {
    id: "ntp.monlist",
    class: Class::ScanService,
    weight: 0.95,
    title: "NTP list of monitored clients asked for (mode 7 monlist, CVE-2013-5211)",
};
/// Administrators ask it as well, so that one such question proves nothing.
pub static READVAR: Oddity = Oddity {
    id: "ntp.readvar",
    class: Class::ScanService,
    weight: 0.6,
    title: "NTP server asked for its variables (mode 6)",
};

/// Its row of the table.
pub const ROW: DatagramRow = DatagramRow {
    name: "ntp",
    recognise: |message| {
        matches!(asked(message.bytes), Some(Asked::Monlist))
            || message.port == 123 && asked(message.bytes).is_some()
    },
    read,
    reflector_port: Some(123),
    oddities: &[&MONLIST, &READVAR],
};

/// What a message asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Monlist,
    /// The time, or anything else that tells little.
    Other,
    Variables,
}

fn read(message: &Message<'_>, _: &mut u64, sink: &mut dyn Sink) {
    if message.from == Side::Server {
        return;
    }
    let oddity = match asked(message.bytes) {
        Some(Asked::Monlist) => &MONLIST,
        Some(Asked::Variables) => &READVAR,
        _ => return,
    };
    sink.oddity(&message.at, oddity, message.bytes.get(..PRIVATE_BYTES).unwrap_or_default());
}

fn asked(bytes: &[u8]) -> Option<Asked> {
    let [first, second, implementation, request, ..] = *bytes else { return None };
    let version = first >> 3 & 7;
    match first & 7 {
        _ if !(1..=4).contains(&version) => None,
        6 if bytes.len() >= CONTROL_BYTES => {
            // Not a response; operation code 2.
            Some(if second & 0x9f == 2 { Asked::Variables } else { Asked::Other })
        }
        7 if bytes.len() >= PRIVATE_BYTES => {
            // Not a response; ntpd and xntpd (2, 3, any: 0); MON_GETLIST and MON_GETLIST_1.
            let is_list =
                first & 0x80 == 0 && matches!(implementation, 0 | 2 | 3) && matches!(request, 20 | 42);
            Some(if is_list { Asked::Monlist } else { Asked::Other })
        }
        1..=5 if bytes.len() >= TIME_BYTES => Some(Asked::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::datagram::listening::Told;

    #[test]
    fn monlist_is_told_on_any_port_and_time_is_asked_in_silence() {
        let short = b"\x17\0\x03\x2a\0\0\0\0";
        let padded = [&b"\x17\0\x02\x14"[..], &[0; 188]].concat();
        for (bytes, port) in [(&short[..], 123), (&padded, 123), (short, 1_123)] {
            assert_eq!(Told::of(&ROW, bytes, port).ids(), ["ntp.monlist"]);
        }
        let control = b"\x16\x02\0\x01\0\0\0\0\0\0\0\0";
        assert_eq!(Told::of(&ROW, control, 123).ids(), ["ntp.readvar"]);
        let mut time = [0; 48];
        for first in [0x23, 0x1b, 0xe3, 0x24, 0x25] {
            time[0] = first;
            assert!(Told::of(&ROW, &time, 123).ids().is_empty());
        }
        for other in [&b""[..], b"\x17\0\x03", b"\x97\0\x03\x2a\0\0\0\0", b"\x3f\0\x03\x2a\0\0\0\0"] {
            assert!(Told::of(&ROW, other, 123).ids().is_empty(), "{}", other.escape_ascii());
        }
    }
}
