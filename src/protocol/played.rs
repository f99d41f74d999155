//! Dialogues played to parsers in unit tests: whole and cut in every way, with what came of them. Compiled for tests only.

use crate::model::class::Class;
use crate::model::marks::{Mark, MarkKind};
use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::model::time::Timestamp;
use crate::protocol::found::{Answered, At, Login, Oddity, Unmet};
use crate::protocol::request::Request;
use crate::protocol::{Conversation, Parser, Reply, RequestMeta, Sink};

pub use Side::{Client as C, Server as S};

/// Who says what, in turn: a dialogue without gaps.
pub type Dialogue<'a> = [(Side, &'a [u8])];

/// What a parser of text may hold: the brief's 16 KiB, and what a vector takes to grow.
const HELD_MAX_BYTES: usize = 24 << 10;

/// One act of a dialogue.
#[derive(Clone, Debug)]
pub enum Act {
    /// Bytes of the client.
    Ask(Vec<u8>),
    /// Bytes of the server.
    Answer(Vec<u8>),
    /// Lost bytes.
    Gap(Side, u64),
}

/// Bytes of the client.
pub fn ask(bytes: impl AsRef<[u8]>) -> Act {
    Act::Ask(bytes.as_ref().to_vec())
}

/// Bytes of the server.
pub fn answer(bytes: impl AsRef<[u8]>) -> Act {
    Act::Answer(bytes.as_ref().to_vec())
}

/// What came out of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Class, account, whether accepted.
    pub logins: Vec<(Class, String, bool)>,
    /// Of each login, whether it was inferred.
    pub inferred: Vec<bool>,
    /// Id and excerpt.
    pub oddities: Vec<(&'static str, String)>,
    /// What each oddity's answer said, where that was told.
    pub answers: Vec<Answered>,
    /// Names that were not there; of handshakes whether they were taken up.
    pub unmet: Vec<String>,
    /// `field=text`.
    pub texts: Vec<String>,
    /// The marks.
    pub marks: Vec<(MarkKind, String)>,
    /// Offsets of logins, oddities and texts, as they came.
    pub offsets: Vec<u64>,
    /// Requests of HTTP.
    pub requests: usize,
    /// What was counted.
    pub counted: Vec<Counter>,
    /// The protocol in the end.
    pub app: Option<&'static str>,
}

impl Heard {
    /// Whether each login was accepted.
    pub fn accepted(&self) -> Vec<bool> {
        self.logins.iter().map(|login| login.2).collect()
    }

    /// Logins refused and accepted.
    pub fn fates(&self) -> (usize, usize) {
        let accepted = self.logins.iter().filter(|login| login.2).count();
        (self.logins.len() - accepted, accepted)
    }

    /// The ids of the oddities.
    pub fn odd(&self) -> Vec<&'static str> {
        self.oddities.iter().map(|oddity| oddity.0).collect()
    }

    /// The mark of a kind.
    pub fn mark(&self, kind: MarkKind) -> Option<&str> {
        self.marks.iter().find(|mark| mark.0 == kind).map(|mark| mark.1.as_str())
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
    fn count(&mut self, counter: Counter) {
        self.counted.push(counter);
    }
    fn login(&mut self, at: &At, login: &Login<'_>) {
        assert!(at.frames > 0 || at.app.is_empty());
        self.logins.push((login.class, lossy(login.account.unwrap_or_default()), login.accepted));
        self.inferred.push(login.inferred);
        self.offsets.push(at.offset);
    }
    fn oddity(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8]) {
        assert!(at.frames > 0 || at.app.is_empty());
        self.oddities.push((oddity.id, lossy(excerpt)));
        self.offsets.push(at.offset);
    }
    fn answered(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8], answered: Answered) {
        self.oddity(at, oddity, excerpt);
        self.answers.push(answered);
    }
    fn unmet(&mut self, at: &At, unmet: Unmet<'_>) {
        assert!(at.frames > 0 || at.app.is_empty());
        self.unmet.push(match unmet {
            Unmet::Handshake { taken_up } => if taken_up { "taken up" } else { "refused" }.to_owned(),
            Unmet::Name(name) => lossy(name),
        });
    }
    fn text(&mut self, at: &At, field: &'static str, text: &[u8]) {
        self.texts.push(format!("{field}={}", lossy(text)));
        self.offsets.push(at.offset);
    }
    fn mark(&mut self, mark: Mark<'_>) {
        self.marks.push((mark.kind, lossy(mark.value)));
    }
}

/// Plays a dialogue, each side's bytes in pieces of at most `piece`.
pub fn play(dialogue: &[Act], port: u16, piece: usize) -> Heard {
    let (mut heard, mut conversation) = (Heard::default(), Conversation::default());
    let mut offsets = [0_u64; 2];
    for act in dialogue {
        let (side, bytes) = match act {
            Act::Ask(bytes) => (Side::Client, bytes),
            Act::Answer(bytes) => (Side::Server, bytes),
            Act::Gap(side, missing) => {
                offsets[usize::from(*side == Side::Server)] += missing;
                conversation.gap(*side, *missing, &mut heard);
                continue;
            }
        };
        for bytes in bytes.chunks(piece) {
            let offset = &mut offsets[usize::from(side == Side::Server)];
            let chunk = Chunk { bytes, offset: *offset, time: Timestamp(0), conflicting: false };
            *offset += bytes.len() as u64;
            conversation.data(side, &chunk, port, &mut heard);
            assert!(conversation.held() < 256 << 10, "memory is bounded");
        }
    }
    heard.app = conversation.app();
    crate::fuzzing::seeds::keep_dialogue(heard.app, dialogue, port);
    conversation.closed(Side::Client, &mut heard);
    conversation.closed(Side::Server, &mut heard);
    heard
}

/// The same result however the bytes are cut.
pub fn play_all_ways(dialogue: &[Act], port: u16) -> Heard {
    let whole = play(dialogue, port, usize::MAX);
    for piece in [1, 2, 3, 5, 7, 13, 50, 999] {
        assert_eq!(play(dialogue, port, piece), whole, "in pieces of {piece}");
    }
    whole
}

/// Who says what, as acts.
fn acts(dialogue: &Dialogue<'_>) -> Vec<Act> {
    let act = |(side, bytes): &(Side, &[u8])| if *side == C { ask(bytes) } else { answer(bytes) };
    dialogue.iter().map(act).collect()
}

/// As [`play`], of who says what.
pub fn talk(dialogue: &Dialogue<'_>, port: u16, piece: usize) -> Heard {
    play(&acts(dialogue), port, piece)
}

/// As [`play_all_ways`], of who says what on a port that says nothing.
pub fn talk_all_ways(dialogue: &Dialogue<'_>) -> Heard {
    play_all_ways(&acts(dialogue), 4_711)
}

/// Plays a dialogue whose bytes are changed at random places: nothing but its survival is asked for.
pub fn survive_damage(dialogue: &[Act], port: u16) {
    use proptest::prelude::*;
    let places = proptest::collection::vec((any::<usize>(), any::<u8>()), 1..12);
    proptest!(ProptestConfig::with_cases(128), |(places in places, piece in 1_usize..200)| {
        let mut damaged = dialogue.to_vec();
        for (place, value) in places {
            let number = place % damaged.len();
            if let Act::Ask(bytes) | Act::Answer(bytes) = &mut damaged[number]
                && !bytes.is_empty()
            {
                let place = (place / 64) % bytes.len();
                bytes[place] = value;
            }
        }
        play(&damaged, port, piece);
    });
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

/// Openings of protocols, by name: client's bytes, server's bytes. None may be taken for another.
pub const OPENINGS: &[(&str, &[u8], &[u8])] = &[
    ("http", b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", b""),
    ("tls", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03", b""),
    ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"),
    ("smtp", b"", b"220 mail.example.org ESMTP\r\n"),
    ("ftp", b"", b"220 ready\r\n"),
    ("pop3", b"", b"+OK ready\r\n"),
    ("imap", b"", b"* OK ready\r\n"),
    ("telnet", b"\xff\xfb\x18", b"\xff\xfd\x18\xff\xfd\x20"),
    ("redis", b"*1\r\n$4\r\nPING\r\n", b""),
    ("dns", b"\x00\x21\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01", b""),
    ("sip", b"OPTIONS sip:100@203.0.113.10 SIP/2.0\r\n", b""),
    ("mysql", b"", b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xf7\xff\x02\x00\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\x00caching_sha2_password\x00"),
    ("postgresql", b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b""),
    ("memcached", b"get key\r\n", b"VALUE key 0 1\r\na\r\nEND\r\n"),
    ("rdp", b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", b""),
    ("smb", b"\x00\x00\x00\x2f\xffSMB\x72\x00\x00\x00\x00\x18\x01\x28", b""),
];

/// Asserts that a row recognises the opening of its name and no other.
pub fn recognises_only(row: &crate::protocol::ProtocolRow) {
    use crate::protocol::{Opening, Recognition};
    for (name, client, server) in OPENINGS {
        let opening = Opening { client, server, port: 4_711 };
        let told = (row.recognise)(&opening);
        assert_eq!(told == Recognition::Yes, *name == row.name, "{name} by {}: {told:?}", row.name);
    }
}
