//! Who is a scanner and who is not.

use std::collections::BTreeMap;

use super::*;
use crate::classify::behaviour::tests::{aim, judge, touched};

const CLIENT: &str = "198.51.100.1:40000";

fn refused(server: &str, secs: i64) -> Contact {
    touched(CLIENT, server, secs, Touched::Refused)
}

fn udp(server: &str, secs: i64, what: Touched) -> Contact {
    Contact { transport: Transport::Udp, ..touched(CLIENT, server, secs, what) }
}

fn by_class(out: &Judged) -> BTreeMap<&str, usize> {
    let mut classes = BTreeMap::new();
    for attempt in &out.attempts {
        *classes.entry(attempt.judgement.class.id()).or_default() += 1;
    }
    classes
}

#[test]
fn ten_closed_ports_are_a_scan_and_nine_are_not() {
    for (ports, attempts) in [(9, 0), (10, 10), (11, 11)] {
        let acts: Vec<Contact> =
            (1..=ports).map(|port| refused(&format!("203.0.113.1:{port}"), port)).collect();
        let out = judge(&acts);
        assert_eq!(out.attempts.len(), attempts, "{ports}");
        assert_eq!(out.sums.contacts, if attempts == 0 { ports.unsigned_abs() } else { 0 });
    }
}

#[test]
fn what_a_scanner_found_open_before_counts_too_and_each_act_at_its_own_time() {
    let mut acts = vec![touched(CLIENT, "203.0.113.1:80", 0, Touched::Answered)];
    acts.extend((1..=20).map(|port| refused(&format!("203.0.113.1:{port}"), port)));
    let out = judge(&acts);
    let mut times: Vec<i64> = out.attempts.iter().map(|attempt| attempt.time.secs()).collect();
    times.sort_unstable();
    assert_eq!(times, (0..=20).collect::<Vec<i64>>());
}

#[test]
fn all_ports_of_a_host_are_as_many_attempts_and_retransmitted_probes_are_none() {
    let mut scans = Scans::new(1 << 20, &Settings::default(), 1_800_000_000);
    let mut out = Judged::default();
    for round in 0..2 {
        for port in 1..=65_535_u16 {
            let mut act = refused("203.0.113.1:1", i64::from(port / 100));
            act.server.set_port(port);
            act.client.set_port(40_000 + round);
            scans.touched(&act, Touched::Silent, &aim(&act), &mut out);
        }
    }
    assert_eq!(out.attempts.len(), 65_535);
    assert_eq!(by_class(&out), BTreeMap::from([("scan.port", 65_535)]));
    assert!(scans.bytes() < 1 << 20, "{}", scans.bytes());
}

#[test]
fn a_sweep_is_one_port_of_many_hosts() {
    let acts: Vec<Contact> = (1..=200)
        .map(|host| touched(CLIENT, &format!("203.0.113.{host}:22"), host, Touched::Silent))
        .collect();
    assert_eq!(by_class(&judge(&acts)), BTreeMap::from([("scan.sweep", 200)]));
    assert!(judge(&acts[..8]).attempts.is_empty());
    assert_eq!(judge(&acts[..9]).attempts.len(), 9);
}

#[test]
fn a_slow_scan_is_seen_over_hours() {
    let acts: Vec<Contact> =
        (1..=25).map(|port| refused(&format!("203.0.113.1:{port}"), port * 3_000)).collect();
    assert!(judge(&acts[..24]).attempts.is_empty());
    assert_eq!(judge(&acts).attempts.len(), 25);
}

#[test]
fn three_segments_that_no_host_sends_are_enough_and_stray_ones_are_not() {
    let stealth = |flags, count: i64| -> usize {
        let act = |port| touched(CLIENT, &format!("203.0.113.1:{port}"), port, Touched::Stealth(flags));
        judge(&(1..=count).map(act).collect::<Vec<_>>()).attempts.len()
    };
    for flags in [0, 0x29, 0x03] {
        assert_eq!((stealth(flags, 2), stealth(flags, 3)), (0, 3), "{flags:x}");
    }
    for flags in [0x01, 0x10] {
        assert_eq!((stealth(flags, 9), stealth(flags, 10)), (0, 10), "{flags:x}");
    }
}

#[test]
fn whoever_tries_one_form_after_the_other_needs_no_more_of_them() {
    let tried = |forms: &[u8]| -> usize {
        let act = |(port, flags): (i64, &u8)| {
            touched(CLIENT, &format!("203.0.113.1:{port}"), port, Touched::Stealth(*flags))
        };
        judge(&(1..).zip(forms).map(act).collect::<Vec<_>>()).attempts.len()
    };
    let (fin, null, xmas, ack) = (0x01, 0, 0x29, 0x10);
    assert_eq!(tried(&[fin, null, xmas]), 3);
    assert_eq!(tried(&[fin, fin, xmas]), 3);
    assert_eq!((tried(&[null, xmas]), tried(&[fin, fin, fin]), tried(&[ack, ack, xmas])), (0, 0, 0));
}

#[test]
fn a_sweep_may_be_of_two_or_three_ports() {
    let sweep = |hosts: i64, ports: &[u16]| -> usize {
        let act = |host: i64| {
            let port = ports[host.unsigned_abs() as usize % ports.len()];
            touched(CLIENT, &format!("203.0.{host}.7:{port}"), host, Touched::Silent)
        };
        judge(&(0..hosts).map(act).collect::<Vec<_>>()).attempts.len()
    };
    assert_eq!((sweep(9, &[80, 88, 8_080]), sweep(10, &[80, 88, 8_080])), (0, 10));
    assert_eq!(sweep(12, &[80, 88, 8_080, 8_888]), 0, "no row and no column yet");
}

#[test]
fn datagrams_to_closed_ports_are_a_scan_and_traceroute_is_none() {
    let acts = |first: i64| -> Vec<Contact> {
        (0..30).map(|n| udp(&format!("203.0.113.1:{}", first + n), n, Touched::Silent)).collect()
    };
    assert_eq!(by_class(&judge(&acts(100))), BTreeMap::from([("scan.port", 30)]));
    assert!(judge(&acts(33_434)).attempts.is_empty());
}

#[test]
fn pings_to_hosts_that_answer_are_monitoring() {
    let ping = |host: i64, what| Contact {
        transport: Transport::Icmp,
        ..touched("198.51.100.1:0", &format!("203.0.113.{host}:0"), host / 4, what)
    };
    let alive: Vec<Contact> = (1..=100).map(|host| ping(host, Touched::Answered)).collect();
    assert!(judge(&alive).attempts.is_empty());
    let dark: Vec<Contact> = (1..=20).map(|host| ping(host, Touched::Silent)).collect();
    assert!(judge(&dark[..19]).attempts.is_empty());
    assert_eq!(by_class(&judge(&dark)), BTreeMap::from([("scan.sweep", 20)]));
}

#[test]
fn pings_to_a_whole_network_are_a_sweep_though_most_hosts_answer() {
    let ping = |host: &u8| Contact {
        transport: Transport::Icmp,
        ..touched(
            "198.51.100.1:0",
            &format!("203.0.113.{host}:0"),
            i64::from(*host) / 8,
            if matches!(host, 0 | 255) { Touched::Silent } else { Touched::Answered },
        )
    };
    let asked = |hosts: &[u8]| judge(&hosts.iter().map(ping).collect::<Vec<_>>()).attempts.len();
    assert_eq!(asked(&[0, 10, 20, 30, 40, 255]), 6);
    assert_eq!((asked(&[0, 10, 20, 30, 255]), asked(&[0, 10, 20, 30, 40, 50, 60])), (0, 0));
}

#[test]
fn honest_clients_are_no_scanners() {
    let down: Vec<Contact> = (0..500).map(|secs| refused("203.0.113.1:443", secs)).collect();
    let resolver: Vec<Contact> = (0..2_000)
        .map(|n| {
            let what = if n % 12 == 0 { Touched::Silent } else { Touched::Answered };
            udp(&format!("203.0.{}.{}:53", n / 250, n % 250), n / 10, what)
        })
        .collect();
    // Peers that share files: each at a port of its own, two of three gone.
    let peers: Vec<Contact> = (0..1_000)
        .map(|n| {
            let what = if n % 3 == 0 { Touched::Answered } else { Touched::Silent };
            touched(CLIENT, &format!("203.{}.{}.7:{}", n / 250, n % 250, 1_024 + n * 61), n, what)
        })
        .collect();
    let mail: Vec<Contact> = (0..400)
        .map(|n| {
            let what = if n % 40 < 6 { Touched::Silent } else { Touched::Answered };
            touched(CLIENT, &format!("203.0.113.{}:25", n % 40), n * 30, what)
        })
        .collect();
    // A program that measures the line asks a list of servers, of which a third is there.
    let measured: Vec<Contact> = (0..40)
        .map(|n| {
            let what = if n < 9 || n % 5 == 0 { Touched::Answered } else { Touched::Silent };
            udp(&format!("203.0.{n}.66:6000"), n, what)
        })
        .collect();
    for (name, acts) in
        [("down", down), ("resolver", resolver), ("peers", peers), ("mail", mail), ("measured", measured)]
    {
        let out = judge(&acts);
        assert!(out.attempts.is_empty(), "{name}: {:?}", out.attempts.first());
    }
}

#[test]
fn a_client_without_a_way_out_is_no_scanner_and_a_scanner_is_one_there_as_well() {
    let unrouted = |n: i64| touched(CLIENT, &format!("203.0.{n}.7:80"), n, Touched::Unrouted);
    let out = judge(&(0..40).map(unrouted).collect::<Vec<_>>());
    assert_eq!((out.attempts.len(), out.sums.contacts), (0, 40));
    let mut acts: Vec<Contact> = (1..=10).map(|port| refused(&format!("203.0.113.1:{port}"), port)).collect();
    acts.extend((20..25).map(unrouted));
    assert_eq!(judge(&acts).attempts.len(), 15);
}

#[test]
fn many_sources_that_divide_a_scan_are_judged_together() {
    let acts = |sources: u32| -> Vec<Contact> {
        (0..sources * 4)
            .map(|n| {
                let client = format!("198.51.100.{}:9", n % sources);
                touched(&client, &format!("203.0.113.1:{}", n + 1), i64::from(n), Touched::Refused)
            })
            .collect()
    };
    assert!(judge(&acts(24)).attempts.is_empty());
    let out = judge(&acts(40));
    assert_eq!(out.attempts.len(), 160);
    assert!(out.attempts.iter().all(|attempt| &*attempt.judgement.evidence[0].rule == "scan.distributed"));
}

#[test]
fn whoever_comes_last_to_a_divided_scan_belongs_to_it_and_a_late_stranger_does_not() {
    // One source after the other, three ports each: the crowd is looked at now and then only.
    let mut acts: Vec<Contact> = (0..97_i64)
        .map(|n| {
            touched(
                &format!("198.51.100.{}:9", n / 3),
                &format!("203.0.113.1:{}", n + 1),
                n,
                Touched::Refused,
            )
        })
        .collect();
    assert_eq!(judge(&acts).attempts.len(), 97);
    acts.push(touched("192.0.2.7:9", "203.0.113.1:25", 97 + 601, Touched::Refused));
    assert_eq!(judge(&acts).attempts.len(), 97);
}

#[test]
fn a_proxy_is_no_scanner() {
    let mut scans = Scans::new(1 << 20, &Settings::default(), 1_800_000_000);
    let mut out = Judged::default();
    for port in 1..100 {
        let act = refused(&format!("203.0.113.1:{port}"), port);
        scans.touched(&act, Touched::Refused, &Aim { is_proxy: true, ..aim(&act) }, &mut out);
    }
    assert!(out.attempts.is_empty());
}

proptest::proptest! {
    #[test]
    fn the_order_in_which_workers_hand_over_changes_nothing(
        acts in proptest::collection::vec((1_u16..24, 1_u8..4, 0_u8..3), 1..120),
        seed in 0_u64..1_000,
    ) {
        let acts: Vec<Contact> = acts.iter().enumerate().map(|(n, (port, host, what))| {
            let what = [Touched::Answered, Touched::Refused, Touched::Silent][usize::from(*what)];
            touched(&format!("198.51.100.1:{}", n + 1), &format!("203.0.113.{host}:{port}"), i64::try_from(n).unwrap(), what)
        }).collect();
        let ids = |acts: &[Contact]| {
            let mut ids: Vec<_> = judge(acts).attempts.iter().map(|attempt| attempt.id).collect();
            ids.sort_unstable();
            ids
        };
        let mut shuffled = acts.clone();
        // Neighbours change places: they are a second apart, and two are held.
        for at in 1..shuffled.len() {
            if (seed >> (at % 10)) & 1 == 1 {
                shuffled.swap(at - 1, at);
            }
        }
        let plain = ids(&acts);
        let mut once = plain.clone();
        once.dedup();
        proptest::prop_assert_eq!(&once, &plain);
        if shuffled.windows(2).all(|pair| pair[0].time.micros_since(pair[1].time) < 2_000_000) {
            proptest::prop_assert_eq!(ids(&shuffled), plain);
        }
    }
}
