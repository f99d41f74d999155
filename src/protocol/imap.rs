//! IMAP (RFC 9051, RFC 3501): credentials and their fate, commands.
//!
//! A command is a line that literals may interrupt (`{6}` at its end, then six bytes, then the line goes on).

use std::collections::VecDeque;

use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login};
use crate::protocol::lines::{
    Feed, LINE_MAX_BYTES, Line, Lines, REPLY_MAX_BYTES, account_of, begins, is_one_of, may_become, split_word,
};
use crate::protocol::sasl::{self, Exchange};
use crate::protocol::{Next, Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow { name: "imap", recognise, start, counter: None, oddities: &[] };

/// Words after the tag with which a client begins.
const FIRST_WORDS: &[&str] =
    &["LOGIN", "AUTHENTICATE", "CAPABILITY", "STARTTLS", "ID", "NAMESPACE", "LOGOUT"];
/// Words after `*` with which a server begins (RFC 9051 §7.1).
const GREETINGS: [&[u8]; 3] = [b"* OK", b"* PREAUTH", b"* BYE"];
/// Reasons of a refusal that are not the credential's fault (RFC 5530 §3).
const TROUBLE: [&str; 3] = ["[UNAVAILABLE]", "[PRIVACYREQUIRED]", "[INUSE]"];
/// Bytes kept of a tag: clients count with a letter and some digits.
const TAG_MAX_BYTES: usize = 32;
/// Commands whose tagged reply is awaited; only those that may let somebody in are kept.
const AWAITED_MAX: usize = 32;

/// The server greets with `* OK`; a client that was not heard from its beginning says a tag and a word of the protocol.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let server = opening.server;
    if GREETINGS.iter().any(|greeting| server.starts_with(greeting)) {
        Recognition::Yes
    } else if !server.is_empty() && GREETINGS.iter().any(|greeting| greeting.starts_with(server)) {
        Recognition::More
    } else {
        by_client(opening)
    }
}

/// A tag and a word of the protocol; a server that has spoken must have said the tag, too.
fn by_client(opening: &Opening<'_>) -> Recognition {
    let (tag, rest) = split_word(opening.client.split(|byte| *byte == b'\n').next().unwrap_or_default());
    if tag.len() > TAG_MAX_BYTES || !tag.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.') {
        return Recognition::No;
    }
    if !opening.server.is_empty() && (tag.is_empty() || !opening.server.starts_with(tag)) {
        return Recognition::No;
    }
    let (word, after) = split_word(rest);
    let is_whole = !after.is_empty() || opening.client.contains(&b'\n');
    match is_whole {
        true if is_one_of(word, FIRST_WORDS) => Recognition::Yes,
        false if may_become(word, FIRST_WORDS) => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Imap {
        client: Lines::new(LINE_MAX_BYTES),
        server: Lines::new(REPLY_MAX_BYTES),
        talk: Talk::default(),
    })
}

#[derive(Debug)]
struct Imap {
    client: Lines,
    server: Lines,
    talk: Talk,
}

/// What a tagged reply decides.
#[derive(Debug)]
enum Asked {
    Auth(Exchange),
    /// `LOGIN`.
    Login(At, Option<Box<[u8]>>),
    /// `STARTTLS`.
    Secure,
}

/// A `LOGIN` whose words have not all come.
#[derive(Debug)]
struct Opened {
    tag: Box<[u8]>,
    at: At,
    account: Option<Box<[u8]>>,
    words: usize,
    /// Whether a literal comes next, which is one word.
    in_literal: bool,
}

impl Opened {
    fn add(&mut self, word: &[u8], sink: &mut dyn Sink) {
        if self.words == 0 {
            // One byte on: the name is judged as a message of its own beside the login.
            sink.text(&self.at.plus(1), "user", word);
            self.account = account_of(word);
        }
        self.words += 1;
    }
}

#[derive(Debug, Default)]
struct Talk {
    awaited: VecDeque<(Box<[u8]>, Asked)>,
    opened: Option<Opened>,
    /// Whether the next line goes on with a command of no interest.
    goes_on: bool,
    prompt: sasl::Asked,
    /// Whether the client was let in: what follows are mails.
    is_inside: bool,
    /// Whether what follows is TLS.
    is_secured: bool,
}

/// What follows a piece of the client's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    /// A line.
    Line,
    /// A literal that is a word of a login.
    Literal(u64),
    /// A literal of no interest.
    Skipped(u64),
}

impl Parser for Imap {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        match from {
            Side::Client => {
                while let Some(line) = self.client.line(&mut feed) {
                    match self.talk.client(&line, sink) {
                        Then::Line => {}
                        Then::Literal(length) => self.client.expect_block(length),
                        Then::Skipped(length) => self.client.skip(length),
                    }
                }
            }
            Side::Server if self.talk.is_inside => {}
            Side::Server => {
                while let Some(line) = self.server.line(&mut feed) {
                    self.talk.reply(&line, sink);
                }
            }
        }
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        match from {
            Side::Client => {
                self.client.gap(missing);
                (self.talk.opened, self.talk.goes_on) = (None, false);
            }
            Side::Server => self.server.gap(missing),
        }
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        let awaited = self.talk.awaited.capacity() * (size_of::<(Box<[u8]>, Asked)>() + TAG_MAX_BYTES);
        size_of::<Self>() + self.client.held() + self.server.held() + awaited
    }

    fn next(&self) -> Option<Next> {
        self.talk.is_secured.then_some(Next::Anew)
    }
}

impl Talk {
    fn client(&mut self, line: &Line<'_>, sink: &mut dyn Sink) -> Then {
        if let Some(opened) = self.opened.take() {
            return self.login(opened, line.text, sink);
        }
        if std::mem::take(&mut self.goes_on) {
            return self.pass_over(line.text);
        }
        if let Some((_, Asked::Auth(exchange))) = self.awaited.back_mut()
            && exchange.awaits_response(self.prompt)
        {
            exchange.response(line.text);
            self.prompt = sasl::Asked::No;
            return Then::Line;
        }
        self.command(line, sink)
    }

    fn command(&mut self, line: &Line<'_>, sink: &mut dyn Sink) -> Then {
        let (tag, rest) = split_word(line.text);
        let (verb, words) = split_word(rest);
        let tag: Box<[u8]> = tag.get(..tag.len().min(TAG_MAX_BYTES)).unwrap_or_default().into();
        if is_one_of(verb, &["LOGIN"]) {
            let opened = Opened { tag, at: line.at, account: None, words: 0, in_literal: false };
            return self.login(opened, words, sink);
        }
        if is_one_of(verb, &["AUTHENTICATE"]) {
            let (mechanism, initial) = split_word(words);
            self.prompt = sasl::Asked::No;
            self.wait_for(tag, Asked::Auth(Exchange::begin(mechanism, initial, line.at)));
            return Then::Line;
        }
        if is_one_of(verb, &["STARTTLS"]) {
            self.wait_for(tag, Asked::Secure);
        }
        sink.text(&line.at, "command", rest);
        self.pass_over(line.text)
    }

    /// The words of a login, or the next of them.
    fn login(&mut self, mut opened: Opened, text: &[u8], sink: &mut dyn Sink) -> Then {
        if std::mem::take(&mut opened.in_literal) {
            opened.add(text, sink);
            self.opened = Some(opened);
            return Then::Line;
        }
        let length = literal(text);
        let mut rest = if length.is_some() { before_literal(text) } else { text };
        while let Some((word, after)) = next_word(rest) {
            rest = after;
            opened.add(word, sink);
        }
        let Some(length) = length else {
            if opened.words >= 2 {
                self.wait_for(opened.tag, Asked::Login(opened.at, opened.account));
            }
            return Then::Line;
        };
        opened.in_literal = (1..=LINE_MAX_BYTES as u64).contains(&length);
        if !opened.in_literal {
            opened.words += 1;
        }
        let then = if opened.in_literal { Then::Literal(length) } else { Then::Skipped(length) };
        self.opened = Some(opened);
        then
    }

    /// The literal at the end of a command of no interest, such as the mail that `APPEND` stores.
    fn pass_over(&mut self, text: &[u8]) -> Then {
        let Some(length) = literal(text) else { return Then::Line };
        self.goes_on = true;
        Then::Skipped(length)
    }

    fn wait_for(&mut self, tag: Box<[u8]>, asked: Asked) {
        if self.awaited.len() >= AWAITED_MAX {
            self.awaited.pop_front();
        }
        self.awaited.push_back((tag, asked));
    }

    fn reply(&mut self, line: &Line<'_>, sink: &mut dyn Sink) {
        let (tag, rest) = split_word(line.text);
        if tag == b"+" {
            self.prompt = sasl::Asked::Yes;
            return;
        }
        let Some(place) = self.awaited.iter().position(|(awaited, _)| **awaited == *tag) else { return };
        let Some((_, asked)) = self.awaited.remove(place) else { return };
        let (word, reason) = split_word(rest);
        let accepted = is_one_of(word, &["OK"]);
        let (at, account) = match asked {
            Asked::Login(at, account) => (at, account),
            Asked::Auth(exchange) if exchange.is_presented => {
                if let Some(name) = &exchange.account {
                    sink.text(&exchange.at.plus(1), "user", name);
                }
                (exchange.at, exchange.account)
            }
            Asked::Secure => {
                self.is_secured = accepted;
                return;
            }
            Asked::Auth(_) => return,
        };
        let refused = is_one_of(word, &["NO"]) && !TROUBLE.iter().any(|trouble| begins(reason, trouble));
        if accepted || refused {
            self.is_inside |= accepted;
            let account = account.as_deref();
            sink.login(&at, &Login { class: Class::AuthMail, account, accepted, inferred: false });
        }
    }
}

/// The length of the literal that a line ends with: `{6}`, or `{6+}` where nobody is asked (RFC 7888).
fn literal(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let start = memchr::memrchr(b'{', inner)? + 1;
    let digits = inner.get(start..)?;
    std::str::from_utf8(digits.strip_suffix(b"+").unwrap_or(digits)).ok()?.parse().ok()
}

fn before_literal(line: &[u8]) -> &[u8] {
    memchr::memrchr(b'{', line).and_then(|start| line.get(..start)).unwrap_or_default()
}

/// The next atom or quoted string, and what follows it. Quotes that are not closed end with the line.
fn next_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (word, rest) = split_word(text);
        return (!word.is_empty()).then_some((word, rest));
    };
    let mut escaped = false;
    let end = quoted.iter().position(|byte| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    });
    let (word, rest) = quoted.split_at_checked(end.unwrap_or(quoted.len()))?;
    Some((word, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, S, any_acts, survives, talk_all_ways};

    const HELLO: (Side, &[u8]) = (S, b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n");

    fn login(name: &str, accepted: bool) -> (Class, String, bool) {
        (Class::AuthMail, name.to_owned(), accepted)
    }

    #[test]
    fn each_refused_login_is_one_however_its_words_are_written() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"1 LOGIN alice hunter1\r\n"),
            (S, b"1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"),
            (C, b"2 login \"al ice\\\"\" \"hunter 2\"\r\n"),
            (S, b"2 NO failed\r\n"),
            (C, b"3 LOGIN {3}\r\n"),
            (S, b"+ go on\r\n"),
            (C, b"b}b {8+}\r\nhunter 3\r\n4 NOOP\r\n"),
            (S, b"4 OK\r\n3 NO failed\r\n"),
            (C, b"5 LOGIN dave {6+}\r\nri\r\nht\r\n"),
            (S, b"* CAPABILITY IMAP4rev1\r\n5 OK Logged in\r\n"),
        ]);
        assert_eq!(heard.app, Some("imap"));
        let wanted =
            [login("alice", false), login("al ice\\\"", false), login("b}b", false), login("dave", true)];
        assert_eq!(heard.logins, wanted);
        assert!(!heard.texts.iter().any(|text| text.contains("hunter")));
        assert!(heard.texts.contains(&"command=NOOP".to_owned()));
    }

    #[test]
    fn exchanges_are_followed_and_those_given_up_are_none() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n"),
            (S, b"a NO failed\r\n"),
            (C, b"b AUTHENTICATE CRAM-MD5\r\n"),
            (S, b"+ PDEyMz4=\r\n"),
            (C, b"Y2Fyb2wgMDEyMw==\r\n"),
            (S, b"b NO [UNAVAILABLE] later\r\n"),
            (C, b"c AUTHENTICATE LOGIN\r\n"),
            (S, b"+ VXNlcm5hbWU6\r\n"),
            (C, b"*\r\n"),
            (S, b"c BAD cancelled\r\n"),
            (C, b"d AUTHENTICATE PLAIN\r\n"),
            (S, b"+ \r\n"),
            (C, b"AGJvYgBzZWNyZXQ=\r\n"),
            (S, b"d NO failed\r\n"),
        ]);
        assert_eq!(heard.logins, [login("alice", false), login("bob", false)]);
    }

    #[test]
    fn many_guesses_in_one_segment_are_as_many_logins() {
        let guesses: Vec<u8> = (0..20).flat_map(|n| format!("x{n} LOGIN a b{n}\r\n").into_bytes()).collect();
        let refusals: Vec<u8> = (0..20).flat_map(|n| format!("x{n} NO\r\n").into_bytes()).collect();
        assert_eq!(talk_all_ways(&[HELLO, (C, &guesses), (S, &refusals)]).fates(), (20, 0));
    }

    #[test]
    fn the_text_of_a_mail_is_neither_command_nor_reply() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"1 LOGIN a b\r\n"),
            (S, b"1 OK\r\n"),
            (C, b"2 APPEND Sent {22}\r\n2 LOGIN a b\r\n2 LOGIN \r\n3 FETCH 1 BODY[]\r\n"),
            (S, b"* 1 FETCH (BODY[] {8}\r\n2 NO no\r\n)\r\n3 OK\r\n"),
        ]);
        assert_eq!(heard.logins, [login("a", true)]);
        assert_eq!(heard.texts[1..], ["command=APPEND Sent {22}", "command=FETCH 1 BODY[]"]);
    }

    #[test]
    fn after_starttls_the_conversation_is_recognised_anew() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b". STARTTLS\r\n"),
            (S, b". OK Begin\r\n"),
            (C, b"\x16\x03\x01\x02\x00\x01"),
        ]);
        assert_eq!(heard.app, Some("tls"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            let words: &[&[u8]] =
                &[b"a LOGIN {3}\r\n", b"a LOGIN b c\r\n", b"a AUTHENTICATE X\r\n", b"a NO\r\n", b"+ x\r\n", b"a B {99999}\r\n"];
            survives(start(), words, &acts);
        }
    }
}
