use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use super::*;
use crate::capture::Sink;
use crate::config::Settings;
use crate::detect::Detector;
use crate::handoff::{Outbox, WhenFull, channel};
use crate::inspect::Inspector;
use crate::inspect::detector_cell::DetectorCell;
use crate::inspect::limits::limits;
use crate::model::attempt::Attempt;
use crate::model::contact::Surge;
use crate::model::progress::Counters;
use crate::testing::{CLIENT, SERVER, Script, icmp, ip, quoting, raw, tcp, udp};

const SECOND: i64 = 1_000_000;

/// What was told.
#[derive(Default)]
struct Told {
    attempts: Vec<Attempt>,
    contacts: Vec<Contact>,
    surges: Vec<Surge>,
    counters: Counters,
}

impl Told {
    fn fates(&self) -> Vec<Touched> {
        let touched = self.contacts.iter().map(|contact| match contact.act {
            Act::Touched(touched) => touched,
            Act::Login(_) | Act::Unmet(_) => panic!("nobody said anything"),
        });
        touched.collect()
    }
}

/// Sends packets down the packet path, each at its time.
fn told<'a>(packets: impl IntoIterator<Item = &'a (i64, Vec<u8>)>) -> Told {
    static DETECTOR: OnceLock<Arc<Detector>> = OnceLock::new();
    let detector = DETECTOR.get_or_init(|| Arc::new(Detector::new(&Settings::default()).unwrap()));
    let told = told_by(detector, packets);
    assert!(told.attempts.is_empty(), "{:?}", told.attempts);
    told
}

/// The same with another detector.
fn told_by<'a>(detector: &Arc<Detector>, packets: impl IntoIterator<Item = &'a (i64, Vec<u8>)>) -> Told {
    let (sender, receiver) = channel(1 << 17);
    let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
    let cell = Arc::new(DetectorCell::new(Arc::clone(detector)));
    let mut inspector = Inspector::new(limits(32 << 20), cell, outbox);
    for (time, packet) in packets {
        inspector.frame(&raw(*time, packet));
    }
    inspector.finish();
    drop(inspector);
    let mut told = Told::default();
    for (_, record) in receiver {
        match record {
            Record::Contact(contact) => told.contacts.push(contact),
            Record::Surge(surge) => told.surges.push(surge),
            Record::Progress(progress) => told.counters.merge(&progress.counters),
            Record::Attempt(attempt) => told.attempts.push(*attempt),
        }
    }
    assert_eq!(told.counters.outcomes(), told.counters.value(Counter::FramesReceived));
    told
}

/// So many microseconds apart.
fn timed(packets: Vec<Vec<u8>>, step: i64) -> Vec<(i64, Vec<u8>)> {
    packets
        .into_iter()
        .enumerate()
        .map(|(number, packet)| (number.cast_signed() as i64 * step + 1, packet))
        .collect()
}

fn ends(client_port: u16, server_port: u16) -> (SocketAddr, SocketAddr) {
    let (client, server): (SocketAddr, SocketAddr) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
    (SocketAddr::new(client.ip(), client_port), SocketAddr::new(server.ip(), server_port))
}

fn probe(server_port: u16, flags: u8) -> Vec<u8> {
    let (client, server) = ends(50_000, server_port);
    tcp(client, server, flags, (7_000, 9_000), &[])
}

fn reset(server_port: u16, numbers: (u32, u32), flags: u8) -> Vec<u8> {
    let (client, server) = ends(50_000, server_port);
    tcp(server, client, flags, numbers, &[])
}

#[test]
fn a_conversation_is_one_contact_dated_by_its_syn_and_named_as_its_attempts() {
    let script = Script::new().handshake().ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").close();
    let told = told(&timed(script.packets, 1_000));
    let [contact] = &told.contacts[..] else { panic!("{:?}", told.contacts) };
    assert_eq!(contact.act, Act::Touched(Touched::Answered));
    assert_eq!((contact.time, contact.frames, contact.grade), (Timestamp(1), 3, Grade::E1));
    assert_eq!((contact.client.to_string(), contact.server.to_string()), (CLIENT.into(), SERVER.into()));
    assert_eq!((told.surges, contact.transport), (vec![], Transport::Tcp));
}

#[test]
fn each_kind_of_scan_gives_its_contact_and_none_gives_two() {
    let mut packets = Vec::new();
    // Connect and SYN scans of a closed, a filtered and an open port.
    packets.extend([probe(1, flag::SYN), reset(1, (0, 7_001), flag::RST | flag::ACK)]);
    packets.push(probe(2, flag::SYN));
    packets.extend([
        probe(3, flag::SYN),
        reset(3, (9_000, 7_001), flag::SYN | flag::ACK),
        probe(3, flag::RST),
    ]);
    packets.extend([probe(4, flag::SYN), quoting(ends(0, 0).1.ip(), (3, 13), &probe(4, flag::SYN))]);
    packets.extend([probe(5, flag::SYN), quoting(ends(0, 0).1.ip(), (3, 3), &probe(5, flag::SYN))]);
    let one = told(&timed(packets, 1_000));
    let mut fates: Vec<_> =
        one.contacts.iter().zip(one.fates()).map(|(contact, fate)| (contact.server.port(), fate)).collect();
    fates.sort_by_key(|(port, _)| *port);
    let expected =
        [Touched::Refused, Touched::Silent, Touched::Answered, Touched::Unreachable, Touched::Refused];
    assert_eq!(fates, (1..6).zip(expected).collect::<Vec<_>>());
    assert!(one.contacts.iter().all(|contact| contact.grade == Grade::E0 && contact.frames >= 1));
    let mut ids: Vec<_> = one.contacts.iter().map(|contact| contact.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "identities differ");
    for flags in [0, flag::FIN, 0x29, flag::SYN | flag::FIN] {
        let packets = [probe(1, flags), reset(1, (0, 7_001), flag::RST | flag::ACK), probe(2, flags)];
        assert_eq!(told(&timed(packets.to_vec(), 1_000)).fates(), [Touched::Stealth(flags); 2]);
    }
}

#[test]
fn a_bare_acknowledgement_is_a_probe_only_where_nobody_knows_of_it() {
    let ack = |port| probe(port, flag::ACK);
    let probes = |packets: Vec<Vec<u8>>| told(&timed(packets, 1_000)).fates();
    assert_eq!(probes(vec![ack(80), reset(80, (9_000, 0), flag::RST)]), [Touched::Stealth(flag::ACK)]);
    assert_eq!(probes(vec![ack(80), reset(80, (1, 0), flag::RST)]), [], "a reset of something else");
    let ends_too = probes(vec![probe(80, flag::FIN | flag::ACK), reset(80, (9_000, 0), flag::RST)]);
    assert_eq!(ends_too, [Touched::Stealth(flag::FIN | flag::ACK)], "Maimon's");
    assert_eq!(probes(vec![ack(80)]), [], "the rest of an older conversation");
    assert_eq!(probes((1..=6).map(ack).collect()).len(), 6, "a host's ports one by one, all filtered");
    let kept_alive = [ack(80), reset(80, (9_000, 7_001), flag::ACK), ack(80)];
    assert_eq!(probes(kept_alive.to_vec()), []);
    let download = [ack(80), ack(80), ack(80), reset(80, (9_000, 0), flag::RST)];
    assert_eq!(probes(download.to_vec()), []);
    let (client, server) = ends(50_000, 80);
    assert_eq!(probes(vec![tcp(server, client, flag::ACK, (1, 2), &[]), probe(80, flag::RST)]), []);
    for honest in [flag::FIN | flag::ACK, flag::RST, flag::RST | flag::ACK, flag::SYN | flag::ACK] {
        assert_eq!(probes((1..=6).map(|port| probe(port, honest)).collect()), [], "{honest:#x}");
    }
    let middle = Script::new().handshake().ask(b"x").answer(b"y").client_ack().close().packets;
    for from in 1..middle.len() {
        assert_eq!(probes(middle[from..].to_vec()), [], "picked up at packet {from}");
    }
}

#[test]
fn pings_are_one_contact_for_each_that_is_pinged() {
    let (client, server) = (ends(0, 0).0.ip(), ends(0, 0).1.ip());
    let ping = |number: u32| icmp(client, server, (8, 0), 0x0007_0000 + number, b"ping");
    let reply = |number: u32| icmp(server, client, (0, 0), 0x0007_0000 + number, b"ping");
    let long: Vec<_> = (0..60).flat_map(|number| [ping(number), reply(number)]).collect();
    let answered = told(&timed(long, SECOND / 2));
    assert_eq!(answered.fates(), [Touched::Answered]);
    let contact = &answered.contacts[0];
    assert_eq!((contact.transport, contact.server, contact.frames), (Transport::Icmp, ends(0, 0).1, 2));
    assert_eq!(told(&timed((0..60).map(ping).collect(), SECOND)).fates(), [Touched::Silent]);
    assert_eq!(told(&timed(vec![reply(1), reply(2)], 1)).fates(), []);
    for (code, fate) in [(1, Touched::Unreachable), (0, Touched::Unrouted)] {
        let lost = [ping(1), quoting(server, (3, code), &ping(1))];
        assert_eq!(told(&timed(lost.to_vec(), 1)).fates(), [fate]);
    }
    let sweep: Vec<_> = (0..10_000_u32)
        .map(|number| {
            icmp(client, Ipv4Addr::from_bits(0xcb00_7100 + number).into(), (8, 0), number << 16, b"")
        })
        .collect();
    assert_eq!(told(&timed(sweep, 10)).contacts.len(), 10_000, "the first are given up early");
}

fn forged(number: u32, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b1) | 1).into(), port)
}

/// A packet in GRE, sent by 192.0.2.1.
fn in_gre(packet: &[u8]) -> Vec<u8> {
    let outer = ("192.0.2.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
    ip(outer.0, outer.1, 47, &[&[0, 0, 8, 0][..], packet].concat())
}

fn attack() -> Vec<Vec<u8>> {
    let reply = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let request = b"GET /?id=1'+union+select+1,2--+- HTTP/1.1\r\nHost: a\r\n\r\n";
    Script::new().handshake().ask(request).answer(reply).client_ack().close().packets
}

/// Identities and grades of the attempts, by one who trusts these senders of tunnels.
fn attacks(trusted: &str, packets: Vec<Vec<u8>>) -> Vec<(AttemptId, Grade)> {
    let settings = toml::from_str(&format!("[capture]\ntrusted_tunnels = [{trusted}]")).unwrap();
    let detector = Arc::new(Detector::new(&settings).unwrap());
    let told = told_by(&detector, &timed(packets, 1_000));
    told.attempts.iter().map(|attempt| (attempt.id, attempt.grade)).collect()
}

#[test]
fn what_an_unknown_tunnel_carries_is_not_provable_and_what_ones_own_carries_is() {
    let wrapped = || attack().iter().map(|packet| in_gre(packet)).collect::<Vec<_>>();
    let direct = attacks("", attack());
    assert_eq!(direct.len(), 1);
    assert_eq!(direct[0].1, Grade::E2);
    assert_eq!(attacks("\"192.0.2.0/24\"", wrapped()), direct, "the same conversation, inside and outside");
    let forged = attacks("\"203.0.113.1\"", wrapped());
    assert_eq!((forged.len(), forged[0].1), (1, Grade::E0), "its receiver is ours, whoever sent it");
    assert_ne!(forged[0].0, direct[0].0, "a forged copy does not count in the place of the attempt");
}

#[test]
fn nobody_writes_into_a_conversation_by_a_tunnel() {
    // Each packet of the attack behind a forged copy of itself, and a forged end of the conversation before its request.
    let mut packets = Vec::new();
    for (number, packet) in attack().into_iter().enumerate() {
        packets.extend([in_gre(&packet), packet]);
        if number == 2 {
            packets.extend([
                in_gre(&reset(80, (9_001, 1_001), flag::RST | flag::ACK)),
                in_gre(&probe(80, flag::RST)),
            ]);
        }
    }
    let seen = attacks("", packets);
    let grades: Vec<Grade> = seen.iter().map(|(_, grade)| *grade).collect();
    assert_eq!(grades.iter().filter(|grade| **grade == Grade::E2).count(), 1, "{grades:?}");
    assert!(seen.contains(&attacks("", attack())[0]), "the true one is untouched");
}

#[test]
fn a_fragmented_tunnel_is_a_tunnel_all_the_same() {
    let mut packets = Vec::new();
    for (number, packet) in attack().iter().enumerate() {
        let whole = in_gre(packet);
        for (offset, more, part) in [(0_u16, 0x20, &whole[20..44]), (3, 0, &whole[44..])] {
            let outer = ("192.0.2.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
            let mut fragment = ip(outer.0, outer.1, 47, part);
            fragment[4..8].copy_from_slice(&[1, number as u8, more, offset as u8]);
            packets.push(fragment);
        }
    }
    let seen = attacks("", packets);
    assert_eq!(seen.iter().map(|(_, grade)| *grade).collect::<Vec<_>>(), [Grade::E0]);
}

#[test]
fn datagrams_of_a_flood_make_no_contacts_and_those_beside_it_do() {
    let victim: SocketAddr = SERVER.parse().unwrap();
    let mut packets: Vec<_> = (0..5_000)
        .map(|number| {
            let at = i64::from(number) * 400;
            (at, udp(forged(number, 5_000), SocketAddr::new(victim.ip(), 4_000), &[b'x'; 40]))
        })
        .collect();
    let beside = SocketAddr::new("203.0.113.11".parse().unwrap(), 4_000);
    packets.push((2_000_000, udp(forged(1, 5_001), beside, b"x")));
    let told = told(&packets);
    let victims: Vec<_> = told.contacts.iter().map(|contact| contact.server).collect();
    assert_eq!(victims, [beside]);
    assert_eq!(told.counters.value(Counter::ContactsInFloods), 5_000);
}

#[test]
fn errors_about_ones_own_datagrams_are_no_flood_and_errors_about_nothing_are() {
    let client: SocketAddr = CLIENT.parse().unwrap();
    let server: SocketAddr = SERVER.parse().unwrap();
    let scan = |sends: bool| -> Vec<(i64, Vec<u8>)> {
        let probes =
            (0..900_u16).map(|number| udp(client, SocketAddr::new(server.ip(), 2_000 + number), b"x"));
        let packets = probes.flat_map(|probe| {
            let refused = quoting(server.ip(), (3, 3), &probe);
            if sends { vec![probe, refused] } else { vec![refused] }
        });
        timed(packets.collect(), 500)
    };
    let icmp = |told: &Told| -> Vec<(u64, u64)> {
        let of_kind = told.surges.iter().filter(|surge| surge.kind == SurgeKind::Icmp);
        of_kind.map(|surge| (surge.packets, surge.completed)).collect()
    };
    let asked = told(&scan(true));
    // The first of a second is not there yet when its datagram is credited.
    assert_eq!(icmp(&asked), [(900, 899)], "each has its datagram");
    assert_eq!(asked.fates(), vec![Touched::Refused; 900], "and none of the scan is lost for it");
    assert_eq!(icmp(&told(&scan(false))), [(900, 0)]);
}

#[test]
fn a_flood_of_forged_syns_is_a_surge_a_second_and_no_contact() {
    let server: SocketAddr = SERVER.parse().unwrap();
    let mut packets: Vec<_> = (0..15_000)
        .map(|number| {
            let time = 10 * SECOND + i64::from(number) * 200;
            (time, tcp(forged(number, 4_000), server, flag::SYN, (number, 0), &[]))
        })
        .collect();
    let honest = Script::new().handshake().packets;
    packets.extend(
        honest.into_iter().enumerate().map(|(at, packet)| (11 * SECOND + at.cast_signed() as i64, packet)),
    );
    packets.sort_by_key(|(time, _)| *time);
    let told = told(&packets);
    let counts: Vec<_> =
        told.surges.iter().map(|surge| (surge.time.secs(), surge.packets, surge.completed)).collect();
    assert_eq!(counts, [(10, 5_000, 0), (11, 5_001, 1), (12, 5_000, 0)]);
    assert!(told.surges.iter().all(|surge| surge.kind == SurgeKind::Syn && surge.source.is_none()));
    assert_eq!(told.fates(), [Touched::Answered], "the handshake in the midst of it is told");
    assert_eq!(told.counters.value(Counter::ContactsInFloods), 15_000);
}

#[test]
fn a_fast_scan_of_one_host_is_told_port_by_port_and_is_no_surge() {
    let packets =
        (1..=2_000).flat_map(|port| [probe(port, flag::SYN), reset(port, (0, 7_001), flag::RST | flag::ACK)]);
    let one = told(&timed(packets.collect(), 100));
    assert_eq!((one.contacts.len(), one.surges.len()), (2_000, 0));
    let silent = told(&timed((1..=2_000).map(|port| probe(port, flag::SYN)).collect(), 200));
    assert_eq!((silent.contacts.len(), silent.surges.len()), (2_000, 0));
    let stealth = told(&timed((1..=900).map(|port| probe(port, 0x29)).collect(), 200));
    assert_eq!((stealth.contacts.len(), stealth.surges.len()), (900, 0));
}

#[test]
fn floods_of_every_kind_are_told_by_their_names_and_make_no_contacts() {
    let server: SocketAddr = "203.0.113.10:53".parse().unwrap();
    let flood = |build: &dyn Fn(u32) -> Vec<u8>| told(&timed((0..1_000).map(build).collect(), 500));
    let kinds = |told: &Told| -> Vec<_> { told.surges.iter().map(|surge| surge.kind.name()).collect() };
    let of = |flags| flood(&|number| tcp(forged(number, 40_000), server, flags, (number, 7), &[]));
    for (flags, name) in [
        (flag::ACK, "ack"),
        (flag::RST, "rst"),
        (flag::SYN | flag::ACK, "syn_ack"),
        (flag::FIN, "ack"),
        (0, "ack"),
    ] {
        let told = of(flags);
        assert_eq!((kinds(&told), told.surges[0].packets), (vec![name], 1_000));
        assert!(told.contacts.len() < 110, "{name}: {} before it was a flood", told.contacts.len());
    }
    let told = flood(&|number| udp(forged(number, 40_000), server, b"xxxxxxxx"));
    assert_eq!((kinds(&told), told.contacts.len()), (vec!["udp_forged"], 0));
    let told = flood(&|number| icmp(forged(number, 0).ip(), server.ip(), (8, 0), number, b""));
    assert_eq!((kinds(&told), told.contacts.len() < 110), (vec!["icmp"], true));
    let victim: SocketAddr = "203.0.113.10:40000".parse().unwrap();
    let told = flood(&|number| udp(forged(number, 123), victim, b"\xd7\0\x03\x2a\0\0\0\0"));
    assert_eq!(kinds(&told), ["reflect_ntp", "udp_forged"]);
}

#[test]
fn a_flood_of_pings_is_one_though_its_victim_answers_each() {
    let (client, server) = ("198.51.100.2".parse().unwrap(), "203.0.113.10".parse().unwrap());
    let both = |number: u32| {
        [icmp(client, server, (8, 0), number, b"ping"), icmp(server, client, (0, 0), number, b"ping")]
    };
    let told = told(&timed((0..1_000).flat_map(both).collect(), 250));
    let of = |victim| {
        told.surges.iter().find(|surge| surge.victim == victim).map(|surge| (surge.packets, surge.completed))
    };
    // The first question came when nothing was counted yet.
    assert_eq!((of(server), of(client)), (Some((1_000, 0)), Some((1_000, 999))), "who asks gets replies");
}

#[test]
fn an_honest_load_is_no_flood() {
    let packets: Vec<_> = (0..100_u16)
        .flat_map(|number| {
            let client = format!("198.51.100.2:{}", 20_000 + number);
            let begin = i64::from(number) * SECOND / 50;
            let script = Script::between(&client, SERVER, (1_000, 9_000)).handshake();
            let script = script.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").server_ack().close();
            script
                .packets
                .into_iter()
                .enumerate()
                .map(move |(at, packet)| (begin + at.cast_signed() as i64, packet))
        })
        .collect();
    let told = told(&packets);
    assert_eq!(told.fates(), [Touched::Answered; 100]);
    let rows: Vec<_> =
        told.surges.iter().map(|surge| (surge.kind, surge.packets, surge.source.is_some())).collect();
    let site = (SurgeKind::HttpSite, 50, false);
    let second = [site, (SurgeKind::Connect, 50, true), (SurgeKind::Http, 50, true)];
    assert_eq!(rows, [second, second].concat(), "what one source did, and no flood of its victim");
    let visited = told.surges.iter().filter(|surge| surge.kind == SurgeKind::HttpSite);
    assert!(visited.into_iter().all(|surge| surge.completed == 50), "a visitor");
}

#[test]
fn a_copy_of_the_same_syn_on_another_sensor_has_the_same_identity() {
    let script = Script::new().handshake().packets;
    let whole = told(&timed(script.clone(), 10));
    let without_answer = told(&timed(vec![script[0].clone()], 10));
    assert_eq!(whole.contacts[0].id, without_answer.contacts[0].id);
}

proptest::proptest! {
    #[test]
    fn any_segments_give_one_contact_for_a_syn_at_most(
        segments in proptest::collection::vec((proptest::bool::ANY, 0_u8..64, 0_u16..4, 0_u32..4, 0_u32..4), 0..200),
        step in 0_i64..3_000_000,
    ) {
        let packets: Vec<_> = segments
            .iter()
            .map(|(from_client, flags, port, sequence, ack)| {
                let (client, server) = ends(50_000, 80 + port);
                let (source, destination) = if *from_client { (client, server) } else { (server, client) };
                tcp(source, destination, *flags, (*sequence, *ack), &[])
            })
            .collect();
        let told = told(&timed(packets, step));
        proptest::prop_assert!(told.contacts.len() <= segments.len());
        let honest = told.fates().iter().filter(|fate| !matches!(fate, Touched::Stealth(_))).count();
        proptest::prop_assert!(honest as u64 <= told.counters.value(Counter::FlowsOpened));
    }
}
