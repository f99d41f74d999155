use super::*;
use crate::model::time::Timestamp;
use crate::protocol::datagram::listening::Told;
use crate::protocol::played::{Act, Heard, answer, ask, play, play_all_ways};

/// A query for a name (a dot: the root) of a type and class, with records behind the question.
fn query(name: &str, kind: u16, class: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, records.len() as u8];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend([kind.to_be_bytes(), class.to_be_bytes()].concat());
    bytes.extend(records.concat());
    bytes
}

fn edns(size: u16) -> Vec<u8> {
    [&[0, 0, 41][..], &size.to_be_bytes(), &[0; 4], &[0, 2, 9, 9]].concat()
}

fn tsig() -> Vec<u8> {
    [&[3, b'k', b'e', b'y', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 1][..], &[7]].concat()
}

fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|message| [&(message.len() as u16).to_be_bytes()[..], message].concat())
        .collect()
}

/// A response to a query: flags and code, records in its answer.
fn response_to(query: &[u8], flags: u8, code: u8, answers: u8) -> Vec<u8> {
    let mut bytes = query.to_vec();
    (bytes[2], bytes[3], bytes[7]) = (0x80 | flags, code, answers);
    bytes
}

/// Plays the client's bytes cut at one place.
fn cut_at(bytes: &[u8], cut: usize) -> Told {
    let (mut parser, mut told) = (start(), Told::default());
    let mut offset = 0;
    for piece in [&bytes[..cut], &bytes[cut..]] {
        let chunk = Chunk { bytes: piece, offset, time: Timestamp(0), conflicting: false };
        offset += piece.len() as u64;
        parser.data(Side::Client, &chunk, &mut told);
    }
    parser.closed(Side::Server, &mut told);
    told
}

#[test]
fn what_honest_clients_ask_is_silent() {
    for honest in [
        query("www.example.org", 1, 1, &[]),
        query("_sip._udp.example.org", 33, 1, &[edns(1_232)]),
        query("example.org", kind::TXT, 1, &[edns(4_096)]),
        query(".", 2, 1, &[edns(4_096)]),
        query("example.org", kind::ANY, 1, &[edns(1_232)]),
        query("example.org", kind::SOA, 1, &[]),
        query("id.server", kind::TXT, CHAOS, &[]),
        query("example.org", kind::AXFR, 1, &[tsig()]),
    ] {
        assert_eq!(Told::of(&DATAGRAM_ROW, &honest, 53), Told::default(), "{}", honest.escape_ascii());
    }
}

#[test]
fn probes_are_told_by_what_they_ask() {
    for (bytes, id) in [
        (query("example.org", kind::AXFR, 1, &[]), "dns.axfr"),
        (query("example.org", kind::IXFR, 1, &[]), "dns.ixfr"),
        (query("example.org", kind::ANY, 1, &[edns(4_096)]), "dns.any_amplification"),
        (query(".", kind::ANY, 1, &[]), "dns.any_amplification"),
        (query("VERSION.bind", kind::TXT, CHAOS, &[edns(512)]), "dns.version_bind"),
    ] {
        assert_eq!(Told::of(&DATAGRAM_ROW, &bytes, 5_300).oddities, [(id.to_owned(), 0)]);
    }
    let lookup = query("${jndi:ldap://a}", 1, 1, &[]);
    assert_eq!(Told::of(&DATAGRAM_ROW, &lookup, 53).texts, ["qname ${jndi:ldap://a}"]);
}

#[test]
fn messages_of_a_stream_are_told_with_their_offsets_however_they_are_cut() {
    let long = [query("example.org", 1, 1, &[]), vec![0; 3_000]].concat();
    let transfer = query("example.org", kind::AXFR, 1, &[]);
    let bytes = stream(&[query("example.org", kind::SOA, 1, &[]), long, transfer.clone()]);
    let offset = (bytes.len() - transfer.len() - 2) as u64;
    for cut in 0..=bytes.len() {
        assert_eq!(cut_at(&bytes, cut).oddities, [("dns.axfr".to_owned(), offset)], "cut at {cut}");
    }
    assert!(
        cut_at(&stream(&[query(".", kind::ANY, 1, &[edns(4_096)])]), 0).oddities.is_empty(),
        "no amplification"
    );
}

/// A zone that is given, one that is refused, a server that is not responsible, one that says nothing, an answer to another.
#[test]
fn a_transfer_is_told_with_what_became_of_it() {
    let transfer = query("example.org", kind::AXFR, 1, &[]);
    let ended = |rest: &[Act]| {
        let heard = play_all_ways(&[&[ask(stream(std::slice::from_ref(&transfer)))][..], rest].concat(), 53);
        assert_eq!((heard.odd(), heard.offsets.as_slice()), (vec!["dns.axfr"], &[0][..]));
        assert!(!heard.answers[0].inferred);
        heard.answers[0].outcome
    };
    let code = |code, answers| answer(stream(&[response_to(&transfer, 4, code, answers)]));
    assert_eq!(ended(&[code(0, 9), code(0, 200)]), Outcome::LikelySuccess);
    assert_eq!(ended(&[code(5, 0)]), Outcome::Refused);
    assert_eq!(ended(&[code(9, 0)]), Outcome::Refused);
    assert_eq!(ended(&[]), Outcome::Attempted);
    assert_eq!(ended(&[Act::Gap(Side::Server, 90), code(0, 9)]), Outcome::Attempted);
    let mut other = response_to(&transfer, 4, 0, 9);
    other[0] ^= 1;
    assert_eq!(ended(&[answer(stream(&[other]))]), Outcome::Attempted);
    let signed = stream(&[query("example.org", kind::AXFR, 1, &[tsig()])]);
    assert!(play_all_ways(&[ask(signed), code(0, 9)], 53).odd().is_empty(), "a secondary that signs");
}

#[test]
fn names_that_do_not_exist_are_told_where_the_zones_own_server_says_so() {
    let told = |name: &str, flags: u8, code: u8| {
        let bytes = response_to(&query(name, 1, 1, &[]), flags, code, 0);
        let at = At { frames: 1, ..At::default() };
        let mut heard = Heard::default();
        let message = Message { from: Side::Server, bytes: &bytes, port: 53, at };
        (DATAGRAM_ROW.read)(&message, &mut 0, &mut heard);
        let over_tcp = play_all_ways(&[ask(stream(&[query(name, 1, 1, &[])])), answer(stream(&[bytes]))], 53);
        assert_eq!(over_tcp.unmet, heard.unmet);
        heard.unmet
    };
    assert_eq!(told("VpN.example.org", 4, 3), ["vpn.example.org"]);
    assert!(told("www.example.org", 4, 0).is_empty());
    assert!(told("www.example.org", 0, 3).is_empty(), "a resolver's word");
    assert!(told("2.0.0.127.list.example.org", 4, 3).is_empty(), "a block list");
}

#[test]
fn after_a_gap_nothing_is_guessed() {
    let (mut parser, mut told) = (start(), Told::default());
    parser.gap(Side::Client, 3, &mut told);
    let bytes = stream(&[query("example.org", kind::AXFR, 1, &[])]);
    parser.data(
        Side::Client,
        &Chunk { bytes: &bytes, offset: 3, time: Timestamp(0), conflicting: false },
        &mut told,
    );
    assert_eq!(told, Told::default());
}

#[test]
fn a_stream_is_recognised_once_its_question_is_whole_and_never_for_others() {
    let bytes = stream(&[query("example.org", kind::AXFR, 1, &[edns(4_096)])]);
    let recognise = |client: &[u8]| recognise_stream(&Opening { client, server: b"", port: 0 });
    let question = 2 + 12 + 13 + 4;
    for keep in 1..bytes.len() {
        let expected = if keep < question { Recognition::More } else { Recognition::Yes };
        assert_eq!(recognise(&bytes[..keep]), expected, "{keep}");
    }
    for other in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
        b"\x00\x00\x00\x54\xffSMBr\x00\x00\x00\x00",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"EHLO x\r\n",
    ] {
        assert_eq!(recognise(other), Recognition::No, "{}", other.escape_ascii());
    }
    let mut response = query("example.org", 1, 1, &[]);
    response[2] |= 0x80;
    let server = stream(&[response]);
    assert_eq!(recognise_stream(&Opening { client: b"", server: &server, port: 53 }), Recognition::Yes);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived_and_memory_stays_bounded(
        bytes in proptest::collection::vec(0_u8..=255, 0..3_000),
        cut in 0_usize..3_000,
    ) {
        cut_at(&bytes, cut.min(bytes.len()));
        read(&bytes);
        response(&bytes);
        let transfer = stream(&[query("example.org", kind::AXFR, 1, &[])]);
        play(&[ask(transfer), answer(&bytes)], 53, cut.max(1));
        Told::of(&DATAGRAM_ROW, &bytes, 53);
    }

    #[test]
    fn any_change_to_a_query_is_survived(at in 0_usize..60, value: u8) {
        let mut bytes = query("www.example.org", kind::AXFR, 1, &[edns(4_096), tsig()]);
        let at = at % bytes.len();
        bytes[at] = value;
        read(&bytes);
    }
}
