use super::*;
use crate::model::marks::Mark;
use crate::model::progress::Counter;
use crate::model::time::Timestamp;
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::request::{Defects, Request};
use crate::protocol::{Conversation, Reply, RequestMeta};

/// What came out of a conversation, as text.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    requests: Vec<(u64, String, String, Defects)>,
    offsets: Vec<u64>,
    replies: Vec<(u64, u16)>,
}

impl Sink for Heard {
    fn request(&mut self, meta: &RequestMeta, request: &Request<'_>) {
        let line = [request.method, b" ", request.target].concat();
        self.requests.push((
            meta.index,
            String::from_utf8_lossy(&line).into_owned(),
            String::from_utf8_lossy(request.body).into_owned(),
            request.defects,
        ));
        self.offsets.push(meta.offset);
    }
    fn reply(&mut self, index: u64, reply: &Reply<'_>) {
        self.replies.push((index, reply.status));
    }
    fn count(&mut self, _: Counter) {}
    fn login(&mut self, _: &At, _: &Login<'_>) {}
    fn oddity(&mut self, _: &At, _: &'static Oddity, _: &[u8]) {}
    fn text(&mut self, _: &At, _: &'static str, _: &[u8]) {}
    fn mark(&mut self, _: Mark<'_>) {}
}

/// Plays a dialogue, each side's bytes in pieces of at most `piece`.
fn play(dialogue: &[(Side, &[u8])], piece: usize) -> Heard {
    let mut heard = Heard::default();
    let mut conversation = Conversation::default();
    let mut offsets = [0_u64; 2];
    for (side, bytes) in dialogue {
        for bytes in bytes.chunks(piece) {
            let offset = &mut offsets[usize::from(*side == Side::Server)];
            let chunk = Chunk { bytes, offset: *offset, time: Timestamp(0), conflicting: false };
            *offset += bytes.len() as u64;
            conversation.data(*side, &chunk, 80, &mut heard);
        }
    }
    crate::fuzzing::seeds::keep_talk(conversation.app(), dialogue, 80);
    conversation.closed(Side::Client, &mut heard);
    conversation.closed(Side::Server, &mut heard);
    heard
}

/// The same result however the bytes are cut.
fn play_all_ways(dialogue: &[(Side, &[u8])]) -> Heard {
    let whole = play(dialogue, usize::MAX);
    for piece in [1, 2, 3, 7, 50] {
        let cut = play(dialogue, piece);
        assert_eq!(
            (&cut.requests, &cut.replies, &cut.offsets),
            (&whole.requests, &whole.replies, &whole.offsets),
            "in pieces of {piece}"
        );
    }
    whole
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn pipelined_requests_get_their_own_replies() {
    let heard = play_all_ways(&[
        (Side::Client, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nPOST /c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /d HTTP/1.1\r\n\r\n"),
        (Side::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 No\r\nContent-Length: 99\r\n\r\n"),
        (Side::Server, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nHTT\r\n0\r\n\r\nHTTP/1.1 302 F\r\n\r\n"),
    ]);
    let lines: Vec<_> = heard.requests.iter().map(|r| (r.0, r.1.as_str(), r.2.as_str())).collect();
    assert_eq!(lines, [(0, "GET /a", ""), (1, "HEAD /b", ""), (2, "POST /c", "abc"), (3, "GET /d", "")]);
    assert_eq!(heard.replies, [(0, 200), (1, 404), (2, 201), (3, 302)]);
    assert_eq!(heard.offsets[1], 28);
}

#[test]
fn chunked_bodies_are_put_together_with_extensions_and_trailers() {
    let heard = play_all_ways(&[(
        Side::Client,
        b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;x=1\r\nq=1+\r\nA\r\nunion+sele\r\n0\r\nTrailer: x\r\n\r\nGET /next HTTP/1.1\r\n\r\n",
    )]);
    assert_eq!(heard.requests[0].2, "q=1+union+sele");
    assert_eq!(heard.requests[1].1, "GET /next");
}

#[test]
fn contradicting_lengths_are_marked_and_read_as_chunked() {
    let heard = play_all_ways(&[(
        Side::Client,
        b"POST / HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    )]);
    assert!(heard.requests[0].3.contains(Defects::LENGTH_AND_ENCODING));
    assert_eq!(heard.requests[1].1, "GET /smuggled");
    let heard = play_all_ways(&[(
        Side::Client,
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    )]);
    assert!(heard.requests[0].3.contains(Defects::CONTENT_LENGTH));
}

#[test]
fn malformed_requests_are_judged_and_not_dropped() {
    for (bytes, line) in [
        (&b"GET /a b c HTTP/1.1\r\nHost: x\r\n\r\n"[..], "GET /a b c"),
        (b"GET /x HTTP/1.1\r\nbad header line\r\n\r\n", "GET /x"),
        (b"GET /nul\0 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /nul\0"),
        (b"GET /old\r\n", "GET /old"),
        (b"GET /cut HTTP/1.1\r\nHost: x", "GET /cut"),
        (b"FOO /x HTTP/1.1\r\n bad: fold\r\n\r\n", "FOO /x"),
        (b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "POST /p"),
        (b"POST /q HTTP/1.1\r\nContent-Length: 100\r\n\r\nonly this", "POST /q"),
    ] {
        let heard = play_all_ways(&[(Side::Client, bytes)]);
        assert_eq!(heard.requests.len(), 1, "{line}");
        assert_eq!(heard.requests[0].1, line);
        assert!(!heard.requests[0].3.is_empty(), "{line} must be marked");
    }
}

#[test]
fn bodies_and_heads_beyond_their_limit_are_judged_on_their_beginning() {
    let mut big =
        format!("POST /big HTTP/1.1\r\nContent-Length: {}\r\n\r\n", BODY_MAX_BYTES * 3).into_bytes();
    big.resize(big.len() + BODY_MAX_BYTES * 3, b'a');
    big.extend_from_slice(b"GET /after HTTP/1.1\r\n\r\n");
    let heard = play(&[(Side::Client, &big)], 1460);
    assert_eq!(heard.requests.len(), 2);
    assert_eq!(heard.requests[0].2.len(), BODY_MAX_BYTES);
    assert!(heard.requests[0].3.contains(Defects::BODY_CUT));
    assert_eq!(heard.requests[1].1, "GET /after");

    let mut long = b"GET /long HTTP/1.1\r\nX: ".to_vec();
    long.resize(HEAD_MAX_BYTES * 2, b'a');
    let heard = play(&[(Side::Client, &long)], 1460);
    assert_eq!(heard.requests.len(), 1);
    assert!(heard.requests[0].3.contains(Defects::HEAD_TOO_LONG));
    // It is a request of its own: a reply to the one before it is none to it.
    let before = b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n";
    let heard = play(&[(Side::Client, before), (Side::Client, &long), (Side::Server, OK)], usize::MAX);
    let numbers: Vec<u64> = heard.requests.iter().map(|request| request.0).collect();
    assert_eq!(numbers, [0, 1]);
}

#[test]
fn a_reply_before_a_request_is_to_be_seen_is_none_to_it() {
    let whole: &[u8] = b"GET /a HTTP/1.1\r\n\r\n";
    let heard = play(
        &[(Side::Client, whole), (Side::Server, OK), (Side::Client, b"GE"), (Side::Server, OK)],
        usize::MAX,
    );
    assert_eq!((heard.requests.len(), heard.replies.as_slice()), (1, &[(0, 200)][..]));
}

#[test]
fn a_reply_to_an_unfinished_request_is_tied_to_it() {
    let heard = play_all_ways(&[
        (Side::Client, b"GET /slow HTTP/1.1\r\nHost: x\r\n"),
        (Side::Server, b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"),
    ]);
    assert_eq!(heard.requests[0].1, "GET /slow");
    assert_eq!(heard.replies, [(0, 408)]);
    let heard = play_all_ways(&[
        (Side::Client, b"POST /big HTTP/1.1\r\nContent-Length: 500\r\n\r\nabc"),
        (Side::Server, b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"),
    ]);
    assert_eq!((heard.requests.len(), heard.replies), (1, vec![(0, 413)]));
}

#[test]
fn a_reply_does_not_cut_the_next_request_that_is_on_its_way() {
    let heard = play(
        &[
            (Side::Client, b"GET /a HTTP/1.1\r\n\r\nGET /b HT"),
            (Side::Server, OK),
            (Side::Client, b"TP/1.1\r\n\r\n"),
            (Side::Server, OK),
        ],
        usize::MAX,
    );
    let lines: Vec<_> = heard.requests.iter().map(|r| r.1.as_str()).collect();
    assert_eq!(lines, ["GET /a", "GET /b"]);
    assert_eq!(heard.replies, [(0, 200), (1, 200)]);
}

#[test]
fn after_a_gap_the_next_request_is_found_again() {
    let mut heard = Heard::default();
    let mut conversation = Conversation::default();
    let mut say = |conversation: &mut Conversation, bytes: &[u8]| {
        let chunk = Chunk { bytes, offset: 0, time: Timestamp(0), conflicting: false };
        conversation.data(Side::Client, &chunk, 80, &mut heard);
    };
    say(&mut conversation, b"GET /a HTTP/1.1\r\nHos");
    conversation.gap(Side::Client, 100, &mut Heard::default());
    say(&mut conversation, b"oken rest\r\n\r\n");
    say(&mut conversation, b"GET /b HTTP/1.1\r\n\r\n");
    assert_eq!(heard.requests.len(), 1);
    assert_eq!(heard.requests[0].1, "GET /b");
}

#[test]
fn after_an_upgrade_nothing_is_read_as_http() {
    let heard = play_all_ways(&[
        (Side::Client, b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
        (Side::Server, b"HTTP/1.1 101 Switching\r\n\r\nxx"),
        (Side::Client, b"GET /not HTTP/1.1\r\n\r\n"),
    ]);
    assert_eq!(heard.requests.len(), 1);
    assert_eq!(heard.replies, [(0, 101)]);
}

#[test]
fn other_protocols_are_not_taken_for_http() {
    for bytes in [
        &b"EHLO mail.example.org\r\n"[..],
        b"USER root\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"OPTIONS sip:100@example.org SIP/2.0\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"RETR /etc/motd\r\n",
        b"CONNECT {\"verbose\":false}\r\n",
        b"\x16\x03\x01\x02\x00",
    ] {
        assert_ne!(recognise(bytes), Recognition::Yes, "{bytes:?}");
    }
    assert_eq!(recognise(b"\r\nget /x HTTP/1.0\r\n"), Recognition::Yes);
    assert_eq!(recognise(b"BREW /pot HTTP/1.1\r\n"), Recognition::Yes);
}

proptest::proptest! {
    #[test]
    fn any_bytes_from_both_sides_are_survived(
        dialogue in proptest::collection::vec((proptest::bool::ANY, proptest::collection::vec(0_u8..=255, 0..200), 0_u8..4), 0..30),
    ) {
        let mut heard = Heard::default();
        let mut conversation = Conversation::default();
        let opening = Chunk { bytes: b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", offset: 0, time: Timestamp(0), conflicting: false };
        conversation.data(Side::Client, &opening, 80, &mut heard);
        for (from_server, bytes, act) in &dialogue {
            let side = if *from_server { Side::Server } else { Side::Client };
            let chunk = Chunk { bytes, offset: 0, time: Timestamp(0), conflicting: *act == 1 };
            match act {
                2 => conversation.gap(side, bytes.len() as u64, &mut heard),
                3 => conversation.closed(side, &mut heard),
                _ => conversation.data(side, &chunk, 80, &mut heard),
            }
            proptest::prop_assert!(conversation.held() <= 4 * (HEAD_MAX_BYTES + BODY_MAX_BYTES));
        }
    }
}

#[test]
fn the_preface_of_http_2_is_no_request_and_neither_is_what_follows() {
    let settings = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64";
    let heard = play_all_ways(&[
        (Side::Client, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (Side::Client, settings),
        (Side::Server, settings),
        (Side::Client, b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
    assert_eq!(heard, Heard::default());
}
