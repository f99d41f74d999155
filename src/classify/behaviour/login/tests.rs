//! Who guesses and who mistypes.

use super::*;
use crate::classify::behaviour::tests::{judge, login};

const CLIENT: &str = "198.51.100.1:40000";

fn refused(count: i64, every: i64) -> Vec<Contact> {
    (0..count).map(|n| login(CLIENT, n * every, false, None)).collect()
}

#[test]
fn six_refusals_are_guessing_and_five_are_not() {
    let out = judge(&refused(5, 1));
    assert_eq!((out.attempts.len(), out.sums.logins), (0, 5));
    let out = judge(&refused(6, 1));
    assert_eq!((out.attempts.len(), out.sums.logins), (6, 0));
    assert!(out.attempts.iter().all(|attempt| attempt.judgement.class == Class::AuthFtp));
    assert_eq!(judge(&refused(500, 1)).attempts.len(), 500);
    assert!(judge(&refused(100, 61)).attempts.is_empty(), "one a minute leaks away");
}

#[test]
fn what_was_inferred_from_lengths_is_marked_and_less_certain() {
    let mut acts = refused(12, 1);
    for act in &mut acts {
        let Act::Login(login) = &mut act.act else { panic!("a login") };
        (login.class, login.inferred) = (Class::AuthSsh, true);
    }
    let inferred = judge(&acts).attempts;
    let read = judge(&refused(12, 1)).attempts;
    assert!(inferred.len() == 12 && inferred.iter().all(|attempt| attempt.inferred));
    assert!(
        read.iter().all(|attempt| !attempt.inferred && attempt.judgement.score > inferred[0].judgement.score)
    );
}

#[test]
fn who_mistypes_and_then_succeeds_is_forgiven() {
    let mut acts = Vec::new();
    for day in 0..20 {
        acts.extend((0..3).map(|n| login(CLIENT, day * 20 + n, false, Some(1))));
        acts.push(login(CLIENT, day * 20 + 9, true, Some(1)));
    }
    let out = judge(&acts);
    assert_eq!((out.attempts.len(), out.sums.logins), (0, 60));
}

#[test]
fn an_account_of_ones_own_does_not_forgive_guessing_at_others() {
    let mut acts = Vec::new();
    for n in 0..8 {
        acts.push(login(CLIENT, n * 2, false, Some(7)));
        acts.push(login(CLIENT, n * 2 + 1, true, Some(1)));
    }
    assert_eq!(judge(&acts).attempts.len(), 8);
}

#[test]
fn a_success_after_guessing_is_the_outcome_of_the_last_refusal() {
    let mut acts = refused(20, 1);
    acts.push(login(CLIENT, 20, true, None));
    let out = judge(&acts);
    assert_eq!(out.attempts.len(), 20);
    let outcomes: Vec<i64> = out
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == Outcome::LikelySuccess)
        .map(|attempt| attempt.time.secs())
        .collect();
    assert_eq!(outcomes, [19]);
}

#[test]
fn five_accounts_are_spraying_and_four_are_not() {
    let spray = |accounts: u64| -> usize {
        let acts: Vec<Contact> =
            (0..accounts).map(|n| login(CLIENT, n.cast_signed() * 100, false, Some(n + 1))).collect();
        judge(&acts).attempts.len()
    };
    assert_eq!((spray(4), spray(5)), (0, 5));
}

#[test]
fn fifteen_sources_upon_one_account_are_an_attack_and_upon_their_own_they_are_people() {
    let crowd = |sources: i64, account: fn(i64) -> u64| -> usize {
        let acts: Vec<Contact> = (0..sources)
            .map(|n| login(&format!("198.51.100.{n}:9"), n * 10, false, Some(account(n))))
            .collect();
        judge(&acts).attempts.len()
    };
    assert_eq!((crowd(14, |_| 5), crowd(15, |_| 5), crowd(16, |_| 5)), (0, 15, 16));
    assert_eq!(crowd(40, |n| n.unsigned_abs() + 1), 0);
}

#[test]
fn many_sources_at_one_site_are_stuffing() {
    let crowd = |sources: i64| -> usize {
        let acts: Vec<Contact> = (0..sources)
            .map(|n| {
                login(&format!("198.51.{}.{}:9", n / 250, n % 250), n, false, Some(n.unsigned_abs() + 1))
            })
            .collect();
        judge(&acts).attempts.len()
    };
    assert_eq!((crowd(99), crowd(100), crowd(200)), (0, 100, 200));
}
