//! How far time is, as the snapshots tell it, and whether it can be believed: a clock may be set while it is watched.

use crate::model::time::{MICROS_PER_DAY, MICROS_PER_SEC, Timestamp};
use crate::report::writer::Mode;

/// A clock that moves by more than this from one snapshot to the next was set (or writing stood still for long).
const STEP_MICROS: i64 = 60 * MICROS_PER_SEC;
/// A clock that was set closes no period until it has run on for so long: one that is wrong is usually set right within
/// minutes, and what was closed stays closed.
const CLOSING_DOUBT_MICROS: i64 = 300 * MICROS_PER_SEC;
/// Nor does it remove old files and rows within a day: set forward by years, it would remove everything.
const REMOVAL_DOUBT_MICROS: i64 = MICROS_PER_DAY;
/// Nothing was told so far.
const NEVER: Timestamp = Timestamp(i64::MIN);

/// The clock of one run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: Timestamp,
    /// What it showed when it was last set.
    set: Option<Timestamp>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { now: NEVER, set: None }
    }
}

impl Clock {
    /// What it shows.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether it has told nothing yet.
    pub fn is_new(&self) -> bool {
        self.now == NEVER
    }

    /// Follows time: packets only move on, a clock may be set forward or back. True where it was.
    pub fn follow(&mut self, reached: Timestamp, mode: Mode) -> bool {
        if mode == Mode::Replay {
            self.now = self.now.max(reached);
            return false;
        }
        if reached == Timestamp::default() {
            // Nothing could be dated so far.
            return false;
        }
        let moved = reached.micros_since(self.now).saturating_abs();
        let was_set = !self.is_new() && moved > STEP_MICROS;
        if was_set {
            self.set = Some(reached);
        }
        self.now = reached;
        was_set
    }

    /// Whether periods may close by it.
    pub fn may_close(&self) -> bool {
        self.has_run_for(CLOSING_DOUBT_MICROS)
    }

    /// Whether what is old by it may be removed.
    pub fn may_remove(&self) -> bool {
        self.has_run_for(REMOVAL_DOUBT_MICROS)
    }

    fn has_run_for(&self, micros: i64) -> bool {
        self.set.is_none_or(|set| self.now.micros_since(set) >= micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_doubted_until_it_has_run_on() {
        let mut clock = Clock::default();
        let at = |secs: i64| Timestamp::from_parts(2_000_000_000 + secs, 0);
        assert!(!clock.follow(Timestamp(0), Mode::Live) && clock.is_new());
        assert!(!clock.follow(at(0), Mode::Live) && clock.may_close() && clock.may_remove());
        assert!(!clock.follow(at(59), Mode::Live));
        assert!(clock.follow(at(1_000_000), Mode::Live));
        assert!(!clock.may_close() && !clock.may_remove());
        assert!(clock.follow(at(61), Mode::Live), "set right again");
        for secs in (61..361).step_by(30) {
            assert!(!clock.follow(at(secs), Mode::Live) && !clock.may_close());
        }
        assert!(!clock.follow(at(361), Mode::Live) && clock.may_close() && !clock.may_remove());
        assert_eq!(clock.now(), at(361));
    }

    #[test]
    fn packets_only_move_on() {
        let mut clock = Clock::default();
        assert!(!clock.follow(Timestamp(5), Mode::Replay));
        assert!(!clock.follow(Timestamp(i64::MAX), Mode::Replay) && clock.may_close());
        assert!(!clock.follow(Timestamp(7), Mode::Replay));
        assert_eq!(clock.now(), Timestamp(i64::MAX));
    }
}
