//! Event lines of what is not a web request: a line where an incident begins, one a minute while it goes on, one at its end.
//!
//! Each line says how many attempts it stands for (`represented`), so that a scan of 65,000 ports is a handful of lines and the
//! lines of a day still add up to its attempts. What waits for its line is told with each snapshot: a process that is killed
//! leaves no line for it, and the next one counts it as shed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::attempt::AttemptId;
use crate::model::class::Class;
use crate::model::grade::Grade;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::SourceKey;
use crate::model::time::{Hour, MICROS_PER_SEC, Timestamp};
use crate::tally::event::{Event, Incident, Stage};

/// Memory of one incident in the map: its last event with texts.
const BYTES_PER_LINE: usize = 1_024;
/// An incident that goes on is told so often.
const EVERY_MICROS: i64 = 60 * MICROS_PER_SEC;
/// Incidents are looked through so often.
const SWEEP_MICROS: i64 = 10 * MICROS_PER_SEC;

/// Whose incident it is. The grade is part of it, so that lines add up by grade as well.
pub type Key = (SourceKey, Class, Arc<str>, Grade);

/// An incident that is told.
#[derive(Debug)]
struct Line {
    /// Its last attempt.
    event: Event,
    incident: Incident,
    /// Attempts since the last line.
    waiting: u64,
    /// Conversations that these opened, and incidents that they began.
    opened: (u64, u64),
    /// When the last line was due or written.
    told: Timestamp,
    /// Attempts of the minute of the last one.
    minute: (i64, u64),
}

/// The incidents that are told, within a limit.
#[derive(Debug)]
pub struct Lines {
    open: HashMap<Key, Line, ahash::RandomState>,
    open_max: usize,
    gap_micros: i64,
    swept: Timestamp,
}

impl Lines {
    /// Uses up to `memory_bytes`; an incident ends after `gap_mins` without an attempt.
    pub fn new(memory_bytes: usize, gap_mins: u32) -> Self {
        let mut lines = Self {
            open: HashMap::default(),
            open_max: (memory_bytes / BYTES_PER_LINE).max(256),
            gap_micros: 0,
            swept: Timestamp::default(),
        };
        lines.set_gap(gap_mins);
        lines
    }

    /// Changes the gap from now on.
    pub const fn set_gap(&mut self, gap_mins: u32) {
        self.gap_micros = gap_mins as i64 * 60 * MICROS_PER_SEC;
    }

    /// Takes a counted attempt; `stage` says whether it began its incident. Lines that are due are given to `tell`.
    pub fn note(&mut self, key: Key, stage: Stage, event: Event, tell: &mut impl FnMut(Event)) {
        let time = event.attempt.time;
        if stage == Stage::Begin
            && let Some(line) = self.open.remove(&key)
        {
            line.end(tell);
        }
        if let Some(line) = self.open.get_mut(&key) {
            if day(line.event.attempt.time) != day(time) && line.waiting > 0 {
                // The attempts of a day have their lines in its file.
                line.tell(Stage::Continues, tell);
            }
            line.add(event);
            if time.micros_since(line.told) >= EVERY_MICROS {
                line.tell(Stage::Continues, tell);
            }
            return;
        }
        if self.open.len() >= self.open_max {
            self.make_room(tell);
        }
        let mut line = Line {
            incident: Incident { stage, first: time, last: time, attempts: 0, peak_per_minute: 0 },
            event: event.clone(),
            waiting: 0,
            opened: (0, 0),
            told: time,
            minute: (0, 0),
        };
        line.add(event);
        line.tell(stage, tell);
        self.open.insert(key, line);
    }

    /// Time has come so far: tells what is due and ends what is over.
    pub fn advance(&mut self, now: Timestamp, tell: &mut impl FnMut(Event)) {
        if now.micros_since(self.swept).saturating_abs() < SWEEP_MICROS && day(now) == day(self.swept) {
            return;
        }
        self.swept = now;
        let gap = self.gap_micros;
        let ended = |line: &mut Line| now.micros_since(line.incident.last) > gap;
        for (_, line) in self.open.extract_if(|_, line| ended(line)) {
            line.end(tell);
        }
        for line in self.open.values_mut().filter(|line| line.waiting > 0) {
            if now.micros_since(line.told) >= EVERY_MICROS || day(line.event.attempt.time) != day(now) {
                line.tell(Stage::Continues, tell);
            }
        }
    }

    /// The end of a run: everything that waits is told. Where the input has ended its incidents have as well.
    pub fn finish(&mut self, stage: Stage, tell: &mut impl FnMut(Event)) {
        for (_, mut line) in self.open.drain() {
            match stage {
                Stage::End => line.end(tell),
                _ if line.waiting > 0 => line.tell(Stage::Continues, tell),
                _ => {}
            }
        }
    }

    /// Attempts that wait for their line, by the hour of the last one.
    pub fn untold(&self) -> BTreeMap<Hour, u64> {
        let mut untold = BTreeMap::new();
        for line in self.open.values().filter(|line| line.waiting > 0) {
            *untold.entry(line.event.attempt.time.hour()).or_default() += line.waiting;
        }
        untold
    }

    /// Forgets the eighth that was told longest ago. An incident that goes on after that is told as one that continues.
    fn make_room(&mut self, tell: &mut impl FnMut(Event)) {
        let mut times: Vec<Timestamp> = self.open.values().map(|line| line.incident.last).collect();
        let at = times.len() / 8;
        let (_, limit, _) = times.select_nth_unstable(at);
        let limit = *limit;
        for (_, mut line) in self.open.extract_if(|_, line| line.incident.last <= limit) {
            if line.waiting > 0 {
                line.tell(Stage::Continues, tell);
            }
        }
    }
}

impl Line {
    fn add(&mut self, event: Event) {
        let time = event.attempt.time;
        self.waiting += 1;
        self.opened.0 += event.contribution.sessions;
        self.opened.1 += event.contribution.incidents;
        self.incident.attempts += 1;
        self.incident.first = self.incident.first.min(time);
        self.incident.last = self.incident.last.max(time);
        let minute = time.secs().div_euclid(60);
        if minute > self.minute.0 || self.minute.1 == 0 {
            self.minute = (minute, 0);
        }
        if minute == self.minute.0 {
            self.minute.1 += 1;
            self.incident.peak_per_minute = self.incident.peak_per_minute.max(self.minute.1);
        }
        self.event = event;
    }

    fn tell(&mut self, stage: Stage, tell: &mut impl FnMut(Event)) {
        self.incident.stage = stage;
        let mut event = self.event.clone();
        event.represented = std::mem::take(&mut self.waiting);
        (event.contribution.sessions, event.contribution.incidents) = std::mem::take(&mut self.opened);
        event.incident = Some(self.incident);
        self.told = self.incident.last;
        tell(event);
    }

    fn end(mut self, tell: &mut impl FnMut(Event)) {
        if self.waiting == 0 {
            // Its last attempt has its line already, under its own identity.
            self.event.attempt.id = AttemptId(self.event.attempt.id.0.rotate_left(32) ^ u64::from(u32::MAX));
        }
        self.tell(Stage::End, tell);
    }
}

fn day(time: Timestamp) -> Period {
    Period::containing(PeriodKind::Day, time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::Origin;
    use crate::model::place::Place;

    fn event(secs: i64, number: u64) -> Event {
        let mut attempt = Box::new(crate::testing::attempt());
        attempt.time = Timestamp::from_parts(secs, 0);
        attempt.id = AttemptId(number);
        let client = attempt.client.ip();
        let origin = Origin::of_place(Place::Unknown);
        let (site, grade) = ("s".into(), Grade::E0);
        Event {
            attempt,
            client,
            hidden: false,
            grade,
            site,
            origin,
            represented: 1,
            contribution: crate::testing::contribution(),
            incident: None,
        }
    }

    fn key() -> Key {
        (SourceKey::of("192.0.2.1".parse().unwrap()), Class::ScanPort, "s".into(), Grade::E0)
    }

    /// Seconds of the attempts → stage and represented of each line.
    fn told(lines: &mut Lines, attempts: impl IntoIterator<Item = i64>, until: i64) -> Vec<(Stage, u64)> {
        let mut told = Vec::new();
        let mut ids = std::collections::HashSet::new();
        let mut tell = |event: Event| {
            assert!(ids.insert(event.attempt.id), "a line's identity is its own");
            told.push((event.incident.unwrap().stage, event.represented));
        };
        for (number, secs) in attempts.into_iter().enumerate() {
            let stage = if number == 0 { Stage::Begin } else { Stage::Continues };
            lines.note(key(), stage, event(secs, number as u64 + 1), &mut tell);
        }
        lines.advance(Timestamp::from_parts(until, 0), &mut tell);
        told
    }

    #[test]
    fn a_scan_of_an_hour_is_a_line_a_minute_and_each_attempt_is_in_one() {
        let lines = told(&mut Lines::new(1 << 20, 30), 0..3_600, 7_200);
        assert_eq!(lines.first(), Some(&(Stage::Begin, 1)));
        assert_eq!(lines.last().map(|(stage, _)| *stage), Some(Stage::End));
        assert_eq!(lines.len(), 61);
        assert_eq!(lines.iter().map(|(_, represented)| represented).sum::<u64>(), 3_600);
    }

    #[test]
    fn what_waits_is_told_within_a_minute_and_before_its_day_is_over() {
        let mut lines = Lines::new(1 << 20, 30);
        assert_eq!(told(&mut lines, [0, 1, 2], 50), [(Stage::Begin, 1)]);
        assert_eq!(lines.untold().values().sum::<u64>(), 2);
        assert_eq!(told(&mut lines, [], 61), [(Stage::Continues, 2)]);
        assert!(lines.untold().is_empty());
        let mut lines = Lines::new(1 << 20, 30);
        assert_eq!(told(&mut lines, [86_390, 86_391], 86_400), [(Stage::Begin, 1), (Stage::Continues, 1)]);
        let mut lines = Lines::new(1 << 20, 30);
        let expected = [(Stage::Begin, 1), (Stage::Continues, 1)];
        assert_eq!(told(&mut lines, [86_390, 86_391, 86_401], 86_402), expected, "the third waits still");
    }

    #[test]
    fn an_incident_that_begins_again_ends_the_one_before() {
        let mut lines = Lines::new(1 << 20, 30);
        told(&mut lines, [0, 1], 2);
        let mut stages = Vec::new();
        let mut tell = |event: Event| stages.push((event.incident.unwrap().stage, event.represented));
        lines.note(key(), Stage::Begin, event(9_000, 99), &mut tell);
        lines.finish(Stage::End, &mut tell);
        assert_eq!(stages, [(Stage::End, 1), (Stage::Begin, 1), (Stage::End, 0)]);
    }

    #[test]
    fn its_memory_is_bounded_and_nothing_that_waits_is_forgotten() {
        let mut lines = Lines::new(0, 30);
        let mut represented = 0;
        let mut tell = |event: Event| represented += event.represented;
        for number in 0..5_000_u32 {
            let source = SourceKey::of(std::net::Ipv4Addr::from(number).into());
            let key = (source, Class::ScanPort, "s".into(), Grade::E0);
            for copy in 0..2_u64 {
                let id = u64::from(number) * 2 + copy;
                lines.note(key.clone(), Stage::Continues, event(i64::from(number), id), &mut tell);
            }
            assert!(lines.open.len() <= lines.open_max);
        }
        lines.finish(Stage::Continues, &mut tell);
        assert_eq!(represented, 10_000);
    }

    #[test]
    fn the_peak_is_the_busiest_minute() {
        let mut lines = Lines::new(1 << 20, 30);
        let mut last = None;
        for (number, secs) in [0, 1, 70, 71, 72, 130].into_iter().enumerate() {
            let stage = if number == 0 { Stage::Begin } else { Stage::Continues };
            lines.note(key(), stage, event(secs, number as u64), &mut |_| {});
        }
        lines.finish(Stage::End, &mut |event| last = event.incident);
        let incident = last.unwrap();
        assert_eq!((incident.attempts, incident.peak_per_minute), (6, 3));
        assert_eq!((incident.first.secs(), incident.last.secs()), (0, 130));
    }
}
