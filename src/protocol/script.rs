//! Dialogues for the tests of stream protocols: played whole and cut in every way, with what came of them.

#![expect(clippy::missing_panics_doc, reason = "a test's helper panics where the test fails")]

use crate::model::class::Class;
use crate::model::marks::Mark;
use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::model::time::Timestamp;
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::request::Request;
use crate::protocol::{Conversation, Parser, Reply, RequestMeta, Sink};

pub use Side::{Client as C, Server as S};

/// Who says what, in turn.
pub type Dialogue<'a> = [(Side, &'a [u8])];

/// What a conversation may hold: the brief's 16 KiB, and what a vector takes to grow.
const HELD_MAX_BYTES: usize = 24 << 10;

/// What came out of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Class, account, whether accepted.
    pub logins: Vec<(Class, String, bool)>,
    /// Id and excerpt.
    pub oddities: Vec<(&'static str, String)>,
    /// `field=text`.
    pub texts: Vec<String>,
    /// Values.
    pub marks: Vec<String>,
    /// Offsets of all of these.
    pub offsets: Vec<u64>,
    /// Requests of HTTP.
    pub requests: usize,
    /// The protocol at the end.
    pub app: Option<&'static str>,
}

impl Heard {
    /// Logins refused and accepted.
    pub fn fates(&self) -> (usize, usize) {
        let accepted = self.logins.iter().filter(|login| login.2).count();
        (self.logins.len() - accepted, accepted)
    }

    /// Ids of the oddities.
    pub fn odd(&self) -> Vec<&'static str> {
        self.oddities.iter().map(|oddity| oddity.0).collect()
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Sink for Heard {
    fn request(&mut self, _: &RequestMeta, _: &Request<'_>) {
        self.requests += 1;
    }
    fn reply(&mut self, _: u64, _: &Reply<'_>) {}
    fn count(&mut self, _: Counter) {}
    fn login(&mut self, at: &At, login: &Login<'_>) {
        self.logins.push((login.class, lossy(login.account.unwrap_or_default()), login.accepted));
        self.offsets.push(at.offset);
    }
    fn oddity(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8]) {
        self.oddities.push((oddity.id, lossy(excerpt)));
        self.offsets.push(at.offset);
    }
    fn text(&mut self, at: &At, field: &'static str, text: &[u8]) {
        self.texts.push(format!("{field}={}", lossy(text)));
        self.offsets.push(at.offset);
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.marks.push(lossy(mark.value));
    }
}

/// Plays a dialogue, each side's bytes in pieces of at most `piece`.
pub fn play(dialogue: &Dialogue<'_>, port: u16, piece: usize) -> Heard {
    let (mut heard, mut conversation) = (Heard::default(), Conversation::default());
    let mut offsets = [0_u64; 2];
    for (side, bytes) in dialogue {
        for bytes in bytes.chunks(piece) {
            let offset = &mut offsets[usize::from(*side == S)];
            let chunk = Chunk { bytes, offset: *offset, time: Timestamp(0), conflicting: false };
            *offset += bytes.len() as u64;
            conversation.data(*side, &chunk, port, &mut heard);
        }
    }
    heard.app = conversation.app();
    conversation.closed(C, &mut heard);
    conversation.closed(S, &mut heard);
    heard
}

/// The same result however the bytes are cut, on a port that says nothing.
pub fn play_all_ways(dialogue: &Dialogue<'_>) -> Heard {
    let whole = play(dialogue, 4_711, usize::MAX);
    for piece in [1, 2, 3, 7, 50] {
        assert_eq!(play(dialogue, 4_711, piece), whole, "in pieces of {piece}");
    }
    whole
}

/// What a hostile peer may do: from the server or not, bytes, and what becomes of them.
pub fn any_acts() -> impl proptest::strategy::Strategy<Value = Vec<(bool, Vec<u8>, u8)>> {
    use proptest::collection::vec;
    vec((proptest::bool::ANY, vec(0_u8..=255, 0..200), 0_u8..8), 0..30)
}

/// Drives a parser with words of its own protocol, random bytes, gaps and ends; it must hold little and not fall over.
pub fn survives(mut parser: Box<dyn Parser>, words: &[&[u8]], acts: &[(bool, Vec<u8>, u8)]) {
    let mut heard = Heard::default();
    for (from_server, bytes, act) in acts {
        let side = if *from_server { S } else { C };
        let word = words[usize::from(*bytes.first().unwrap_or(&0)) % words.len()];
        let said = match act {
            0..=2 => word.to_vec(),
            3 => [word, bytes].concat(),
            _ => bytes.clone(),
        };
        let chunk = Chunk { bytes: &said, offset: 7, time: Timestamp(0), conflicting: false };
        match act {
            6 => parser.gap(side, bytes.len() as u64, &mut heard),
            7 => parser.closed(side, &mut heard),
            _ => parser.data(side, &chunk, &mut heard),
        }
        assert!(parser.held() <= HELD_MAX_BYTES, "{} bytes held", parser.held());
    }
}
