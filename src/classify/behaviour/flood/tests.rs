//! What is a flood and what is much traffic.

use super::*;

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
    let mut floods = Floods::new(1 << 20, &Settings::default());
    let mut out = Judged::default();
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

#[test]
fn a_flood_counts_its_seconds_once_it_was_sustained() {
    assert_eq!(seconds(SurgeKind::Syn, 4, 5_000).attempts.len(), 0);
    assert_eq!(seconds(SurgeKind::Syn, 4, 5_000).sums.flood_seconds, 4);
    assert_eq!(seconds(SurgeKind::Syn, 5, 5_000).attempts.len(), 5);
    assert_eq!(seconds(SurgeKind::Syn, 60, 500).attempts.len(), 60);
    assert_eq!(seconds(SurgeKind::Syn, 60, 499).attempts.len(), 0);
    let out = seconds(SurgeKind::Syn, 5, 5_000);
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

#[test]
fn a_pause_begins_again() {
    let mut surges: Vec<Surge> = (0..10).map(|second| surge(SurgeKind::Syn, second, 5_000)).collect();
    surges.extend((12..14).map(|second| surge(SurgeKind::Syn, second, 5_000)));
    surges.extend((100..104).map(|second| surge(SurgeKind::Syn, second, 5_000)));
    let out = judge(&surges);
    assert_eq!((out.attempts.len(), out.sums.flood_seconds), (12, 4));
}
