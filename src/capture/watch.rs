//! What a live capture may claim of the time that passes: pure decisions on what a tick found.
//!
//! Time counts as observed only while the interface is up. The wall clock may be set at any moment; how long something
//! took is told by the steady clock, and a stamp that the clock cannot have shown is a clock that was set.

use std::time::Duration;

use crate::capture::Sink;
use crate::model::frame::Frame;
use crate::model::time::{MICROS_PER_SEC, Timestamp};

/// 2026-01-01: gatewatch is younger, so a clock that shows an earlier time was never set.
const FIRST_RELEASE_SECS: i64 = 1_767_225_600;
/// A clock before this was not set (no battery, no time server yet): what it stamps opens no period. The date of the
/// build, where the packager names it (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub const NOT_BEFORE: Timestamp = Timestamp::from_parts(
    match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) => build_secs(text.as_bytes()),
        None => FIRST_RELEASE_SECS,
    },
    0,
);
/// A clock that is off by more than this was set. Less is slewing, or two processors that do not quite agree.
const STEP_MICROS: i64 = MICROS_PER_SEC;

/// Seconds in decimal digits, never before the first release.
const fn build_secs(mut text: &[u8]) -> i64 {
    let mut secs: i64 = 0;
    while let [digit, rest @ ..] = text {
        if !digit.is_ascii_digit() {
            return FIRST_RELEASE_SECS;
        }
        secs = secs.saturating_mul(10).saturating_add((*digit - b'0') as i64);
        text = rest;
    }
    if secs > FIRST_RELEASE_SECS { secs } else { FIRST_RELEASE_SECS }
}

/// The state of a captured interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum State {
    /// It is up, and frames come or may come.
    #[default]
    Watching,
    /// It is down or has no carrier: nothing is observed.
    Down,
    /// It is up, and no frame came for longer than `capture.silence_mins`.
    Silent,
    /// The clock was never set: nothing can be dated.
    ClockUnset,
    /// It is gone, and opened again when it is back: nothing is observed.
    Gone,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Watching, Self::Down, Self::Silent, Self::ClockUnset, Self::Gone];

    /// The word in `gatewatch status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watching => "up",
            Self::Down => "down",
            Self::Silent => "silent",
            Self::ClockUnset => "clock not set",
            Self::Gone => "gone",
        }
    }

    /// Whether the time that passes in it is observed.
    pub const fn is_observing(self) -> bool {
        matches!(self, Self::Watching | Self::Silent)
    }
}

/// What an interface says of its link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// How often the carrier came or went so far: a flap between two looks shows in it.
    pub changes: u64,
}

/// What a tick finds.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The wall clock.
    pub wall: Timestamp,
    /// Time since the start by the steady clock.
    pub steady: Duration,
    /// The link.
    pub link: Link,
    /// Whether a frame came since the last tick.
    pub heard: bool,
}

/// What it means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The span that was observed since the last tick.
    pub observed: Option<(Timestamp, Timestamp)>,
    /// How long nothing could be observed because the interface was down.
    pub down_micros: i64,
    /// The state now.
    pub state: State,
    /// Whether the clock was set since the last tick.
    pub stepped: bool,
}

/// What is remembered between two ticks.
#[derive(Debug)]
pub struct Watch {
    before: Look,
    /// When the last frame came, or the link.
    heard: Duration,
    /// No frame for so long is silence; zero: never.
    silence: Duration,
    /// Stamp of the last frame.
    last: Option<Timestamp>,
    /// The latest stamp that the clock can have shown by now.
    horizon: Timestamp,
}

impl Watch {
    /// Begins with a first look.
    pub const fn new(first: Look, silence: Duration) -> Self {
        let horizon = first.wall.plus_micros(STEP_MICROS);
        Self { before: first, heard: first.steady, silence, last: None, horizon }
    }

    /// Takes a tick.
    pub fn look(&mut self, now: Look) -> Seen {
        let before = std::mem::replace(&mut self.before, now);
        let passed = micros(now.steady.saturating_sub(before.steady));
        let stepped = (now.wall.micros_since(before.wall) - passed).abs() > STEP_MICROS;
        self.reach(now.steady);
        if now.heard || !before.link.up {
            self.heard = now.steady;
        }
        let silent = !self.silence.is_zero() && now.steady.saturating_sub(self.heard) >= self.silence;
        let state = if now.wall < NOT_BEFORE {
            State::ClockUnset
        } else if !now.link.up {
            State::Down
        } else if silent {
            State::Silent
        } else {
            State::Watching
        };
        // Up at both ends and not away in between.
        let watched = now.link.up && now.link == before.link;
        let from = if stepped { now.wall.plus_micros(-passed) } else { before.wall };
        let datable = from >= NOT_BEFORE && from < now.wall;
        Seen {
            observed: (watched && datable).then_some((from, now.wall)),
            down_micros: if watched { 0 } else { passed },
            state,
            stepped,
        }
    }

    /// Moves on what the clock can have shown.
    pub fn reach(&mut self, steady: Duration) {
        let since = micros(steady.saturating_sub(self.before.steady));
        self.horizon = self.before.wall.plus_micros(since + STEP_MICROS);
    }

    /// Hands a frame on, after word of a clock that was set. False where the clock never was: it cannot be dated.
    pub fn hand_on(
        &mut self,
        frame: &Frame<'_>,
        steady: impl FnOnce() -> Duration,
        sink: &mut impl Sink,
    ) -> bool {
        if frame.time < NOT_BEFORE {
            return false;
        }
        if frame.time > self.horizon {
            // The thread may have been stopped in the middle of a batch.
            self.reach(steady());
        }
        if self.stamp(frame.time) {
            sink.stepped(frame.time);
        }
        sink.frame(frame);
        true
    }

    /// How far packet time is at a tick: by the clock (`now`) where the ring is empty, else as far as the frames read.
    pub fn reached(
        &mut self,
        now: Timestamp,
        (drained, stepped): (bool, bool),
        sink: &mut impl Sink,
    ) -> Option<Timestamp> {
        if now < NOT_BEFORE {
            return None;
        }
        if !drained {
            return self.last;
        }
        if stepped {
            sink.stepped(now);
            self.last = Some(now);
        }
        Some(now)
    }

    /// Takes the stamp of a frame. True where the clock was set since the frame before it.
    fn stamp(&mut self, stamp: Timestamp) -> bool {
        let ahead = stamp > self.horizon;
        let back = self.last.is_some_and(|last| last.micros_since(stamp) > STEP_MICROS);
        self.last = Some(stamp);
        if ahead {
            self.horizon = stamp.plus_micros(STEP_MICROS);
        }
        ahead || back
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = NOT_BEFORE.plus_micros(MICROS_PER_SEC * 86_400);
    const UP: Link = Link { up: true, changes: 2 };

    fn at(wall_ms: i64, steady_ms: u64, link: Link) -> Look {
        let wall = START.plus_micros(wall_ms * 1_000);
        Look { wall, steady: Duration::from_millis(steady_ms), link, heard: false }
    }

    fn ms(ms: i64) -> Timestamp {
        START.plus_micros(ms * 1_000)
    }

    #[test]
    fn time_while_down_is_not_observed_and_counted() {
        let down = Link { up: false, changes: 3 };
        let mut watch = Watch::new(at(0, 0, UP), Duration::ZERO);
        assert_eq!(watch.look(at(500, 500, UP)).observed, Some((ms(0), ms(500))));
        let seen = watch.look(at(1_000, 1_000, down));
        assert_eq!((seen.observed, seen.down_micros, seen.state), (None, 500_000, State::Down));
        let again = Link { up: true, changes: 4 };
        let seen = watch.look(at(1_500, 1_500, again));
        assert_eq!((seen.observed, seen.down_micros, seen.state), (None, 500_000, State::Watching));
        assert_eq!(watch.look(at(2_000, 2_000, again)).observed, Some((ms(1_500), ms(2_000))));
        let flapped = Link { up: true, changes: 6 };
        assert_eq!(watch.look(at(2_500, 2_500, flapped)).observed, None, "away between two looks");
    }

    #[test]
    fn silence_is_noticed_on_an_interface_that_is_up_and_ends_with_a_frame() {
        let mut watch = Watch::new(at(0, 0, UP), Duration::from_secs(600));
        assert_eq!(watch.look(at(599_500, 599_500, UP)).state, State::Watching);
        let seen = watch.look(at(600_000, 600_000, UP));
        assert_eq!((seen.state, seen.observed), (State::Silent, Some((ms(599_500), ms(600_000)))));
        let heard = Look { heard: true, ..at(600_500, 600_500, UP) };
        assert_eq!(watch.look(heard).state, State::Watching);
        let mut never = Watch::new(at(0, 0, UP), Duration::ZERO);
        assert_eq!(never.look(at(9_000_000, 9_000_000, UP)).state, State::Watching);
    }

    #[test]
    fn a_clock_that_is_set_claims_no_time_that_did_not_pass() {
        let mut watch = Watch::new(at(0, 0, UP), Duration::ZERO);
        let year = 365 * 86_400_000;
        let seen = watch.look(at(year, 500, UP));
        assert_eq!((seen.observed, seen.stepped), (Some((ms(year - 500), ms(year))), true));
        let seen = watch.look(at(1_000, 1_000, UP));
        assert_eq!((seen.observed, seen.stepped), (Some((ms(500), ms(1_000))), true));
        let seen = watch.look(at(1_501, 1_500, UP));
        assert_eq!((seen.observed, seen.stepped), (Some((ms(1_000), ms(1_501))), false));
    }

    #[test]
    fn a_clock_before_the_build_observes_nothing() {
        let unset = Look { wall: Timestamp(5), ..at(0, 0, UP) };
        let mut watch = Watch::new(unset, Duration::ZERO);
        let seen = watch.look(Look { wall: Timestamp(500_005), ..at(0, 500, UP) });
        assert_eq!((seen.observed, seen.state), (None, State::ClockUnset));
        let seen = watch.look(at(0, 1_000, UP));
        assert_eq!((seen.state, seen.stepped), (State::Watching, true));
    }

    #[test]
    fn stamps_tell_of_a_clock_that_was_set() {
        let mut watch = Watch::new(at(0, 0, UP), Duration::ZERO);
        assert!(!watch.stamp(ms(10)));
        assert!(!watch.stamp(ms(5)), "two processors");
        assert!(!watch.stamp(ms(900)));
        assert!(watch.stamp(ms(-10_000)), "set back");
        assert!(!watch.stamp(ms(-9_000)));
        assert!(watch.stamp(ms(3_600_000)), "set forward");
        assert!(!watch.stamp(ms(3_600_100)));
        watch.reach(Duration::from_secs(7_200));
        assert!(!watch.stamp(ms(7_000_000)), "time passed");
    }

    #[test]
    fn the_date_of_the_build_is_read_and_never_before_the_first_release() {
        assert_eq!(build_secs(b"1800000000"), 1_800_000_000);
        for text in [&b""[..], b"0", b"yesterday", b"-5"] {
            assert_eq!(build_secs(text), FIRST_RELEASE_SECS);
        }
    }
}
