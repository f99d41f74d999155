//! The event files: a file a day, in parts, in line with what was committed.
//!
//! Lines are appended before the transaction that counts them, and the transaction notes how long each file then is. What a crash
//! left beyond that was never counted and is cut off at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::model::period::{Period, PeriodKind};
use crate::report::names::{event_name, parse_event_name};
use crate::report::{ReportError, events, files};
use crate::tally::event::Event;

/// The link to the file that is being written.
const LATEST: &str = "latest-events.jsonl";

/// A file's name and its length.
pub type Length = (String, u64);

/// The event files of a folder.
#[derive(Debug)]
pub struct EventFiles {
    folder: PathBuf,
    /// Lengths as committed.
    lengths: BTreeMap<String, u64>,
    /// The part of each day that is being written.
    parts: BTreeMap<Period, u32>,
    /// Files with lines at their end that are not counted as theirs and could not be cut off.
    uncut: BTreeSet<String>,
}

impl EventFiles {
    /// Brings the files of a folder in line with the lengths that were committed; tells of what was repaired.
    pub fn open(folder: &Path, committed: Vec<Length>) -> Result<(Self, Vec<String>), ReportError> {
        let mut files = Self {
            folder: folder.to_owned(),
            lengths: committed.into_iter().collect(),
            parts: BTreeMap::new(),
            uncut: BTreeSet::new(),
        };
        let mut told = Vec::new();
        for (name, length) in &mut files.lengths {
            told.extend(repair(&files.folder.join(name.as_str()), length)?);
        }
        for (day, part) in files.lengths.keys().filter_map(|name| parse_event_name(name)) {
            let known = files.parts.entry(day).or_insert(part);
            *known = (*known).max(part);
        }
        Ok((files, told))
    }

    /// Appends lines to the files of their days, each continued in a next part from `part_max` bytes on; gives the files' new
    /// lengths. Lines of the days that `is_closed` go to the file of `today`.
    pub fn append(
        &mut self,
        events: &[Event],
        part_max: u64,
        (today, is_closed): (Period, impl Fn(Period) -> bool),
    ) -> Result<Vec<Length>, ReportError> {
        let mut days: BTreeMap<Period, String> = BTreeMap::new();
        for event in events {
            let day = Period::containing(PeriodKind::Day, event.attempt.time);
            let day = if is_closed(day) { today } else { day };
            days.entry(day).or_default().push_str(&events::line(event));
        }
        let mut lengths = Vec::new();
        for (day, lines) in days {
            let part = self.parts.entry(day).or_insert(1);
            while self.lengths.get(&event_name(day, *part)).is_some_and(|length| *length >= part_max) {
                *part += 1;
            }
            let name = event_name(day, *part);
            let known = self.lengths.get(&name).copied().unwrap_or(0);
            let path = self.folder.join(&name);
            match append(&path, known, &lines) {
                Ok(length) => lengths.push((name, length)),
                Err(error) => {
                    lengths.push((name, known));
                    self.take_back(&lengths);
                    return Err(ReportError::File { act: "written", error, path });
                }
            }
        }
        if let Some((latest, _)) = lengths.iter().rfind(|(name, _)| !self.lengths.contains_key(name)) {
            files::link_latest(&self.folder, LATEST, latest);
            files::sync_folder(&self.folder)?;
        }
        Ok(lengths)
    }

    /// Cuts off what was appended and will not be counted. What cannot be cut off now is at the next write or start.
    fn take_back(&mut self, appended: &[Length]) {
        for (name, _) in appended {
            let known = self.lengths.get(name).copied().unwrap_or(0);
            let file = OpenOptions::new().write(true).open(self.folder.join(name));
            let cut = file.and_then(|file| file.set_len(known.min(file.metadata()?.len())));
            if cut.is_err() {
                self.uncut.insert(name.clone());
            }
        }
    }

    /// Cuts off what was appended for a snapshot that is still to be counted: it will be appended again.
    pub fn cut_uncounted(&self) -> Result<(), ReportError> {
        let begun = self.parts.iter().map(|(day, part)| event_name(*day, *part));
        let names: BTreeSet<String> = self.lengths.keys().cloned().chain(begun).collect();
        for name in names {
            let path = self.folder.join(&name);
            let known = self.lengths.get(&name).copied().unwrap_or(0);
            if fs::metadata(&path).is_ok_and(|file| file.len() > known) {
                let cut = File::options().write(true).open(&path).and_then(|file| file.set_len(known));
                cut.map_err(ReportError::file("written", &path))?;
            }
        }
        Ok(())
    }

    /// Files with lines at their end that are not counted as theirs.
    pub const fn uncut(&self) -> &BTreeSet<String> {
        &self.uncut
    }

    /// What was appended is committed now. Gives the files that end with what is counted again.
    pub fn committed(&mut self, lengths: Vec<Length>) -> Vec<String> {
        let mended = lengths.iter().filter_map(|(name, _)| self.uncut.take(name)).collect();
        self.lengths.extend(lengths);
        mended
    }

    /// Begins a new part of every day that is being written.
    pub fn rotate(&mut self) {
        for (day, part) in &mut self.parts {
            if self.lengths.get(&event_name(*day, *part)).is_some_and(|length| *length > 0) {
                *part += 1;
            }
        }
    }

    /// A closed day is written again: in a part of its own, so that what was closed stays as it is.
    pub fn reopen(&mut self, day: Period) {
        let parts = self.lengths.keys().filter_map(|name| parse_event_name(name));
        if let Some(last) = parts.filter(|(known, _)| *known == day).map(|(_, part)| part).max() {
            self.parts.insert(day, last + 1);
        }
    }

    /// A day is closed.
    pub fn close(&mut self, day: Period) {
        self.parts.remove(&day);
    }

    /// A file was compressed or removed.
    pub fn forget(&mut self, name: &str) {
        self.lengths.remove(name);
    }
}

/// Appends behind the `known` bytes that were committed; gives the new length.
fn append(path: &Path, known: u64, lines: &str) -> std::io::Result<u64> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    // Shorter than it was: something else rotates logs here, and has moved the file away or emptied it. Going on at the old
    // place would leave a hole of zeros.
    let found = file.metadata()?.len();
    if found < known {
        tracing::warn!(target: "gatewatch::retry", path = %path.display(), known, found, "an events file was shortened or moved away by something else");
    }
    // Longer: an attempt that failed half-way has left bytes behind what was committed.
    let begin = known.min(found);
    file.set_len(begin)?;
    file.seek(SeekFrom::Start(begin))?;
    file.write_all(lines.as_bytes())?;
    // The transaction that counts them must not be on the disk before them; nor does a replay write lost lines anew,
    // since its attempts are known by then.
    file.sync_data()?;
    Ok(begin + lines.len() as u64)
}

/// Cuts off what no transaction counted; a file that is shorter than it should be is told, and its length taken as it is.
fn repair(path: &Path, length: &mut u64) -> Result<Option<String>, ReportError> {
    let Ok(found) = fs::metadata(path).map(|metadata| metadata.len()) else { return Ok(None) };
    if found > *length {
        let cut = File::options().write(true).open(path).and_then(|file| file.set_len(*length));
        cut.map_err(ReportError::file("written", path))?;
        let extra = found - *length;
        return Ok(Some(format!("{}: {extra} bytes that were not counted are cut off", path.display())));
    }
    let missing = *length - found;
    *length = found;
    Ok((missing > 0).then(|| format!("{}: {missing} bytes are missing; the tallies hold", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let attempt = Box::new(crate::testing::attempt());
        let client = attempt.client.ip();
        let origin = crate::model::origin::Origin::of_place(crate::model::place::Place::Unknown);
        let (grade, site) = (crate::model::grade::Grade::E2, "s".into());
        let contribution = crate::testing::contribution();
        Event {
            attempt,
            client,
            hidden: false,
            grade,
            site,
            origin,
            represented: 1,
            contribution,
            incident: None,
        }
    }

    fn append_one(files: &mut EventFiles) -> String {
        let today = Period::containing(PeriodKind::Day, event().attempt.time);
        let lengths = files.append(&[event()], u64::MAX, (today, |_| false)).unwrap();
        files.committed(lengths.clone());
        lengths[0].0.clone()
    }

    #[test]
    fn a_file_that_something_else_moved_or_emptied_goes_on_without_a_hole() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, _) = EventFiles::open(folder.path(), Vec::new()).unwrap();
        let name = append_one(&mut files);
        let path = folder.path().join(&name);
        let line = fs::read_to_string(&path).unwrap();
        append_one(&mut files);
        assert_eq!(fs::read_to_string(&path).unwrap(), line.repeat(2));
        fs::rename(&path, folder.path().join(format!("{name}.1"))).unwrap();
        append_one(&mut files);
        assert_eq!(fs::read_to_string(&path).unwrap(), line);
        fs::write(&path, "").unwrap();
        append_one(&mut files);
        append_one(&mut files);
        assert_eq!(fs::read_to_string(&path).unwrap(), line.repeat(2));
        // A restart finds what there is, and cuts off nothing of it.
        let committed = files.lengths.clone().into_iter().collect();
        let (mut again, told) = EventFiles::open(folder.path(), committed).unwrap();
        assert!(told.is_empty(), "{told:?}");
        append_one(&mut again);
        assert_eq!(fs::read_to_string(&path).unwrap(), line.repeat(3));
        assert_eq!(fs::read_link(folder.path().join(LATEST)).unwrap(), Path::new(&name));
    }

    #[test]
    fn what_was_appended_and_is_not_counted_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, _) = EventFiles::open(folder.path(), Vec::new()).unwrap();
        let name = append_one(&mut files);
        let path = folder.path().join(&name);
        let line = fs::read_to_string(&path).unwrap();
        let mut later = event();
        later.attempt.time = later.attempt.time.plus_micros(86_400_000_000);
        let next = Period::containing(PeriodKind::Day, later.attempt.time);
        // The file of the next day cannot be made: a folder is in its place.
        fs::create_dir(folder.path().join(event_name(next, 1))).unwrap();
        files.append(&[event(), later], u64::MAX, (next, |_| false)).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), line);
    }
}
