//! CLDAP: LDAP searches (RFC 4511 §4.5.1) in single datagrams, as Windows finds its domain controllers.

use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::ber::Element;
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::found::Oddity;

/// A search request; its answers.
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
/// The filter "has this attribute".
const PRESENT: u8 = 0x87;

/// Domain members ask the root as well, but with a filter that names their domain, for the attribute Netlogon.
pub static ROOT: Oddity = Oddity {
    id: "cldap.root_dse",
    class: Class::ScanService,
    weight: 0.92,
    title: "Root of a directory asked for over UDP with any object class: a probe for an amplifier",
};

/// Its row of the table.
pub const ROW: DatagramRow = DatagramRow {
    name: "cldap",
    recognise: |message| {
        operation(message.bytes).is_some_and(|operation| match message.from {
            Side::Client => operation.tag == SEARCH,
            Side::Server => matches!(operation.tag, ENTRY | DONE),
        })
    },
    read,
    reflector_port: Some(389),
    oddities: &[&ROOT],
};

fn read(message: &Message<'_>, _: &mut u64, sink: &mut dyn Sink) {
    if message.from == Side::Client && asks_root(message.bytes) == Some(true) {
        sink.oddity(&message.at, &ROOT, b"objectClass=*");
    }
}

/// The operation in an LDAP message.
fn operation(bytes: &[u8]) -> Option<Element<'_>> {
    let message = Element::tagged(bytes, 0x30)?;
    let id = Element::tagged(message.content, 2)?;
    id.number()?;
    Element::first(id.rest)
}

/// Whether it is a search at the root itself that any object answers.
fn asks_root(bytes: &[u8]) -> Option<bool> {
    let search = operation(bytes).filter(|operation| operation.tag == SEARCH)?;
    let base = Element::tagged(search.content, 4)?;
    let scope = Element::tagged(base.rest, 10)?;
    let aliases = Element::tagged(scope.rest, 10)?;
    let size = Element::tagged(aliases.rest, 2)?;
    let time = Element::tagged(size.rest, 2)?;
    let types_only = Element::tagged(time.rest, 1)?;
    let filter = Element::first(types_only.rest)?;
    let any = filter.tag == PRESENT && filter.content.eq_ignore_ascii_case(b"objectClass");
    Some(base.content.is_empty() && scope.number() == Some(0) && any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::datagram::listening::Told;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, content.len() as u8][..], content].concat()
    }

    fn search(base: &[u8], scope: u8, filter: &[u8]) -> Vec<u8> {
        let fields = [
            element(4, base),
            element(10, &[scope]),
            element(10, &[0]),
            element(2, &[0]),
            element(2, &[0]),
            element(1, &[0]),
            filter.to_vec(),
            element(0x30, b""),
        ];
        element(0x30, &[element(2, &[7]), element(SEARCH, &fields.concat())].concat())
    }

    #[test]
    fn the_root_with_any_class_is_a_probe_and_a_domain_members_question_is_not() {
        let any = element(PRESENT, b"objectclass");
        let probe = search(b"", 0, &any);
        assert_eq!(Told::of(&ROW, &probe, 389).ids(), ["cldap.root_dse"]);
        let domain = element(0xa3, &[element(4, b"DnsDomain"), element(4, b"corp.example")].concat());
        let honest = element(0xa0, &domain);
        for silent in [search(b"", 0, &honest), search(b"dc=example", 0, &any), search(b"", 2, &any)] {
            assert_eq!(Told::of(&ROW, &silent, 389), Told::default());
        }
        for keep in 0..probe.len() {
            assert_eq!(Told::of(&ROW, &probe[..keep], 389), Told::default(), "{keep}");
        }
    }
}
