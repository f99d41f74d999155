//! How often a daemon says the same: what changes is said as it changes, a few times a minute; what repeats unchanged once; the
//! rest is counted, and the count is said.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::app::logging::LIMIT;

/// Target of what is tried again and again, and complains each time: once a minute is enough.
const RETRY: &str = "gatewatch::retry";
/// Target of word of incidents, which has a limit of its own.
pub const INCIDENT: &str = "gatewatch::incident";
/// Target of what an operator asked for, each time.
pub const ASKED: &str = "gatewatch::asked";
/// Target of the counts of what was left out.
pub const SUMMARY: &str = "gatewatch::left_out";
/// What a minute is.
const MINUTE: Duration = Duration::from_secs(60);
/// The same line in a minute: an interface that comes and goes is told a few times.
const SAME_MAX: u32 = 5;
/// Lines of one place in the program in a minute, whatever they say: a cause may have many names.
const PLACE_MAX: usize = 30;
/// Bytes of a line that are kept for the count.
const KEPT_MAX: usize = 160;

/// Asks the limit for each line.
pub struct Limiter;

impl<S: Subscriber> Layer<S> for Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Who asks for more than usual gets it.
        if *metadata.level() > Level::INFO || [ASKED, INCIDENT, SUMMARY].contains(&metadata.target()) {
            return true;
        }
        let Some(limit) = LIMIT.get() else { return true };
        let mut line = Line::default();
        event.record(&mut line);
        let same_max = if metadata.target() == RETRY { 1 } else { SAME_MAX };
        limit.admits((metadata.callsite(), *metadata.level()), line.0, same_max)
    }
}

/// The text of a line, to tell it from others.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.0.len() < KEPT_MAX * 4 {
            let gap = if self.0.is_empty() { "" } else { " " };
            // Writing to a String cannot fail.
            let _ = if field.name() == "message" {
                write!(self.0, "{gap}{value:?}")
            } else {
                write!(self.0, "{gap}{}={value:?}", field.name())
            };
        }
    }
}

/// What was said in the minute under way.
#[derive(Debug)]
pub struct Limit(Mutex<Minute>);

#[derive(Debug)]
struct Minute {
    since: Instant,
    places: HashMap<Identifier, Place>,
}

#[derive(Debug, Default)]
struct Place {
    lines: HashMap<String, Said>,
    /// Of lines that were not told apart any more.
    others: u64,
}

#[derive(Debug)]
struct Said {
    level: Level,
    times: u32,
    left_out: u64,
}

impl Limit {
    /// Begins at a time.
    pub fn at(now: Instant) -> Self {
        Self(Mutex::new(Minute { since: now, places: HashMap::new() }))
    }

    fn minute(&self) -> MutexGuard<'_, Minute> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line of a place in the program may be said; where not it is counted.
    fn admits(&self, (place, level): (Identifier, Level), line: String, same_max: u32) -> bool {
        let mut minute = self.minute();
        let place = minute.places.entry(place).or_default();
        if place.lines.len() >= PLACE_MAX && !place.lines.contains_key(&line) {
            place.others = place.others.saturating_add(1);
            return false;
        }
        let said = place.lines.entry(line).or_insert(Said { level, times: 0, left_out: 0 });
        if said.times < same_max {
            said.times += 1;
            return true;
        }
        said.left_out = said.left_out.saturating_add(1);
        false
    }

    /// What was left out in the minute that is over, or in the one under way where that is the end; begins another then.
    pub fn turn(&self, now: Instant, is_the_end: bool) -> Vec<(Level, String, u64)> {
        let mut minute = self.minute();
        if !is_the_end && now.saturating_duration_since(minute.since) < MINUTE {
            return Vec::new();
        }
        minute.since = now;
        let mut told = Vec::new();
        for place in std::mem::take(&mut minute.places).into_values() {
            let level = place.lines.values().map(|said| said.level).min().unwrap_or(Level::WARN);
            told.extend(
                place
                    .lines
                    .into_iter()
                    .filter(|(_, said)| said.left_out > 0)
                    .map(|(line, said)| (said.level, line.chars().take(KEPT_MAX).collect(), said.left_out)),
            );
            if place.others > 0 {
                told.push((level, "others of that kind".to_owned(), place.others));
            }
        }
        told.sort_by(|a, b| a.1.cmp(&b.1));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::callsite::DefaultCallsite;
    use tracing::metadata::Kind;
    use tracing::{Metadata, callsite::Callsite as _, field::FieldSet};

    static PLACE: DefaultCallsite = DefaultCallsite::new(&META);
    static META: Metadata<'static> = Metadata::new(
        "test",
        "gatewatch",
        Level::WARN,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&PLACE)),
        Kind::EVENT,
    );

    fn place() -> (Identifier, Level) {
        (PLACE.metadata().callsite(), Level::WARN)
    }

    #[expect(clippy::disallowed_methods, reason = "a point in time to begin with")]
    fn begin() -> (Instant, Limit) {
        let now = Instant::now();
        (now, Limit::at(now))
    }

    #[test]
    fn the_same_is_said_a_few_times_a_minute_and_the_rest_is_counted() {
        let (start, limit) = begin();
        let said = |line: &str, max| (0..100).filter(|_| limit.admits(place(), line.to_owned(), max)).count();
        assert_eq!((said("wan0 is down", SAME_MAX), said("no link", 1)), (5, 1));
        assert_eq!(limit.turn(start + Duration::from_secs(59), false), []);
        let told = limit.turn(start + MINUTE, false);
        assert_eq!(
            told,
            [(Level::WARN, "no link".to_owned(), 99), (Level::WARN, "wan0 is down".to_owned(), 95)]
        );
        assert_eq!((said("wan0 is down", SAME_MAX), said("no link", 1)), (5, 1), "another minute");
        assert_eq!(limit.turn(start + MINUTE, true).len(), 2, "the end tells of a minute that is not over");
        assert_eq!(limit.turn(start + MINUTE * 9, false), []);
    }

    #[test]
    fn a_cause_with_many_names_is_bounded_too() {
        let (start, limit) = begin();
        let said = (0..10_000).filter(|n| limit.admits(place(), format!("peer {n}"), SAME_MAX)).count();
        assert_eq!(said, PLACE_MAX);
        assert_eq!(limit.minute().places.values().map(|place| place.lines.len()).sum::<usize>(), PLACE_MAX);
        let told = limit.turn(start + MINUTE, false);
        assert_eq!(told, [(Level::WARN, "others of that kind".to_owned(), 10_000 - PLACE_MAX as u64)]);
    }
}
