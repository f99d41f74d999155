use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::*;

const VICTIM: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));

fn forged(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number.wrapping_mul(0x9e37_79b1)).into()
}

fn hit(peer: IpAddr, port: u16) -> Hit {
    Hit { peer, peer_port: 4_000, port, bytes: 60 }
}

fn key(address: IpAddr, kind: SurgeKind) -> Key {
    Key { address, kind }
}

/// The packets of each second, spread over it; gives what was told.
fn play(surges: &mut Surges, seconds: &[&[(Key, Hit)]]) -> Vec<Surge> {
    let mut told = Vec::new();
    for (second, packets) in seconds.iter().enumerate() {
        let step = MICROS_PER_SEC / (packets.len().cast_signed() as i64 + 1);
        for (number, (key, hit)) in packets.iter().enumerate() {
            let now =
                Timestamp(second.cast_signed() as i64 * MICROS_PER_SEC + number.cast_signed() as i64 * step);
            surges.turn(now, |surge| told.push(surge));
            surges.packet(now, *key, *hit);
        }
    }
    surges.finish(|surge| told.push(surge));
    told
}

#[test]
fn a_forged_flood_is_one_surge_a_second_to_the_unit() {
    let flood: Vec<_> =
        (0..5_000).map(|number| (key(VICTIM, SurgeKind::Syn), hit(forged(number), 80))).collect();
    let mut surges = Surges::new(usize::MAX);
    let told = play(&mut surges, &[&flood, &flood, &flood]);
    assert_eq!(told.len(), 3);
    for (second, surge) in told.iter().enumerate() {
        assert_eq!(surge.time, Timestamp::from_parts(second.cast_signed() as i64, 0));
        assert_eq!((surge.packets, surge.bytes, surge.completed), (5_000, 300_000, 0));
        assert_eq!((surge.victim, surge.port, surge.source), (VICTIM, 80, None));
        assert!((3_500..6_500).contains(&surge.sources), "{}", surge.sources);
    }
    for (micros, flooded) in [(0, true), (2_900_000, true), (3_500_000, true), (4_500_000, false)] {
        assert_eq!(surges.is_flooded(Timestamp(micros), VICTIM, SurgeKind::Syn), flooded, "{micros}");
    }
    assert!(!surges.is_flooded(Timestamp(0), VICTIM, SurgeKind::Rst));
    assert!(!surges.is_flooded(Timestamp(0), forged(1), SurgeKind::Syn));
}

#[test]
fn it_is_remembered_that_a_second_was_flooded_until_its_syns_are_given_up() {
    let mut surges = Surges::new(usize::MAX);
    for number in 0..200 {
        surges.turn(Timestamp(0), |_| ());
        surges.packet(Timestamp(0), key(VICTIM, SurgeKind::Syn), hit(forged(number), 80));
    }
    for second in 1..40 {
        let now = Timestamp::from_parts(second, 0);
        surges.turn(now, |_| ());
        surges.packet(now, key(VICTIM, SurgeKind::Syn), hit(forged(7), 80));
        assert_eq!(surges.is_flooded(Timestamp(5), VICTIM, SurgeKind::Syn), second < 32, "after {second} s");
    }
}

#[test]
fn below_the_floor_nothing_is_told_and_handshakes_explain_what_is_above() {
    let honest: Vec<_> =
        (0..50).map(|number| (key(VICTIM, SurgeKind::Syn), hit(forged(number), 443))).collect();
    assert_eq!(play(&mut Surges::new(usize::MAX), &[&honest, &honest]), []);
    let mut surges = Surges::new(usize::MAX);
    surges.turn(Timestamp(0), |_| ());
    for number in 0..500 {
        surges.packet(Timestamp(0), key(VICTIM, SurgeKind::Syn), hit(forged(number), 443));
        surges.answered(Timestamp(0), key(VICTIM, SurgeKind::Syn), 0);
        assert!(!surges.is_flooded(Timestamp(0), VICTIM, SurgeKind::Syn), "a busy site is not flooded");
    }
    let mut told = Vec::new();
    surges.finish(|surge| told.push(surge));
    assert_eq!((told.len(), told[0].packets, told[0].completed), (1, 500, 500));
}

#[test]
fn a_fast_scan_is_no_flood_and_a_flood_of_many_ports_in_forged_names_is_no_scan() {
    let of = |packets: u32, sources: u32, ports: u32| -> Vec<(Key, Hit)> {
        (0..packets)
            .map(|number| {
                let port = (number / sources % ports + 1) as u16;
                (key(VICTIM, SurgeKind::Syn), hit(forged(number % sources), port))
            })
            .collect()
    };
    for (scan, told) in [
        (of(1_000, 1, 1_000), 0),
        (of(50_000, 1, 65_000), 0),
        (of(2_000, 1, 1_000), 0),
        (of(5_000, 10, 500), 0),
        (of(5_000, 1, 1), 1),
        (of(5_000, 1, 20), 1),
        (of(5_000, 5_000, 1), 1),
    ] {
        let mut surges = Surges::new(usize::MAX);
        let seen = play(&mut surges, &[&scan]);
        assert_eq!(seen.len(), told, "{seen:?}");
        assert_eq!(surges.is_flooded(Timestamp(0), VICTIM, SurgeKind::Syn), told == 1);
    }
    let random: Vec<_> =
        (0..5_000).map(|number| (key(VICTIM, SurgeKind::Syn), hit(forged(number), number as u16))).collect();
    let surged = play(&mut Surges::new(usize::MAX), &[&random]);
    assert_eq!((surged.len(), surged[0].port), (1, 0), "it aims at no port");
}

#[test]
fn reflected_answers_are_told_at_their_victim_and_amplified_ones_at_their_reflector() {
    let dns = SurgeKind::Reflect(Reflector::Dns);
    let answers = |servers: u32, number: u32| -> Vec<(Key, Hit)> {
        let server = |at: u32| Hit { peer: forged(at % servers), peer_port: 53, port: 4_444, bytes: 3_000 };
        (0..number).map(|at| (key(VICTIM, dns), server(at))).collect()
    };
    let told = play(&mut Surges::new(usize::MAX), &[&answers(300, 900)]);
    assert_eq!((told.len(), told[0].kind, told[0].victim, told[0].packets), (1, dns, VICTIM, 900));
    assert_eq!(play(&mut Surges::new(usize::MAX), &[&answers(300, 90)]), [], "a resolver's client");
    let queried = |answers: &[(Key, Hit)], query_bytes: u32| {
        let mut surges = Surges::new(usize::MAX);
        surges.turn(Timestamp(0), |_| ());
        for (key, hit) in answers {
            surges.packet(Timestamp(0), *key, *hit);
            surges.answered(Timestamp(0), *key, query_bytes);
        }
        let mut told = Vec::new();
        surges.finish(|surge| told.push(surge));
        told
    };
    assert_eq!(queried(&answers(300, 900), 60), [], "a busy resolver hears from many");
    assert_eq!(queried(&answers(1, 900), 600), [], "and asks for what it gets");
    let told = queried(&answers(1, 20), 60);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].kind.name(), told[0].victim, told[0].port), ("reflector_dns", forged(0), 53));
    assert_eq!((told[0].packets, told[0].completed), (20, 20));
}

#[test]
fn what_a_source_proved_is_told_with_its_name_and_held_conversations_while_they_are_held() {
    let server = SocketAddr::new(VICTIM, 80);
    let mut surges = Surges::new(usize::MAX);
    let mut told = Vec::new();
    let at = |second| Timestamp::from_parts(second, 0);
    surges.turn(at(0), |_| ());
    for _ in 0..SOURCE_FLOOR {
        surges.request(at(0), SurgeKind::Http, forged(1), server);
    }
    for _ in 0..30 {
        surges.hold(at(0), SurgeKind::SlowHeader, forged(2), server);
    }
    surges.hold(at(0), SurgeKind::SlowRead, forged(3), server);
    surges.turn(at(3), |surge| told.push(surge));
    for _ in 0..29 {
        surges.release(SurgeKind::SlowHeader, forged(2));
    }
    surges.turn(at(4), |surge| told.push(surge));
    surges.turn(at(1_000), |surge| told.push(surge));
    let rows: Vec<_> = told
        .iter()
        .map(|surge| (surge.time.secs(), surge.kind.name(), surge.packets, surge.source))
        .collect();
    let slow = |second| (second, "slow_header", 30, Some(forged(2)));
    let network = IpAddr::from(Ipv4Addr::new(60, 110, 243, 0));
    let beside = |second| (second, "slow_network", 30, Some(network));
    let expected = [(0, "http", SOURCE_FLOOR, Some(forged(1))), slow(0), slow(1), slow(2)];
    assert_eq!(rows[..4], expected);
    assert_eq!(rows[4..], [beside(0), beside(1), beside(2)]);
    assert!(told.iter().all(|surge| (surge.victim, surge.port) == (VICTIM, 80)));
}

#[test]
fn a_network_is_told_beside_its_sources_and_a_long_pause_costs_no_more_than_it_may() {
    type Host = fn(u8) -> IpAddr;
    let server = SocketAddr::new(VICTIM, 80);
    let at = |second| Timestamp::from_parts(second, 0);
    let networks: [(&str, Host); 2] = [
        ("198.51.100.0", |host| Ipv4Addr::new(198, 51, 100, host).into()),
        ("2001:db8:7::", |host| Ipv6Addr::new(0x2001, 0xdb8, 7, u16::from(host), 0, 0, 0, 1).into()),
    ];
    for (network, of_host) in networks {
        let mut surges = Surges::new(usize::MAX);
        let mut told = Vec::new();
        surges.turn(at(0), |_| ());
        for host in 1..=60 {
            surges.hold(at(0), SurgeKind::SlowBody, of_host(host), server);
        }
        surges.turn(at(27), |surge| told.push(surge));
        let rows: Vec<_> = told.iter().map(|surge| (surge.time.secs(), surge.kind, surge.packets)).collect();
        let expected: Vec<_> = (0..27).map(|second| (second, SurgeKind::SlowNetwork, 60)).collect();
        assert_eq!(rows, expected, "no source holds two, and the pause is told");
        assert!(told.iter().all(|surge| surge.source == Some(network.parse().unwrap())));
        for host in 1..=51 {
            surges.release(SurgeKind::SlowBody, of_host(host));
        }
        told.clear();
        surges.turn(at(29), |surge| told.push(surge));
        assert_eq!(told, [], "nine are a household");
    }
    let mut surges = Surges::new(usize::MAX);
    surges.turn(at(0), |_| ());
    for number in 0..4_000 {
        for _ in 0..2 {
            surges.hold(at(0), SurgeKind::SlowRead, forged(number), server);
        }
    }
    let mut told = 0;
    surges.turn(at(1_000_000), |_| told += 1);
    assert_eq!(told, CATCH_UP_MAX);
}

#[test]
fn requests_of_sources_that_come_and_go_speak_for_a_site_and_those_that_go_on_and_on_do_not() {
    let server = SocketAddr::new(VICTIM, 80);
    let play = |source_of: fn(i64, u32) -> u32| -> Vec<(u64, u64)> {
        let mut surges = Surges::new(usize::MAX);
        let mut told = Vec::new();
        for second in 0..40 {
            let now = Timestamp::from_parts(second, 0);
            surges.turn(now, |surge| told.push(surge));
            for number in 0..300 {
                surges.request(now, SurgeKind::Http, forged(source_of(second, number)), server);
            }
        }
        surges.finish(|surge| told.push(surge));
        let sites = told.iter().filter(|surge| surge.kind == SurgeKind::HttpSite);
        sites.map(|surge| (surge.packets, surge.completed)).collect()
    };
    let flood = play(|_, number| number % 100);
    assert_eq!(flood.len(), 40);
    assert_eq!(flood[..16], [(300, 300); 16], "nobody knows yet");
    assert_eq!(flood[16..], [(300, 0); 24]);
    // A page and its pictures within two seconds, and then it is read.
    let crowd = play(|second, number| (second / 2).unsigned_abs() as u32 * 100 + number % 100);
    assert_eq!(crowd, [(300, 300); 40]);
}

#[test]
fn large_answers_of_one_port_that_is_on_no_list_are_reflected_where_they_come_from_many() {
    let told = |sources: u32, peer_port: u16, port: u16, bytes: u32| {
        let packets: Vec<_> = (0..2_000)
            .map(|number| {
                let port = if port == 0 { number as u16 } else { port };
                (key(VICTIM, SurgeKind::Udp), Hit { peer: forged(number % sources), peer_port, port, bytes })
            })
            .collect();
        play(&mut Surges::new(usize::MAX), &[&packets]).first().map(|surge| surge.kind)
    };
    let unknown = Some(SurgeKind::ReflectUnknown);
    assert_eq!(told(400, 30_120, 80, 600), unknown);
    assert_eq!(told(400, 30_120, 0, 600), unknown, "to any port");
    let udp = Some(SurgeKind::Udp);
    assert_eq!(told(1, 30_120, 80, 600), udp, "one server");
    assert_eq!(told(400, 514, 514, 600), udp, "servers among themselves");
    assert_eq!(told(400, 30_120, 80, 70), udp, "no larger than a question");
    assert_eq!(told(400, 123, 80, 600), udp, "counted by its own kind");
}

#[test]
fn datagrams_of_ever_new_senders_are_forged_unless_the_victim_answers() {
    let told = |sources: u32, answers: usize| {
        let udp = key(VICTIM, SurgeKind::Udp);
        let mut surges = Surges::new(usize::MAX);
        surges.turn(Timestamp(0), |_| ());
        for number in 0..2_000 {
            surges.packet(Timestamp(0), udp, hit(forged(number % sources), 9_999));
        }
        (0..answers).for_each(|_| surges.answered(Timestamp(0), udp, 60));
        let mut told = Vec::new();
        surges.finish(|surge| told.push(surge.kind));
        told
    };
    assert_eq!(told(2_000, 0), [SurgeKind::UdpForged]);
    assert_eq!((told(2_000, 40), told(500, 0)), (vec![SurgeKind::Udp], vec![SurgeKind::Udp]));
}

#[test]
fn a_million_victims_take_no_more_room_and_the_flooded_one_stays() {
    let mut surges = Surges::new(usize::MAX);
    let mut told = Vec::new();
    for number in 0..1_000_000 {
        let now = Timestamp(i64::from(number));
        surges.turn(now, |surge| told.push(surge));
        surges.packet(now, key(forged(number), SurgeKind::Syn), hit(forged(1), 22));
        if number % 100 == 0 {
            surges.packet(now, key(VICTIM, SurgeKind::Syn), hit(forged(number), 80));
        }
    }
    surges.finish(|surge| told.push(surge));
    assert_eq!(surges.victims.size(), VICTIMS_MAX);
    assert!(surges.take_evicted() > 990_000);
    assert_eq!((told.len(), told[0].victim, told[0].packets), (1, VICTIM, 10_000));
}

proptest::proptest! {
    #[test]
    fn counts_are_those_of_a_plain_model(
        packets in proptest::collection::vec((0_u32..6, 0_i64..1_200_000, 0_u16..3), 0..3_000),
        burst in 1_u32..200,
    ) {
        let mut model: HashMap<(i64, u32), u64> = HashMap::new();
        let (mut surges, mut told) = (Surges::new(usize::MAX), HashMap::new());
        let mut now = Timestamp(0);
        let mut note = |surge: Surge| {
            let old = told.insert((surge.time.secs(), surge.victim), surge.packets);
            assert!(old.is_none(), "told once");
        };
        for (number, (victim, step, port)) in packets.into_iter().enumerate() {
            if (number as u32).is_multiple_of(burst) {
                now = now.plus_micros(step);
            }
            surges.turn(now, &mut note);
            let at = key(forged(victim), SurgeKind::Icmp);
            surges.packet(now, at, hit(forged(number as u32), port));
            *model.entry((now.secs(), victim)).or_default() += 1;
        }
        surges.finish(&mut note);
        let expected: HashMap<_, _> = model
            .into_iter()
            .filter(|(_, packets)| *packets >= VICTIM_FLOOR)
            .map(|((second, victim), packets)| ((second, forged(victim)), packets))
            .collect();
        proptest::prop_assert_eq!(told, expected);
    }
}
