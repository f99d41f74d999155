//! MySQL and MariaDB (client/server protocol, protocol version 10): who signs in, and whether he is let in.
//!
//! The server speaks first. A login is told by the answer to the handshake response, or to a change of user later on.

use crate::model::class::Class;
use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login};
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::{Next, Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "mysql", recognise, start, counter: Some(Counter::FlowsMysql), oddities: &[] };

/// Length of three bytes, least first, and a number.
const HEADER_BYTES: usize = 4;
/// A greeting: real ones have 60 to 120 bytes.
const GREETING_BYTES: std::ops::RangeInclusive<usize> = 20..=512;
/// Longest version text that is waited for.
const VERSION_MAX_BYTES: usize = 128;
/// Bytes of a handshake response that are read: the account stands in the first hundred.
const RESPONSE_MAX_BYTES: usize = 1 << 10;
/// Longest account name told; the server's limit is 80 (MariaDB) or 32 characters.
const ACCOUNT_MAX_BYTES: usize = 256;
/// Place of the account in a handshake response of protocol 4.1: capabilities, largest packet, character set, 23 zeros.
const ACCOUNT_PLACE: usize = 32;
/// The same in the older form: capabilities and largest packet.
const OLD_ACCOUNT_PLACE: usize = 5;

/// Capabilities of a client.
mod capability {
    pub const COMPRESS: u16 = 0x0020;
    pub const PROTOCOL_41: u16 = 0x0200;
    pub const TLS: u16 = 0x0800;
}

/// First byte of a server's packet.
mod answer {
    pub const ACCEPTED: u8 = 0;
    /// More of the exchange follows.
    pub const MORE: u8 = 1;
    pub const SWITCH: u8 = 0xfe;
    pub const ERROR: u8 = 0xff;
}

/// The command that signs in anew.
const CHANGE_USER: u8 = 0x11;

/// Refusals of what was presented: wrong password, the same without one, account locked.
const REFUSED: [u16; 3] = [1045, 1698, 3118];
/// Errors of somebody who was let in: no right to the database, password to be changed.
const LET_IN: [u16; 2] = [1044, 1862];

/// The greeting of a server: number 0, protocol 10, a version that ends with a zero.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let Some((header, body)) = opening.server.split_first_chunk::<HEADER_BYTES>() else {
        return if opening.client.is_empty() { Recognition::More } else { Recognition::No };
    };
    if !GREETING_BYTES.contains(&length_of(*header)) || header[3] != 0 {
        return Recognition::No;
    }
    let Some((10, rest)) = body.split_first() else {
        return if body.is_empty() { Recognition::More } else { Recognition::No };
    };
    let version = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_version = version.first().is_none_or(u8::is_ascii_digit)
        && version.iter().all(u8::is_ascii_graphic)
        && version.len() <= VERSION_MAX_BYTES;
    match (is_version, version.len() < rest.len()) {
        (true, true) if !version.is_empty() => Recognition::Yes,
        (true, false) => Recognition::More,
        (false, _) | (true, true) => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Mysql::default())
}

const fn length_of(header: [u8; HEADER_BYTES]) -> usize {
    let [low, middle, high, _] = header;
    u32::from_le_bytes([low, middle, high, 0]) as usize
}

/// What the client's next packet is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Response,
    /// Part of the exchange that a handshake response began.
    Exchange,
    Commands,
    /// Encrypted from here on.
    Tls,
    /// Compressed, or lost.
    Unread,
}

/// One conversation.
#[derive(Debug, Default)]
struct Mysql {
    client: Messages,
    server: Messages,
    stage: Stage,
    /// The login that waits for its answer.
    pending: Option<(At, Box<[u8]>)>,
    is_compressed: bool,
}

impl Mysql {
    fn client(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        let Some((header, body)) = message.bytes.split_first_chunk::<HEADER_BYTES>() else { return };
        match self.stage {
            Stage::Response => self.response(message.at, (length_of(*header), body), sink),
            Stage::Commands => {
                if let (0, Some((&CHANGE_USER, rest))) = (header[3], body.split_first()) {
                    self.present(message.at, rest, sink);
                }
            }
            Stage::Exchange | Stage::Tls | Stage::Unread => {}
        }
    }

    /// The first packet of a client: a wish for TLS, or a handshake response.
    fn response(&mut self, at: At, (length, body): (usize, &[u8]), sink: &mut dyn Sink) {
        let Some(capabilities) = body.first_chunk::<2>().map(|word| u16::from_le_bytes(*word)) else {
            return;
        };
        let is_new = capabilities & capability::PROTOCOL_41 != 0;
        let place = if is_new { ACCOUNT_PLACE } else { OLD_ACCOUNT_PLACE };
        if capabilities & capability::TLS != 0 && length <= place {
            self.stage = Stage::Tls;
            return;
        }
        self.is_compressed = capabilities & capability::COMPRESS != 0;
        self.present(at, body.get(place..).unwrap_or_default(), sink);
    }

    /// An account and what proves it, which is not looked at.
    fn present(&mut self, at: At, bytes: &[u8], sink: &mut dyn Sink) {
        let account = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let account = account.get(..account.len().min(ACCOUNT_MAX_BYTES)).unwrap_or(account);
        sink.text(&at, "user", account);
        self.pending = Some((at, account.into()));
        self.stage = Stage::Exchange;
    }

    fn server(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        let body = message.bytes.get(HEADER_BYTES..).unwrap_or_default();
        if self.pending.is_none() {
            return;
        }
        let accepted = match body {
            [answer::ACCEPTED, ..] => Some(true),
            [answer::ERROR, low, high, ..] => match u16::from_le_bytes([*low, *high]) {
                code if REFUSED.contains(&code) => Some(false),
                code if LET_IN.contains(&code) => Some(true),
                _ => None,
            },
            [answer::MORE | answer::SWITCH, ..] => return,
            _ => None,
        };
        if let (Some((at, account)), Some(accepted)) = (self.pending.take(), accepted) {
            let account = Some(&*account);
            sink.login(&at, &Login { class: Class::AuthDb, account, accepted, inferred: false });
        }
        self.stage = if self.is_compressed { Stage::Unread } else { Stage::Commands };
    }
}

impl Parser for Mysql {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        if matches!(self.stage, Stage::Tls | Stage::Unread) {
            return;
        }
        let mut feed = Feed::of(chunk);
        let mut messages = match from {
            Side::Client => std::mem::take(&mut self.client),
            Side::Server => std::mem::take(&mut self.server),
        };
        while let Some(message) = messages.pull(&mut feed, size) {
            match from {
                Side::Client => self.client(message, sink),
                Side::Server => self.server(message, sink),
            }
            if matches!(self.stage, Stage::Tls | Stage::Unread) {
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
            // An answer can no longer be told from another's.
            (self.stage, self.pending) = (Stage::Unread, None);
        }
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        let account = self.pending.as_ref().map_or(0, |pending| pending.1.len());
        size_of::<Self>() + self.client.held() + self.server.held() + account
    }

    fn next(&self) -> Option<Next> {
        (self.stage == Stage::Tls).then_some(Next::Anew)
    }
}

/// Of results and statements only the beginning is wanted.
fn size(bytes: &[u8]) -> Size {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Size::More };
    let length = HEADER_BYTES + length_of(*header);
    let wanted = match (header[3], body) {
        // The first packets of a client, and the command that signs in anew.
        (1 | 2, _) | (0, [CHANGE_USER, ..]) => RESPONSE_MAX_BYTES,
        (_, []) if length > HEADER_BYTES => return Size::More,
        _ => HEADER_BYTES + 3,
    };
    Size::Whole { length, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{
        Act, Heard, OPENINGS, answer, ask, play, play_all_ways, recognises_only, survive_damage,
    };

    fn packet(number: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_le_bytes();
        [&length[..3], &[number], body].concat()
    }

    fn greeting() -> Act {
        answer(OPENINGS.iter().find(|opening| opening.0 == "mysql").unwrap().2)
    }

    fn response(capabilities: u16, account: &[u8]) -> Vec<u8> {
        let fixed = [&capabilities.to_le_bytes()[..], &[0, 0], &[0, 0, 0, 1], &[45], &[0; 23]].concat();
        packet(1, &[&fixed, account, &b"\0\x14aaaaaaaaaaaaaaaaaaaamysql_native_password\0"[..]].concat())
    }

    fn error(number: u8, code: u16) -> Vec<u8> {
        packet(number, &[&[0xff], &code.to_le_bytes()[..], b"#28000Access denied for user"].concat())
    }

    fn played(rest: &[Act]) -> Heard {
        play_all_ways(&[&[greeting(), ask(response(0xa285, b"clerk"))], rest].concat(), 4_406)
    }

    #[test]
    fn logins_are_told_by_the_answer() {
        let refused = played(&[answer(error(2, 1045))]);
        assert_eq!(
            (&refused.logins[..], &refused.inferred[..]),
            (&[(Class::AuthDb, "clerk".into(), false)][..], &[false][..])
        );
        assert_eq!((refused.app, refused.texts.len()), (Some("mysql"), 1));
        let accepted = [
            answer(packet(2, &[0, 0, 0, 2, 0, 0, 0])),
            ask(packet(0, b"\x03select 1")),
            answer(error(1, 1045)),
        ];
        assert_eq!(played(&accepted).accepted(), [true]);
        assert_eq!(played(&[answer(error(2, 1044))]).accepted(), [true], "known, but not for that database");
        assert!(played(&[answer(error(2, 1040))]).logins.is_empty(), "too many connections");
        assert!(played(&[]).logins.is_empty());
    }

    #[test]
    fn a_longer_exchange_is_one_login() {
        let switched = [
            answer(packet(2, b"\xfemysql_native_password\0abcdefghijklmnopqrst\0")),
            ask(packet(3, &[7; 20])),
            answer(error(4, 1045)),
        ];
        assert_eq!(played(&switched).accepted(), [false]);
        let cached = [
            answer(packet(2, &[1, 4])),
            ask(packet(3, &[2])),
            answer(packet(4, b"\x01key")),
            ask(packet(5, &[7; 256])),
            answer(packet(6, &[0, 0, 0])),
        ];
        assert_eq!(played(&cached).accepted(), [true]);
    }

    #[test]
    fn changes_of_user_in_one_connection_are_logins_of_their_own() {
        let change = |name: &[u8]| ask(packet(0, &[b"\x11", name, b"\0\x14aaaaaaaaaaaaaaaaaaaa\0"].concat()));
        let heard = played(&[
            answer(packet(2, &[0, 0, 0])),
            change(b"root"),
            answer(error(1, 1045)),
            change(b"admin"),
            answer(packet(1, &[0, 0, 0])),
        ]);
        assert_eq!(heard.accepted(), [true, false, true]);
        assert_eq!(heard.logins[1].1, "root");
    }

    #[test]
    fn encryption_is_handed_on_and_what_is_lost_is_not_guessed() {
        let wish =
            [greeting(), ask(packet(1, &[&[0x85, 0xae, 0, 0, 0, 0, 0, 1, 45][..], &[0; 23]].concat()))];
        let hello = ask(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03");
        assert_eq!(play(&[&wish[..], &[hello]].concat(), 3306, 999).app, Some("tls"));
        let lost =
            [greeting(), ask(response(0xa285, b"clerk")), Act::Gap(Side::Server, 50), answer(error(2, 1045))];
        assert!(play(&lost, 3306, 999).logins.is_empty());
    }

    #[test]
    fn openings_of_others_are_not_taken_and_damage_is_survived() {
        recognises_only(&ROW);
        survive_damage(&[greeting(), ask(response(0xa285, b"clerk")), answer(error(2, 1045))], 3306);
    }
}
