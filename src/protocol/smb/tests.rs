use super::*;
use crate::protocol::played::{
    Act, Heard, answer, ask, play, play_all_ways, recognises_only, survive_damage,
};

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn wide_text(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The message of NTLM that authenticates: the account behind the fixed fields.
fn token(account: &str) -> Vec<u8> {
    let name = wide_text(account);
    let mut token = b"NTLMSSP\0\x03\0\0\0".to_vec();
    token.resize(88, 0);
    token[36..38].copy_from_slice(&(name.len() as u16).to_le_bytes());
    token[40] = 88;
    token[60] = 1;
    [&b"\xa1\x82asn.1"[..], &token, &name].concat()
}

fn new(command: u16, number: u8, status: u32, body: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..4].copy_from_slice(b"\xfeSMB");
    header[4] = 64;
    header[8..12].copy_from_slice(&status.to_le_bytes());
    header[12..14].copy_from_slice(&command.to_le_bytes());
    header[24] = number;
    framed(&[&header, body].concat())
}

fn old(command: u8, status: u32, words: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 32];
    header[..4].copy_from_slice(b"\xffSMB");
    header[4] = command;
    header[5..9].copy_from_slice(&status.to_le_bytes());
    header[11] = 0x80;
    header[30] = 7;
    let count = (bytes.len() as u16).to_le_bytes();
    framed(&[&header, &[(words.len() / 2) as u8][..], words, &count, bytes].concat())
}

/// A session setup of SMB 2 and its answer.
fn try_new(number: u8, account: &str, status: u32) -> [Act; 2] {
    let body = [&[25, 0, 0, 1][..], &[0; 20], &token(account)].concat();
    [ask(new(1, number, 0, &body)), answer(new(1, number, status, &[9, 0, 0, 0, 72, 0, 0, 0]))]
}

fn words_of_transaction(setup: &[u8]) -> Vec<u8> {
    let mut words = vec![0; 28];
    words[26] = (setup.len() / 2) as u8;
    [&words, setup].concat()
}

fn played(acts: &[Act]) -> Heard {
    play_all_ways(acts, 4_445)
}

#[test]
fn logins_of_smb2_are_told_by_the_status_of_the_answer() {
    let negotiate = [ask(new(0, 0, 0, &[36; 40])), answer(new(0, 0, 0, &[65; 64]))];
    let first =
        [ask(new(1, 1, 0, b"\x19\0asn.1NTLMSSP\0\x01\0\0\0")), answer(new(1, 1, 0xc000_0016, b"\x09\0\0\0"))];
    let wrong = try_new(2, "clerk", 0xc000_006d);
    let right = try_new(4, "clerk", 0);
    let heard = played(&[&negotiate[..], &first, &wrong, &right].concat());
    assert_eq!((heard.app, heard.accepted()), (Some("smb"), vec![false, true]));
    assert_eq!(heard.logins[0].1, "clerk");
    assert!(heard.inferred.iter().all(|inferred| !inferred));
    for status in REFUSED {
        assert_eq!(played(&try_new(1, "clerk", status)).accepted(), [false], "{status:x}");
    }
}

#[test]
fn nobodies_guests_and_foreign_answers_are_no_logins() {
    assert!(played(&try_new(1, "", 0)).logins.is_empty(), "anonymous");
    let [asked, _] = try_new(1, "clerk", 0);
    let guest = answer(new(1, 1, 0, &[9, 0, 1, 0, 72, 0, 0, 0]));
    assert!(played(&[asked.clone(), guest]).logins.is_empty(), "a guest");
    assert!(played(&[asked, answer(new(1, 9, 0, &[9, 0, 0, 0]))]).logins.is_empty(), "another number");
    assert!(played(&try_new(1, "clerk", 0xc000_0205)).logins.is_empty(), "no resources");
}

#[test]
fn logins_of_smb1_are_told_in_both_forms() {
    let blob = token("admin");
    let mut words = vec![0; 24];
    words[14] = blob.len() as u8;
    let extended =
        [ask(old(0x73, 0, &words, &blob)), answer(old(0x73, 0xc000_006a, &[0xff, 0, 0, 0, 0, 0], b""))];
    let heard = played(&extended);
    assert_eq!(heard.logins, [(Class::AuthRemote, "admin".into(), false)]);
    let mut words = vec![0; 26];
    (words[14], words[16]) = (24, 24);
    // Words end at an odd place: one byte of padding.
    let bytes = [&[5; 48][..], &[0], &wide_text("guest1"), &[0, 0]].concat();
    let plain = [ask(old(0x73, 0, &words, &bytes)), answer(old(0x73, 0, &[0xff, 0, 0, 0, 0, 0], b""))];
    assert_eq!(played(&plain).logins, [(Class::AuthRemote, "guest1".into(), true)]);
    let nothing = [ask(old(0x73, 0, &[0; 26], b"\0\0\0")), answer(old(0x73, 0, &[0xff, 0, 0, 0, 0, 0], b""))];
    assert!(played(&nothing).logins.is_empty());
}

#[test]
fn messages_of_ms17_010_are_told_from_honest_ones() {
    let negotiate = ask(old(0x72, 0, b"", b"\x02NT LM 0.12\0"));
    let after = |rest: &[Act]| played(&[std::slice::from_ref(&negotiate), rest].concat()).odd();
    let peek = |pipe: u8| ask(old(0x25, 0, &words_of_transaction(&[0x23, 0, pipe, 0]), b"\\PIPE\\\0"));
    assert_eq!(after(&[peek(0)]), ["smb.ms17_010_probe"]);
    assert!(after(&[peek(5)]).is_empty());
    let second = |subcommand: u8| ask(old(0x32, 0, &words_of_transaction(&[subcommand, 0]), &[0; 20]));
    assert_eq!(after(&[second(0x0e)]), ["smb.doublepulsar"]);
    assert!(after(&[second(5)]).is_empty());
    let nt = ask(old(0xa0, 0, &[0; 38], &[0; 900]));
    let part = |command: u8| ask(old(command, 0, &[0; 18], &[0x41; 4_000]));
    assert_eq!(after(&[nt.clone(), part(0x33), part(0x33)]), ["smb.eternalblue"]);
    assert!(after(&[second(5), nt.clone(), part(0x33), part(0xa1)]).is_empty());
    assert!(after(&[part(0x33)]).is_empty(), "picked up in the middle");
}

#[test]
fn a_compressed_message_that_points_out_of_itself_is_an_attack() {
    let compressed = |offset: u32| {
        let header =
            [&b"\xfcSMB"[..], &100_u32.to_le_bytes(), &[1, 0, 0, 0], &offset.to_le_bytes(), &[7; 60]];
        ask(framed(&header.concat()))
    };
    assert_eq!(played(&[compressed(u32::MAX)]).odd(), ["smb.smbghost"]);
    assert!(played(&[compressed(16)]).odd().is_empty());
}

#[test]
fn a_netbios_call_may_come_first_and_large_messages_are_passed_over() {
    let call = [&[0x81, 0, 0, 68, 0x20][..], &[b'C'; 67]].concat();
    let write = ask(new(9, 1, 0, &b"x".repeat(60_000)));
    let dialogue =
        [&[ask(call), answer([0x82, 0, 0, 0]), write][..], &try_new(2, "clerk", 0xc000_006d)].concat();
    let heard = played(&dialogue);
    assert_eq!((heard.app, heard.accepted()), (Some("smb"), vec![false]));
}

#[test]
fn what_is_lost_is_not_guessed() {
    let [asked, answered] = try_new(2, "clerk", 0xc000_006d);
    assert!(play(&[asked, Act::Gap(Side::Server, 90), answered], 445, 999).logins.is_empty());
}

#[test]
fn openings_of_others_are_not_taken_and_damage_is_survived() {
    recognises_only(&ROW);
    survive_damage(&try_new(2, "clerk", 0xc000_006d), 445);
    survive_damage(&[ask(old(0x25, 0, &words_of_transaction(&[0x23, 0, 0, 0]), b"\\PIPE\\\0"))], 445);
}
