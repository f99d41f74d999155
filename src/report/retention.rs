//! Compression and removal of old files: by age, and by bytes. Live only.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::report::Report as Settings;
use crate::model::period::{Period, PeriodKind};
use crate::model::time::{MICROS_PER_DAY, Timestamp};
use crate::report::ReportError;

/// Compression level: a day of events is compressed once, by a machine that has other things to do.
const LEVEL: i32 = 6;

/// A dated file of the report folder.
struct Dated {
    path: PathBuf,
    name: String,
    period: Period,
    is_event: bool,
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

/// Compresses and removes what the settings say.
pub fn tidy(settings: &Settings, now: Timestamp) -> Result<Tidied, ReportError> {
    let folder = &settings.directory;
    let mut tidied = Tidied::default();
    let mut kept = Vec::new();
    for file in dated(folder)? {
        let days = now.micros_since(file.period.end()).div_euclid(MICROS_PER_DAY);
        let limit = if file.is_event { settings.keep_events_days } else { settings.keep_reports_days };
        let expires = file.is_event || matches!(file.period.kind(), PeriodKind::Hour | PeriodKind::Day);
        if expires && days >= i64::from(limit) {
            remove(&file, &mut tidied.removed)?;
        } else if file.is_event {
            let closed = days >= i64::from(settings.compress_after_days) && now >= file.period.end();
            kept.push(if closed { compress(file, &mut tidied.compressed)? } else { file });
        }
    }
    // The oldest days go first, and never the day that is being written.
    kept.sort_by(|a, b| (a.period, &a.name).cmp(&(b.period, &b.name)));
    let mut total: u64 = kept.iter().map(|file| file.bytes).sum();
    for file in kept.iter().filter(|file| file.period.end() <= now) {
        if total <= settings.keep_bytes.0 {
            break;
        }
        total -= file.bytes;
        remove(file, &mut tidied.removed)?;
    }
    Ok(tidied)
}

fn dated(folder: &Path) -> Result<Vec<Dated>, ReportError> {
    let entries = fs::read_dir(folder).map_err(ReportError::file("read", folder))?;
    Ok(entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let (is_event, rest) = match name.split_once('-')? {
                ("events" | "sources", rest) => (true, rest),
                ("report", rest) => (false, rest),
                _ => return None,
            };
            let period = rest.split('.').next()?.parse().ok()?;
            Some(Dated { path: entry.path(), bytes: entry.metadata().ok()?.len(), name, period, is_event })
        })
        .collect())
}

fn remove(file: &Dated, gone: &mut Vec<String>) -> Result<(), ReportError> {
    fs::remove_file(&file.path).map_err(ReportError::file("removed", &file.path))?;
    gone.push(file.name.clone());
    Ok(())
}

/// Puts `<name>.zst` in the file's place.
fn compress(file: Dated, gone: &mut Vec<String>) -> Result<Dated, ReportError> {
    if file.path.extension().is_some_and(|ending| ending == "zst") {
        return Ok(file);
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
    let bytes = act().map_err(ReportError::file("compressed", &file.path))?;
    gone.push(file.name);
    Ok(Dated { path, name, bytes, ..file })
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
        let tidied = tidy(&settings, now).unwrap();
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
}
