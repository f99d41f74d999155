//! What is a flood and what is much traffic.

use super::*;
use crate::model::class::Class;

const VICTIM: &str = "203.0.113.10";

fn surge(kind: SurgeKind, second: i64, packets: u64) -> Surge {
    let source =
        matches!(kind, SurgeKind::Http | SurgeKind::SlowHeader).then(|| "198.51.100.1".parse().unwrap());
    Surge {
        time: Timestamp::from_parts(second, 0),
        victim: VICTIM.parse().unwrap(),
        port: 80,
        kind,
        packets,
        bytes: packets * 60,
        completed: 0,
        sources: 1,
        source,
    }
}

fn judge(surges: &[Surge]) -> Judged {
    judge_since(None, surges)
}

/// The same by one who has watched since a second.
fn judge_since(since: Option<i64>, surges: &[Surge]) -> Judged {
    let mut floods = Floods::new(1 << 20, &Settings::default());
    let mut out = Judged::default();
    if let Some(since) = since {
        floods.progress(Timestamp::from_parts(since, 0), &mut out);
    }
    for surge in surges {
        floods.surge(surge, &mut out);
        floods.progress(surge.time, &mut out);
    }
    floods.finish(&mut out);
    out
}

fn seconds(kind: SurgeKind, count: i64, packets: u64) -> Judged {
    judge(&(0..count).map(|second| surge(kind, second, packets)).collect::<Vec<_>>())
}

/// Seconds of which a tenth speaks for honest traffic.
fn some_completed(kind: SurgeKind, count: i64, packets: u64) -> Judged {
    let of = |second| Surge { completed: packets / 10, ..surge(kind, second, packets) };
    judge(&(0..count).map(of).collect::<Vec<_>>())
}

#[test]
fn a_flood_counts_its_seconds_once_it_was_sustained() {
    assert_eq!(some_completed(SurgeKind::Syn, 4, 1_800).attempts.len(), 0);
    assert_eq!(some_completed(SurgeKind::Syn, 4, 1_800).sums.flood_seconds, 4);
    assert_eq!(some_completed(SurgeKind::Syn, 5, 1_800).attempts.len(), 5);
    assert_eq!(some_completed(SurgeKind::Syn, 60, 500).attempts.len(), 60);
    assert_eq!(seconds(SurgeKind::Syn, 60, 499).attempts.len(), 0);
    let out = seconds(SurgeKind::Syn, 5, 1_800);
    let first = &out.attempts[0];
    assert!(first.client.ip().is_unspecified() && first.grade == Grade::E0 && !first.opens_session);
}

#[test]
fn honest_traffic_is_none() {
    let completed: Vec<Surge> =
        (0..60).map(|second| Surge { completed: 1_500, ..surge(SurgeKind::Syn, second, 5_000) }).collect();
    assert!(judge(&completed).attempts.is_empty());
    let mut usual: Vec<Surge> = (0..600).map(|second| surge(SurgeKind::Icmp, second, 400)).collect();
    usual.extend((600..700).map(|second| surge(SurgeKind::Icmp, second, 2_500)));
    assert!(judge(&usual).attempts.is_empty(), "not eight times the habit");
}

#[test]
fn workers_that_saw_parts_of_a_second_saw_one_second() {
    let mut surges = Vec::new();
    for second in 0..10 {
        surges.extend([surge(SurgeKind::Syn, second, 300), surge(SurgeKind::Syn, second, 250)]);
    }
    let out = judge(&surges);
    assert_eq!(out.attempts.len(), 10);
    let mut ids: Vec<_> = out.attempts.iter().map(|attempt| attempt.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
    assert!(out.attempts[0].judgement.evidence[0].excerpt.starts_with("550 of syn"));
}

#[test]
fn a_source_that_is_proven_is_named() {
    assert!(seconds(SurgeKind::Http, 9, 100).attempts.is_empty());
    assert!(seconds(SurgeKind::Http, 60, 99).attempts.is_empty());
    let out = seconds(SurgeKind::Http, 10, 100);
    assert_eq!(out.attempts.len(), 10);
    assert_eq!(
        (out.attempts[0].client.ip().to_string().as_str(), out.attempts[0].grade),
        ("198.51.100.1", Grade::E1)
    );
    assert_eq!(seconds(SurgeKind::SlowHeader, 59, 10).attempts.len(), 0);
    assert_eq!(seconds(SurgeKind::SlowHeader, 60, 10).attempts.len(), 60);
}

/// A second of a site: requests, those of visitors among them, sources.
fn site(second: i64, packets: u64, completed: u64, sources: u32) -> Surge {
    Surge { completed, sources, ..surge(SurgeKind::HttpSite, second, packets) }
}

/// Requests a second of a flood of a hundred sources that begins at second 1,000; they are known as such after 16 seconds.
fn site_flood(second: i64, packets: u64) -> Surge {
    site(second, packets, if second < 1_016 { packets } else { packets / 10 }, 100)
}

#[test]
fn a_site_that_many_ask_on_and_on_is_flooded_from_the_first_second_on() {
    let flood: Vec<Surge> = (1_000..1_060).map(|second| site_flood(second, 400)).collect();
    let out = judge_since(Some(1), &flood);
    assert_eq!(out.attempts.len(), 60);
    let first = &out.attempts[0];
    assert_eq!((first.judgement.class, first.server.ip()), (Class::DosApp, VICTIM.parse().unwrap()));
    assert!(first.client.ip().is_unspecified(), "none of them floods by itself");
    assert_eq!(&*first.judgement.evidence[0].rule, "flood.http_site");
    // Eight times the habit, not less.
    for (habit, attempts) in [(40, 60), (60, 0)] {
        let mut surges: Vec<Surge> = (200..1_000).map(|second| site(second, habit, habit, 30)).collect();
        surges.extend(&flood);
        assert_eq!(judge_since(Some(1), &surges).attempts.len(), attempts, "{habit}");
    }
}

#[test]
fn crowds_load_tests_and_busy_sites_are_no_floods_of_a_site() {
    let crowd: Vec<Surge> = (1_000..1_600).map(|second| site(second, 3_000, 2_800, 900)).collect();
    let few: Vec<Surge> = (1_000..1_600).map(|second| site(second, 30_000, 100, 24)).collect();
    // Monday morning: programs that ask each second, more and more of them for twenty minutes, then all day.
    let morning: Vec<Surge> = (1_000_i64..6_000)
        .map(|second| {
            let clients = (second - 1_000).min(1_200).unsigned_abs();
            site(second, clients, clients / 20, u32::try_from(clients).unwrap())
        })
        .filter(|surge| surge.packets >= 20)
        .collect();
    for (name, surges) in [("crowd", crowd), ("load test", few), ("morning", morning)] {
        assert!(judge_since(Some(1), &surges).attempts.is_empty(), "{name}");
    }
    let busy: Vec<Surge> = (1_000..2_000).map(|second| site(second, 3_000, 100, 900)).collect();
    assert!(judge(&busy).attempts.is_empty(), "a sensor that starts there learns first");
}

#[test]
fn slow_clients_of_a_network_count_where_none_of_them_does() {
    let slow = |second, kind, source: &str, packets| Surge {
        source: Some(source.parse().unwrap()),
        ..surge(kind, second, packets)
    };
    let network = |second, packets| slow(second, SurgeKind::SlowNetwork, "198.51.100.0", packets);
    let alone = |packets| judge(&(0..80).map(|second| network(second, packets)).collect::<Vec<_>>());
    assert!(alone(49).attempts.is_empty());
    let out = alone(50);
    assert_eq!((out.attempts.len(), out.attempts[0].client.ip().to_string().as_str()), (80, "198.51.100.0"));
    // What one source holds is told for it, not for its neighbours as well.
    let both: Vec<Surge> = (0..80)
        .flat_map(|second| [slow(second, SurgeKind::SlowHeader, "198.51.100.7", 40), network(second, 80)])
        .collect();
    let out = judge(&both);
    assert_eq!(out.attempts.len(), 80);
    assert!(out.attempts.iter().all(|attempt| attempt.client.ip().to_string() == "198.51.100.7"));
}

#[test]
fn a_short_blow_counts_where_it_is_as_much_as_a_flood() {
    for (kind, packets, attempts) in [
        (SurgeKind::Syn, 7_500, 1),
        (SurgeKind::Syn, 7_499, 0),
        (SurgeKind::ReflectUnknown, 3_000, 1),
        (SurgeKind::ReflectUnknown, 2_999, 0),
        (SurgeKind::Http, 1_000_000, 0),
        (SurgeKind::Icmp, 1_000_000, 0),
    ] {
        assert_eq!(some_completed(kind, 1, packets).attempts.len(), attempts, "{packets} of {}", kind.name());
    }
}

#[test]
fn where_nothing_honest_is_seen_half_of_the_shortest_flood_is_one() {
    for (kind, packets, attempts) in [
        (SurgeKind::Syn, 1_250, 1),
        (SurgeKind::Syn, 1_249, 0),
        (SurgeKind::Icmp, 750, 1),
        (SurgeKind::Icmp, 749, 0),
        (SurgeKind::Fragment, 750, 1),
        (SurgeKind::UdpForged, 1_500, 1),
        (SurgeKind::UdpForged, 1_499, 0),
        (SurgeKind::Udp, 50_000, 1),
        (SurgeKind::Udp, 49_999, 0),
        (SurgeKind::SynAck, 1_500, 1),
        (SurgeKind::Ack, 1_000_000, 0),
        (SurgeKind::Http, 1_000_000, 0),
    ] {
        assert_eq!(seconds(kind, 1, packets).attempts.len(), attempts, "{packets} of {}", kind.name());
    }
    let of_many = Surge { sources: 2_500, ..surge(SurgeKind::Ack, 0, 2_500) };
    assert_eq!(judge(&[of_many]).attempts.len(), 1, "acknowledgements of one transfer come from one host");
}

#[test]
fn the_seconds_in_which_a_flood_begins_and_ends_are_not_whole() {
    let blow = |packets: [u64; 3]| -> usize {
        let seconds: Vec<Surge> =
            (0..).zip(packets).map(|(second, packets)| surge(SurgeKind::Syn, second, packets)).collect();
        judge(&seconds).attempts.len()
    };
    assert_eq!((blow([400, 600, 300]), blow([400, 600, 249])), (1, 0));
    assert_eq!(blow([499, 499, 499]), 0, "none of them is above the limit");
    let apart = [surge(SurgeKind::Syn, 0, 499), surge(SurgeKind::Syn, 2, 1_000)];
    assert_eq!(judge(&apart).attempts.len(), 0);
}

#[test]
fn large_answers_that_nobody_asked_for_are_a_flood_at_a_lower_rate() {
    let answers = |bytes: u64, per_second: u64, count: i64| -> usize {
        let kind = SurgeKind::Reflect(crate::model::surge::Reflector::Dns);
        let of = |second| Surge {
            bytes: per_second * bytes,
            completed: per_second / 10,
            ..surge(kind, second, per_second)
        };
        judge(&(0..count).map(of).collect::<Vec<_>>()).attempts.len()
    };
    assert_eq!((answers(300, 300, 3), answers(300, 299, 3), answers(300, 300, 2)), (3, 0, 0));
    assert_eq!((answers(299, 300, 3), answers(299, 1_000, 3)), (0, 3));
}

#[test]
fn queries_do_not_speak_for_the_answers_of_a_reflector() {
    use crate::model::surge::Reflector::{Dns, Ntp, Snmp};
    for (protocol, each, attempts) in [(Dns, 1, 10), (Ntp, 1, 10), (Snmp, 1, 0), (Snmp, 4, 10)] {
        let of =
            |second| Surge { completed: 400 / each, ..surge(SurgeKind::Reflector(protocol), second, 400) };
        let out = judge(&(0..10).map(of).collect::<Vec<_>>());
        assert_eq!(out.attempts.len(), attempts, "{each} of {}", protocol.name());
    }
}

#[test]
fn a_pause_begins_again() {
    let seconds = (0..10).chain(12..14).chain(100..104);
    let of = |second| Surge { completed: 180, ..surge(SurgeKind::Syn, second, 1_800) };
    let out = judge(&seconds.map(of).collect::<Vec<_>>());
    assert_eq!((out.attempts.len(), out.sums.flood_seconds), (12, 4));
}
