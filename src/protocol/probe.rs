//! Payloads that nobody sends but a scanner that wants to know what listens: the first bytes of a conversation, compared whole or in
//! the parts that no honest client has. Asked last, when no protocol knows the bytes.
//!
//! Bytes that an honest client of some service sends too are left out, or told only off that service's port.

use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Oddity};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow {
    name: "probe",
    recognise,
    start,
    counter: None,
    oddities: &[&SCANNER, &STRANGE, &NAMED_SCANNER],
};

/// Payloads of Nmap's collection that are certain.
const SCANNER: Oddity = Oddity {
    id: "probe.nmap",
    class: Class::ScanService,
    weight: 0.95,
    title: "Service probe as Nmap sends it",
};
/// Payloads that could be a person's, if hardly.
const STRANGE: Oddity = Oddity {
    id: "probe.help",
    class: Class::ScanService,
    weight: 0.91,
    title: "Call for help to a service that has not spoken",
};
/// Scanners that name themselves in what they send.
const NAMED_SCANNER: Oddity = Oddity {
    id: "probe.named",
    class: Class::ScanService,
    weight: 0.97,
    title: "Payload in which a scanner names itself",
};

/// Bytes looked at.
const LOOKED_AT_BYTES: usize = 256;

/// How a payload is known.
#[derive(Debug)]
enum Shape {
    /// It is these bytes and no more.
    Is(&'static [u8]),
    /// It begins with the first and holds the second.
    Begins(&'static [u8], &'static [u8]),
    /// It is these bytes, on another port than that of the service that takes them from anybody.
    OffPort(u16, &'static [u8]),
}

/// One payload.
#[derive(Debug)]
struct Probe {
    shape: Shape,
    oddity: &'static Oddity,
}

const fn probe(shape: Shape, oddity: &'static Oddity) -> Probe {
    Probe { shape, oddity }
}

/// The table.
static PROBES: &[Probe] = &[
    // A call for help that waits for no greeting.
    probe(Shape::Is(b"HELP\r\n"), &STRANGE),
    // RTSP clients name a URL and a CSeq; the probe does neither.
    probe(Shape::Is(b"OPTIONS / RTSP/1.0\r\n\r\n"), &SCANNER),
    // TN3270 and a device manager: four letters, a length, nothing else.
    probe(Shape::Begins(b"TNMP\x04\x00\x00\x00", b"TNME"), &SCANNER),
    probe(Shape::Begins(b"DmdT\x00\x00\x00", b""), &SCANNER),
    // Kerberos: a ticket for the realm NM.
    probe(Shape::Begins(b"\x00\x00\x00\x71\x6a\x81\x6e\x30", b"\x1b\x02NM"), &SCANNER),
    // LDAP: the first message of a conversation has number 7 in no client.
    probe(Shape::Begins(b"\x30\x84\x00\x00\x00\x2d\x02\x01\x07\x63", b"objectClass"), &SCANNER),
    // Printers take it from anybody; elsewhere it is a question.
    probe(Shape::OffPort(515, b"\x01default\n"), &SCANNER),
    // X displays take it from anybody, on 6000 and the ports after it.
    probe(Shape::OffPort(6000, b"\x6c\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00"), &SCANNER),
    // A port mapper asked for version 104316, which there is not.
    probe(Shape::Begins(b"\x80\x00\x00\x28\x72\xfe\x1d\x13", b"\x00\x01\x86\xa0\x00\x01\x97\x7c"), &SCANNER),
    // DNS over TCP: its version, and a status query (opcode 2), which no resolver sends.
    probe(Shape::Begins(b"\x00\x1e\x00\x06", b"\x07version\x04bind\x00\x00\x10\x00\x03"), &SCANNER),
    probe(Shape::Is(b"\x00\x0c\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00"), &SCANNER),
    // SOCKS: negotiation, connection and request in one piece, without an answer to any.
    probe(
        Shape::Begins(b"\x05\x04\x00\x01\x02\x80\x05\x01\x00\x03", b"google.com\x00\x50GET / HTTP/1.0"),
        &SCANNER,
    ),
    probe(Shape::Is(b"\x04\x01\x00\x16\x7f\x00\x00\x01root\x00"), &SCANNER),
    // Nessus servers of old.
    probe(Shape::Is(b"< NTP/1.0 >\n"), &SCANNER),
    probe(Shape::Is(b"< NTP/1.2 >\n"), &SCANNER),
    // Scanners of the whole Internet.
    probe(Shape::Begins(b"MGLNDD_", b"\n"), &NAMED_SCANNER),
];

impl Shape {
    /// The bytes that every payload of it begins with.
    const fn start(&self) -> &'static [u8] {
        match self {
            Self::Is(start) | Self::Begins(start, _) | Self::OffPort(_, start) => start,
        }
    }

    fn compare(&self, bytes: &[u8], port: u16) -> Recognition {
        let (is_whole, begin, needed) = match self {
            Self::Is(whole) => (true, *whole, &b""[..]),
            Self::Begins(first, within) => (false, *first, *within),
            // The displays of one host have ports of their own.
            Self::OffPort(home, payload) if !(*home..home.saturating_add(64)).contains(&port) => {
                (true, *payload, &b""[..])
            }
            Self::OffPort(..) => return Recognition::No,
        };
        if bytes.len() < begin.len() {
            return if begin.starts_with(bytes) { Recognition::More } else { Recognition::No };
        }
        if !bytes.starts_with(begin) || is_whole && bytes.len() > begin.len() {
            Recognition::No
        } else if needed.is_empty() || memchr::memmem::find(bytes, needed).is_some() {
            Recognition::Yes
        } else if bytes.len() < LOOKED_AT_BYTES {
            Recognition::More
        } else {
            Recognition::No
        }
    }
}

/// The probe that a client's first bytes are, and whether they may become one.
fn known(bytes: &[u8], port: u16) -> (Option<&'static Probe>, Recognition) {
    let mut told = Recognition::No;
    for probe in PROBES {
        match probe.shape.compare(bytes, port) {
            Recognition::Yes => return (Some(probe), Recognition::Yes),
            Recognition::More => told = Recognition::More,
            Recognition::No => {}
        }
    }
    (None, told)
}

/// The client speaks first: a service that greets is asked in its own protocol.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match (opening.client, opening.server) {
        ([], []) => Recognition::More,
        (client, []) => known(client, opening.port).1,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Asking::default())
}

/// A conversation that began with a probe: it is told once, when its bytes are together.
#[derive(Debug, Default)]
struct Asking {
    held: Vec<u8>,
    at: At,
    is_told: bool,
}

impl Parser for Asking {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        if from == Side::Server || self.is_told {
            return;
        }
        if self.held.is_empty() {
            self.at = At::of(chunk);
        } else {
            self.at.frames = self.at.frames.saturating_add(1);
        }
        let room = LOOKED_AT_BYTES.saturating_sub(self.held.len());
        self.held.extend_from_slice(chunk.bytes.get(..room.min(chunk.bytes.len())).unwrap_or_default());
        // The port was weighed when the bytes were recognised.
        if let (Some(probe), _) = known(&self.held, 0) {
            sink.oddity(&self.at, probe.oddity, probe.shape.start());
            self.is_told = true;
            self.held = Vec::new();
        }
    }

    fn gap(&mut self, _: Side, _: u64, _: &mut dyn Sink) {
        self.is_told = true;
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        size_of::<Self>() + self.held.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, S, any_acts, survives, talk, talk_all_ways};

    /// A payload of that shape.
    fn example(shape: &Shape) -> Vec<u8> {
        match shape {
            Shape::Is(whole) | Shape::OffPort(_, whole) => whole.to_vec(),
            Shape::Begins(start, part) => [*start, b"--", *part].concat(),
        }
    }

    #[test]
    fn every_probe_is_one_oddity_however_it_is_cut() {
        for probe in PROBES {
            let payload = example(&probe.shape);
            let heard = talk_all_ways(&[(C, &payload), (S, b"?\r\n"), (C, b"more\r\n")]);
            assert_eq!(
                (heard.app, heard.odd()),
                (Some("probe"), vec![probe.oddity.id]),
                "{}",
                payload.escape_ascii()
            );
        }
    }

    #[test]
    fn honest_openings_are_none() {
        for (bytes, port) in [
            (&b"\r\n\r\n"[..], 4_711),
            (b"HELP me\r\n", 4_711),
            (b"\x01default\n", 515),
            (b"\x6c\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", 6_010),
            (b"OPTIONS rtsp://cam.example.org/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", 554),
            (b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", 389),
            (b"stats\r\n", 11_211),
        ] {
            assert_eq!(talk(&[(C, bytes)], port, 99).oddities, [], "{}", bytes.escape_ascii());
        }
        // Where the server greets first, HELP is a command like any other.
        let heard = talk_all_ways(&[(S, b"220 mail ESMTP\r\n"), (C, b"HELP\r\n")]);
        assert_eq!((heard.app, heard.oddities.len()), (Some("smtp"), 0));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            survives(start(), &[b"MGLNDD_", b"TNMP\x04\x00\x00\x00", b"HEL"], &acts);
        }
    }
}
