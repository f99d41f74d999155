//! Character generator (RFC 864) and quote of the day (RFC 865): any datagram is answered with text, which nobody has had a use
//! for since the nineties but those who want it sent to somebody else.

use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::found::Oddity;

/// A datagram with content; an empty one is how ports are scanned, and is counted as that.
pub static CHARGEN: Oddity = Oddity {
    id: "chargen.probe",
    class: Class::ScanService,
    weight: 0.92,
    title: "Datagram to the character generator: a probe for an amplifier (CVE-1999-0103)",
};
/// The same for quotes.
pub static QOTD: Oddity = Oddity {
    id: "qotd.probe",
    class: Class::ScanService,
    weight: 0.92,
    title: "Datagram to the quote of the day: a probe for an amplifier (CVE-1999-0103)",
};

/// Row of the character generator.
pub const CHARGEN_ROW: DatagramRow = DatagramRow {
    name: "chargen",
    recognise: |message| is_to(message, 19),
    read: |message, _, sink| tell(message, &CHARGEN, sink),
    reflector_port: Some(19),
    oddities: &[&CHARGEN],
};
/// Row of the quote of the day.
pub const QOTD_ROW: DatagramRow = DatagramRow {
    name: "qotd",
    recognise: |message| is_to(message, 17),
    read: |message, _, sink| tell(message, &QOTD, sink),
    reflector_port: Some(17),
    oddities: &[&QOTD],
};

const fn is_to(message: &Message<'_>, port: u16) -> bool {
    matches!(message.from, Side::Client) && message.port == port && !message.bytes.is_empty()
}

fn tell(message: &Message<'_>, oddity: &'static Oddity, sink: &mut dyn Sink) {
    if message.from == Side::Client && !message.bytes.is_empty() {
        sink.oddity(&message.at, oddity, b"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::datagram::listening::Told;

    #[test]
    fn any_content_is_a_probe_and_an_empty_datagram_is_none() {
        assert_eq!(Told::of(&CHARGEN_ROW, b"\n", 19).ids(), ["chargen.probe"]);
        assert_eq!(Told::of(&QOTD_ROW, b"x", 17).ids(), ["qotd.probe"]);
        assert_eq!(Told::of(&CHARGEN_ROW, b"", 19), Told::default());
        assert_eq!(Told::of(&CHARGEN_ROW, b"x", 20), Told::default());
    }
}
