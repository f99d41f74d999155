//! From a judged request to the record that crosses the channel.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::detect::{Verdict, excerpt};
use crate::inspect::{Path, REPLY_TIMEOUT_MICROS};
use crate::model::attempt::{
    Attempt, AttemptId, FIELD_MAX_BYTES, HttpFields, Judgement, Outcome, Transport, cut_text,
};
use crate::model::progress::Counter;
use crate::model::time::Timestamp;
use crate::protocol::request::Request;
use crate::protocol::{Reply, RequestMeta, Sink};
use crate::stream::View;

/// Attempts of one conversation whose reply is awaited; a client that pipelines more gets no outcome for the first.
const AWAITED_PER_FLOW: usize = 64;

/// An attempt whose reply is awaited.
#[derive(Debug)]
pub struct Awaited {
    /// The attempt so far.
    pub attempt: Box<Attempt>,
    /// Number of its request in the conversation.
    pub index: u64,
    /// Whether the reply's head was seen.
    pub replied: bool,
    /// When it is handed on at the latest.
    pub due: Timestamp,
}

/// Judges the requests of one conversation.
pub struct Judge<'a> {
    /// The worker's side.
    pub path: &'a mut Path,
    /// The conversation.
    pub view: &'a View,
    /// Its awaited attempts.
    pub awaited: &'a mut Vec<Awaited>,
    /// Whether an attempt was seen in it before.
    pub attacked: &'a mut bool,
}

impl Sink for Judge<'_> {
    fn request(&mut self, meta: &RequestMeta, request: &Request<'_>) {
        let verdict = self.path.detector.judge(request, self.view.server, &mut self.path.scratch);
        let counter = match verdict {
            Verdict::Attack(judgement) => {
                self.attack(meta, request, judgement);
                Counter::RequestsAttack
            }
            Verdict::Clean => Counter::RequestsClean,
            Verdict::Excepted => Counter::RequestsExcepted,
            Verdict::Suspicious => Counter::RequestsSuspicious,
        };
        self.path.counters.count(counter);
    }

    fn reply(&mut self, index: u64, reply: &Reply<'_>) {
        let Some(awaited) = self.awaited.iter_mut().find(|awaited| awaited.index == index) else { return };
        awaited.replied = true;
        let class = awaited.attempt.judgement.class;
        awaited.attempt.outcome = self.path.detector.outcome(class, Some(reply.status), reply.body_start);
        if let Some(http) = &mut awaited.attempt.http {
            http.status = Some(reply.status);
        }
    }

    fn count(&mut self, counter: Counter) {
        self.path.counters.count(counter);
    }
}

impl Judge<'_> {
    fn attack(&mut self, meta: &RequestMeta, request: &Request<'_>, judgement: Judgement) {
        let opens_session = !std::mem::replace(self.attacked, true);
        let attempt = Box::new(Attempt {
            id: identity(self.view, meta),
            time: meta.time,
            client: self.view.client,
            server: self.view.server,
            transport: Transport::Tcp,
            app_proto: "http",
            flow_id: flow_id(self.view),
            opens_session,
            grade: self.view.grade,
            frames: meta.frames.max(1),
            judgement,
            outcome: Outcome::default(),
            http: Some(http_fields(request, meta.proxied)),
        });
        if self.awaited.len() >= AWAITED_PER_FLOW {
            self.path.counters.count(Counter::RequestsPending);
            let first = self.awaited.remove(0).attempt;
            self.path.emit(Box::new(Attempt { grade: self.view.grade, ..*first }));
        }
        let due = self.view.now.plus_micros(REPLY_TIMEOUT_MICROS);
        self.path.due.push_back((due, self.view.flow));
        self.awaited.push(Awaited { attempt, index: meta.index, replied: false, due });
    }
}

/// Identity of a request (contract §3): the 5-tuple, both initial sequence numbers, the offset in the stream.
/// SHA-256 cut to 64 bits: a collision among the attempts of two seconds is out of reach, and nobody can aim at one.
fn identity(view: &View, meta: &RequestMeta) -> AttemptId {
    let mut hash = endpoints(view);
    hash.update(view.initial.0.to_be_bytes());
    hash.update(view.initial.1.to_be_bytes());
    hash.update(meta.offset.to_be_bytes());
    AttemptId(first_word(hash))
}

/// Number of a conversation, the same on every sensor that sees it.
fn flow_id(view: &View) -> u64 {
    let mut hash = endpoints(view);
    hash.update(view.initial.0.to_be_bytes());
    hash.update(view.initial.1.to_be_bytes());
    // EVE's flow_id is a positive 64-bit integer that JSON readers with doubles can hold.
    first_word(hash) >> 11
}

fn endpoints(view: &View) -> Sha256 {
    let mut hash = Sha256::new();
    for end in [view.client, view.server] {
        match end.ip() {
            IpAddr::V4(v4) => hash.update(v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => hash.update(v6.octets()),
        }
        hash.update(end.port().to_be_bytes());
    }
    hash.update([Transport::Tcp.number()]);
    hash
}

fn first_word(hash: Sha256) -> u64 {
    let digest = hash.finalize();
    digest.first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word))
}

fn http_fields(request: &Request<'_>, proxied: Option<IpAddr>) -> HttpFields {
    let text = |bytes: &[u8]| cut_text(bytes, FIELD_MAX_BYTES);
    let forwarded = request.header("x-forwarded-for").or_else(|| request.header("forwarded"));
    HttpFields {
        hostname: request.header("host").and_then(hostname),
        url: text(&excerpt::target(request)),
        method: text(request.method.get(..request.method.len().min(32)).unwrap_or_default()),
        user_agent: request.header("user-agent").map(text),
        status: None,
        forwarded: hops(forwarded, proxied),
    }
}

/// The hops in the order in which they were added: those of the header field, then the one of the PROXY protocol, which
/// stands nearest to us. The proxies one trusts append at the right, so that end is kept.
fn hops(header: Option<&[u8]>, proxied: Option<IpAddr>) -> Option<Box<str>> {
    let header = header.map(|value| {
        let kept = value.len().saturating_sub(FIELD_MAX_BYTES);
        cut_text(value.get(kept..).unwrap_or_default(), FIELD_MAX_BYTES)
    });
    match (header, proxied) {
        (Some(header), Some(client)) => Some(format!("{header}, {client}").into()),
        (None, Some(client)) => Some(client.to_string().into()),
        (header, None) => header,
    }
}

/// The host of a `Host` field: lower case, without port and brackets.
fn hostname(value: &[u8]) -> Option<Box<str>> {
    let text = cut_text(value, FIELD_MAX_BYTES).to_ascii_lowercase();
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => text.split(':').next().unwrap_or_default(),
    };
    (!host.is_empty()).then(|| host.into())
}
