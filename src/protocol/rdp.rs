//! RDP (MS-RDPBCGR): the connection request in clear, and what the lengths of the security exchange tell of a login.
//!
//! With network level authentication (CredSSP inside TLS) a credential is presented before anything is shown. A connection in
//! which enough was said to present one, and that ended before anything was shown, was refused; one that goes on was let in.
//! Without it the password is typed into a picture, and nothing can be told.

use crate::model::class::Class;
use crate::model::progress::{Counter, Reading};
use crate::model::stream::{Chunk, Side};
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::tls::Tls;
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "rdp", recognise, start, counter: Some(Counter::FlowsRdp), oddities: &[&BLUEKEEP] };

/// A channel that servers open for themselves; a client that binds it again frees it twice.
static BLUEKEEP: Oddity = Oddity {
    id: "rdp.bluekeep",
    class: Class::ExploitService,
    weight: 0.97,
    title: "RDP client that asks for the server's own channel MS_T120 (CVE-2019-0708)",
};

/// Header of TPKT (RFC 1006 §6): version 3, a zero, the length.
const TPKT_BYTES: usize = 4;
/// Bytes of the connection request and of the settings that are read: real ones have less than 1 KiB.
const MESSAGE_MAX_BYTES: usize = 2 << 10;
/// Port where a request without a cookie is taken for RDP: others use the same request.
const PORT: u16 = 3389;
/// Longest account told.
const ACCOUNT_MAX_BYTES: usize = 256;
/// Fixed part of a connection request: length, code, two references, class.
const REQUEST_BYTES: usize = 7;
/// What a client says at least to present a credential: two messages of NTLM and the server's key, sealed.
const PRESENTED_MIN_BYTES: u64 = 400;
/// What both sides say at most where it is refused; certificates are part of it in TLS 1.3.
const REFUSED_MAX_BYTES: u64 = 10 << 10;
/// What both sides say at least once pictures are shown.
const SHOWN_MIN_BYTES: u64 = 32 << 10;
/// How long a refusal takes at most: Windows answers at once, or delays for some seconds.
const REFUSED_MAX_MICROS: i64 = 20 * MICROS_PER_SEC;

/// Codes of X.224.
mod code {
    pub const REQUEST: u8 = 0xe0;
    pub const CONFIRM: u8 = 0xd0;
    pub const DATA: u8 = 0xf0;
}

/// A connection request that is one of RDP: a cookie or token, a wish for a security protocol, or the port.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match opening.client {
        [] if opening.server.is_empty() => Recognition::More,
        [3, 0, _, length, _, code::REQUEST, _, _, _, _, _, rest @ ..] => match rest {
            [] if opening.client.len() < usize::from(*length) => Recognition::More,
            // The fields of a wish: type 1, flags, length 8. Parameters of others begin with 0xc0 and above.
            [1, _, 8, 0, ..] => Recognition::Yes,
            _ if rest.starts_with(b"Cookie:") => Recognition::Yes,
            [] if opening.port == PORT => Recognition::Yes,
            [1, _, 8] | [1, _] | [1] => Recognition::More,
            [_, ..] if b"Cookie:".starts_with(rest) => Recognition::More,
            _ => Recognition::No,
        },
        [3] | [3, 0] | [3, 0, _] | [3, 0, _, _] | [3, 0, _, _, _] => Recognition::More,
        [3, 0, _, _, _, code::REQUEST, rest @ ..] if rest.len() < 5 => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Rdp::default())
}

/// How far the conversation is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Request,
    /// The client's settings are to come, in clear.
    Settings,
    /// Inside TLS.
    Sealed,
    /// Nothing more is read.
    Done,
}

/// One conversation.
#[derive(Debug, Default)]
struct Rdp {
    client: Messages,
    server: Messages,
    stage: Stage,
    /// Where the connection was asked for.
    begun: Option<At>,
    account: Option<Box<[u8]>>,
    /// Whether credentials come before the picture.
    is_first: bool,
    tls: Option<Box<Tls>>,
    latest: Timestamp,
    has_gap: bool,
}

impl Rdp {
    fn client(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        match (self.stage, message.bytes.get(TPKT_BYTES..)) {
            (Stage::Request, Some([_, code::REQUEST, ..])) if self.begun.is_none() => {
                self.begun = Some(message.at);
                let rest = message.bytes.get(TPKT_BYTES + REQUEST_BYTES..).unwrap_or_default();
                if let Some(account) = cookie(rest) {
                    sink.text(&message.at, "user", account);
                    self.account = Some(account.into());
                }
            }
            (Stage::Settings, Some(settings @ [_, code::DATA, ..])) => {
                if memchr::memmem::find(settings, b"MS_T120\0").is_some() {
                    sink.oddity(&message.at, &BLUEKEEP, b"MS_T120");
                }
                // Only the first message holds settings.
                self.stage = Stage::Done;
            }
            _ => {}
        }
    }

    /// The confirmation, with the protocol that the server chose (MS-RDPBCGR §2.2.1.2.1).
    fn server(&mut self, message: Message<'_>) {
        if self.stage != Stage::Request || self.begun.is_none() {
            return;
        }
        let Some([_, code::CONFIRM, rest @ ..]) = message.bytes.get(TPKT_BYTES..) else { return };
        let choice = match rest.get(REQUEST_BYTES - 2..) {
            Some([2, _, 8, 0, choice @ ..]) => choice.first().copied().unwrap_or_default(),
            // A refusal to negotiate.
            Some([3, ..]) => return self.stage = Stage::Done,
            _ => 0,
        };
        if choice == 0 {
            self.stage = Stage::Settings;
            return;
        }
        self.stage = Stage::Sealed;
        // 2 is CredSSP, 8 the same with an early answer.
        self.is_first = matches!(choice, 2 | 8);
        self.tls = Some(Box::new(Tls::summing()));
    }

    fn sealed(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let Some(tls) = &mut self.tls else { return };
        tls.data(from, chunk, sink);
        self.latest = chunk.time;
        if self.is_first && !self.has_gap && tls.data_bytes().iter().sum::<u64>() >= SHOWN_MIN_BYTES {
            self.stage = Stage::Done;
            self.tell(Fate::Accepted, sink);
        }
    }

    /// The conversation is over.
    fn finish(&mut self, sink: &mut dyn Sink) {
        let Some(tls) = &mut self.tls else { return };
        tls.closed(Side::Server, sink);
        let [client, server] = tls.data_bytes();
        let is_short = self.begun.is_some_and(|at| self.latest.micros_since(at.time) <= REFUSED_MAX_MICROS);
        let is_few = client >= PRESENTED_MIN_BYTES && client + server <= REFUSED_MAX_BYTES;
        if self.stage == Stage::Sealed && self.is_first && !self.has_gap && is_short && is_few {
            self.tell(Fate::Refused, sink);
        }
        self.stage = Stage::Done;
    }

    fn tell(&self, fate: Fate, sink: &mut dyn Sink) {
        let Some(at) = &self.begun else { return };
        let accepted = fate == Fate::Accepted;
        let account = self.account.as_deref();
        sink.login(at, &Login { class: Class::AuthRemote, account, accepted, inferred: true });
    }
}

/// What became of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Accepted,
    Refused,
}

impl Parser for Rdp {
    fn reading(&self) -> Reading {
        Reading::Hidden
    }

    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        if matches!(self.stage, Stage::Request | Stage::Settings) {
            let mut messages = match from {
                Side::Client => std::mem::take(&mut self.client),
                Side::Server => std::mem::take(&mut self.server),
            };
            while matches!(self.stage, Stage::Request | Stage::Settings)
                && let Some(message) = messages.pull(&mut feed, size)
            {
                match from {
                    Side::Client => self.client(message, sink),
                    Side::Server => self.server(message),
                }
            }
            match from {
                Side::Client => self.client = messages,
                Side::Server => self.server = messages,
            }
        }
        let (at, bytes) = feed.left();
        if self.stage == Stage::Sealed && !bytes.is_empty() {
            self.sealed(from, &Chunk { bytes, offset: at.offset, ..*chunk }, sink);
        }
    }

    fn gap(&mut self, from: Side, missing: u64, sink: &mut dyn Sink) {
        self.has_gap = true;
        match (&mut self.tls, from) {
            (Some(tls), _) => tls.gap(from, missing, sink),
            (None, Side::Client) => self.client.gap(missing),
            (None, Side::Server) => self.server.gap(missing),
        }
    }

    fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        if from == Side::Server {
            self.finish(sink);
        }
    }

    fn held(&self) -> usize {
        let tls = self.tls.as_ref().map_or(0, |tls| tls.held());
        let account = self.account.as_ref().map_or(0, |account| account.len());
        size_of::<Self>() + self.client.held() + self.server.held() + tls + account
    }
}

/// The account that a cookie names: `Cookie: mstshash=NAME`.
fn cookie(bytes: &[u8]) -> Option<&[u8]> {
    let value = bytes.strip_prefix(b"Cookie: mstshash=")?;
    let line = value.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    line.get(..line.len().min(ACCOUNT_MAX_BYTES)).filter(|account| !account.is_empty())
}

fn size(bytes: &[u8]) -> Size {
    match bytes {
        [3, 0, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length < TPKT_BYTES { Size::Broken } else { Size::Whole { length, wanted: MESSAGE_MAX_BYTES } }
        }
        [] | [3] | [3, 0] | [3, 0, _] => Size::More,
        _ => Size::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{
        Act, Heard, answer, ask, play, play_all_ways, recognises_only, survive_damage,
    };

    fn tpkt(body: &[u8]) -> Vec<u8> {
        [&[3, 0][..], &(body.len() as u16 + 4).to_be_bytes(), body].concat()
    }

    fn request(cookie: &[u8], wish: &[u8]) -> Act {
        let length = (6 + cookie.len() + wish.len()) as u8;
        ask(tpkt(&[&[length, 0xe0, 0, 0, 0, 0, 0], cookie, wish].concat()))
    }

    fn confirm(choice: u8) -> Act {
        answer(tpkt(&[14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, choice, 0, 0, 0]))
    }

    fn sealed(length: usize) -> Vec<u8> {
        [&[23, 3, 3][..], &(length as u16).to_be_bytes(), &vec![0; length]].concat()
    }

    const WISH: &[u8] = &[1, 0, 8, 0, 3, 0, 0, 0];

    /// With the account `clerk` and the given choice of the server, up to encryption.
    fn opened(choice: u8) -> Vec<Act> {
        vec![
            request(b"Cookie: mstshash=clerk\r\n", WISH),
            confirm(choice),
            ask(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"),
            answer(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00\x14\x03\x03\x00\x01\x01"),
            ask(b"\x14\x03\x03\x00\x01\x01"),
        ]
    }

    fn played(choice: u8, rest: &[Act]) -> Heard {
        play_all_ways(&[&opened(choice)[..], rest].concat(), 13_389)
    }

    #[test]
    fn a_login_is_refused_where_the_connection_ends_in_the_exchange_of_credentials() {
        let refused = [ask(sealed(100)), answer(sealed(300)), ask(sealed(650)), answer(sealed(60))];
        let heard = played(2, &refused);
        assert_eq!(
            (heard.app, heard.logins, heard.inferred),
            (Some("rdp"), vec![(Class::AuthRemote, "clerk".into(), false)], vec![true])
        );
        assert!(played(1, &refused).logins.is_empty(), "nothing is presented before the picture");
        let asked = [ask(sealed(100)), answer(sealed(300))];
        assert!(played(2, &asked).logins.is_empty(), "the server was asked for its name only");
        assert!(played(2, &[]).logins.is_empty());
    }

    #[test]
    fn a_connection_that_goes_on_was_let_in() {
        let mut rest = vec![ask(sealed(100)), answer(sealed(300)), ask(sealed(650))];
        rest.extend((0..6).map(|_| answer(sealed(8_000))));
        assert_eq!(played(2, &rest).logins, [(Class::AuthRemote, "clerk".into(), true)]);
        rest.truncate(5);
        assert!(played(2, &rest).logins.is_empty(), "too much for a refusal, too little for a picture");
    }

    #[test]
    fn the_channel_of_the_server_itself_is_an_attack() {
        let settings = |channel: &[u8]| {
            let data = tpkt(&[&[2, 0xf0, 0x80, 0x7f, 0x65][..], &[0; 300], channel, &[0; 5]].concat());
            play_all_ways(&[request(b"Cookie: mstshash=a\r\n", b""), confirm(0), ask(data)], 3389).odd()
        };
        assert_eq!(settings(b"MS_T120\0"), ["rdp.bluekeep"]);
        assert!(settings(b"rdpsnd\0\0").is_empty());
    }

    #[test]
    fn requests_of_others_over_the_same_transport_are_not_taken() {
        recognises_only(&ROW);
        let recognised = |rest: &[u8], port: u16| {
            let bytes = tpkt(&[&[14, 0xe0, 0, 0, 0, 1, 0], rest].concat());
            recognise(&Opening { client: &bytes, server: b"", port })
        };
        assert_eq!(recognised(&[0xc0, 1, 10, 0xc1, 2, 1, 0], 102), Recognition::No);
        assert_eq!(recognised(b"", 3389), Recognition::Yes);
        assert_eq!(recognised(b"", 102), Recognition::No);
    }

    #[test]
    fn what_is_lost_is_not_guessed_and_damage_is_survived() {
        let rest = [ask(sealed(650)), Act::Gap(Side::Server, 5_000)];
        assert!(play(&[&opened(2)[..], &rest].concat(), 3389, 999).logins.is_empty());
        survive_damage(&[&opened(2)[..], &[ask(sealed(650))]].concat(), 3389);
    }
}
