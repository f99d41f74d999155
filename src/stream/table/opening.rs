//! Which segments open a conversation, and which open another one between the same ends.

use crate::decode::transport::{Segment, flag};
use crate::model::stream::Side;
use crate::model::time::MICROS_PER_SEC;
use crate::stream::Consumer;
use crate::stream::flow::{Flow, Phase};

/// A SYN on an open conversation that was silent for so long opens a new one at once.
const STALE_MICROS: i64 = 60 * MICROS_PER_SEC;

/// Which end sent the first segment of a conversation; `None` for a segment that opens none.
pub(super) fn opener<C: Consumer>(segment: &Segment<'_>, consumer: &C) -> Option<Side> {
    match (segment.has(flag::SYN), segment.has(flag::ACK)) {
        // No stack opens with these (RFC 9293 §3.10.7.2 drops or refuses them), and every other segment acknowledges.
        (true, _) if segment.has(flag::FIN | flag::RST) => None,
        (false, false) => None,
        (true, false) => Some(Side::Client),
        (true, true) => Some(Side::Server),
        // Picked up in the middle. A bare ACK, FIN or RST tells nothing that is worth a slot.
        (false, _) if segment.payload.is_empty() => None,
        // The bytes know best; then the port that looks like a service.
        (false, _) => Some(consumer.sender_of(segment.payload).unwrap_or({
            if segment.source.port() < segment.destination.port() { Side::Server } else { Side::Client }
        })),
    }
}

impl<S: Default> Flow<S> {
    /// Whether a segment shows that these ports now carry another conversation.
    ///
    /// A SYN alone proves nothing (anybody can forge one): an open conversation yields only when the server
    /// agrees to it, or after a long silence.
    pub(super) fn is_reopened_by(&mut self, segment: &Segment<'_>, silent: i64) -> bool {
        if !segment.has(flag::SYN) || segment.has(flag::FIN | flag::RST) {
            return false;
        }
        if segment.has(flag::ACK) {
            let agreed = segment.acknowledgement.wrapping_sub(1);
            return self.reopening == Some(agreed);
        }
        let side = self.sender_of(segment);
        let same = self.half(side).initial == Some(segment.sequence);
        if same || side == Side::Server && self.phase == Phase::Opening {
            return false;
        }
        if self.phase != Phase::Open || silent >= STALE_MICROS {
            return true;
        }
        self.reopening = Some(segment.sequence);
        false
    }
}
