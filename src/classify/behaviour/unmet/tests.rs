//! Who tries out, and whose program has a fault.

use super::*;
use crate::classify::behaviour::tests::{judge, touched};
use crate::config::Settings as All;
use crate::model::attempt::{AttemptId, Outcome};
use crate::model::contact::{NameHash, Touched};
use crate::model::grade::Grade;

const CLIENT: &str = "198.51.100.1:40000";

fn act(client: &str, secs: i64, unmet: Unmet) -> Contact {
    let contact = touched(client, "203.0.113.10:443", secs, Touched::Answered);
    let word = unmet.name.map_or(0, NameHash::number) << 20 ^ u64::from(unmet.form);
    let id = AttemptId(contact.id.0 ^ word);
    Contact { id, act: Act::Unmet(unmet), grade: Grade::E2, app_proto: Some("tls"), ..contact }
}

fn handshake(secs: i64, name: u64, form: u32) -> Contact {
    act(
        CLIENT,
        secs,
        Unmet { topic: Topic::TlsHandshake, name: (name != 0).then(|| NameHash::new(name)), form },
    )
}

fn looked_up(secs: i64, name: u64) -> Contact {
    act(
        CLIENT,
        secs,
        Unmet { topic: Topic::DnsName, name: (name != 0).then(|| NameHash::new(name)), form: 0 },
    )
}

fn rules(out: &Judged) -> Vec<&str> {
    let mut rules: Vec<&str> =
        out.attempts.iter().map(|attempt| &*attempt.judgement.evidence[0].rule).collect();
    rules.dedup();
    rules
}

#[test]
fn fifteen_refused_names_are_a_scan_and_fourteen_are_not() {
    let names = |count: u64| -> Judged {
        judge(&(1..=count).map(|n| handshake(n.cast_signed() * 20, n, 7)).collect::<Vec<_>>())
    };
    let out = names(14);
    assert_eq!((out.attempts.len(), out.sums.contacts), (0, 14));
    let out = names(30);
    assert_eq!((out.attempts.len(), rules(&out), out.sums.contacts), (30, vec!["scan.tls_names"], 0));
    let first = &out.attempts[0];
    assert_eq!((first.judgement.class, first.outcome, first.inferred), (CLASS, Outcome::Refused, true));
}

#[test]
fn handshakes_in_many_forms_are_versions_and_ciphers_tried_out() {
    let forms = |count: u32| judge(&(1..=count).map(|n| handshake(n.into(), 0, n)).collect::<Vec<_>>());
    assert!(forms(7).attempts.is_empty());
    let out = forms(40);
    assert_eq!((out.attempts.len(), rules(&out)), (40, vec!["scan.tls_handshakes"]));
    assert!(out.attempts.iter().all(|attempt| attempt.inferred && attempt.judgement.score < 0.99));
}

/// An old program that steps down version by version, one that does not trust the certificate, an application that asks again
/// every second, and a monitor that never completes a handshake.
#[test]
fn clients_whose_handshakes_fail_stay_silent_however_often_they_fail() {
    let stepping_down = (1..=3).map(|n| handshake(n.into(), 1, n)).collect::<Vec<_>>();
    let twice = vec![handshake(0, 1, 1), handshake(5, 1, 1)];
    let stubborn = (0..2_000).map(|n| handshake(n, 1, 9)).collect::<Vec<_>>();
    let household = (0..500_u32).map(|n| handshake(n.into(), (n % 9 + 1).into(), n % 5 + 1)).collect();
    for acts in [stepping_down, twice, stubborn, household] {
        let out = judge(&acts);
        assert_eq!((out.attempts.len(), out.sums.contacts), (0, acts.len() as u64));
    }
}

#[test]
fn names_that_do_not_exist_are_enumeration_when_they_are_many_and_different() {
    let storm =
        |count: u64| judge(&(1..=count).map(|n| looked_up(n.cast_signed() / 4, n)).collect::<Vec<_>>());
    assert!(storm(39).attempts.is_empty());
    let out = storm(400);
    assert_eq!((out.attempts.len(), rules(&out)), (400, vec!["scan.dns_names"]));
    assert!(out.attempts.iter().all(|attempt| !attempt.inferred));
    let again: Vec<Contact> = (0..5_000).map(|n| looked_up(n / 10, n.cast_unsigned() % 30 + 1)).collect();
    assert!(judge(&again).attempts.is_empty(), "the same few names over and over");
    let slow: Vec<Contact> = (0..200).map(|n| looked_up(n * 2, n.cast_unsigned() + 1)).collect();
    assert!(judge(&slow).attempts.is_empty(), "one every two seconds");
}

#[test]
fn each_detector_can_be_switched_off() {
    let mut settings = All::default();
    let scan = &mut settings.scan;
    (scan.tls_names.enabled, scan.tls_handshakes.enabled, scan.dns_names.enabled) = (false, false, false);
    let mut unmets = Unmets::new(1 << 20, &settings.scan, i64::MAX);
    let mut out = Judged::default();
    for n in 1..=60 {
        for act in [handshake(n.into(), n.into(), n), looked_up(n.into(), n.into())] {
            let unmet = unmet_of(&act).unwrap();
            unmets.unmet(&act, unmet, &crate::classify::behaviour::tests::aim(&act), &mut out);
        }
    }
    assert!(out.attempts.is_empty());
    unmets.finish(&mut out);
    assert_eq!(out.sums.contacts, 120);
}

#[test]
fn memory_is_bounded_however_many_sources_ask() {
    let mut unmets = Unmets::new(1 << 20, &All::default().scan, i64::MAX);
    let mut out = Judged::default();
    for n in 0..20_000_u32 {
        let client = format!("10.{}.{}.{}:9", n >> 16 & 255, n >> 8 & 255, n & 255);
        let unmet = Unmet { topic: Topic::TlsHandshake, name: None, form: n };
        let act = act(&client, 1, unmet);
        unmets.unmet(&act, unmet, &crate::classify::behaviour::tests::aim(&act), &mut out);
        assert!(unmets.bytes() <= 1 << 20);
    }
    assert!(out.sums.windows_forgotten > 0);
}
