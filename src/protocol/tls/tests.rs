use super::*;
use crate::protocol::found::Answered;
use crate::protocol::played::{
    Act, Heard, answer, ask, play, play_all_ways, recognises_only, survive_damage,
};

fn behind_short(list: &[u8]) -> Vec<u8> {
    [&[list.len() as u8], list].concat()
}

fn behind_long(list: &[u8]) -> Vec<u8> {
    [&(list.len() as u16).to_be_bytes(), list].concat()
}

fn words(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [vec![kind, 3, 3], behind_long(body)].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// A hello with values of GREASE in every list that may hold them.
fn client_hello(name: &[u8]) -> Vec<u8> {
    let extensions: [(u16, Vec<u8>); 9] = [
        (0x3a3a, vec![]),
        (0, behind_long(&[b"\0".as_slice(), &behind_long(name)].concat())),
        (23, vec![]),
        (10, behind_long(&words(&[0x4a4a, 29, 23, 24]))),
        (11, behind_short(b"\0")),
        (16, behind_long(&[behind_short(b"h2"), behind_short(b"http/1.1")].concat())),
        (13, behind_long(&words(&[0x0403, 0x0804, 0x0401]))),
        (43, behind_short(&words(&[0x5a5a, 0x0304, 0x0303]))),
        (0x6a6a, vec![0]),
    ];
    let extensions: Vec<u8> =
        extensions.iter().flat_map(|(kind, value)| [words(&[*kind]), behind_long(value)].concat()).collect();
    let ciphers = words(&[0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0x009c]);
    let random: Vec<u8> = (0..32).collect();
    let body = [
        words(&[0x0303]),
        random,
        behind_short(&[0; 32]),
        behind_long(&ciphers),
        behind_short(b"\0"),
        behind_long(&extensions),
    ];
    message(1, &body.concat())
}

fn server_hello(version: u16) -> Vec<u8> {
    let extensions =
        if version == TLS_1_3 { [words(&[43]), behind_long(&words(&[version]))].concat() } else { vec![] };
    let body = [
        words(&[version.min(0x0303)]),
        vec![7; 32],
        behind_short(&[0; 32]),
        vec![0xc0, 0x2f, 0],
        behind_long(&extensions),
    ];
    record(22, &message(2, &body.concat()))
}

fn hello() -> Act {
    ask(record(22, &client_hello(b"Www.Example.org")))
}

fn has(heard: &Heard, counter: Counter) -> usize {
    heard.counted.iter().filter(|counted| **counted == counter).count()
}

/// A handshake of TLS 1.2 up to its end.
fn old_handshake() -> Vec<Act> {
    vec![
        hello(),
        answer(
            [server_hello(0x0303), record(22, &message(11, &[5; 900])), record(22, &message(14, b""))]
                .concat(),
        ),
        ask([record(22, &message(16, &[9; 66])), record(20, b"\x01"), record(22, &[1; 40])].concat()),
        answer([record(20, b"\x01"), record(22, &[2; 40])].concat()),
    ]
}

#[test]
fn fingerprints_are_those_computed_by_hand_from_their_descriptions() {
    let heard = play_all_ways(&[hello()], 443);
    assert_eq!(heard.mark(MarkKind::Ja3), Some("ffefa35c85aa922df9fe27410220a3e8"));
    assert_eq!(heard.mark(MarkKind::Ja4), Some("t13d0607h2_db2546af4a66_1fdf4de06b7e"));
    assert_eq!(heard.mark(MarkKind::ServerName), Some("www.example.org"));
    assert_eq!(heard.counted, [Counter::FlowsTls, Counter::TlsHellos, Counter::TlsUnfinished]);
    assert!(heard.texts.is_empty());
}

/// The example of JA4's public description: 15 ciphers, 16 extensions, both lists in any order.
#[test]
fn the_published_example_of_ja4_comes_out() {
    let ciphers = words(&[
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
        0x009d, 0x002f, 0x0035,
    ]);
    let signatures = words(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
    let versions = words(&[0x0304, 0x0303]);
    let hello = ClientHello {
        version: 0x0303,
        ciphers: &ciphers,
        extensions: vec![
            0x1b, 0, 0x33, 0x10, 0x4469, 0x17, 0x2d, 0x0d, 5, 0x23, 0x12, 0x2b, 0xff01, 0x0b, 0x0a, 0x15,
        ],
        signatures: &signatures,
        application: Some(b"h2"),
        versions: &versions,
        ..ClientHello::default()
    };
    assert_eq!(fingerprint::ja4(&hello), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    let odd = ClientHello { application: Some(b"\xabcd\xef"), version: 0x0301, ..ClientHello::default() };
    assert_eq!(fingerprint::ja4(&odd), "t10i0000af_000000000000_000000000000");
}

#[test]
fn a_hello_spread_over_records_is_put_together() {
    let whole = client_hello(b"www.example.org");
    let (first, second) = whole.split_at(100);
    let heard = play_all_ways(&[ask([record(22, first), record(22, second)].concat())], 8443);
    assert_eq!(heard.mark(MarkKind::Ja4), Some("t13d0607h2_db2546af4a66_1fdf4de06b7e"));
}

#[test]
fn a_name_that_is_none_is_judged_as_text() {
    let heard = play_all_ways(&[ask(record(22, &client_hello(b"${jndi:ldap://x/a}")))], 443);
    assert_eq!(heard.texts, ["server_name=${jndi:ldap://x/a}"]);
}

#[test]
fn completed_and_broken_handshakes_are_told_apart() {
    let complete = play_all_ways(&old_handshake(), 443);
    assert_eq!((has(&complete, Counter::TlsHellos), has(&complete, Counter::TlsUnfinished)), (1, 0));
    let refused = [hello(), answer(record(21, &[2, 40]))];
    let heard = play_all_ways(&refused, 443);
    assert_eq!((has(&heard, Counter::TlsAlerts), has(&heard, Counter::TlsUnfinished)), (1, 1));
    let warned = [hello(), answer(record(21, &[1, 112]))];
    assert_eq!(has(&play_all_ways(&warned, 443), Counter::TlsAlerts), 0);
    let newest = |sealed: usize| {
        [
            hello(),
            answer([server_hello(TLS_1_3), record(20, b"\x01"), record(23, &[1; 900])].concat()),
            ask([record(20, b"\x01"), record(23, &vec![3; sealed])].concat()),
        ]
    };
    assert_eq!(has(&play_all_ways(&newest(53), 443), Counter::TlsUnfinished), 0);
    assert_eq!(has(&play_all_ways(&newest(19), 443), Counter::TlsUnfinished), 1, "an alert finishes nothing");
    let lost = [hello(), Act::Gap(Side::Server, 3_000)];
    assert_eq!(has(&play(&lost, 443, 99), Counter::TlsUnfinished), 0, "what was lost may have been the rest");
}

#[test]
fn a_handshake_without_success_is_told_unless_the_client_declined() {
    let ends = |rest: &[Act]| play_all_ways(&[&[hello()][..], rest].concat(), 443).unmet;
    assert_eq!(ends(&[]), ["refused"], "silence");
    assert_eq!(ends(&[answer(record(21, &[2, 112]))]), ["refused"]);
    assert_eq!(ends(&[answer(server_hello(0x0303))]), ["taken up"], "one that only asked which cipher");
    assert_eq!(ends(&[answer(server_hello(0x0303)), ask(record(21, &[2, 40]))]), ["taken up"]);
    assert!(
        ends(&[answer(server_hello(0x0303)), ask(record(21, &[2, 48]))]).is_empty(),
        "an unknown authority"
    );
    let newest = [server_hello(TLS_1_3), record(20, b"\x01"), record(23, &[1; 900])].concat();
    assert!(ends(&[answer(newest), ask(record(23, &[3; 19]))]).is_empty(), "an encrypted alert");
    assert!(play_all_ways(&old_handshake(), 443).unmet.is_empty());
}

#[test]
fn a_heartbeat_that_claims_more_than_it_holds_is_an_attack() {
    let before = |heartbeat: &[u8]| {
        let mut dialogue = old_handshake();
        dialogue.truncate(2);
        dialogue.push(ask(record(24, heartbeat)));
        play_all_ways(&dialogue, 443)
    };
    let heard = before(&[1, 0x40, 0]);
    assert_eq!(heard.odd(), ["tls.heartbleed"]);
    assert_eq!(heard.offsets[0] as usize, record(22, &client_hello(b"Www.Example.org")).len());
    assert_eq!(heard.answers[0].outcome, Outcome::Attempted, "a mended server says nothing");
    assert!(before(&[&[1, 0, 4][..], b"ping", &[0; 16]].concat()).odd().is_empty());
    let answered = |answer: Act| {
        let mut dialogue = old_handshake();
        dialogue.truncate(2);
        dialogue.extend([ask(record(24, &[1, 0x40, 0])), answer]);
        let heard = play_all_ways(&dialogue, 443);
        assert_eq!((heard.odd(), heard.answers[0].inferred), (vec!["tls.heartbleed"], false));
        heard.answers[0].outcome
    };
    assert_eq!(answered(answer(record(24, &[2; 16_384]))), Outcome::LikelySuccess);
    assert_eq!(answered(answer(record(21, &[2, 10]))), Outcome::Refused);
}

#[test]
fn an_encrypted_heartbeat_is_told_by_the_length_of_its_answer() {
    let after = |asked: usize, answered: &[usize]| {
        let mut dialogue = old_handshake();
        dialogue.push(ask(record(24, &vec![1; asked])));
        dialogue.extend(answered.iter().map(|length| answer(record(24, &vec![2; *length]))));
        play_all_ways(&dialogue, 443)
    };
    assert_eq!(after(51, &[16_000, 16_000]).odd(), ["tls.heartbleed_hidden"]);
    let leak = Answered { outcome: Outcome::LikelySuccess, inferred: true };
    assert_eq!(after(51, &[16_000, 16_000]).answers, [leak]);
    assert!(after(51, &[83]).odd().is_empty());
    assert_eq!(after(32, &[]).odd(), ["tls.heartbleed_hidden"], "no room for its padding");
    assert!(after(2_000, &[2_032]).odd().is_empty());
}

#[test]
fn an_encrypted_heartbeat_before_any_data_is_told_unless_it_is_answered() {
    let with = |acts: Vec<Act>| play_all_ways(&[old_handshake(), acts].concat(), 443);
    let beat = |length: usize| record(24, &vec![1; length]);
    let unanswered = with(vec![ask(beat(86)), ask(record(21, &[1; 26]))]);
    assert_eq!(unanswered.odd(), ["tls.heartbleed_hidden"]);
    assert_eq!(unanswered.answers, [Answered { outcome: Outcome::Attempted, inferred: true }]);
    assert!(with(vec![ask(beat(86)), answer(beat(86))]).odd().is_empty(), "an honest answer");
    let leak = with(vec![ask(beat(86)), answer(beat(16_000))]);
    assert_eq!(leak.answers, [Answered { outcome: Outcome::LikelySuccess, inferred: true }], "told once");
    let idle = with(vec![ask(record(23, &[3; 90])), answer(record(23, &[3; 90])), ask(beat(86))]);
    assert!(idle.odd().is_empty(), "a line that was used and is idle");
}

#[test]
fn old_hellos_are_recognised_and_only_the_export_probe_is_odd() {
    let old = |version: u16, ciphers: &[u8]| {
        let body =
            [vec![1], words(&[version, ciphers.len() as u16, 0, 16]), ciphers.to_vec(), vec![5; 16]].concat();
        [words(&[0x8000 | body.len() as u16]), body].concat()
    };
    let probe = play_all_ways(&[ask(old(2, &[1, 0, 0x80, 2, 0, 0x80])), answer([0x80, 3, 4, 0, 1])], 443);
    assert_eq!((probe.app, probe.odd()), (Some("tls"), vec!["tls.sslv2"]));
    let honest = play_all_ways(&[ask(old(0x0301, &[0, 0, 0x2f, 2, 0, 0x80]))], 443);
    assert_eq!((honest.app, honest.odd().len()), (Some("tls"), 0));
}

#[test]
fn openings_of_others_are_not_taken_and_each_side_is_told() {
    recognises_only(&ROW);
    assert_eq!(crate::protocol::sender_of(&server_hello(0x0303)), Some(Side::Server));
    assert_eq!(crate::protocol::sender_of(&record(22, &client_hello(b"a"))), Some(Side::Client));
}

#[test]
fn damaged_bytes_and_senseless_lengths_are_survived() {
    survive_damage(&old_handshake(), 443);
    let endless = [
        ask(record(22, &[1, 0xff, 0xff, 0xff])),
        ask(record(22, &[0; 16_384])),
        ask(record(22, &[0; 16_384])),
    ];
    play_all_ways(&endless, 443);
}
