use super::*;
use crate::protocol::played::{
    Act, Heard, answer, ask, play, play_all_ways, recognises_only, survive_damage,
};

const LISTS: [&str; 8] = [
    "curve25519-sha256",
    "ssh-ed25519",
    "chacha20-poly1305@openssh.com,aes128-ctr",
    "chacha20-poly1305@openssh.com,aes128-ctr",
    "hmac-sha2-256",
    "hmac-sha2-256",
    "none",
    "none",
];

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (2 + body.len() as u32 + 6).to_be_bytes();
    [&length[..], &[6, kind], body, &[0; 6]].concat()
}

fn offer(lists: [&str; 8]) -> Vec<u8> {
    let mut body = vec![7; 16];
    for list in lists {
        body.extend((list.len() as u32).to_be_bytes());
        body.extend(list.as_bytes());
    }
    // Two lists of languages, a guess, a reserved word.
    body.extend([0; 13]);
    packet(20, &body)
}

/// Up to the change to encryption, then encrypted segments of the given lengths: negative ones of the server.
fn dialogue(lists: [&str; 8], lengths: &[i32]) -> Vec<Act> {
    let mut acts = vec![
        ask(b"SSH-2.0-tool_1.0\r\n"),
        answer(b"welcome\r\nSSH-2.0-OpenSSH_9.2p1\r\n"),
        ask(offer(lists)),
        answer(offer(LISTS)),
        ask(packet(30, &[1; 32])),
        answer([packet(31, &[2; 100]), packet(21, b"")].concat()),
        ask(packet(21, b"")),
    ];
    acts.extend(lengths.iter().map(|length| {
        let bytes = vec![0xa5; length.unsigned_abs() as usize];
        if *length < 0 { answer(bytes) } else { ask(bytes) }
    }));
    acts
}

fn played(lengths: &[i32]) -> Heard {
    play_all_ways(&dialogue(LISTS, lengths), 2222)
}

#[test]
fn banner_and_fingerprint_are_marks() {
    let heard = played(&[]);
    assert_eq!((heard.app, heard.mark(MarkKind::Agent)), (Some("ssh"), Some("SSH-2.0-tool_1.0")));
    // md5("curve25519-sha256;chacha20-poly1305@openssh.com,aes128-ctr;hmac-sha2-256;none")
    assert_eq!(heard.mark(MarkKind::Hassh), Some("42fe282e09579ebe256ffda1c8add686"));
    assert!(heard.counted.contains(&Counter::FlowsSsh) && heard.logins.is_empty());
}

/// What was seen of real programs, as lengths: a guesser until the server says farewell.
#[test]
fn each_refused_password_is_a_login_and_the_list_of_methods_is_none() {
    let guesser = played(&[44, -44, 68, -52, 84, -52, 84, -52, 84, -52, 84, -52, 84, -52, 84, -76]);
    assert_eq!(guesser.accepted(), [false; 6]);
    assert!(guesser.inferred == [true; 6] && guesser.logins.iter().all(|login| login.1.is_empty()));
    // The banner's text stands at the beginning.
    let offsets = &guesser.offsets[1..];
    assert_eq!(
        offsets.iter().map(|offset| offset - offsets[0]).collect::<Vec<_>>(),
        [0, 84, 168, 252, 336, 420]
    );
    assert!(played(&[44, -44, 68, -52, 52]).logins.is_empty(), "methods were asked for, no more");
    assert_eq!(played(&[44, -44, 68, -52, 84, -28, 112, -500]).accepted(), [true]);
}

#[test]
fn passwords_padded_by_openssh_are_told_by_what_follows() {
    assert_eq!(
        played(&[44, -44, 68, -52, 148, -52, 148, -52, 148, -28, 112, -116, 44]).accepted(),
        [false, false, true]
    );
    assert_eq!(played(&[44, -44, 68, -52, 148, -52, 148, -52, 148, -52]).accepted(), [false; 3]);
    assert!(played(&[44, -44, 68, -52, 148, -52]).logins.is_empty(), "may be a key");
    // An account of four letters: its Ed25519 key cannot be as long.
    assert_eq!(played(&[44, -44, 60, -52, 148, -52]).accepted(), [false]);
}

#[test]
fn keys_offered_before_the_right_one_are_no_failed_logins() {
    assert_eq!(played(&[44, -44, 68, -52, 140, -52, 140, -52, 140, -100, 308, -28, 112]).accepted(), [true]);
    assert_eq!(played(&[44, -44, 68, -52, 148, -52, 148, -52, 148, -108, 316, -28, 112]).accepted(), [true]);
    assert!(played(&[44, -44, 68, -52, 140, -52, 340, -52]).logins.is_empty());
}

#[test]
fn questions_are_not_taken_for_refusals() {
    // keyboard-interactive: request, question, answer, refusal.
    let asked = played(&[44, -44, 68, -76, 84, -60, 44, -76, 84, -60, 44, -76, 84, -60, 44, -28, 112]);
    assert_eq!(asked.accepted(), [false, false, true]);
    let as_long = played(&[44, -44, 68, -60, 84, -60, 44, -60, 84, -60, 44, -60]);
    assert_eq!(as_long.accepted(), [false, false]);
    let given_up = played(&[44, -44, 68, -76, 84, -60, 44, -76, 84, -60]);
    assert_eq!(given_up.accepted(), [false], "the second question was not answered");
}

#[test]
fn a_client_that_does_not_ask_for_methods_is_counted_from_its_first_password() {
    assert_eq!(played(&[44, -44, 84, -52, 84, -52, 84, -52]).accepted(), [false; 3]);
    assert_eq!(played(&[44, -44, 84, -52]).accepted(), [false]);
    assert_eq!(played(&[44, -44, 84, -28, 112]).accepted(), [true]);
}

#[test]
fn a_banner_before_the_first_refusal_is_seen_through() {
    let guesser = played(&[44, -44, 68, -400, 84, -52, 84, -52, 84, -52]);
    assert_eq!(guesser.accepted(), [false; 3]);
}

#[test]
fn nothing_is_inferred_from_unknown_algorithms_or_lengths_with_holes() {
    let mut unknown = LISTS;
    unknown[2] = "own-cipher@example.org";
    assert!(play(&dialogue(unknown, &[44, -44, 68, -52, 84, -52]), 22, 999).logins.is_empty());
    let mut acts = dialogue(LISTS, &[44, -44, 68, -52]);
    acts.push(Act::Gap(Side::Server, 52));
    acts.extend(dialogue(LISTS, &[84, -52, 84, -52]).split_off(7));
    assert!(play(&acts, 22, 999).logins.is_empty());
}

#[test]
fn openings_of_others_are_not_taken_and_damage_is_survived() {
    recognises_only(&ROW);
    survive_damage(&dialogue(LISTS, &[44, -44, 68, -52, 84, -52, 84, -28]), 22);
    let old = play(&[answer(b"SSH-1.5-old\n"), ask(b"SSH-1.5-old\n"), answer([0; 300])], 22, 999);
    assert_eq!((old.app, old.logins.len()), (Some("ssh"), 0));
}
