//! How a worker's memory is shared among its tables.

use crate::model::memory::Share;
use crate::stream::datagrams::SLOT_BYTES;
use crate::stream::table::{self, FLOW_BYTES};

/// Limits of a worker's tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of counters of floods.
    pub floods_max_bytes: usize,
    /// Bytes of fragments.
    pub fragments_max_bytes: usize,
    /// Bytes of what waits for an answer, or is watched for being slow.
    pub waiting_max_bytes: usize,
    /// UDP conversations at once.
    pub datagrams_max: usize,
    /// Of TCP conversations.
    pub streams: table::Limits,
}

/// What a worker may use, where so much of the memory limit is its own.
pub fn limits(memory_bytes: usize) -> Limits {
    Limits {
        floods_max_bytes: Share::Floods.of(memory_bytes),
        fragments_max_bytes: Share::Fragments.of(memory_bytes),
        waiting_max_bytes: Share::Waiting.of(memory_bytes),
        datagrams_max: Share::Datagrams.of(memory_bytes) / SLOT_BYTES,
        streams: table::Limits {
            flows_max: Share::Flows.of(memory_bytes) / FLOW_BYTES,
            held_max_bytes: Share::Held.of(memory_bytes),
        },
    }
}
