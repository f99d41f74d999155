//! Heartbeats (RFC 6520): what asks for more than it brought, in clear or hidden by encryption (CVE-2014-0160).

use crate::model::attempt::Outcome;
use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::found::{Answered, At, Oddity};
use crate::protocol::messages::Message;
use crate::protocol::tls::{HEADER_BYTES, Tls};

/// A heartbeat request that asks back more than it brought.
pub(super) static HEARTBLEED: Oddity = Oddity {
    id: "tls.heartbleed",
    class: Class::ExploitService,
    weight: 0.98,
    title: "Heartbeat request that claims more payload than its record holds (CVE-2014-0160)",
};
/// The same where encryption hides the claim: an honest request has padding, an honest answer repeats it and is as long.
pub(super) static HEARTBLEED_HIDDEN: Oddity = Oddity {
    id: "tls.heartbleed_hidden",
    class: Class::ExploitService,
    weight: 0.9,
    title: "Encrypted heartbeat request shorter than any may be, with a far longer answer, or unanswered before any data (CVE-2014-0160)",
};

/// How much longer than its requests a heartbeat answer must be to be no answer: padding of an honest one is random in length.
const HEARTBEAT_EXCESS_BYTES: usize = 1_024;
/// Shortest encrypted heartbeat: three bytes, the padding of 16 that RFC 6520 §4 asks for, a code of 16 at least.
const HEARTBEAT_MIN_BYTES: usize = 3 + 16 + 16;

/// Heartbeats since the latest request of the client.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    at: At,
    asked_bytes: usize,
    answered_bytes: usize,
    /// Whether nobody had said anything yet: they are for lines that are idle after their use (RFC 6520 §1).
    is_first: bool,
}

/// What an encrypted request that is too short says.
const HIDDEN_ATTEMPT: Answered = Answered { outcome: Outcome::Attempted, inferred: true };

/// A heartbeat request whose answer is awaited: header of the record, type, length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    at: At,
    bytes: [u8; HEADER_BYTES + 3],
}

impl Claim {
    fn of(message: Message<'_>) -> Option<Self> {
        Some(Self { at: message.at, bytes: *message.bytes.first_chunk()? })
    }
}

impl Tls {
    /// A heartbeat (RFC 6520 §4): type, length of the payload, payload, at least 16 bytes of padding.
    pub(super) fn heartbeat(&mut self, from: Side, message: Message<'_>, length: usize, sink: &mut dyn Sink) {
        if from == Side::Server {
            return self.heartbeat_answered(length, sink);
        }
        if let Some(Claim { bytes: [_, _, _, _, _, 1, high, low], .. }) = Claim::of(message)
            && !self.client.is_sealed
            && 3 + usize::from(u16::from_be_bytes([high, low])) > length
        {
            self.tell_claim(Outcome::Attempted, sink);
            self.claim = Claim::of(message);
        } else if self.client.is_sealed && length < HEARTBEAT_MIN_BYTES {
            sink.answered(&message.at, &HEARTBLEED_HIDDEN, b"", HIDDEN_ATTEMPT);
        } else {
            let Heartbeats { at, asked_bytes, answered_bytes, is_first } = &mut self.heartbeats;
            if *asked_bytes == 0 || *answered_bytes > 0 {
                (*at, *asked_bytes, *answered_bytes) = (message.at, 0, 0);
                *is_first = self.client.is_sealed && !self.is_used && !self.has_gap;
            }
            *asked_bytes += length;
        }
    }

    /// A heartbeat of the server. One that was mended says nothing to a claim; one that is not answers with what it remembers.
    pub(super) fn heartbeat_answered(&mut self, length: usize, sink: &mut dyn Sink) {
        self.tell_claim(Outcome::LikelySuccess, sink);
        if self.heartbeats.asked_bytes == 0 {
            return;
        }
        self.heartbeats.answered_bytes += length;
        let Heartbeats { at, asked_bytes, answered_bytes, .. } = &self.heartbeats;
        if *answered_bytes > 4 * asked_bytes + HEARTBEAT_EXCESS_BYTES {
            let answered = Answered { outcome: Outcome::LikelySuccess, inferred: true };
            sink.answered(at, &HEARTBLEED_HIDDEN, b"", answered);
            self.heartbeats = Heartbeats::default();
        }
    }

    /// Tells a first heartbeat that the server did not answer: one that claims too much is discarded in silence (RFC 6520 §4).
    pub(super) fn tell_first(&mut self, sink: &mut dyn Sink) {
        if self.heartbeats.is_first && self.heartbeats.answered_bytes == 0 {
            sink.answered(&self.heartbeats.at, &HEARTBLEED_HIDDEN, b"", HIDDEN_ATTEMPT);
        }
        self.heartbeats.is_first = false;
    }

    /// Tells the claim that waits for its answer.
    pub(super) fn tell_claim(&mut self, outcome: Outcome, sink: &mut dyn Sink) {
        if let Some(Claim { at, bytes }) = self.claim.take() {
            sink.answered(&at, &HEARTBLEED, &bytes, Answered { outcome, inferred: false });
        }
    }
}
