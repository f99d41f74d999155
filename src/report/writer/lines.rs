//! Event lines while the disk has room for them. Where it has not, they stop first: attempts are counted on without them, which
//! is told aloud, and they go on by themselves.

use crate::model::period::{Period, PeriodKind};
use crate::report::event_files::Length;
use crate::report::writer::{Mode, Writer};
use crate::report::{ReportError, files};
use crate::tally::Snapshot;

/// What became of the lines of a snapshot.
#[derive(Debug, Default)]
pub struct Appended {
    /// Files and their new lengths.
    pub lengths: Vec<Length>,
    /// Attempts whose lines were not written.
    pub unwritten: u64,
}

impl Writer {
    /// Why no event lines are written at the moment; none while they are.
    pub fn events_stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// Appends the lines of a snapshot, or counts them as not written. A replay that cannot write them has failed: it can be
    /// run again.
    pub(super) fn append_events(&mut self, snapshot: &Snapshot) -> Result<Appended, ReportError> {
        if !self.setup.settings.events {
            return Ok(Appended::default());
        }
        if self.setup.mode == Mode::Replay {
            return Ok(Appended { lengths: self.append(snapshot)?, unwritten: 0 });
        }
        let appended = match self.too_little_room() {
            Some(told) => Err(told),
            None => self.append(snapshot).map_err(|error| error.to_string()),
        };
        match appended {
            Ok(lengths) => {
                // Whether lines can be written again shows with the next one.
                self.stopped = self.stopped.take().filter(|_| snapshot.events.is_empty());
                Ok(Appended { lengths, unwritten: 0 })
            }
            Err(told) => {
                self.stopped = Some(told);
                for name in self.events.uncut() {
                    // Else the next start would count what is counted here.
                    self.store.note_to_cut(name)?;
                }
                let unwritten = snapshot.events.iter().map(|event| event.represented).sum();
                Ok(Appended { lengths: Vec::new(), unwritten })
            }
        }
    }

    fn append(&mut self, snapshot: &Snapshot) -> Result<Vec<Length>, ReportError> {
        let today = Period::containing(PeriodKind::Day, self.clock.now());
        let closed = &self.closed_now;
        let part_max = self.setup.settings.events_part.0;
        self.events.append(&snapshot.events, part_max, (today, |day| closed.contains(&day)))
    }

    /// That less is left on the disk than is to be kept for tallies and reports, in words.
    fn too_little_room(&self) -> Option<String> {
        let settings = &self.setup.settings;
        files::room(&settings.directory).filter(|room| *room < settings.keep_free.0)?;
        // The figure would change with every look, and with it what is told.
        let folder = settings.directory.display();
        Some(format!(
            "{folder}: less than report.keep_free = {} is left on its file system",
            settings.keep_free
        ))
    }
}
