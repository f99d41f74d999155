//! The parsers of streams and datagrams, of both sides, cut anywhere; and what reads their headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use crate::classify::client::Proxies;
use crate::config::Settings;
use crate::config::origin::OriginSettings;
use crate::detect::{Detector, Scratch, Verdict};
use crate::fuzzing::input::{Act, Input, cut_of};
use crate::model::attempt::{HttpFields, NamingField};
use crate::model::grade::Grade;
use crate::model::marks::Mark;
use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::model::time::Timestamp;
use crate::protocol::ber::Element;
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::dns::message;
use crate::protocol::found::{At, Login, Oddity, Unmet};
use crate::protocol::proxy::{Preface, preface};
use crate::protocol::request::Request;
use crate::protocol::tls::{self, fingerprint, hello};
use crate::protocol::{Conversation, Opening, Parser, ProtocolRow, Reply, RequestMeta, Sink};

/// What one conversation may hold: a request's head and body, what a vector takes to grow, and a reply's.
const HELD_MAX_BYTES: usize = 1 << 20;

/// The built-in rules.
pub static DETECTOR: LazyLock<Arc<Detector>> =
    LazyLock::new(|| Arc::new(Detector::new(&Settings::default()).expect("the built-in rules compile")));

/// Takes what parsers find, judges it where asked to, and looks that it keeps to their word.
struct Witness {
    /// The forms that may be told.
    oddities: &'static [&'static Oddity],
    judges: Option<Box<Scratch>>,
    requests: u64,
}

impl Witness {
    const fn of(oddities: &'static [&'static Oddity]) -> Self {
        Self { oddities, judges: None, requests: 0 }
    }
}

fn ends() -> (SocketAddr, SocketAddr) {
    (([198, 51, 100, 2], 40_000).into(), ([203, 0, 113, 10], 80).into())
}

/// An attack has its evidence.
fn hold(verdict: &Verdict) {
    if let Verdict::Attack(judgement) = verdict {
        assert!(!judgement.evidence.is_empty() && judgement.score > 0.0 && judgement.score <= 1.0);
    }
}

impl Sink for Witness {
    fn request(&mut self, meta: &RequestMeta, request: &Request<'_>) {
        // From 0 again where another protocol follows.
        assert!([0, self.requests].contains(&meta.index), "{} after {}", meta.index, self.requests);
        self.requests = meta.index + 1;
        if let Some(scratch) = &mut self.judges {
            hold(&DETECTOR.judge(request, ends().1, scratch));
        }
    }
    fn reply(&mut self, index: u64, _: &Reply<'_>) {
        assert!(index < self.requests, "a reply has its request");
    }
    fn reply_body(&mut self, index: u64, _: &[u8]) {
        assert!(index < self.requests);
    }
    fn count(&mut self, _: Counter) {}
    fn login(&mut self, _: &At, login: &Login<'_>) {
        assert!(login.class.id().starts_with("auth."), "{}", login.class.id());
    }
    fn oddity(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8]) {
        // Its own, or those of TLS, which many carry inside.
        let mut own = self.oddities.iter().chain(tls::ROW.oddities);
        let known = self.oddities.is_empty() || own.any(|known| known.id == oddity.id);
        assert!(known, "{} is not in the protocol's row", oddity.id);
        if self.judges.is_some() {
            hold(&DETECTOR.judge_oddity(at.app, oddity, excerpt, ends()));
        }
    }
    fn unmet(&mut self, _: &At, _: Unmet<'_>) {}
    fn text(&mut self, at: &At, field: &'static str, text: &[u8]) {
        if let Some(scratch) = &mut self.judges {
            hold(&DETECTOR.judge_text(at.app, (field, text), ends().1, scratch));
        }
    }
    fn mark(&mut self, _: Mark<'_>) {}
}

/// Plays acts, each side's bytes in pieces, until the conversation ends or the protocol does.
fn play(
    input: &mut Input<'_>,
    cut: usize,
    mut act: impl FnMut(Side, Option<&Chunk<'_>>, Option<u64>) -> bool,
) {
    let mut offsets = [0_u64; 2];
    let mut micros = 0;
    while let Some(next) = input.act() {
        let (side, bytes, conflicting) = match next {
            Act::Said(side, bytes, conflicting) => (side, bytes, conflicting),
            Act::Gap(side, missing) => {
                offsets[usize::from(side == Side::Server)] += missing;
                if !act(side, None, Some(missing)) {
                    return;
                }
                continue;
            }
            Act::Closed(side) => {
                if !act(side, None, None) {
                    return;
                }
                continue;
            }
        };
        for bytes in bytes.chunks(cut) {
            let offset = &mut offsets[usize::from(side == Side::Server)];
            micros += 1_000;
            let chunk = Chunk { bytes, offset: *offset, time: Timestamp(micros), conflicting };
            *offset += bytes.len() as u64;
            if !act(side, Some(&chunk), None) {
                return;
            }
        }
    }
}

/// One parser by itself: cut, port, acts. Its row is asked as well, by what each side said first.
pub fn stream(row: &'static ProtocolRow, bytes: &[u8]) {
    let mut input = Input(bytes);
    let (Some(cut), Some(port)) = (input.byte(), input.word()) else { return };
    let mut said = [Vec::new(), Vec::new()];
    let mut parser: Box<dyn Parser> = (row.start)();
    let mut witness = Witness::of(row.oddities);
    play(&mut input, cut_of(cut), |side, chunk, missing| {
        match (chunk, missing) {
            (Some(chunk), _) => {
                let said = &mut said[usize::from(side == Side::Server)];
                if said.len() < 2_048 {
                    said.extend_from_slice(chunk.bytes);
                }
                parser.data(side, chunk, &mut witness);
            }
            (None, Some(missing)) => parser.gap(side, missing, &mut witness),
            (None, None) => parser.closed(side, &mut witness),
        }
        let held = parser.held();
        assert!(held <= HELD_MAX_BYTES, "{held} bytes held");
        _ = (parser.reading(), parser.unfinished());
        parser.next().is_none()
    });
    parser.closed(Side::Client, &mut witness);
    parser.closed(Side::Server, &mut witness);
    for (client, server) in [(&said[0], &said[1]), (&said[0], &Vec::new()), (&Vec::new(), &said[1])] {
        _ = (row.recognise)(&Opening { client, server, port });
    }
}

/// A conversation from its first byte on: whichever protocol it is, and what follows that.
pub fn whole(bytes: &[u8]) {
    converse(bytes, None);
}

/// The same, everything that is told judged.
pub fn judged(bytes: &[u8]) {
    converse(bytes, Some(Box::default()));
}

fn converse(bytes: &[u8], judges: Option<Box<Scratch>>) {
    let mut input = Input(bytes);
    let (Some(cut), Some(port)) = (input.byte(), input.word()) else { return };
    let mut conversation = Conversation::default();
    let mut witness = Witness { judges, ..Witness::of(&[]) };
    play(&mut input, cut_of(cut), |side, chunk, missing| {
        match (chunk, missing) {
            (Some(chunk), _) => conversation.data(side, chunk, port, &mut witness),
            (None, Some(missing)) => conversation.gap(side, missing, &mut witness),
            (None, None) => conversation.closed(side, &mut witness),
        }
        let held = conversation.held();
        assert!(held <= HELD_MAX_BYTES, "{held} bytes held");
        true
    });
    conversation.closed(Side::Client, &mut witness);
    conversation.closed(Side::Server, &mut witness);
}

/// A conversation of datagrams, by a row that would take it or not: port, acts. The memo is the conversation's.
pub fn datagrams(row: &'static DatagramRow, bytes: &[u8]) {
    let mut input = Input(bytes);
    let Some(port) = input.word() else { return };
    let mut witness = Witness::of(row.oddities);
    let (mut memo, mut number) = (0, 0);
    while let Some(act) = input.act() {
        let Act::Said(from, bytes, _) = act else { continue };
        let at = At { offset: number, time: Timestamp(number.cast_signed()), frames: 1, app: row.name };
        let message = Message { from, bytes, port, at };
        _ = (row.recognise)(&message);
        (row.read)(&message, &mut memo, &mut witness);
        number += 1;
    }
}

/// A PROXY protocol header: what it says it takes is there, and it is told the same however much follows.
pub fn proxy(bytes: &[u8]) {
    let told = preface(bytes);
    if let Preface::Is(length, _) = told {
        assert!(length <= bytes.len());
        assert_eq!(preface(&bytes[..length]), told, "what follows changes nothing");
    }
}

/// Forwarding headers, from a proxy that is trusted.
pub fn forwarded(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut field = || String::from_utf8_lossy(input.piece().unwrap_or_default()).into_owned();
    let [list, too, naming] = [field(), field(), field()];
    let settings: OriginSettings = toml::from_str(
        "trusted_proxies = [\"203.0.113.0/24\", \"2001:db8::/32\"]\n[[proxy]]\nnetworks = [\"104.16.0.0/13\"]\nheader = \"CF-Connecting-IP\"\n",
    )
    .expect("settings");
    let proxies = Proxies::new(&settings);
    let http = HttpFields {
        hostname: None,
        url: "/".into(),
        method: "GET".into(),
        user_agent: None,
        status: None,
        forwarded: Some(list.into()),
        forwarded_too: (!too.is_empty()).then(|| too.into()),
        naming: vec![NamingField { header: "cf-connecting-ip".into(), value: naming.into() }],
    };
    for peer in ["203.0.113.1", "104.16.0.1", "2001:db8::1", "8.8.8.8"] {
        let peer: IpAddr = peer.parse().expect("an address");
        let (client, grade) = proxies.attribute(peer, Some(&http), Grade::E2);
        assert!(client == peer || grade == Grade::E3, "only a named client is graded so");
        assert!(!proxies.has(&client) || grade == Grade::X, "{client} is a proxy and no client");
    }
}

/// TLS hellos and their fingerprints.
pub fn hello(bytes: &[u8]) {
    if let Some(hello) = hello::ClientHello::read(bytes) {
        assert_eq!(fingerprint::ja3(&hello).len(), 32);
        assert!(fingerprint::ja4(&hello).is_ascii());
    }
    _ = (hello::server_version(bytes), hello::old_hello(bytes));
}

/// DNS messages: a name is never longer than names are.
pub fn dns_message(bytes: &[u8]) {
    let mut space = [0; message::NAME_MAX_BYTES];
    if let message::Read::Query(query) = message::read(bytes) {
        assert!(!message::written(query.labels, &mut space).is_empty());
    }
    if let Some(response) = message::response(bytes) {
        assert!(!message::written(response.labels, &mut space).is_empty());
    }
}

/// BER elements, one after and one in another.
pub fn ber(bytes: &[u8]) {
    let mut waiting = vec![bytes];
    while let Some(bytes) = waiting.pop() {
        let Some(element) = Element::first(bytes) else { continue };
        assert!(element.content.len() + element.rest.len() < bytes.len());
        _ = element.number();
        waiting.extend([element.rest, element.content]);
    }
}
