use super::*;
use crate::config::Settings;
use crate::handoff::{WhenFull, channel};
use crate::inspect::limits::limits;
use crate::model::contact::{Act, Contact, NameHash};
use crate::model::grade::Grade;
use crate::model::surge::SurgeKind;
use crate::stream::table::FLOW_BYTES;
use crate::testing::{Script, raw};

/// Everything that a capture gives, in order of sending. A packet every ten milliseconds.
fn records(packets: &[Vec<u8>]) -> Vec<Record> {
    records_of(
        packets
            .iter()
            .enumerate()
            .map(|(number, packet)| (number.cast_signed() as i64 * 10_000, packet.as_slice())),
    )
}

/// The same with times in microseconds.
fn records_of<'p>(packets: impl Iterator<Item = (i64, &'p [u8])>) -> Vec<Record> {
    let (sender, receiver) = channel(65_536);
    let detector = Arc::new(DetectorCell::new(Arc::new(Detector::new(&Settings::default()).unwrap())));
    let mut inspector =
        Inspector::new(limits(32 << 20), detector, Outbox::new(sender, 0, WhenFull::DropNewest));
    for (time, packet) in packets {
        inspector.frame(&raw(time, packet));
    }
    inspector.finish();
    receiver.try_iter().map(|(_, record)| record).collect()
}

/// Fate, account hash, host and grade of every login.
fn logins(packets: &[Vec<u8>]) -> Vec<(bool, Option<NameHash>, Option<String>, Grade)> {
    records(packets)
        .into_iter()
        .filter_map(|record| match record {
            Record::Contact(Contact { act: Act::Login(login), http, grade, .. }) => {
                let host = http.and_then(|http| http.hostname).map(String::from);
                Some((login.accepted, login.account, host, grade))
            }
            _ => None,
        })
        .collect()
}

fn form(password: &str) -> Vec<u8> {
    let body = format!("username=admin&password={password}");
    format!(
        "POST /login HTTP/1.1\r\nHost: www.example.org\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn page(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_form_that_comes_back_is_a_refused_login_and_a_redirect_elsewhere_is_an_accepted_one() {
    let again = page("<form><input type=\"password\" name=\"password\"></form>");
    let conversation = Script::new()
        .handshake()
        .ask(&form("wrong"))
        .answer(&again)
        .ask(&form("right"))
        .answer(b"HTTP/1.1 302 Found\r\nLocation: /home\r\nContent-Length: 0\r\n\r\n")
        .client_ack()
        .close();
    let seen = logins(&conversation.packets);
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].0, seen[1].0), (false, true));
    assert!(seen[0].1.is_some() && seen[0].1 == seen[1].1, "the same account");
    assert_eq!((seen[0].2.as_deref(), seen[0].3), (Some("www.example.org"), Grade::E2));
}

#[test]
fn the_word_that_refuses_may_stand_astride_two_segments_and_after_the_head() {
    let again = page("<p>Please try again</p><input name=p type=\"password\">");
    for cut in 30..again.len() {
        let conversation =
            Script::new().handshake().ask(&form("wrong")).answer(&again[..cut]).answer(&again[cut..]).close();
        assert_eq!(logins(&conversation.packets).len(), 1, "cut at {cut}");
    }
}

#[test]
fn without_a_word_or_a_reply_nothing_became_of_a_credential() {
    let quiet = Script::new().handshake().ask(&form("x")).answer(&page("<p>hello</p>")).close();
    assert_eq!(logins(&quiet.packets), []);
    let unanswered = Script::new().handshake().ask(&form("x")).close();
    assert_eq!(logins(&unanswered.packets), []);
    let first = Script::new()
        .handshake()
        .ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .answer(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
        .close();
    assert_eq!(logins(&first.packets), []);
}

#[test]
fn every_call_of_a_multicall_is_a_login_of_its_own() {
    let body = "<methodName>system.multicall</methodName>".to_owned() + &"wp.getUsersBlogs ".repeat(30);
    let request =
        format!("POST /xmlrpc.php HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let refused = page("<fault><value>Incorrect username or password.</value></fault>");
    let conversation = Script::new().handshake().ask(request.as_bytes()).answer(&refused).close();
    let ids: std::collections::BTreeSet<_> = records(&conversation.packets)
        .into_iter()
        .filter_map(|record| match record {
            Record::Contact(contact) if matches!(contact.act, Act::Login(_)) => Some(contact.id),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 30);
}

#[test]
fn an_attack_in_a_login_is_one_attempt_and_no_login() {
    let conversation = Script::new()
        .handshake()
        .ask(&form("x' union select username,password from users-- -"))
        .answer(&page("<input type=\"password\">"))
        .close();
    let records = records(&conversation.packets);
    let attempts = records.iter().filter(|record| matches!(record, Record::Attempt(_))).count();
    assert_eq!((attempts, logins(&conversation.packets).len()), (1, 0));
}

/// Seconds in which so many conversations were told to be slow.
fn slow_seconds(records: &[Record], kind: SurgeKind) -> Vec<(i64, u64)> {
    let mut seconds: Vec<(i64, u64)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Surge(surge) if surge.kind == kind => Some((surge.time.secs(), surge.packets)),
            _ => None,
        })
        .collect();
    seconds.sort_unstable();
    seconds
}

/// Twelve clients of one source that begin like `head` and send a byte each five seconds, for 40 seconds.
fn slow_clients(head: &[u8], bytes: usize) -> Vec<Record> {
    let mut packets: Vec<(i64, Vec<u8>)> = Vec::new();
    for number in 0..12_i64 {
        let client = format!("198.51.100.2:{}", 40_000 + number);
        let mut script =
            Script::between(&client, crate::testing::SERVER, (1_000, 9_000)).handshake().ask(head);
        let begun = script.packets.len();
        for _ in 0..8 {
            script = script.ask(&vec![b'x'; bytes]);
        }
        for (at, packet) in script.packets.into_iter().enumerate() {
            let second = at.saturating_sub(begun - 1).cast_signed() as i64 * 5;
            packets.push((second * 1_000_000 + number * 1_000 + at.cast_signed() as i64, packet));
        }
    }
    packets.sort_by_key(|(time, _)| *time);
    records_of(packets.iter().map(|(time, packet)| (*time, packet.as_slice())))
}

#[test]
fn requests_that_are_begun_and_hardly_go_on_are_held_open() {
    let heads = slow_clients(b"GET / HTTP/1.1\r\nHost: a\r\nX-a: ", 1);
    let seconds = slow_seconds(&heads, SurgeKind::SlowHeader);
    assert!(seconds.len() >= 25, "{seconds:?}");
    assert!(seconds.iter().skip(1).all(|(_, held)| *held == 12), "{seconds:?}");
    assert!(seconds.first().is_some_and(|(second, _)| *second >= 10), "nobody is slow before its time");
    let bodies = slow_clients(b"POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\nq=", 1);
    assert!(slow_seconds(&bodies, SurgeKind::SlowBody).len() >= 25);
}

#[test]
fn an_upload_that_goes_on_is_not_slow() {
    let uploads = slow_clients(b"POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n", 1_400);
    assert_eq!(slow_seconds(&uploads, SurgeKind::SlowBody), []);
}

#[test]
fn a_conversation_takes_no_more_memory_than_is_counted_for_it() {
    // In a box with two words of the allocator, a pointer to it, a place among the free ones, and 9 bytes of an index that may be
    // half empty.
    let taken = size_of::<crate::stream::flow::Flow<FlowState>>() + 16 + 8 + 4 + 2 * 9;
    assert!(taken <= FLOW_BYTES, "{taken}");
    assert!(taken + 32 > FLOW_BYTES, "{taken}: more conversations would fit");
}
