//! Snapshots without attempts. Each would cost some pages and a sync, twice a second, day and night; so they are held back and
//! written together with the next attempts, or after half a minute. A kill then costs that much observed time, which the
//! report shows as a hole, and never an attempt.

use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::report::ReportError;
use crate::report::writer::{Mode, Writer};
use crate::tally::Snapshot;

/// They are held so long.
const QUIET_MICROS: i64 = 30 * MICROS_PER_SEC;

/// What is held back.
#[derive(Debug, Default)]
pub struct Held {
    snapshot: Snapshot,
    since: Option<Timestamp>,
}

impl Held {
    /// Holds a quiet one back, too.
    pub fn take(&mut self, mut snapshot: Snapshot) {
        let watermark = snapshot.watermark;
        self.since = self.since.or(Some(watermark));
        snapshot.add_quiet(std::mem::take(&mut self.snapshot));
        self.snapshot = snapshot;
    }

    /// Gives out what was held back.
    pub fn give(&mut self) -> Snapshot {
        self.since = None;
        std::mem::take(&mut self.snapshot)
    }
}

impl Writer {
    /// Whether a snapshot can wait: nothing was counted, it opens no period, and none waits for long.
    pub(super) fn may_hold(&mut self, snapshot: &Snapshot) -> Result<bool, ReportError> {
        if self.setup.mode == Mode::Replay || !snapshot.is_quiet() {
            return Ok(false);
        }
        let age = self.held.since.map_or(0, |since| snapshot.watermark.micros_since(since));
        // A clock that was set moves what is open, and is not waited for.
        Ok((0..QUIET_MICROS).contains(&age) && self.begin(snapshot)?.is_empty())
    }

    /// Writes what was held back: a period closes, or the run ends.
    pub(super) fn write_held(&mut self) -> Result<(), ReportError> {
        if self.held.since.is_none() {
            return Ok(());
        }
        let mut held = self.held.give();
        let written = self.write(&mut held);
        if written.is_err() {
            // It waits for the next try.
            self.held.take(held);
        }
        written
    }
}
