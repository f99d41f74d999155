//! PostgreSQL (frontend/backend protocol 3.0): who signs in, and whether he is let in.

use crate::model::class::Class;
use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login};
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::{Next, Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow {
    name: "postgresql",
    recognise,
    start,
    counter: Some(Counter::FlowsPostgresql),
    oddities: &[],
};

/// Longest startup message that a server takes.
const STARTUP_MAX_BYTES: usize = 10_000;
/// Longest message before somebody is let in: an error with its texts, a SASL exchange.
const MESSAGE_MAX_BYTES: usize = 32 << 10;
/// Bytes of an error that are read: its code stands in front of its texts.
const ERROR_MAX_BYTES: usize = 512;
/// Longest account name told; the server cuts at 63.
const ACCOUNT_MAX_BYTES: usize = 256;

/// The second word of a client's first message.
mod code {
    pub const CANCEL: u32 = 80_877_102;
    pub const TLS: u32 = 80_877_103;
    pub const GSS: u32 = 80_877_104;
    /// Major version 3.
    pub const STARTUP: u32 = 3 << 16;
}

/// Codes of errors that refuse what was presented: wrong password, invalid authorization (no such account among others).
const REFUSED: [&[u8]; 2] = [b"28P01", b"28000"];

/// Length, then a version or one of three other requests.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let bytes = opening.client;
    match (first_word(bytes), bytes.get(4..).and_then(first_word)) {
        (Some(8), Some(code::TLS | code::GSS)) | (Some(16), Some(code::CANCEL)) => Recognition::Yes,
        (Some(length), Some(version))
            if version & 0xffff_0000 == code::STARTUP && (9..=STARTUP_MAX_BYTES as u32).contains(&length) =>
        {
            Recognition::Yes
        }
        (_, Some(_)) => Recognition::No,
        // Lengths below 2^16 begin with two zeros.
        _ if bytes.iter().take(2).all(|byte| *byte == 0) => Recognition::More,
        _ => Recognition::No,
    }
}

fn first_word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|word| u32::from_be_bytes(*word))
}

fn start() -> Box<dyn Parser> {
    Box::new(Postgresql::default())
}

/// How far the conversation is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Startup,
    /// Encryption was asked for: the answer is one byte.
    Asked,
    SignIn,
    Tls,
    /// Let in or turned away, or lost: nothing more is read.
    Done,
}

/// One conversation.
#[derive(Debug, Default)]
struct Postgresql {
    client: Messages,
    server: Messages,
    stage: Stage,
    account: Box<[u8]>,
    /// Where the startup message began.
    begun: At,
    /// Where a secret was presented.
    presented: Option<At>,
}

impl Postgresql {
    fn client(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        match self.stage {
            Stage::Startup | Stage::Asked => match message.bytes.get(4..).and_then(first_word) {
                Some(code::TLS | code::GSS) => self.stage = Stage::Asked,
                Some(code::CANCEL) | None => self.stage = Stage::Done,
                Some(_) => self.startup(message, sink),
            },
            Stage::SignIn if message.bytes.first() == Some(&b'p') && self.presented.is_none() => {
                self.presented = Some(message.at);
            }
            Stage::SignIn | Stage::Tls | Stage::Done => {}
        }
    }

    /// Names and values, each behind a zero.
    fn startup(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        (self.stage, self.begun) = (Stage::SignIn, message.at);
        let mut words = message.bytes.get(8..).unwrap_or_default().split(|byte| *byte == 0);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name == b"user" {
                self.account = value.get(..value.len().min(ACCOUNT_MAX_BYTES)).unwrap_or(value).into();
                sink.text(&message.at, "user", &self.account);
                return;
            }
        }
    }

    fn server(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        match (self.stage, message.bytes) {
            (Stage::Asked, [b'S' | b'G', ..]) => self.stage = Stage::Tls,
            // Refused, so the client goes on in clear.
            (Stage::Asked, [b'N', ..]) => self.stage = Stage::Startup,
            (Stage::SignIn, [b'R', _, _, _, _, 0, 0, 0, 0, ..]) => {
                self.tell(self.presented.unwrap_or(self.begun), sink, Fate::Accepted);
            }
            (Stage::SignIn, [b'E', _, _, _, _, fields @ ..]) => match self.presented {
                Some(at) if is_refusal(fields) => self.tell(at, sink, Fate::Refused),
                // Without a secret there was no login: no such database, no rule for that host.
                _ => self.stage = Stage::Done,
            },
            (Stage::Asked, _) => self.stage = Stage::Done,
            _ => {}
        }
    }

    fn tell(&mut self, at: At, sink: &mut dyn Sink, fate: Fate) {
        self.stage = Stage::Done;
        let (account, accepted) = (Some(&*self.account), fate == Fate::Accepted);
        sink.login(&at, &Login { class: Class::AuthDb, account, accepted, inferred: false });
    }
}

/// What became of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Accepted,
    Refused,
}

/// The field `C` of an error is its code.
fn is_refusal(fields: &[u8]) -> bool {
    let mut fields = fields.split(|byte| *byte == 0);
    fields.any(|field| field.strip_prefix(b"C").is_some_and(|code| REFUSED.contains(&code)))
}

impl Parser for Postgresql {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        if matches!(self.stage, Stage::Tls | Stage::Done) {
            return;
        }
        let mut feed = Feed::of(chunk);
        let mut messages = match from {
            Side::Client => std::mem::take(&mut self.client),
            Side::Server => std::mem::take(&mut self.server),
        };
        loop {
            let stage = self.stage;
            let Some(message) = messages.pull(&mut feed, |bytes| size(from, stage, bytes)) else { break };
            match from {
                Side::Client => self.client(message, sink),
                Side::Server => self.server(message, sink),
            }
            if matches!(self.stage, Stage::Tls | Stage::Done) {
                return;
            }
        }
        match from {
            Side::Client => self.client = messages,
            Side::Server => self.server = messages,
        }
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        let messages = match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        messages.gap(missing);
        if messages.is_lost() {
            self.stage = Stage::Done;
        }
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        size_of::<Self>() + self.client.held() + self.server.held() + self.account.len()
    }

    fn next(&self) -> Option<Next> {
        (self.stage == Stage::Tls).then_some(Next::Anew)
    }
}

/// First messages are a length and a body, an answer to a wish for encryption one byte, all else a type, a length and a body.
fn size(from: Side, stage: Stage, bytes: &[u8]) -> Size {
    let is_first = from == Side::Client && matches!(stage, Stage::Startup | Stage::Asked);
    if is_first {
        return match first_word(bytes).map(|length| length as usize) {
            Some(length) if (8..=STARTUP_MAX_BYTES).contains(&length) => {
                Size::Whole { length, wanted: length }
            }
            Some(_) => Size::Broken,
            None => Size::More,
        };
    }
    if stage == Stage::Asked && matches!(bytes, [b'S' | b'G' | b'N', ..]) {
        return Size::Whole { length: 1, wanted: 1 };
    }
    let Some(length) = bytes.get(1..).and_then(first_word).map(|length| length as usize) else {
        return Size::More;
    };
    if !(4..=MESSAGE_MAX_BYTES).contains(&length) {
        return Size::Broken;
    }
    let wanted = if from == Side::Server { ERROR_MAX_BYTES } else { 1 };
    Size::Whole { length: length + 1, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{
        Act, Heard, answer, ask, play, play_all_ways, recognises_only, survive_damage,
    };

    fn startup() -> Act {
        let body = b"\0\x03\0\0database\0files\0user\0clerk\0\0";
        ask([&(body.len() as u32 + 4).to_be_bytes()[..], body].concat())
    }

    fn typed(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
    }

    fn error(code: &str) -> Act {
        answer(typed(
            b'E',
            format!("SFATAL\0VFATAL\0C{code}\0Mpassword authentication failed\0\0").as_bytes(),
        ))
    }

    fn played(rest: &[Act]) -> Heard {
        play_all_ways(&[&[startup()], rest].concat(), 6_432)
    }

    #[test]
    fn logins_are_told_by_the_answer() {
        let sasl = [
            answer(typed(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0")),
            ask(typed(b'p', b"SCRAM-SHA-256\0\0\0\0\x04n,,n")),
            answer(typed(b'R', b"\0\0\0\x0br=abc")),
            ask(typed(b'p', b"c=biws,r=abc,p=proof")),
        ];
        let refused = played(&[&sasl[..], &[error("28P01")]].concat());
        assert_eq!(
            (&refused.logins[..], refused.inferred[0]),
            (&[(Class::AuthDb, "clerk".into(), false)][..], false)
        );
        let granted = [
            answer(typed(b'R', b"\0\0\0\x0cv=x")),
            answer([typed(b'R', &[0; 4]), typed(b'Z', b"I")].concat()),
        ];
        assert_eq!(played(&[&sasl[..], &granted].concat()).accepted(), [true]);
        let clear = [answer(typed(b'R', &[0, 0, 0, 3])), ask(typed(b'p', b"guess\0")), error("28000")];
        assert_eq!(played(&clear).accepted(), [false]);
    }

    #[test]
    fn what_presents_no_secret_is_no_failed_login() {
        assert!(played(&[error("28000")]).logins.is_empty(), "no rule for that host");
        assert!(
            played(&[answer(typed(b'R', &[0, 0, 0, 10]))]).logins.is_empty(),
            "asked for a password and left"
        );
        assert!(
            played(&[answer(typed(b'R', &[0, 0, 0, 3])), ask(typed(b'p', b"x\0")), error("3D000")])
                .logins
                .is_empty()
        );
        assert_eq!(played(&[answer(typed(b'R', &[0; 4]))]).accepted(), [true], "trusted");
    }

    #[test]
    fn encryption_is_handed_on_where_the_server_agrees() {
        let wish = ask(b"\0\0\0\x08\x04\xd2\x16\x2f");
        let hello = ask(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03");
        assert_eq!(play_all_ways(&[wish.clone(), answer("S"), hello], 5432).app, Some("tls"));
        let refused = [
            ask(b"\0\0\0\x08\x04\xd2\x16\x30"),
            answer("N"),
            wish,
            answer("N"),
            startup(),
            answer(typed(b'R', &[0; 4])),
        ];
        assert_eq!(play_all_ways(&refused, 5432).accepted(), [true]);
    }

    #[test]
    fn what_is_lost_is_not_guessed() {
        let lost = [startup(), Act::Gap(Side::Client, 20), answer(typed(b'R', &[0; 4]))];
        assert!(play(&lost, 5432, 999).logins.is_empty());
    }

    #[test]
    fn openings_of_others_are_not_taken_and_damage_is_survived() {
        recognises_only(&ROW);
        survive_damage(
            &[startup(), answer(typed(b'R', &[0, 0, 0, 3])), ask(typed(b'p', b"x\0")), error("28P01")],
            5432,
        );
    }
}
