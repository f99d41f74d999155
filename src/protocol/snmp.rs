//! SNMP versions 1 and 2c (RFC 1157, RFC 3416): the community is the password, in clear, and often still the default.

use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::ber::Element;
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::found::Oddity;

/// What agents come with.
const DEFAULT_COMMUNITIES: [&[u8]; 2] = [b"public", b"private"];
/// The request that walks many rows at once.
const GET_BULK: u8 = 0xa5;
/// Rows asked for at once. Tools ask for 10 to 50, collectors of large tables for 100; amplifiers are asked for thousands.
const REPETITIONS_HONEST: u32 = 250;

/// Careless monitoring uses them too: one request proves nothing.
pub static COMMUNITY: Oddity = Oddity {
    id: "snmp.default_community",
    class: Class::ScanService,
    weight: 0.6,
    title: "SNMP request with a default community",
};
/// No tool asks for so many rows in one datagram, which could not hold them.
pub static BULK: Oddity = Oddity {
    id: "snmp.bulk_amplification",
    class: Class::ScanService,
    weight: 0.95,
    title: "SNMP GetBulk with a default community for more rows than any answer holds: a probe for an amplifier",
};

/// Its row of the table.
pub const ROW: DatagramRow = DatagramRow {
    name: "snmp",
    recognise: |message| request(message.bytes).is_some(),
    read,
    reflector_port: Some(161),
    oddities: &[&COMMUNITY, &BULK],
};

fn read(message: &Message<'_>, _: &mut u64, sink: &mut dyn Sink) {
    let Some((community, operation)) = request(message.bytes).filter(|_| message.from == Side::Client) else {
        return;
    };
    // Traps (0xa4, 0xa7) and informs (0xa6) are sent by agents.
    let is_request = matches!(operation.tag, 0xa0 | 0xa1 | 0xa3 | GET_BULK);
    if !is_request || !DEFAULT_COMMUNITIES.contains(&community) {
        return;
    }
    let is_vast =
        operation.tag == GET_BULK && repetitions(operation).is_some_and(|rows| rows > REPETITIONS_HONEST);
    // One of the two names that everybody knows: no secret.
    sink.oddity(&message.at, if is_vast { &BULK } else { &COMMUNITY }, community);
}

/// Community and operation of a message of version 1 or 2c.
fn request(bytes: &[u8]) -> Option<(&[u8], Element<'_>)> {
    let message = Element::tagged(bytes, 0x30)?;
    let version = Element::tagged(message.content, 2)?;
    version.number().filter(|version| *version <= 1)?;
    let community = Element::tagged(version.rest, 4)?;
    let operation =
        Element::first(community.rest).filter(|operation| matches!(operation.tag, 0xa0..=0xa8))?;
    Some((community.content, operation))
}

/// The rows that a `GetBulk` asks for.
fn repetitions(operation: Element<'_>) -> Option<u32> {
    let number = Element::tagged(operation.content, 2)?;
    let non_repeaters = Element::tagged(number.rest, 2)?;
    Element::tagged(non_repeaters.rest, 2)?.number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::datagram::listening::Told;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, content.len() as u8][..], content].concat()
    }

    fn message(community: &[u8], operation: u8, repetitions: &[u8]) -> Vec<u8> {
        let fields =
            [element(2, &[1]), element(2, &[0]), element(2, repetitions), element(0x30, b"")].concat();
        element(0x30, &[element(2, &[1]), element(4, community), element(operation, &fields)].concat())
    }

    #[test]
    fn a_request_for_thousands_of_rows_is_a_probe_and_a_default_community_suspicious() {
        for (bytes, ids) in [
            (message(b"public", GET_BULK, &[8, 0xca]), &["snmp.bulk_amplification"][..]),
            (message(b"public", GET_BULK, &[50]), &["snmp.default_community"]),
            (message(b"private", 0xa0, &[0]), &["snmp.default_community"]),
            (message(b"public", 0xa7, &[0]), &[]),
            (message(b"k3wl", GET_BULK, &[8, 0xca]), &[]),
        ] {
            assert_eq!(Told::of(&ROW, &bytes, 161).ids(), ids);
            for keep in 0..bytes.len() {
                assert_eq!(Told::of(&ROW, &bytes[..keep], 161), Told::default(), "{keep}");
            }
        }
    }
}
