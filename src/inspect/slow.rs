//! Slow clients: requests that are begun and not finished (slowloris, slow POST). A connection held open this way costs a server as
//! much as a busy one and a client next to nothing.

use std::collections::VecDeque;

use crate::inspect::{FlowState, Path};
use crate::model::surge::SurgeKind;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::protocol::Unfinished;
use crate::stream::{FlowRef, View};

/// A request that is unfinished for so long is looked at. Servers allow a head 10 to 40 s (Apache's `mod_reqtimeout`, nginx 60 s).
const PATIENCE_MICROS: i64 = 10 * MICROS_PER_SEC;
/// Less than so many bytes a second is slow: an old modem sent fifty times as much.
const RATE_MIN: i64 = 100;
/// Unfinished requests that are watched at once, however much memory there is: 1.5 MB. Others are not called slow.
const WATCHED_MAX: usize = 65_536;

/// A request that is under way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Begun {
    since: Timestamp,
    bytes: u64,
}

/// When which conversation is looked at, earliest first.
pub struct Watch {
    queue: VecDeque<(Timestamp, FlowRef)>,
    queue_max: usize,
}

impl Watch {
    /// Uses up to `memory_bytes`. The queue doubles when it is full.
    pub fn new(memory_bytes: usize) -> Self {
        let queue_max = memory_bytes / 2 / size_of::<(Timestamp, FlowRef)>();
        Self { queue: VecDeque::new(), queue_max: queue_max.min(WATCHED_MAX) }
    }

    fn push(&mut self, due: Timestamp, flow: FlowRef) {
        if self.queue.len() < self.queue_max {
            self.queue.push_back((due, flow));
        }
    }

    /// Whether one is to be looked at.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.queue.front().is_some_and(|(due, _)| *due <= now)
    }

    /// Takes one that is to be looked at.
    pub fn take(&mut self, now: Timestamp) -> Option<FlowRef> {
        self.is_due(now).then(|| self.queue.pop_front()).flatten().map(|(_, flow)| flow)
    }
}

impl Path {
    /// Follows whether the client's request is finished, after so many bytes of it.
    pub fn pace(&mut self, view: &View, state: &mut FlowState, bytes: usize) {
        match (state.conversation.unfinished(), &mut state.begun) {
            (None, None) => {}
            (None, begun) => {
                *begun = None;
                self.goes_on(view, state);
            }
            (Some(_), Some(begun)) => begun.bytes += bytes as u64,
            (Some(_), begun) => {
                *begun = Some(Begun { since: view.now, bytes: bytes as u64 });
                self.watch(view);
            }
        }
    }

    fn watch(&mut self, view: &View) {
        self.slow.push(view.now.plus_micros(PATIENCE_MICROS), view.flow);
    }

    /// Looks at a conversation whose request was unfinished a while ago.
    pub fn look_again(&mut self, view: &View, state: &mut FlowState) {
        let (Some(unfinished), Some(begun)) = (state.conversation.unfinished(), state.begun) else { return };
        let seconds = (view.now.micros_since(begun.since) / MICROS_PER_SEC).max(1);
        let is_slow = begun.bytes / seconds.unsigned_abs() < RATE_MIN.unsigned_abs();
        // Another request may have begun meanwhile: its time is not over.
        if is_slow && view.now.micros_since(begun.since) >= PATIENCE_MICROS {
            let kind = match unfinished {
                Unfinished::Body => SurgeKind::SlowBody,
                Unfinished::Head => SurgeKind::SlowHeader,
            };
            self.holds(view, state, kind);
        }
        self.watch(view);
    }
}
