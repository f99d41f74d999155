//! From a judged request to the record that crosses the channel.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::detect::Verdict;
use crate::detect::login::{self, Fate};
use crate::inspect::http_fields::http_fields;
use crate::inspect::{Path, REPLY_TIMEOUT_MICROS};
use crate::model::attempt::{Attempt, AttemptId, Judgement, Outcome, Transport};
use crate::model::class::Class;
use crate::model::contact::{Act, Contact, Login, NameHash};
use crate::model::marks::{Mark, Marks};
use crate::model::progress::Counter;
use crate::model::surge::SurgeKind;
use crate::model::time::Timestamp;
use crate::protocol::found::{self, Answered, At, Oddity, Unmet};
use crate::protocol::request::Request;
use crate::protocol::{Reply, RequestMeta, Sink};
use crate::stream::View;

/// Attempts of one conversation whose reply is awaited; a client that pipelines more gets no outcome for the first.
const AWAITED_PER_FLOW: usize = 64;

/// Names are told apart by this hash alone, in every worker the same; its key is another at each start.
pub static NAMES: LazyLock<ahash::RandomState> = LazyLock::new(ahash::RandomState::default);

/// The hash of an account's name, where there is one.
pub fn account(name: &[u8]) -> Option<NameHash> {
    if name.is_empty() { None } else { Some(NameHash::new(NAMES.hash_one(name))) }
}

/// Sets the identity of something unmet apart from that of a message at the same offset: no stream is as long.
const UNMET: u64 = 1 << 63;

/// A record that is not handed on yet.
#[derive(Debug)]
pub enum Held {
    /// A judged message.
    Attempt(Box<Attempt>),
    /// A credential of which the reply has not told the fate.
    Credential(Box<Credential>),
    /// Credentials and their fate: so many in one message.
    Contact(Contact, u16),
}

/// A credential in a request.
#[derive(Debug)]
pub struct Credential {
    presented: login::Credential,
    contact: Contact,
    /// The end of what was read of the reply's body: a word may stand astride two segments.
    tail: Vec<u8>,
}

/// A record that waits for a reply, or for what its conversation proves.
#[derive(Debug)]
pub struct Awaited {
    /// The record so far.
    pub held: Held,
    /// Number of its request in the conversation; none for what awaits no reply.
    pub index: Option<u64>,
    /// Whether nothing is awaited any more but the proof of the origin.
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
    /// Its records that are not handed on yet.
    pub awaited: &'a mut Vec<Awaited>,
    /// Whether an attempt was seen in it before.
    pub attacked: &'a mut bool,
    /// The marks of its client.
    pub marks: &'a mut Marks,
}

impl Sink for Judge<'_> {
    fn request(&mut self, meta: &RequestMeta, request: &Request<'_>) {
        self.path.requested(self.view, SurgeKind::Http);
        let verdict = self.path.detector.judge(request, self.view.server, &mut self.path.scratch);
        let counter = match verdict {
            Verdict::Attack(judgement) if is_of_own_proxy(self.view, &judgement) => Counter::RequestsExcepted,
            Verdict::Attack(judgement) => {
                self.attack(meta, request, judgement);
                Counter::RequestsAttack
            }
            Verdict::Clean => Counter::RequestsClean,
            Verdict::Excepted => Counter::RequestsExcepted,
            Verdict::Suspicious => Counter::RequestsSuspicious,
        };
        self.path.counters.count(counter);
        // A request is one attempt: what is an attack is not a login as well.
        if counter != Counter::RequestsAttack
            && let Some(presented) = login::credential(request)
        {
            self.credential(meta, request, presented);
        }
    }

    fn reply(&mut self, index: u64, reply: &Reply<'_>) {
        let Some(at) = self.awaited.iter().position(|awaited| awaited.index == Some(index)) else { return };
        let Some(awaited) = self.awaited.get_mut(at) else { return };
        match &mut awaited.held {
            Held::Attempt(attempt) => {
                awaited.replied = true;
                let class = attempt.judgement.class;
                attempt.outcome = self.path.detector.outcome(class, Some(reply.status), reply.body_start);
                if let Some(http) = &mut attempt.http {
                    http.status = Some(reply.status);
                }
            }
            Held::Credential(credential) => {
                if let Some(http) = &mut credential.contact.http {
                    http.status = Some(reply.status);
                }
                match credential.presented.fate(reply) {
                    Some(Fate::AskBody) => {}
                    fate => self.settle(at, fate),
                }
            }
            Held::Contact(..) => {}
        }
    }

    fn reply_body(&mut self, index: u64, bytes: &[u8]) {
        let Some(at) = self.awaited.iter().position(|awaited| awaited.index == Some(index)) else { return };
        let Some(Awaited { held: Held::Credential(credential), .. }) = self.awaited.get_mut(at) else {
            return;
        };
        if let Some(fate) = credential.look(bytes) {
            self.settle(at, Some(fate));
        }
    }

    fn count(&mut self, counter: Counter) {
        if counter == Counter::FlowsTls {
            self.path.requested(self.view, SurgeKind::Tls);
        }
        self.path.counters.count(counter);
    }

    fn login(&mut self, at: &At, login: &found::Login<'_>) {
        let act = Act::Login(Login {
            class: login.class,
            accepted: login.accepted,
            account: login.account.and_then(account),
            inferred: login.inferred,
        });
        let contact = self.contact(at, act);
        self.hold(Held::Contact(contact, 1), None);
    }

    fn oddity(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8]) {
        self.answered(at, oddity, excerpt, Answered::default());
    }

    fn answered(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8], answered: Answered) {
        let ends = (self.view.client, self.view.server);
        let verdict = self.path.detector.judge_oddity(at.app, oddity, excerpt, ends);
        self.service(at, verdict, answered);
    }

    fn unmet(&mut self, at: &At, unmet: Unmet<'_>) {
        // Where one side alone is seen, nothing is known of what the server gave.
        if self.view.one_sided || !self.view.grade.is_proven() {
            return;
        }
        if let Some(unmet) = self.path.unmet(self.view.now, unmet, self.marks) {
            let contact = self.contact(at, Act::Unmet(unmet));
            // A message at the same place may be an attempt as well.
            let id = identity(self.view, at.offset ^ UNMET);
            self.hold(Held::Contact(Contact { id, ..contact }, 1), None);
        }
    }

    fn text(&mut self, at: &At, field: &'static str, text: &[u8]) {
        let server = self.view.server;
        let verdict = self.path.detector.judge_text(at.app, (field, text), server, &mut self.path.scratch);
        self.service(at, verdict, Answered::default());
    }

    fn mark(&mut self, mark: Mark<'_>) {
        self.marks.note(mark);
    }
}

/// Bytes of a body that are looked at again together with the next ones: the longest word that is searched for.
const TAIL_BYTES: usize = 24;

impl Credential {
    /// Looks at more of the reply's body.
    fn look(&mut self, bytes: &[u8]) -> Option<Fate> {
        let astride = [&self.tail, bytes.get(..bytes.len().min(TAIL_BYTES)).unwrap_or_default()].concat();
        let start = bytes.len().saturating_sub(TAIL_BYTES);
        let fate = self.presented.fate_by_body(bytes).or_else(|| self.presented.fate_by_body(&astride));
        self.tail =
            if bytes.len() < TAIL_BYTES { astride } else { bytes.get(start..).unwrap_or_default().to_vec() };
        fate
    }
}

impl Judge<'_> {
    /// A request that presents a credential: what becomes of it is told when the reply does.
    fn credential(&mut self, meta: &RequestMeta, request: &Request<'_>, presented: login::Credential) {
        let login = Login {
            class: Class::AuthWeb,
            accepted: false,
            account: presented.account.as_deref().and_then(account),
            inferred: false,
        };
        let at = At { offset: meta.offset, time: meta.time, frames: meta.frames, app: "http" };
        let fields = http_fields(request, meta.proxied, self.path.detector.naming_headers());
        let contact = Contact { http: Some(Box::new(fields)), ..self.contact(&at, Act::Login(login)) };
        let credential = Box::new(Credential { presented, contact, tail: Vec::new() });
        self.hold(Held::Credential(credential), Some(meta.index));
    }

    /// The fate of a credential is known, or will never be.
    fn settle(&mut self, at: usize, fate: Option<Fate>) {
        let Awaited { held, index, due, .. } = self.awaited.remove(at);
        let (Held::Credential(credential), Some(fate)) = (held, fate) else { return };
        let Credential { presented, mut contact, .. } = *credential;
        if let Act::Login(login) = &mut contact.act {
            login.accepted = fate == Fate::Accepted;
        }
        let held = Held::Contact(contact, presented.count);
        self.awaited.push(Awaited { held, index, replied: true, due });
    }

    fn contact(&self, at: &At, act: Act) -> Contact {
        Contact {
            id: identity(self.view, at.offset),
            time: self.path.by_clock(at.time),
            client: self.view.client,
            server: self.view.server,
            transport: Transport::Tcp,
            app_proto: Some(at.app),
            flow_id: flow_id(self.view),
            grade: self.view.grade,
            frames: at.frames.max(1),
            act,
            http: None,
            marks: self.marks.clone(),
        }
    }

    /// A message outside HTTP. What is clean there is not counted: such messages are no requests.
    fn service(&mut self, at: &At, verdict: Verdict, answered: Answered) {
        let counter = match verdict {
            Verdict::Attack(judgement) => {
                let meta = RequestMeta {
                    offset: at.offset,
                    time: at.time,
                    frames: at.frames,
                    ..RequestMeta::default()
                };
                let mut attempt = self.attempt(&meta, at.app, judgement);
                (attempt.outcome, attempt.inferred) = (answered.outcome, answered.inferred);
                self.hold(Held::Attempt(attempt), None);
                Counter::MessagesAttack
            }
            Verdict::Excepted => Counter::RequestsExcepted,
            Verdict::Suspicious => Counter::RequestsSuspicious,
            Verdict::Clean => return,
        };
        self.path.counters.count(counter);
    }

    fn attack(&mut self, meta: &RequestMeta, request: &Request<'_>, judgement: Judgement) {
        let mut attempt = self.attempt(meta, "http", judgement);
        attempt.http = Some(http_fields(request, meta.proxied, self.path.detector.naming_headers()));
        self.hold(Held::Attempt(attempt), Some(meta.index));
    }

    fn attempt(&mut self, meta: &RequestMeta, app: &'static str, judgement: Judgement) -> Box<Attempt> {
        let opens_session = !std::mem::replace(self.attacked, true);
        Box::new(Attempt {
            id: identity(self.view, meta.offset),
            time: self.path.by_clock(meta.time),
            client: self.view.client,
            server: self.view.server,
            transport: Transport::Tcp,
            app_proto: app,
            flow_id: flow_id(self.view),
            opens_session,
            grade: self.view.grade,
            one_sided: self.view.one_sided,
            inferred: false,
            frames: meta.frames.max(1),
            judgement,
            outcome: Outcome::default(),
            marks: self.marks.clone(),
            http: None,
        })
    }

    /// Keeps a record until its reply is there and its origin is proven, or the time for that is over.
    fn hold(&mut self, held: Held, index: Option<u64>) {
        if self.awaited.len() >= AWAITED_PER_FLOW {
            self.path.counters.count(Counter::RequestsPending);
            let first = self.awaited.remove(0).held;
            self.path.emit(first, self.view);
        }
        let due = self.view.now.plus_micros(REPLY_TIMEOUT_MICROS);
        self.path.due.push_back((due, self.view.flow));
        self.awaited.push(Awaited { held, index, replied: index.is_none(), due });
    }
}

/// Whether a client uses the proxy of its own network: whoever looks for an open one comes from outside.
fn is_of_own_proxy(view: &View, judgement: &Judgement) -> bool {
    let is_local = |address| match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    };
    judgement.class == Class::WebProxyprobe && is_local(view.client.ip()) && is_local(view.server.ip())
}

/// Identity of a message (contract §3): the 5-tuple, both initial sequence numbers, the offset in the stream.
/// SHA-256 cut to 64 bits: a collision among the attempts of two seconds is out of reach, and nobody can aim at one.
fn identity(view: &View, offset: u64) -> AttemptId {
    let mut hash = endpoints(view.client, view.server, Transport::Tcp);
    if view.forgeable {
        hash.update(FORGEABLE);
    }
    hash.update(view.initial.0.to_be_bytes());
    hash.update(view.initial.1.to_be_bytes());
    hash.update(offset.to_be_bytes());
    AttemptId(first_word(hash))
}

/// Part of the identity of what anybody can have written: a forged copy of an attempt must not count in its place.
pub const FORGEABLE: &[u8] = b"forgeable";

/// Number of a conversation, the same on every sensor that sees it.
pub fn flow_id(view: &View) -> u64 {
    let mut hash = endpoints(view.client, view.server, Transport::Tcp);
    hash.update(view.initial.0.to_be_bytes());
    hash.update(view.initial.1.to_be_bytes());
    readable(first_word(hash))
}

/// A number that JSON readers with doubles can hold; EVE's `flow_id` is a positive 64-bit integer.
pub const fn readable(number: u64) -> u64 {
    number >> 11
}

/// The 5-tuple, which every identity begins with.
pub fn endpoints(client: SocketAddr, server: SocketAddr, transport: Transport) -> Sha256 {
    let mut hash = Sha256::new();
    for end in [client, server] {
        match end.ip() {
            IpAddr::V4(v4) => hash.update(v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => hash.update(v6.octets()),
        }
        hash.update(end.port().to_be_bytes());
    }
    hash.update([transport.number()]);
    hash
}

/// The identity that a hash makes.
pub fn first_word(hash: Sha256) -> u64 {
    let digest = hash.finalize();
    digest.first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word))
}
