//! SMTP (RFC 5321, RFC 4954, RFC 3207): credentials and their fate, commands, the fields of a mail that people read.

use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{Login, Oddity};
use crate::protocol::greeting::{Greeting, greeting};
use crate::protocol::lines::{
    Feed, LINE_MAX_BYTES, Line, Lines, Numbered, Outstanding, REPLY_MAX_BYTES, Replies, begins, is_one_of,
    may_become, mentions, numbered, split_word,
};
use crate::protocol::sasl::{self, Exchange};
use crate::protocol::{Next, Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "smtp", recognise, start, counter: None, oddities: &[&EXPANSION, &SCANNER] };

/// A mail address that the server is to expand and so to run.
const EXPANSION: Oddity = Oddity {
    id: "smtp.expansion",
    class: Class::ExploitService,
    weight: 0.98,
    title: "Command in a mail address (CVE-2019-10149, Exim)",
};
/// The name under which Nmap's scripts greet unless told otherwise.
const SCANNER: Oddity = Oddity {
    id: "smtp.scanner",
    class: Class::ScanService,
    weight: 0.95,
    title: "Mail client that greets with the name of a scanner",
};

/// Ports of mail servers, where bytes leave it open.
const PORTS: [u16; 3] = [25, 587, 2525];
/// Words with which only a mail client begins.
const FIRST_WORDS: &[&str] = &["EHLO", "HELO", "LHLO"];
/// Replies by which presented credentials are refused: RFC 4954 §6 has 535 alone, servers send the others too. 454 is the server's
/// own trouble, 534 and 538 complain of the mechanism.
const REFUSALS: [u16; 4] = [525, 535, 550, 554];
/// Fields of a mail that are judged, and the place that is named for them.
const FIELDS: [(&str, &str); 3] =
    [("From:", "header:from"), ("To:", "header:to"), ("Subject:", "header:subject")];

/// The server greets with 220, as one of FTP does: its words or the client's first command decide.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match greeting(opening) {
        Greeting::Smtp => Recognition::Yes,
        Greeting::Command(word) if is_one_of(word, FIRST_WORDS) || PORTS.contains(&opening.port) => {
            Recognition::Yes
        }
        Greeting::Open => Recognition::More,
        Greeting::Command(_) | Greeting::Ftp => Recognition::No,
        Greeting::None if !opening.server.is_empty() && numbered(opening.server).is_none() => Recognition::No,
        Greeting::None => by_client(opening.client),
    }
}

/// A client that does not wait for the greeting, or was not heard from its beginning.
fn by_client(client: &[u8]) -> Recognition {
    let (word, rest) = split_word(client);
    if is_one_of(word, FIRST_WORDS) && !rest.is_empty() {
        Recognition::Yes
    } else if rest.is_empty() && may_become(word, FIRST_WORDS) {
        Recognition::More
    } else {
        Recognition::No
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Smtp {
        client: Lines::new(LINE_MAX_BYTES),
        server: Lines::new(REPLY_MAX_BYTES),
        talk: Talk::default(),
    })
}

#[derive(Debug)]
struct Smtp {
    client: Lines,
    server: Lines,
    talk: Talk,
}

/// What the next reply answers.
#[derive(Debug)]
enum Asked {
    Auth(Exchange),
    /// `STARTTLS`.
    Secure,
    Other,
}

/// What the client's lines are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mode {
    #[default]
    Commands,
    /// The fields at the head of a mail.
    Fields,
    Body,
}

#[derive(Debug, Default)]
struct Talk {
    replies: Replies,
    asked: Outstanding<Asked>,
    mode: Mode,
    /// Whether the server has just asked for a response.
    prompt: sasl::Asked,
    /// Whether what follows is TLS.
    is_secured: bool,
}

impl Parser for Smtp {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        match from {
            Side::Client => {
                while let Some(line) = self.client.line(&mut feed) {
                    let passed_over = self.talk.line(&line, sink);
                    self.client.skip(passed_over);
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
    /// A line of the client; gives back how many bytes after it are a part of a mail.
    fn line(&mut self, line: &Line<'_>, sink: &mut dyn Sink) -> u64 {
        if self.mode != Mode::Commands {
            self.mail(line, sink);
            return 0;
        }
        if let Some(Asked::Auth(exchange)) = self.asked.back_mut()
            && exchange.awaits_response(self.prompt)
        {
            exchange.response(line.text);
            self.prompt = sasl::Asked::No;
            return 0;
        }
        self.command(line, sink)
    }

    fn command(&mut self, line: &Line<'_>, sink: &mut dyn Sink) -> u64 {
        let (verb, rest) = split_word(line.text);
        if is_one_of(verb, &["AUTH"]) {
            let (mechanism, initial) = split_word(rest);
            self.prompt = sasl::Asked::No;
            self.asked.push(Asked::Auth(Exchange::begin(mechanism, initial, line.at)));
            return 0;
        }
        if is_one_of(verb, FIRST_WORDS) && mentions(rest, "nmap.scanme.org") {
            sink.oddity(&line.at, &SCANNER, line.text);
        } else if is_one_of(verb, &["MAIL", "RCPT"]) && mentions(rest, "${run{") {
            sink.oddity(&line.at, &EXPANSION, line.text);
        }
        sink.text(&line.at, "command", line.text);
        self.asked.push(if is_one_of(verb, &["STARTTLS"]) { Asked::Secure } else { Asked::Other });
        if !is_one_of(verb, &["BDAT"]) {
            return 0;
        }
        // `BDAT length [LAST]` (RFC 3030 §2): the bytes follow without being asked for.
        std::str::from_utf8(split_word(rest).0).ok().and_then(|length| length.parse().ok()).unwrap_or(0)
    }

    /// A line of a mail: its bodies are private, of its fields those are judged that programs and people read.
    fn mail(&mut self, line: &Line<'_>, sink: &mut dyn Sink) {
        if line.text == b"." {
            self.mode = Mode::Commands;
            self.asked.push(Asked::Other);
        } else if line.text.is_empty() {
            self.mode = Mode::Body;
        } else if self.mode == Mode::Fields
            && let Some((name, place)) = FIELDS.iter().find(|(name, _)| begins(line.text, name))
        {
            let value = line.text.get(name.len()..).unwrap_or_default().trim_ascii();
            sink.text(&line.at, place, value);
        }
    }

    fn reply(&mut self, reply: Numbered, sink: &mut dyn Sink) {
        if reply.is_greeting {
            return;
        }
        if reply.code == 334 {
            self.prompt = sasl::Asked::Yes;
            return;
        }
        match (self.asked.pop(), reply.code) {
            (Some(Asked::Auth(exchange)), code) => resolve(&exchange, code, sink),
            (Some(Asked::Secure), 220) => self.is_secured = true,
            // The mail's text follows (RFC 5321 §4.1.1.4).
            (Some(Asked::Other), 354) => self.mode = Mode::Fields,
            _ => {}
        }
    }
}

/// The fate of an exchange.
fn resolve(exchange: &Exchange, code: u16, sink: &mut dyn Sink) {
    if !exchange.is_presented {
        return;
    }
    let account = exchange.account.as_deref();
    if let Some(name) = account {
        // One byte on: the name is judged as a message of its own beside the login.
        sink.text(&exchange.at.plus(1), "user", name);
    }
    let accepted = code == 235;
    if accepted || REFUSALS.contains(&code) {
        sink.login(&exchange.at, &Login { class: Class::AuthMail, account, accepted, inferred: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, S, any_acts, survives, talk, talk_all_ways};

    const HELLO: (Side, &[u8]) = (S, b"220 mail.example.org ESMTP\r\n");
    const NAMED: (Side, &[u8]) =
        (S, b"250-mail.example.org\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n");

    #[test]
    fn refused_and_accepted_logins_of_each_mechanism_are_told_with_their_account() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"EHLO client.example.net\r\n"),
            NAMED,
            (C, b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"),
            (S, b"535 5.7.8 Error: authentication failed\r\n"),
            (C, b"AUTH LOGIN\r\n"),
            (S, b"334 VXNlcm5hbWU6\r\n"),
            (C, b"Ym9i\r\n"),
            (S, b"334 UGFzc3dvcmQ6\r\n"),
            (C, b"UVVJVA==\r\n"),
            (S, b"535-5.7.8 Error\r\n535 authentication failed\r\n"),
            (C, b"AUTH CRAM-MD5\r\n"),
            (S, b"334 PDEyMz4=\r\n"),
            (C, b"Y2Fyb2wgMDEyMw==\r\n"),
            (S, b"235 2.7.0 Authentication successful\r\n"),
        ]);
        assert_eq!(heard.app, Some("smtp"));
        let login = |name: &str, accepted| (Class::AuthMail, name.to_owned(), accepted);
        assert_eq!(heard.logins, [login("alice", false), login("bob", false), login("carol", true)]);
        assert!(!heard.texts.iter().any(|text| text.contains("secret") || text.contains("UVV")));
        assert_eq!(heard.texts[1], "user=alice");
    }

    #[test]
    fn many_guesses_in_one_conversation_and_in_one_segment_are_as_many_logins() {
        let guess: Vec<u8> = b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n".repeat(20);
        let no = b"535 no\r\n".repeat(20);
        let heard = talk_all_ways(&[HELLO, (C, b"EHLO a\r\n"), NAMED, (C, &guess), (S, &no)]);
        assert_eq!(heard.fates(), (20, 0));
    }

    #[test]
    fn what_presents_no_credential_or_is_the_servers_trouble_is_no_login() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"EHLO a\r\n"),
            NAMED,
            (C, b"AUTH LOGIN\r\n"),
            (S, b"334 VXNlcm5hbWU6\r\n"),
            (C, b"*\r\n"),
            (S, b"501 cancelled\r\n"),
            (C, b"AUTH FOO\r\n"),
            (S, b"504 unknown\r\n"),
            (C, b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"),
            (S, b"454 later\r\n"),
            (C, b"MAIL FROM:<a@example.org>\r\n"),
            (S, b"550 no\r\n"),
        ]);
        assert_eq!(heard.logins, []);
        assert_eq!(heard.texts.last().unwrap(), "command=MAIL FROM:<a@example.org>");
    }

    #[test]
    fn of_a_mail_three_fields_are_told_and_its_body_is_passed_over() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"HELO a\r\n"),
            (S, b"250 a\r\n"),
            (C, b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"),
            (S, b"250 ok\r\n250 ok\r\n354 go on\r\n"),
            (C, b"From: A\r\nX-Other: x\r\nSubject: hello\r\n\r\nSubject: private\r\nAUTH PLAIN x\r\n..\r\n.\r\n"),
            (S, b"250 queued\r\n"),
            (C, b"BDAT 12 LAST\r\nAUTH x\r\n\r\n\r\nQUIT\r\n"),
        ]);
        assert_eq!(
            heard.texts[3..],
            ["command=DATA", "header:from=A", "header:subject=hello", "command=BDAT 12 LAST", "command=QUIT"]
        );
    }

    #[test]
    fn after_starttls_the_conversation_is_recognised_anew() {
        let hello: &[u8] = b"\x16\x03\x01\x02\x00\x01";
        let begin = [HELLO, (C, &b"EHLO a\r\n"[..]), NAMED, (C, b"STARTTLS\r\n")];
        let secured = [&begin[..], &[(S, b"220 go ahead\r\n"), (C, hello)]].concat();
        assert_eq!(talk_all_ways(&secured).app, Some("tls"));
        let refused = [&begin[..], &[(S, b"454 not now\r\n"), (C, b"QUIT\r\n")]].concat();
        assert_eq!(talk_all_ways(&refused).app, Some("smtp"));
    }

    #[test]
    fn exploits_and_scanners_are_told_by_their_own_words() {
        let heard = talk_all_ways(&[
            HELLO,
            (C, b"EHLO nmap.scanme.org\r\nRCPT TO:<${run{\\x2fbin\\x2fsh}}@localhost>\r\nRCPT TO:<a@b>\r\n"),
        ]);
        assert_eq!(heard.odd(), [SCANNER.id, EXPANSION.id]);
    }

    #[test]
    fn a_client_that_speaks_first_is_recognised() {
        assert_eq!(talk_all_ways(&[(C, b"EHLO a\r\n")]).app, Some("smtp"));
        assert_eq!(talk(&[(C, b"EHLOS a\r\n")], 25, 1).app, Some("unknown"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            let words: &[&[u8]] =
                &[b"AUTH LOGIN\r\n", b"AUTH PLAIN ", b"334 x\r\n", b"535 x\r\n", b"354 x\r\n", b"BDAT 99999\r\n", b"DATA\r\n"];
            survives(start(), words, &acts);
        }
    }
}
