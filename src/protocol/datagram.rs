//! Protocols over UDP: one datagram is one message, read where it stands.
//!
//! Readers keep no memory of their own but one word a conversation, so that a flood of forged queries costs no allocation.

use crate::model::stream::Side;
use crate::protocol::found::{At, Oddity};
use crate::protocol::{Sink, sip};

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Who sent it.
    pub from: Side,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Port of the server.
    pub port: u16,
    /// Where and when: the offset is the number of the datagram in its conversation.
    pub at: At,
}

/// One protocol over UDP. A new one is a file and a row.
#[derive(Debug)]
pub struct DatagramRow {
    /// Name, as EVE's `app_proto` has it.
    pub name: &'static str,
    /// Whether the first datagram of a conversation is of this protocol, whatever the port; the port decides only where bytes
    /// are ambiguous.
    pub recognise: fn(&Message<'_>) -> bool,
    /// Reads every datagram of a conversation so recognised. `memo` is 0 at its first and kept between them.
    pub read: fn(&Message<'_>, memo: &mut u64, sink: &mut dyn Sink),
    /// The port on which servers of it are abused to reflect floods, where they are.
    pub reflector_port: Option<u16>,
    /// The forms of it that only an attacker sends.
    pub oddities: &'static [&'static Oddity],
}

/// The table, asked in this order.
pub const DATAGRAMS: &[DatagramRow] = &[sip::DATAGRAM_ROW];

/// The row of a conversation's first datagram.
pub fn recognised(message: &Message<'_>) -> Option<&'static DatagramRow> {
    DATAGRAMS.iter().find(|row| (row.recognise)(message))
}
