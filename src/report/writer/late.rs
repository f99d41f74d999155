//! Which period a count falls in: the open ones, and for what comes after the end of its own the one of now.

use std::collections::BTreeSet;

use crate::model::period::{Period, PeriodKind};
use crate::model::time::Hour;
use crate::report::ReportError;
use crate::report::writer::{Mode, Writer};
use crate::tally::Snapshot;

impl Writer {
    /// Opens the periods again that the clock closed before it was set back into them: they close a second time as a
    /// correction, and the files of the first time stay as they are.
    pub(super) fn reopen(&mut self) {
        for kind in &self.kinds {
            let period = Period::containing(*kind, self.clock.now());
            if self.closed_now.remove(&period) {
                self.open.insert(period);
                self.events.reopen(period);
            }
        }
    }

    /// The periods that a snapshot counts in, but for those that this run has closed. Of those that an earlier run has closed it
    /// is noted first that they are to be closed again, so that a kill in between leaves no closed period without its correction.
    pub(super) fn begin(&mut self, snapshot: &Snapshot) -> Result<Vec<Period>, ReportError> {
        // A capture file may claim to span decades: periods in which it holds no packet get no report of their own.
        let live = self.setup.mode == Mode::Live;
        let watched = snapshot.watch.iter().filter(|(_, watch)| live || !watch.counters.is_empty());
        let hours: BTreeSet<Hour> =
            snapshot.rows.keys().map(|key| key.hour).chain(watched.map(|(hour, _)| *hour)).collect();
        let periods: BTreeSet<Period> = hours
            .iter()
            .flat_map(|hour| self.kinds.iter().map(|kind| Period::containing(*kind, hour.start())))
            .filter(|period| !self.closed_now.contains(period) && !self.open.contains(period))
            .collect();
        for period in &periods {
            if self.store.is_closed(*period)? {
                self.store.note_reopened(*period)?;
            }
        }
        Ok(periods.into_iter().collect())
    }

    /// The hour that what has no time of its own is counted in. A replay's first snapshots may come before anything told how far
    /// time has gone: then it is that of the latest row.
    pub(super) fn hour_of(&self, snapshot: &Snapshot) -> Hour {
        let now = self.clock.now().hour();
        let counted = snapshot.rows.keys().map(|key| key.hour).chain(snapshot.unjudged.keys().copied());
        counted.filter(|_| self.setup.mode == Mode::Replay).max().map_or(now, |latest| latest.max(now))
    }

    /// An hour, or where its period was closed by this run the one that counts late.
    pub(super) fn open_hour(&self, hour: Hour, late: Hour) -> Hour {
        let closed = |kind: &PeriodKind| self.closed_now.contains(&Period::containing(*kind, hour.start()));
        if self.kinds.iter().any(closed) { late } else { hour }
    }

    /// Attempts whose period this run has closed count in the open one: a closed file never changes.
    pub(super) fn move_late(&self, snapshot: &mut Snapshot) {
        if self.closed_now.is_empty() {
            return;
        }
        let is_closed = |hour: Hour| {
            self.kinds.iter().any(|kind| self.closed_now.contains(&Period::containing(*kind, hour.start())))
        };
        let now = self.clock.now().hour();
        let late: Vec<_> = snapshot.rows.keys().filter(|key| is_closed(key.hour)).cloned().collect();
        for key in late {
            if let Some(sums) = snapshot.rows.remove(&key) {
                snapshot.late += sums.attempts;
                snapshot.add_row(crate::tally::TallyKey { hour: now, ..key }, sums);
            }
        }
        let late: Vec<_> = snapshot.frames.keys().filter(|key| is_closed(key.hour)).cloned().collect();
        for key in late {
            if let Some(sums) = snapshot.frames.remove(&key) {
                let entry = snapshot.frames.entry(crate::tally::FrameKey { hour: now, ..key }).or_default();
                entry.attempts += sums.attempts;
                entry.headline += sums.headline;
                entry.overseas += sums.overseas;
            }
        }
        let today = Period::containing(PeriodKind::Day, self.clock.now());
        let late: Vec<_> =
            snapshot.sources.keys().filter(|key| self.closed_now.contains(&key.day)).cloned().collect();
        for key in late {
            if let Some(sums) = snapshot.sources.remove(&key) {
                snapshot.add_source(crate::tally::SourceDay { day: today, ..key }, &sums);
            }
        }
        let late: Vec<_> = snapshot.watch.keys().copied().filter(|hour| is_closed(*hour)).collect();
        for hour in late {
            if let Some(watch) = snapshot.watch.remove(&hour) {
                snapshot.add_counters(now, &watch.counters);
                let entry = snapshot.watch.entry(now).or_default();
                entry.observed_micros = entry.observed_micros.saturating_add(watch.observed_micros);
            }
        }
    }
}
