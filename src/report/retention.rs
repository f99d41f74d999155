//! Compression and removal of old files: by age, and by bytes. Live only.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::report::Report as Settings;
use crate::model::period::{Period, PeriodKind};
use crate::model::time::{MICROS_PER_DAY, Timestamp};
use crate::report::{ReportError, tally_files};

/// Compression level: a day of events is compressed once, by a machine that has other things to do.
const LEVEL: i32 = 6;

/// What a dated file is, in the order in which files make room.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    /// Events and sources: the bulk.
    Event,
    /// Tallies for analysts: small, and all that is left of a day for them.
    Tally,
    /// Reports of hours and days; they are not counted in the bytes.
    Report,
    /// Reports of months and years: for good.
    Lasting,
}

impl Kind {
    /// Days after which it is removed.
    const fn days(self, settings: &Settings) -> Option<u32> {
        match self {
            Self::Event => Some(settings.keep_events_days),
            Self::Tally => Some(settings.keep_tallies_days),
            Self::Report => Some(settings.keep_reports_days),
            Self::Lasting => None,
        }
    }
}

/// A dated file of the report folder.
struct Dated {
    path: PathBuf,
    /// Its path below the report folder.
    name: String,
    period: Period,
    kind: Kind,
    bytes: u64,
}

/// Names of files that are not there any more.
#[derive(Debug, Default)]
pub struct Tidied {
    /// Put into `<name>.zst`.
    pub compressed: Vec<String>,
    /// Removed.
    pub removed: Vec<String>,
}

/// Compresses and removes what the settings say. What fails does not keep the rest from making room; the first failure is told
/// with what was done.
pub fn tidy(settings: &Settings, now: Timestamp) -> Result<(Tidied, Option<ReportError>), ReportError> {
    let mut tidied = Tidied::default();
    let mut failed = None;
    let age = |file: &Dated| now.micros_since(file.period.end()).div_euclid(MICROS_PER_DAY);
    let is_old = |file: &Dated| file.kind.days(settings).is_some_and(|limit| age(file) >= i64::from(limit));
    let (old, mut kept): (Vec<Dated>, Vec<Dated>) = dated(&settings.directory)?.into_iter().partition(is_old);
    for file in &old {
        keep_first(&mut failed, remove(file, &mut tidied.removed));
    }
    for file in kept.iter_mut().filter(|file| file.kind == Kind::Event && file.period.end() <= now) {
        if age(file) >= i64::from(settings.compress_after_days) {
            keep_first(&mut failed, compress(file, &mut tidied.compressed));
        }
    }
    // The oldest days go first, and never the day that is being written.
    kept.retain(|file| matches!(file.kind, Kind::Event | Kind::Tally));
    kept.sort_by(|a, b| (a.kind, a.period, &a.name).cmp(&(b.kind, b.period, &b.name)));
    let mut total: u64 = kept.iter().map(|file| file.bytes).sum();
    for file in kept.iter().filter(|file| file.period.end() <= now) {
        if total <= settings.keep_bytes.0 {
            break;
        }
        total -= file.bytes;
        keep_first(&mut failed, remove(file, &mut tidied.removed));
    }
    Ok((tidied, failed))
}

fn keep_first(failed: &mut Option<ReportError>, done: Result<(), ReportError>) {
    if let (None, Err(error)) = (&failed, done) {
        *failed = Some(error);
    }
}

fn dated(folder: &Path) -> Result<Vec<Dated>, ReportError> {
    let entries = fs::read_dir(folder).map_err(ReportError::file("read", folder))?;
    let flat = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let (kind, rest) = name.split_once('-')?;
        let period: Period = rest.split('.').next()?.parse().ok()?;
        let kind = match (kind, period.kind()) {
            ("events" | "sources", _) => Kind::Event,
            ("report", PeriodKind::Hour | PeriodKind::Day) => Kind::Report,
            ("report", _) => Kind::Lasting,
            _ => return None,
        };
        Some((kind, period, name))
    });
    let tallies = tally_files::all(folder).into_iter().map(|(day, name)| (Kind::Tally, day, name));
    Ok(flat
        .chain(tallies)
        .filter_map(|(kind, period, name)| {
            let path = folder.join(&name);
            // A link, such as that to the latest report, is no file of its own.
            let bytes = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
            Some(Dated { path, name, period, kind, bytes })
        })
        .collect())
}

fn remove(file: &Dated, gone: &mut Vec<String>) -> Result<(), ReportError> {
    fs::remove_file(&file.path).map_err(ReportError::file("removed", &file.path))?;
    gone.push(file.name.clone());
    if file.kind == Kind::Tally {
        // The folders of its day, unless they hold more.
        for folder in file.path.ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(())
}

/// Puts `<name>.zst` in the file's place.
fn compress(file: &mut Dated, gone: &mut Vec<String>) -> Result<(), ReportError> {
    if file.path.extension().is_some_and(|ending| ending == "zst") {
        return Ok(());
    }
    let name = format!("{}.zst", file.name);
    let path = file.path.with_file_name(&name);
    let temporary = file.path.with_file_name(format!(".{name}.new"));
    let act = || -> io::Result<u64> {
        let mut source = File::open(&file.path)?;
        let target = File::create(&temporary)?;
        zstd::stream::copy_encode(&mut source, &target, LEVEL)?;
        target.sync_all()?;
        fs::rename(&temporary, &path)?;
        fs::remove_file(&file.path)?;
        Ok(fs::metadata(&path)?.len())
    };
    let bytes = act().map_err(|error| {
        // On a full disk half a file would make it worse.
        let _ = fs::remove_file(&temporary);
        ReportError::File { act: "compressed", error, path: file.path.clone() }
    })?;
    gone.push(std::mem::replace(&mut file.name, name));
    (file.path, file.bytes) = (path, bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::size::Size;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn old_days_are_compressed_then_removed_and_months_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "events-2012-06-01.jsonl",
            "events-2012-06-20.jsonl",
            "events-2012-06-20.2.jsonl",
            "sources-2012-06-29.csv",
            "events-2012-06-30.jsonl",
            "report-2012-06-01.json",
            "report-2011-06.json",
            "other.txt",
        ] {
            fs::write(folder.path().join(name), "x".repeat(1_000)).unwrap();
        }
        let settings = Settings {
            directory: folder.path().to_owned(),
            keep_events_days: 20,
            keep_reports_days: 10,
            compress_after_days: 2,
            ..Settings::default()
        };
        let now = "2012-06-30T12".parse::<Period>().unwrap().start();
        let (tidied, failed) = tidy(&settings, now).unwrap();
        assert!(failed.is_none());
        assert_eq!((tidied.removed.len(), tidied.compressed.len()), (2, 2), "{tidied:?}");
        assert_eq!(
            names(folder.path()),
            [
                "events-2012-06-20.2.jsonl.zst",
                "events-2012-06-20.jsonl.zst",
                "events-2012-06-30.jsonl",
                "other.txt",
                "report-2011-06.json",
                "sources-2012-06-29.csv"
            ]
        );
        tidy(&Settings { keep_bytes: Size(1_500), ..settings }, now).unwrap();
        assert_eq!(names(folder.path()), ["events-2012-06-30.jsonl", "other.txt", "report-2011-06.json"]);
    }

    #[test]
    fn tally_files_make_room_last_and_take_their_folders_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let tally = |day: &str| format!("tally/v1/dt={day}/sensor=gw1/{day}-0a0b0c0d-0001.jsonl.zst");
        for name in
            [&tally("2012-06-01"), &tally("2012-06-20"), &tally("2012-06-21"), "events-2012-06-25.jsonl"]
        {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), "x".repeat(1_000)).unwrap();
        }
        std::os::unix::fs::symlink("events-2012-06-25.jsonl", folder.path().join("events-2012-06-24.jsonl"))
            .unwrap();
        let settings = Settings {
            directory: folder.path().to_owned(),
            keep_tallies_days: 20,
            keep_bytes: Size(1_500),
            compress_after_days: 300,
            ..Settings::default()
        };
        let now = "2012-06-30T12".parse::<Period>().unwrap().start();
        let (tidied, failed) = tidy(&settings, now).unwrap();
        assert!(failed.is_none());
        let events = "events-2012-06-25.jsonl".to_owned();
        assert_eq!(tidied.removed, [tally("2012-06-01"), events, tally("2012-06-20")]);
        assert!(!folder.path().join("tally/v1/dt=2012-06-20").exists(), "nothing is in it");
        assert!(folder.path().join(tally("2012-06-21")).exists());
    }
}
