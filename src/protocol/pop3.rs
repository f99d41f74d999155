//! POP3 (RFC 1939, RFC 5034, RFC 2595): credentials and their fate, commands.

use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login};
use crate::protocol::lines::{
    Feed, LINE_MAX_BYTES, Line, Lines, Outstanding, REPLY_MAX_BYTES, account_of, begins, is_one_of,
    may_become, split_word,
};
use crate::protocol::sasl::{self, Exchange};
use crate::protocol::{Next, Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow { name: "pop3", recognise, start, counter: None, oddities: &[] };

/// Words with which a client begins; `AUTH` is left out, since Redis has it too.
const FIRST_WORDS: &[&str] = &["USER", "CAPA", "APOP", "STLS", "QUIT"];
/// Reasons of a refusal that are not the credential's fault (RFC 2449 §8, RFC 3206).
const TROUBLE: [&str; 4] = ["[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]", "[SYS/PERM]"];

/// The server greets with `+OK`, and no other server does.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let (word, rest) = split_word(opening.client);
    let client = if is_one_of(word, FIRST_WORDS) || rest.is_empty() && may_become(word, FIRST_WORDS) {
        Recognition::More
    } else {
        Recognition::No
    };
    match (client, opening.server) {
        (Recognition::No, _) => Recognition::No,
        (_, server) if server.starts_with(b"+OK") => Recognition::Yes,
        (_, server) if b"+OK".starts_with(server) => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Pop3 {
        client: Lines::new(LINE_MAX_BYTES),
        server: Lines::new(REPLY_MAX_BYTES),
        talk: Talk::default(),
    })
}

#[derive(Debug)]
struct Pop3 {
    client: Lines,
    server: Lines,
    talk: Talk,
}

/// What the next reply answers.
#[derive(Debug)]
enum Asked {
    Auth(Exchange),
    /// `PASS` or `APOP`.
    Password(At, Option<Box<[u8]>>),
    /// `STLS`.
    Secure,
    Other,
}

#[derive(Debug, Default)]
struct Talk {
    asked: Outstanding<Asked>,
    account: Option<Box<[u8]>>,
    prompt: sasl::Asked,
    /// Whether the client was let in: what follows are mails.
    is_inside: bool,
    /// Whether what follows is TLS.
    is_secured: bool,
}

impl Parser for Pop3 {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        match from {
            Side::Client => {
                while let Some(line) = self.client.line(&mut feed) {
                    self.talk.line(&line, sink);
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
            Side::Client => self.client.gap(missing),
            Side::Server => self.server.gap(missing),
        }
        self.talk.asked.forget();
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        size_of::<Self>() + self.client.held() + self.server.held() + self.talk.asked.held()
    }

    fn next(&self) -> Option<Next> {
        self.talk.is_secured.then_some(Next::Anew)
    }
}

impl Talk {
    fn line(&mut self, line: &Line<'_>, sink: &mut dyn Sink) {
        if let Some(Asked::Auth(exchange)) = self.asked.back_mut()
            && exchange.awaits_response(self.prompt)
        {
            exchange.response(line.text);
            self.prompt = sasl::Asked::No;
            return;
        }
        let (verb, rest) = split_word(line.text);
        if is_one_of(verb, &["USER"]) {
            self.account = account_of(rest);
            sink.text(&line.at, "user", rest);
        } else if !is_one_of(verb, &["PASS", "AUTH", "APOP"]) {
            sink.text(&line.at, "command", line.text);
        }
        if !self.is_inside {
            let asked = self.asked_by(verb, rest, line.at);
            self.asked.push(asked);
        }
    }

    fn asked_by(&mut self, verb: &[u8], rest: &[u8], at: At) -> Asked {
        let (first, second) = split_word(rest);
        if is_one_of(verb, &["PASS"]) {
            Asked::Password(at, self.account.clone())
        } else if is_one_of(verb, &["APOP"]) {
            Asked::Password(at, account_of(first))
        } else if is_one_of(verb, &["AUTH"]) && !first.is_empty() {
            self.prompt = sasl::Asked::No;
            Asked::Auth(Exchange::begin(first, second, at))
        } else if is_one_of(verb, &["STLS"]) {
            Asked::Secure
        } else {
            Asked::Other
        }
    }

    fn reply(&mut self, line: &Line<'_>, sink: &mut dyn Sink) {
        let accepted = line.text.starts_with(b"+OK");
        if line.text == b"+" || line.text.starts_with(b"+ ") {
            self.prompt = sasl::Asked::Yes;
            return;
        }
        // The greeting answers nothing, nor do the lines of a list.
        if self.is_inside || line.at.offset == 0 || !(accepted || line.text.starts_with(b"-ERR")) {
            return;
        }
        let (at, account) = match self.asked.pop() {
            Some(Asked::Password(at, account)) => (at, account),
            Some(Asked::Auth(exchange)) if exchange.is_presented => {
                if let Some(name) = &exchange.account {
                    // One byte on: the name is judged as a message of its own beside the login.
                    sink.text(&exchange.at.plus(1), "user", name);
                }
                (exchange.at, exchange.account)
            }
            Some(Asked::Secure) => {
                self.is_secured = accepted;
                return;
            }
            _ => return,
        };
        let (_, reason) = split_word(line.text);
        if accepted || !TROUBLE.iter().any(|trouble| begins(reason, trouble)) {
            self.is_inside |= accepted;
            let account = account.as_deref();
            sink.login(&at, &Login { class: Class::AuthMail, account, accepted, inferred: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, S, any_acts, survives, talk_all_ways};

    const HELLO: (Side, &[u8]) = (S, b"+OK Dovecot ready.\r\n");

    fn login(name: &str, accepted: bool) -> (Class, String, bool) {
        (Class::AuthMail, name.to_owned(), accepted)
    }

    #[test]
    fn each_refused_credential_is_one_refused_login() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"CAPA\r\n"),
            (S, b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
            (C, b"USER alice\r\n"),
            (S, b"+OK\r\n"),
            (C, b"PASS hunter1\r\n"),
            (S, b"-ERR [AUTH] Authentication failed.\r\n"),
            (C, b"APOP bob 0123456789abcdef\r\n"),
            (S, b"-ERR no\r\n"),
            (C, b"AUTH PLAIN\r\n"),
            (S, b"+ \r\n"),
            (C, b"AGNhcm9sAHNlY3JldA==\r\n"),
            (S, b"-ERR no\r\n"),
            (C, b"USER alice\r\nPASS right\r\nSTAT\r\n"),
            (S, b"+OK\r\n+OK Logged in.\r\n+OK 2 320\r\n"),
        ]);
        assert_eq!(heard.app, Some("pop3"));
        let wanted =
            [login("alice", false), login("bob", false), login("carol", false), login("alice", true)];
        assert_eq!(heard.logins, wanted);
        assert!(!heard.texts.iter().any(|text| text.contains("hunter") || text.contains("right")));
        assert!(heard.texts.contains(&"command=STAT".into()) && heard.texts.contains(&"user=carol".into()));
    }

    #[test]
    fn the_text_of_a_mail_is_no_reply() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"USER a\r\nPASS b\r\nRETR 1\r\nPASS c\r\n"),
            (S, b"+OK\r\n+OK\r\n+OK 9 octets\r\nhello\r\n-ERR in a mail\r\n.\r\n-ERR unknown\r\n"),
        ]);
        assert_eq!(heard.logins, [login("a", true)]);
    }

    #[test]
    fn a_mailbox_in_use_and_an_unknown_name_are_no_refused_credential() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"USER a\r\n"),
            (S, b"-ERR no such name\r\n"),
            (C, b"USER b\r\nPASS c\r\n"),
            (S, b"+OK\r\n-ERR [IN-USE] busy\r\n"),
        ]);
        assert_eq!(heard.logins, []);
    }

    #[test]
    fn after_stls_the_conversation_is_recognised_anew() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"STLS\r\n"),
            (S, b"+OK Begin\r\n"),
            (C, b"\x16\x03\x01\x02\x00\x01"),
        ]);
        assert_eq!(heard.app, Some("tls"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            survives(start(), &[b"USER a\r\n", b"PASS b\r\n", b"AUTH LOGIN\r\n", b"+OK\r\n", b"-ERR\r\n", b"+ x\r\n"], &acts);
        }
    }
}
