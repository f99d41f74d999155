//! FTP (RFC 959, RFC 4217): credentials and their fate, commands.

use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::greeting::{Greeting, greeting};
use crate::protocol::lines::{
    Feed, LINE_MAX_BYTES, Line, Lines, Numbered, Outstanding, REPLY_MAX_BYTES, Replies, account_of,
    first_line, is_one_of, may_become, numbered, split_word,
};
use crate::protocol::{Next, Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "ftp", recognise, start, counter: None, oddities: &[&BACKDOOR, &TRAVERSAL] };

/// The name that opens the shell of a server that was tampered with at its source.
const BACKDOOR: Oddity = Oddity {
    id: "ftp.smiley",
    class: Class::ExploitService,
    weight: 0.97,
    title: "User name ending in a smiley: backdoor of vsftpd 2.3.4 (CVE-2011-2523)",
};
/// Clients shorten a path before they send it; nobody climbs four folders in one command.
const TRAVERSAL: Oddity = Oddity {
    id: "ftp.traversal",
    class: Class::ExploitService,
    weight: 0.92,
    title: "FTP command that climbs out of the served folder",
};
/// Steps upwards that make a path a climb.
const CLIMB_STEPS: usize = 4;

/// Port of the control connection, where bytes leave it open.
const PORT: u16 = 21;
/// Words with which only an FTP client begins. `USER` and `QUIT` are POP3's too: there the greeting tells.
const FIRST_WORDS: &[&str] =
    &["USER", "AUTH", "FEAT", "SYST", "PASS", "OPTS", "CLNT", "PBSZ", "PORT", "PASV", "TYPE"];

/// The server greets with 220, as one of SMTP does: its words or the client's first command decide.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match greeting(opening) {
        Greeting::Ftp => Recognition::Yes,
        Greeting::Command(word) if is_one_of(word, FIRST_WORDS) => Recognition::Yes,
        Greeting::Command(word) if opening.port == PORT && !is_one_of(word, &["EHLO", "HELO"]) => {
            Recognition::Yes
        }
        Greeting::Open => Recognition::More,
        Greeting::Command(_) | Greeting::Smtp => Recognition::No,
        Greeting::None => midstream(opening),
    }
}

/// Without a greeting: a client's `USER` and the server's 331 to it.
fn midstream(opening: &Opening<'_>) -> Recognition {
    let (word, _) = split_word(opening.client);
    if !may_become(word, &["USER"]) {
        return Recognition::No;
    }
    match first_line(opening.server) {
        None => Recognition::More,
        Some(line) if matches!(numbered(line), Some((331 | 530, _))) => Recognition::Yes,
        Some(_) => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Ftp {
        client: Lines::new(LINE_MAX_BYTES),
        server: Lines::new(REPLY_MAX_BYTES),
        talk: Talk::default(),
    })
}

#[derive(Debug)]
struct Ftp {
    client: Lines,
    server: Lines,
    talk: Talk,
}

/// What the next reply answers.
#[derive(Debug)]
enum Asked {
    /// A password, or the account that a server wants besides.
    Password(At, Option<Box<[u8]>>),
    /// `AUTH TLS`.
    Secure,
    Other,
}

#[derive(Debug, Default)]
struct Talk {
    replies: Replies,
    asked: Outstanding<Asked>,
    account: Option<Box<[u8]>>,
    /// Whether what follows is TLS.
    is_secured: bool,
}

impl Parser for Ftp {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        match from {
            Side::Client => {
                while let Some(line) = self.client.line(&mut feed) {
                    self.talk.command(&line, sink);
                }
            }
            Side::Server => {
                while let Some(line) = self.server.line(&mut feed) {
                    if let Some(reply) = self.talk.replies.read(&line) {
                        self.talk.reply(reply, sink);
                    }
                }
            }
        }
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        match from {
            Side::Client => self.client.gap(missing),
            Side::Server => self.server.gap(missing),
        }
        self.talk.replies.gap();
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
    fn command(&mut self, line: &Line<'_>, sink: &mut dyn Sink) {
        let (verb, rest) = split_word(line.text);
        let asked = if is_one_of(verb, &["USER"]) {
            self.account = account_of(rest);
            if rest.ends_with(b":)") {
                sink.oddity(&line.at, &BACKDOOR, line.text);
            }
            sink.text(&line.at, "user", rest);
            Asked::Other
        } else if is_one_of(verb, &["PASS", "ACCT"]) {
            Asked::Password(line.at, self.account.clone())
        } else {
            if climbs(rest) {
                sink.oddity(&line.at, &TRAVERSAL, line.text);
            }
            sink.text(&line.at, "command", line.text);
            if is_one_of(verb, &["AUTH"]) { Asked::Secure } else { Asked::Other }
        };
        self.asked.push(asked);
    }

    fn reply(&mut self, reply: Numbered, sink: &mut dyn Sink) {
        // 1xx only announces the reply proper (RFC 959 §4.2).
        if reply.is_greeting || reply.code < 200 {
            return;
        }
        // 331 asks for the password: after a gap it may answer a command that was not seen.
        if reply.code == 331 && matches!(self.asked.front(), Some(Asked::Password(..))) {
            return;
        }
        match (self.asked.pop(), reply.code) {
            (Some(Asked::Password(at, account)), code @ (230 | 232 | 430 | 530)) => {
                let (account, accepted) = (account.as_deref(), code < 300);
                if !(accepted && is_public(account)) {
                    sink.login(&at, &Login { class: Class::AuthFtp, account, accepted, inferred: false });
                }
            }
            (Some(Asked::Secure), 234) => self.is_secured = true,
            _ => {}
        }
    }
}

/// Accounts that stand for no account (RFC 1635).
fn is_public(account: Option<&[u8]>) -> bool {
    account.is_some_and(|name| is_one_of(name, &["anonymous", "ftp"]))
}

fn climbs(path: &[u8]) -> bool {
    path.split(|byte| matches!(byte, b'/' | b'\\')).filter(|part| *part == b"..").count() >= CLIMB_STEPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, Heard, S, any_acts, survives, talk, talk_all_ways};

    const HELLO: (Side, &[u8]) = (S, b"220 (vsFTPd 3.0.3)\r\n");

    #[test]
    fn each_refused_password_is_one_refused_login() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"USER admin\r\n"),
            (S, b"331 Please specify the password.\r\n"),
            (C, b"PASS hunter1\r\n"),
            (S, b"530 Login incorrect.\r\n"),
            (C, b"USER admin\r\n"),
            (S, b"331 Please specify the password.\r\n"),
            (C, b"PASS hunter2\r\n"),
            (S, b"530-Login\r\n530 incorrect.\r\n"),
            (C, b"USER admin\r\n"),
            (S, b"331 Please specify the password.\r\n"),
            (C, b"PASS right\r\n"),
            (S, b"230 Login successful.\r\n"),
            (C, b"LIST\r\n"),
            (S, b"150 Here it comes\r\n226 Done\r\n"),
        ]);
        assert_eq!(heard.app, Some("ftp"));
        let login = |accepted| (Class::AuthFtp, "admin".to_owned(), accepted);
        assert_eq!(heard.logins, [login(false), login(false), login(true)]);
        assert!(heard.texts.contains(&"command=LIST".to_owned()) && heard.oddities.is_empty());
        assert!(!heard.texts.iter().any(|text| text.contains("hunter") || text.contains("right")));
        // The login stands where its password stood.
        assert_eq!(heard.offsets[1], 12);
    }

    #[test]
    fn pipelined_commands_get_their_own_replies() {
        let heard = talk_all_ways(&[
            (S, b"220-several\r\n220 FTP lines\r\n"),
            (C, b"USER a\r\nPASS 1\r\nSYST\r\nUSER b\r\nPASS 2\r\n"),
            (S, b"331 a\r\n530 no\r\n215 UNIX\r\n331 b\r\n230 yes\r\n"),
        ]);
        assert_eq!(heard.logins, [(Class::AuthFtp, "a".into(), false), (Class::AuthFtp, "b".into(), true)]);
    }

    #[test]
    fn what_presents_no_credential_is_no_login() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"LIST\r\n"),
            (S, b"530 Please login with USER and PASS.\r\n"),
            (C, b"USER anonymous\r\n"),
            (S, b"331 go on\r\n"),
            (C, b"PASS me@example.org\r\n"),
            (S, b"230 welcome\r\n"),
        ]);
        assert_eq!(heard.logins, []);
    }

    #[test]
    fn after_auth_tls_the_conversation_is_recognised_anew() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"AUTH TLS\r\n"),
            (S, b"234 Proceed.\r\n"),
            (C, b"\x16\x03\x01\x02\x00\x01"),
        ]);
        assert_eq!((heard.app, heard.logins.len()), (Some("tls"), 0));
        let refused = talk(&[HELLO, (C, b"AUTH TLS\r\n"), (S, b"530 no\r\n"), (C, b"USER a\r\n")], 21, 99);
        assert_eq!(refused.app, Some("ftp"));
    }

    #[test]
    fn the_clients_first_command_tells_where_the_greeting_does_not() {
        for (client, app) in
            [(&b"USER a\r\n"[..], Some("ftp")), (b"AUTH TLS\r\n", Some("ftp")), (b"EHLO a\r\n", Some("smtp"))]
        {
            assert_eq!(talk_all_ways(&[(S, b"220 ready\r\n"), (C, client)]).app, app);
        }
        let midstream = talk_all_ways(&[
            (C, b"USER a\r\n"),
            (S, b"331 go on\r\n"),
            (C, b"PASS b\r\n"),
            (S, b"530 no\r\n"),
        ]);
        assert_eq!((midstream.app, midstream.fates()), (Some("ftp"), (1, 0)));
    }

    #[test]
    fn exploits_are_told_apart_from_honest_names_and_paths() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"USER x:)\r\nCWD ../../..\r\nRETR ../../../../etc/passwd\r\nRETR ..a/..b/..c/..d\r\n"),
        ]);
        assert_eq!(heard.odd(), [BACKDOOR.id, TRAVERSAL.id]);
    }

    #[test]
    fn after_a_gap_no_reply_is_taken_for_that_of_another_command() {
        let mut parser = start();
        let mut heard = Heard::default();
        let mut say = |parser: &mut Box<dyn Parser>, side, bytes| {
            let chunk =
                Chunk { bytes, offset: 9, time: crate::model::time::Timestamp(0), conflicting: false };
            parser.data(side, &chunk, &mut heard);
        };
        say(&mut parser, C, b"USER a\r\nPASS b\r\n");
        parser.gap(S, 10, &mut Heard::default());
        say(&mut parser, S, b"x\r\n530 no\r\n");
        parser.gap(C, 10, &mut Heard::default());
        say(&mut parser, C, b"R a\r\nPASS c\r\n");
        say(&mut parser, S, b"331 late\r\n530 no\r\n");
        assert_eq!(heard.fates(), (1, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            survives(start(), &[b"USER a\r\n", b"PASS b\r\n", b"331 x\r\n", b"530-", b"530 x\r\n", b"220 "], &acts);
        }
    }
}
