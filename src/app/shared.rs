//! What the threads tell of themselves, for whoever asks: signs of life, counters, what is written and what cannot be.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::app::activity::Tracker;
use crate::app::state::{STATUS_VERSION, Status, Vitals};
use crate::capture::health::Heartbeat;
use crate::model::progress::Counters;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::report::writer::Writer;

/// What the stages tell of themselves.
#[derive(Debug)]
pub struct Shared {
    /// Set to stop capture.
    pub stop: AtomicBool,
    /// Signs of life.
    pub beats: Beats,
    told: Mutex<Told>,
}

/// Signs of life, one a stage. Capture threads give their own too, see [`crate::capture::health`]; here is what came through the
/// channel from each, so that a channel that is stuck is found.
#[derive(Debug)]
pub struct Beats {
    passed: Vec<Heartbeat>,
    /// The classify thread.
    pub classify: Heartbeat,
    /// The report thread.
    pub report: Heartbeat,
    /// The control plane.
    pub control: Heartbeat,
}

impl Beats {
    /// Something came through the channel from that worker.
    pub fn passed(&self, worker: usize) {
        if let Some(heartbeat) = self.passed.get(worker) {
            heartbeat.beat();
        }
    }

    /// Beats of every stage but the control plane, which is who asks.
    pub fn counted(&self) -> Vec<u64> {
        self.passed.iter().chain([&self.classify, &self.report]).map(Heartbeat::beats).collect()
    }
}

/// What was told.
#[derive(Debug, Default)]
pub struct Told {
    /// Of the packet path, added up.
    pub counters: Counters,
    /// Attempts that came.
    pub attempts: u64,
    /// What was counted.
    pub activity: Tracker,
    /// How far the written tallies reach.
    written: Option<Timestamp>,
    /// When that was written, and how long it took.
    last_write: Option<(Timestamp, Duration)>,
    /// What cannot be written, by what it is.
    troubles: [Option<String>; Writing::ALL.len()],
    /// What was done to the store.
    repair: Option<String>,
}

impl Default for Shared {
    fn default() -> Self {
        Self::of_workers(1)
    }
}

impl Shared {
    /// Of a run with so many capture threads.
    pub fn of_workers(workers: usize) -> Self {
        let passed = (0..workers).map(|_| Heartbeat::default()).collect();
        let beats = Beats {
            passed,
            classify: Heartbeat::default(),
            report: Heartbeat::default(),
            control: Heartbeat::default(),
        };
        Self { stop: AtomicBool::new(false), beats, told: Mutex::default() }
    }

    /// What was told so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the written tallies reach.
    pub fn written(&self) -> Option<Timestamp> {
        self.told().written
    }

    /// Everything up to `watermark` was written.
    pub fn wrote(&self, watermark: Timestamp, at: Timestamp, took: Duration) {
        let mut told = self.told();
        told.written = Some(watermark);
        told.last_write = Some((at, took));
    }

    /// Whether tallies can be written.
    pub fn is_writing(&self) -> bool {
        self.told().troubles.get(Writing::Tallies as usize).is_none_or(Option::is_none)
    }

    /// Remembers what cannot be written, and says so once per change.
    pub fn note(&self, writing: Writing, now: Option<String>) {
        note(&mut self.told(), writing, now);
    }

    /// Notes what was done to the store, for the status.
    pub fn note_repair(&self, writer: &Writer) {
        self.told().repair = writer.repair().map(ToString::to_string);
    }

    /// Fills the part of a status that the stages know.
    pub fn fill(&self, status: &mut Status, now: Timestamp) {
        let told = self.told();
        status.schema_version = STATUS_VERSION;
        status.activity = told.activity.told();
        status.counters = told.counters.iter().map(|(row, value)| (row.name.to_owned(), value)).collect();
        status.attempts = told.attempts;
        // What is written before the first frame or tick reaches nowhere yet.
        let written = told.written.filter(|watermark| *watermark > Timestamp::default());
        status.written = written.map(|watermark| watermark.to_string());
        status.troubles.extend(told.troubles.iter().flatten().cloned());
        status.notes.extend(told.repair.clone());
        let lag =
            |watermark: Timestamp| (now.micros_since(watermark) as f64 / MICROS_PER_SEC as f64).max(0.0);
        status.vitals = Vitals {
            reached_secs: written.map(secs),
            written_secs: told.last_write.map(|(at, _)| secs(at)),
            write_took_secs: told.last_write.map_or(0.0, |(_, took)| took.as_secs_f64()),
            lag_secs: written.map(lag),
            incidents_open: told.activity.under_way(),
            shed: told.activity.shed(),
            ..Vitals::default()
        };
    }
}

/// Seconds since 1970.
pub fn secs(time: Timestamp) -> f64 {
    time.0 as f64 / MICROS_PER_SEC as f64
}

/// What the reporter writes: each may fail by itself.
#[derive(Clone, Copy, Debug)]
pub enum Writing {
    /// Event lines.
    Events,
    /// Reports and source files.
    Reports,
    /// The store.
    Tallies,
}

impl Writing {
    const ALL: [Self; 3] = [Self::Events, Self::Reports, Self::Tallies];

    /// What its failure means.
    const fn told(self) -> &'static str {
        match self {
            Self::Events => "event lines cannot be written; attempts are counted on without them",
            Self::Reports => "reports cannot be written and are tried again; the tallies are safe",
            Self::Tallies => "cannot write; tallies are kept in memory and tried again",
        }
    }
}

/// Remembers what is wrong, and says so once per change.
fn note(told: &mut Told, writing: Writing, now: Option<String>) {
    let Some(trouble) = told.troubles.get_mut(writing as usize).filter(|trouble| **trouble != now) else {
        return;
    };
    if let Some(error) = &now {
        tracing::error!(error, "{}", writing.told());
    } else {
        tracing::info!(what = ?writing, "writing works again");
    }
    *trouble = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_beat_of_its_own() {
        let shared = Shared::of_workers(2);
        assert_eq!(shared.beats.counted(), [0, 0, 0, 0]);
        shared.beats.passed(1);
        shared.beats.passed(7);
        shared.beats.report.beat();
        assert_eq!(shared.beats.counted(), [0, 1, 0, 1], "one interface does not speak for the other");
    }

    #[test]
    fn tallies_lag_behind_the_clock_once_they_reach_somewhere() {
        let (shared, mut status) = (Shared::default(), Status::default());
        let at = |secs| Timestamp::from_parts(secs, 0);
        shared.wrote(Timestamp::default(), at(100), Duration::ZERO);
        shared.fill(&mut status, at(100));
        assert_eq!((&status.written, status.vitals.lag_secs), (&None, None));
        shared.wrote(at(98), at(100), Duration::from_millis(250));
        shared.fill(&mut status, at(103));
        let vitals = &status.vitals;
        assert_eq!((vitals.reached_secs, vitals.lag_secs), (Some(98.0), Some(5.0)));
        assert_eq!((vitals.written_secs, vitals.write_took_secs), (Some(100.0), 0.25));
    }

    #[test]
    fn who_cannot_write_tallies_does_not_write_whatever_else_works() {
        let shared = Shared::default();
        shared.note(Writing::Events, Some("full".into()));
        assert!(shared.is_writing());
        shared.note(Writing::Tallies, Some("full".into()));
        assert!(!shared.is_writing());
        shared.note(Writing::Tallies, None);
        assert!(shared.is_writing());
    }
}
