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
const REFUSALS: [&str; 8] =
    ["incorrect", "failed", "failure", "denied", "invalid", "bad password", "wrong", "bad user"];

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
    let server_may_ask = opening.server.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
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
            line.len().checked_sub(end.len()).and_then(|at| line.get(at..)).is_some_and(|tail| {
                tail.eq_ignore_ascii_case(end.as_bytes())
            })
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
    /// What the line asked for that the client answered last, until the server says more.
    answered: Option<Prompt>,
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
            Side::Client => (self.client, self.typed, self.account) = Default::default(),
            Side::Server => (self.server, self.shown) = Default::default(),
        }
        self.pending = None;
        self.answered = None;
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
        match byte {
            // CR LF, CR NUL and either alone end a line: the second of a pair finds it empty and is told by that below.
            b'\r' | b'\n' | 0 => self.line_typed(byte, at, sink),
            8 | 127 => _ = self.typed.pop(),
            _ if self.typed.len() < TYPED_MAX_BYTES => {
                if self.typed.is_empty() {
                    self.typed_at = at;
                }
                self.typed.push(byte);
            }
            _ => {}
        }
    }
}
