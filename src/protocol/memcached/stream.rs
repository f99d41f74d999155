//! memcached over TCP, in text and in binary: what empties, dumps or stops a cache that asks nobody for a password.
//!
//! Values are data of others: they are passed over. Keys are judged as text only where they hold what no key of a program does.

use crate::model::attempt::Outcome;
use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{Answered, At, Oddity};
use crate::protocol::lines::{Feed, Lines, REPLY_MAX_BYTES, first_line, split_word};
use crate::protocol::memcached::binary::{self, Binary};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow {
    name: "memcached",
    recognise,
    start,
    counter: None,
    oddities: &[&DUMP, &SHUTDOWN, &OVERFLOW, &FLUSH, &STATS],
};

/// Programs know their keys; who lists them wants what others put there.
pub static DUMP: Oddity = Oddity {
    id: "memcached.dump",
    class: Class::ExploitService,
    weight: 0.92,
    title: "Keys of a memcached listed over TCP (stats cachedump, lru_crawler metadump)",
};
/// Administrators stop the service, not the conversation.
pub static SHUTDOWN: Oddity = Oddity {
    id: "memcached.shutdown",
    class: Class::ExploitService,
    weight: 0.95,
    title: "memcached told to end (shutdown)",
};
/// A body shorter than the key in it makes an old server count below zero.
pub static OVERFLOW: Oddity = Oddity {
    id: "memcached.overflow",
    class: Class::ExploitService,
    weight: 0.97,
    title: "Binary request whose body is shorter than its key (CVE-2016-8704 to 8706)",
};
/// Programs empty their cache with each new version of theirs: suspicious, not counted.
pub static FLUSH: Oddity = Oddity {
    id: "memcached.flush_all",
    class: Class::ExploitService,
    weight: 0.6,
    title: "memcached emptied over TCP (flush_all)",
};
/// So asks whoever looks for open caches, and every monitor: suspicious, not counted.
pub static STATS: Oddity = Oddity {
    id: "memcached.stats",
    class: Class::ScanService,
    weight: 0.6,
    title: "memcached asked over TCP for its statistics or version, first of all",
};

/// Words that begin a command. Those that other protocols have as well are told by the server's answer.
const COMMANDS: [&[u8]; 19] = [
    b"stats",
    b"version",
    b"get",
    b"gets",
    b"gat",
    b"gats",
    b"set",
    b"add",
    b"replace",
    b"append",
    b"prepend",
    b"cas",
    b"delete",
    b"incr",
    b"decr",
    b"touch",
    b"flush_all",
    b"lru_crawler",
    b"shutdown",
];
/// Words that begin an answer.
const ANSWERS: [&[u8]; 17] = [
    b"STAT",
    b"VALUE",
    b"END",
    b"VERSION",
    b"STORED",
    b"NOT_STORED",
    b"EXISTS",
    b"NOT_FOUND",
    b"DELETED",
    b"TOUCHED",
    b"ITEM",
    b"OK",
    b"ERROR",
    b"CLIENT_ERROR",
    b"SERVER_ERROR",
    b"RESET",
    b"BUSY",
];
/// Bytes kept of a client's line: a command with a key of 250, or some keys.
const LINE_BYTES: usize = 1_024;
/// Bytes of a command that are told.
const TOLD_BYTES: usize = 64;

/// A client begins with a command in small letters, which the server answers in capitals; or with a binary request.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let client = opening.client;
    match client {
        [] => return Recognition::No,
        [0x80, ..] => return binary::recognise(client),
        _ => {}
    }
    let end = client.iter().position(u8::is_ascii_whitespace);
    let word = client.get(..end.unwrap_or(client.len())).unwrap_or_default();
    let known = match end {
        Some(_) => COMMANDS.contains(&word),
        None => COMMANDS.iter().any(|command| command.starts_with(word)),
    };
    match (known, first_line(opening.server)) {
        (true, Some(line)) if ANSWERS.contains(&split_word(line).0) => Recognition::Yes,
        (true, None) if opening.server.first().is_none_or(u8::is_ascii_uppercase) => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Memcached {
        client: Lines::new(LINE_BYTES),
        server: Lines::new(REPLY_MAX_BYTES),
        talk: Talk::default(),
        binary: None,
    })
}

#[derive(Debug)]
struct Memcached {
    client: Lines,
    server: Lines,
    talk: Talk,
    /// What reads the conversation instead, where its first byte says so.
    binary: Option<Box<Binary>>,
}

/// What is said in text.
#[derive(Debug, Default)]
struct Talk {
    /// Whether anything was asked.
    has_asked: bool,
    /// Commands whose answer has not ended.
    outstanding: u64,
    pending: Option<Pending>,
}

/// An odd command whose answer is awaited.
#[derive(Debug)]
struct Pending {
    at: At,
    oddity: &'static Oddity,
    said: Box<[u8]>,
    /// Answers that come before its own.
    before: u64,
}

impl Parser for Memcached {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        if !self.talk.has_asked
            && self.binary.is_none()
            && from == Side::Client
            && chunk.bytes.first() == Some(&0x80)
        {
            self.binary = Some(Box::default());
        }
        if let Some(binary) = &mut self.binary {
            return binary.data(from, chunk, sink);
        }
        let mut feed = Feed::of(chunk);
        match from {
            Side::Client => {
                while let Some(line) = self.client.line(&mut feed) {
                    let block = self.talk.command(&line.at, line.text, sink);
                    self.client.skip(block);
                }
            }
            Side::Server => {
                while let Some(line) = self.server.line(&mut feed) {
                    let block = self.talk.answer(line.text, sink);
                    self.server.skip(block);
                }
            }
        }
    }

    fn gap(&mut self, from: Side, missing: u64, sink: &mut dyn Sink) {
        if let Some(binary) = &mut self.binary {
            return binary.gap(from, missing);
        }
        match from {
            Side::Client => self.client.gap(missing),
            Side::Server => self.server.gap(missing),
        }
        // Which answer is whose is not known any more.
        self.talk.tell(Outcome::Attempted, sink);
    }

    fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        if from == Side::Server {
            self.talk.tell(Outcome::Attempted, sink);
        }
    }

    fn held(&self) -> usize {
        let said = self.talk.pending.as_ref().map_or(0, |pending| pending.said.len());
        let binary = self.binary.as_ref().map_or(0, |binary| size_of::<Binary>() + binary.held());
        size_of::<Self>() + self.client.held() + self.server.held() + said + binary
    }
}

impl Talk {
    /// A command; gives back how many bytes of a value follow it.
    fn command(&mut self, at: &At, line: &[u8], sink: &mut dyn Sink) -> u64 {
        let (word, rest) = split_word(line);
        if word.is_empty() {
            return 0;
        }
        let is_first = !std::mem::replace(&mut self.has_asked, true);
        if !rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b" _:./-+=|,#@".contains(byte)) {
            sink.text(at, "command", line);
        }
        let (object, _) = split_word(rest);
        let is_quiet = rest.ends_with(b"noreply");
        let oddity = match (word, object) {
            (b"stats", b"cachedump") | (b"lru_crawler", b"metadump" | b"mgdump") => Some(&DUMP),
            (b"shutdown", _) => Some(&SHUTDOWN),
            (b"flush_all", _) => Some(&FLUSH),
            (b"stats" | b"version", _) if is_first => Some(&STATS),
            _ => None,
        };
        if let Some(oddity) = oddity {
            self.tell(Outcome::Attempted, sink);
            let said = line.get(..line.len().min(TOLD_BYTES)).unwrap_or_default().into();
            self.pending = Some(Pending { at: *at, oddity, said, before: self.outstanding });
        }
        self.outstanding = self.outstanding.saturating_add(u64::from(!is_quiet));
        // The value of a command that stores is its fourth argument long, with a line end.
        match word {
            b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
                number(rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(3))
            }
            _ => 0,
        }
    }

    /// A line of an answer; gives back how many bytes of a value follow it.
    fn answer(&mut self, line: &[u8], sink: &mut dyn Sink) -> u64 {
        let (word, rest) = split_word(line);
        if self.pending.as_ref().is_some_and(|pending| pending.before == 0) {
            self.tell(
                match word {
                    b"END" => Outcome::Attempted,
                    b"BUSY" | b"CLIENT_ERROR" | b"SERVER_ERROR" => Outcome::Refused,
                    _ if word.starts_with(b"ERROR") => Outcome::Refused,
                    _ => Outcome::LikelySuccess,
                },
                sink,
            );
        }
        match word {
            b"VALUE" => {
                return number(rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(2));
            }
            b"STAT" | b"ITEM" => return 0,
            _ if word.starts_with(b"key=") => return 0,
            _ => {}
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        if let Some(pending) = &mut self.pending {
            pending.before = pending.before.saturating_sub(1);
        }
        0
    }

    fn tell(&mut self, outcome: Outcome, sink: &mut dyn Sink) {
        if let Some(Pending { at, oddity, said, .. }) = self.pending.take() {
            sink.answered(&at, oddity, &said, Answered { outcome, inferred: false });
        }
    }
}

/// Bytes of a value with its line end; nothing where no number says so.
fn number(word: Option<&[u8]>) -> u64 {
    let text = word.and_then(|word| std::str::from_utf8(word).ok());
    text.and_then(|text| text.parse::<u64>().ok()).map_or(0, |bytes| bytes.saturating_add(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, Heard, S, any_acts, recognises_only, survives, talk, talk_all_ways};

    /// Id, outcome and excerpt of each oddity.
    fn told(heard: &Heard) -> Vec<(&'static str, Outcome, &str)> {
        let outcomes = heard.answers.iter().map(|answered| answered.outcome);
        heard
            .oddities
            .iter()
            .zip(outcomes)
            .map(|((id, said), outcome)| (*id, outcome, said.as_str()))
            .collect()
    }

    #[test]
    fn a_program_that_keeps_and_fetches_values_is_silent() {
        let heard = talk_all_ways(&[
            (C, b"set user:4711 0 60 11\r\nflush_all\r\n\r\n"),
            (S, b"STORED\r\n"),
            (C, b"get user:4711 other\r\nincr hits 1\r\n"),
            (S, b"VALUE user:4711 0 11\r\nERROR\r\nEND\r\n\r\nEND\r\n12\r\n"),
            (C, b"version\r\nquit\r\n"),
            (S, b"VERSION 1.6.18\r\n"),
        ]);
        assert_eq!((heard.app, heard.odd(), heard.texts.len()), (Some("memcached"), vec![], 0));
    }

    #[test]
    fn what_lists_stops_or_empties_is_told_with_its_answer() {
        let heard = talk_all_ways(&[
            (C, b"stats\r\n"),
            (S, b"STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n"),
            (C, b"get a\r\nstats cachedump 1 100\r\n"),
            (S, b"VALUE a 0 5\r\nERROR\r\nEND\r\nITEM secret [9 b; 0 s]\r\nEND\r\n"),
            (C, b"stats cachedump 2 100\r\n"),
            (S, b"END\r\n"),
            (C, b"lru_crawler metadump all\r\n"),
            (S, b"key=a exp=0\r\nEND\r\n"),
            (C, b"flush_all\r\n"),
            (S, b"OK\r\n"),
            (C, b"shutdown\r\n"),
            (S, b"ERROR: shutdown not enabled\r\n"),
            (C, b"shutdown\r\n"),
        ]);
        assert_eq!(
            told(&heard),
            [
                ("memcached.stats", Outcome::LikelySuccess, "stats"),
                ("memcached.dump", Outcome::LikelySuccess, "stats cachedump 1 100"),
                ("memcached.dump", Outcome::Attempted, "stats cachedump 2 100"),
                ("memcached.dump", Outcome::LikelySuccess, "lru_crawler metadump all"),
                ("memcached.flush_all", Outcome::LikelySuccess, "flush_all"),
                ("memcached.shutdown", Outcome::Refused, "shutdown"),
                ("memcached.shutdown", Outcome::Attempted, "shutdown"),
            ]
        );
    }

    #[test]
    fn keys_that_no_program_has_are_judged_as_text() {
        let heard = talk_all_ways(&[(C, b"get ${jndi:ldap://x/a}\r\n"), (S, b"END\r\n")]);
        assert_eq!(heard.texts, ["command=get ${jndi:ldap://x/a}"]);
    }

    /// Command, key length, extras, body.
    fn request(command: u8, key: u8, extras: u8, body: &[u8], length: u32) -> Vec<u8> {
        let mut bytes = vec![0x80, command, 0, key, extras, 0, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend(body);
        bytes
    }

    fn response(command: u8, status: u8) -> Vec<u8> {
        let mut bytes = vec![0x81, command, 0, 0, 0, 0, 0, status];
        bytes.extend([0; 16]);
        bytes
    }

    #[test]
    fn in_binary_a_body_shorter_than_its_key_is_an_attack_and_a_password_is_a_login() {
        let store = request(1, 3, 8, b"12345678keyvalue", 16);
        let heard = talk_all_ways(&[
            (C, &store),
            (S, &response(1, 0)),
            (C, &request(0x0e, 250, 0, b"", 0)),
            (S, &response(0x0e, 4)),
        ]);
        assert_eq!((heard.app, heard.odd()), (Some("memcached"), vec!["memcached.overflow"]));
        assert_eq!(heard.offsets, [store.len() as u64]);
        let guess = |secret: &str| request(0x21, 5, 0, format!("PLAIN\0alice\0{secret}").as_bytes(), 17);
        let heard = talk_all_ways(&[
            (C, &guess("wrong")),
            (S, &response(0x21, 0x20)),
            (C, &guess("right")),
            (S, &response(0x21, 0)),
            (C, &request(0x10, 9, 0, b"cachedump", 9)),
            (C, &request(8, 0, 0, b"", 0)),
        ]);
        let login = |accepted| (Class::AuthDb, "alice".to_owned(), accepted);
        assert_eq!(heard.logins, [login(false), login(true)]);
        assert_eq!(heard.odd(), ["memcached.dump", "memcached.flush_all"]);
    }

    #[test]
    fn others_that_begin_alike_are_not_taken() {
        recognises_only(&ROW);
        for (client, server, app) in [
            (&b"get key\r\n"[..], &b"$-1\r\n"[..], "redis"),
            (b"version\r\n", b"1.2 of something\r\n", "unknown"),
            (b"get lost\r\n", b"bye\r\n", "unknown"),
            (b"STATS\r\n", b"STAT a 1\r\n", "unknown"),
        ] {
            assert_eq!(
                talk(&[(C, client), (S, server)], 11_211, 99).app,
                Some(app),
                "{}",
                client.escape_ascii()
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_is_survived_and_little_is_held(acts in any_acts()) {
            let binary = request(0x21, 5, 0, b"PLAIN\0a\0b", 9);
            let words: &[&[u8]] = &[
                b"set a 0 0 5\r\nhello\r\n",
                b"stats cachedump 1 1\r\n",
                b"VALUE a 0 18446744073709551615\r\n",
                b"END\r\n",
                b"set a 0 0 18446744073709551615\r\n",
                &binary,
            ];
            survives(start(), words, &acts);
        }
    }
}
