//! SMB 1, 2 and 3 over NetBIOS sessions (RFC 1002 §4.3) or straight over TCP: who sets up a session, whether he is let in, and
//! the messages that MS17-010 is probed and exploited with.

mod fields;
mod ntlm;

use crate::model::class::Class;
use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::smb::fields::{Header, Transaction, little_word, old_setup, transaction};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow {
    name: "smb",
    recognise,
    start,
    counter: Some(Counter::FlowsSmb),
    oddities: &[&ETERNALBLUE, &MS17_010_PROBE, &DOUBLEPULSAR, &SMBGHOST],
};

/// Parts of one kind of transaction that only the other kind was opened for: the server mixes up which length holds.
static ETERNALBLUE: Oddity = Oddity {
    id: "smb.eternalblue",
    class: Class::ExploitService,
    weight: 0.98,
    title: "SMB1 transaction continued as one of another kind (MS17-010, CVE-2017-0144)",
};
/// The server's error to it tells whether it is patched. Honest clients peek into pipes that they opened.
static MS17_010_PROBE: Oddity = Oddity {
    id: "smb.ms17_010_probe",
    class: Class::ExploitService,
    weight: 0.95,
    title: "SMB1 PeekNamedPipe on no pipe: the probe for MS17-010",
};
/// A subcommand that was never implemented: the backdoor answers to it.
static DOUBLEPULSAR: Oddity = Oddity {
    id: "smb.doublepulsar",
    class: Class::ExploitService,
    weight: 0.98,
    title: "SMB1 Trans2 SESSION_SETUP: a call to the DoublePulsar backdoor",
};
/// The flaw of SMB 3.1.1 compression.
static SMBGHOST: Oddity = Oddity {
    id: "smb.smbghost",
    class: Class::ExploitService,
    weight: 0.97,
    title: "SMB3 compressed message whose offset leaves the message (CVE-2020-0796)",
};

/// Header of a NetBIOS session message.
const FRAME_BYTES: usize = 4;
/// Longest NetBIOS message that holds no SMB: names of both ends, a keep-alive.
const NETBIOS_MAX_BYTES: usize = 128;
/// Bytes kept of a message that is read: tokens of NTLM have less than 1 KiB.
const MESSAGE_MAX_BYTES: usize = 4 << 10;
/// Bytes kept of any other message: its header and the first words.
const HEAD_MAX_BYTES: usize = FRAME_BYTES + 68;
/// Session setups whose answer may be outstanding; clients send one after the other.
const PENDING_MAX: usize = 8;
/// Flags of a session in an answer of SMB 2: guest, anonymous.
const NOBODY: u16 = 3;

/// Refusals of credentials (MS-ERREF §2.3): logon failure, wrong password, no such user, locked, disabled, logon type not granted,
/// password expired, account restricted, outside hours, from this workstation, password to be changed, account expired, denied; and
/// `ERRbadpw` in the form of DOS.
const REFUSED: [u32; 14] = [
    0xc000_006d,
    0xc000_006a,
    0xc000_0064,
    0xc000_0234,
    0xc000_0072,
    0xc000_015b,
    0xc000_0071,
    0xc000_006e,
    0xc000_006f,
    0xc000_0070,
    0xc000_0224,
    0xc000_0193,
    0xc000_0022,
    0x0002_0002,
];

/// A session message that holds SMB, or the call that may precede it on port 139.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match (opening.client, opening.server) {
        ([], server) if !server.is_empty() => is_message(server),
        // The client calls a name first: lengths of 68 with two encoded names.
        ([0x81, 0, 0, length, 0x20, ..], _) if *length >= 68 => Recognition::Yes,
        ([] | [0x81] | [0x81, 0] | [0x81, 0, 0] | [0x81, 0, 0, _], _) => Recognition::More,
        (client, _) => is_message(client),
    }
}

fn is_message(bytes: &[u8]) -> Recognition {
    match bytes {
        [0, _, _, _, 0xfc..=0xff, b'S', b'M', b'B', ..] => Recognition::Yes,
        [0, _, _, _, 0xfc..=0xff, rest @ ..] if b"SMB".starts_with(rest) => Recognition::More,
        [0, rest @ ..] if rest.len() < FRAME_BYTES => Recognition::More,
        [] => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Smb::default())
}

/// A session setup that waits for its answer.
#[derive(Debug)]
struct Pending {
    number: u64,
    at: At,
    account: String,
}

/// One conversation.
#[derive(Debug, Default)]
struct Smb {
    client: Messages,
    server: Messages,
    pending: Vec<Pending>,
    /// Kinds of transactions that were opened.
    opened: [bool; 3],
    /// Whether the mix-up was told.
    is_mixed: bool,
}

impl Smb {
    fn client(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        let bytes = message.bytes.get(FRAME_BYTES..).unwrap_or_default();
        match Header::read(bytes) {
            Some(Header::New { command: fields::new_command::SESSION_SETUP, number, .. }) => {
                self.present(message.at, number, ntlm::account(bytes));
            }
            Some(Header::Old { command: fields::old_command::SESSION_SETUP, number, .. }) => {
                self.present(message.at, number, ntlm::account(bytes).or_else(|| old_setup(bytes)));
            }
            Some(Header::Old { .. }) => self.transaction(message.at, bytes, sink),
            Some(Header::Compressed { offset }) if offset as usize > frame_length(message.bytes) => {
                sink.oddity(&message.at, &SMBGHOST, bytes.get(..16).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// A credential. A session without an account is anonymous: half of Windows sets up such; nothing was presented.
    fn present(&mut self, at: At, number: u64, account: Option<String>) {
        let Some(account) = account.filter(|name| !name.is_empty()) else { return };
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push(Pending { number, at, account });
    }

    fn transaction(&mut self, at: At, bytes: &[u8], sink: &mut dyn Sink) {
        match transaction(bytes) {
            Some(Transaction::Opened { kind, setup }) => {
                if let Some(opened) = self.opened.get_mut(kind as usize) {
                    *opened = true;
                }
                match (kind, setup) {
                    (fields::Kind::Plain, [0x23, 0, 0, 0, ..]) => sink.oddity(&at, &MS17_010_PROBE, setup),
                    (fields::Kind::Second, [0x0e, 0, ..]) => sink.oddity(&at, &DOUBLEPULSAR, setup),
                    _ => {}
                }
            }
            Some(Transaction::Continued { kind }) if !self.is_mixed => {
                let is_open = self.opened.get(kind as usize).copied().unwrap_or_default();
                if !is_open && self.opened.contains(&true) {
                    self.is_mixed = true;
                    sink.oddity(&at, &ETERNALBLUE, bytes.get(..32).unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    fn server(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        let bytes = message.bytes.get(FRAME_BYTES..).unwrap_or_default();
        let (number, status, flags) = match Header::read(bytes) {
            Some(Header::New { command: fields::new_command::SESSION_SETUP, number, status }) => {
                (number, status, little_word(bytes, fields::NEW_SESSION_FLAGS))
            }
            Some(Header::Old { command: fields::old_command::SESSION_SETUP, number, status }) => {
                (number, status, little_word(bytes, fields::OLD_SESSION_FLAGS).map(|action| action & 1))
            }
            _ => return,
        };
        let Some(place) = self.pending.iter().position(|pending| pending.number == number) else { return };
        let Pending { at, account, .. } = self.pending.remove(place);
        let accepted = match status {
            // A guest is let in whatever was presented.
            0 if flags.unwrap_or_default() & NOBODY == 0 => true,
            status if REFUSED.contains(&status) => false,
            _ => return,
        };
        let account = Some(account.as_bytes());
        sink.login(&at, &Login { class: Class::AuthRemote, account, accepted, inferred: false });
    }
}

impl Parser for Smb {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
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
        }
        match from {
            Side::Client => self.client = messages,
            Side::Server => self.server = messages,
        }
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        match from {
            Side::Client => self.client.gap(missing),
            Side::Server => self.server.gap(missing),
        }
        // Transactions may have been opened in what is lost.
        self.is_mixed |= from == Side::Client;
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        let names: usize = self.pending.iter().map(|pending| pending.account.len()).sum();
        let pending = self.pending.capacity() * size_of::<Pending>();
        size_of::<Self>() + self.client.held() + self.server.held() + pending + names
    }
}

/// Length of a whole message by its frame.
fn frame_length(bytes: &[u8]) -> usize {
    let [_, high, middle, low] = bytes.first_chunk::<FRAME_BYTES>().copied().unwrap_or_default();
    FRAME_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize
}

/// Type and length, then SMB. Only what may hold a session setup or a transaction is wanted beyond its header.
fn size(bytes: &[u8]) -> Size {
    let Some((frame, rest)) = bytes.split_first_chunk::<FRAME_BYTES>() else { return Size::More };
    let length = frame_length(frame);
    if frame[0] != 0 {
        let is_control = matches!(frame[0], 0x81..=0x85) && length <= NETBIOS_MAX_BYTES;
        return if is_control { Size::Whole { length, wanted: FRAME_BYTES } } else { Size::Broken };
    }
    let is_smb = matches!(rest, [0xfc..=0xff, b'S', b'M', b'B', ..]);
    if rest.len() < fields::COMMAND_BYTES && bytes.len() < length {
        return if rest.len() < 4 || is_smb { Size::More } else { Size::Broken };
    }
    if !is_smb {
        return Size::Broken;
    }
    let wanted = match Header::command(rest) {
        Some(fields::Wanted::Whole) => MESSAGE_MAX_BYTES,
        Some(fields::Wanted::Head) | None => HEAD_MAX_BYTES,
    };
    Size::Whole { length, wanted }
}

#[cfg(test)]
mod tests;
