//! A disk that is full or cannot be written, for real: a small file system in memory. Needs root, else it skips.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatewatch::config::size::Size;
use gatewatch::report::writer::closing::Settled;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::run::{Run, settings};
use support::sensor::{gatewatch, read_json};

/// A small file system, mounted while it lives.
struct Disk(PathBuf);

impl Disk {
    /// None, with the reason printed, where it cannot be mounted.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let options = format!("size={size},mode=0755");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder.to_owned())),
            other => {
                eprintln!("skipped: a tmpfs cannot be mounted: {other:?}");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap();
        assert!(status.success(), "mount -o {options}");
    }

    /// Fills it to the last byte.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut size = 1 << 20;
        let mut written = Vec::new();
        while size >= 512 {
            written.extend(vec![b'x'; size]);
            if fs::write(&path, &written).is_err() {
                let held = fs::metadata(&path).unwrap().len() as usize;
                written.truncate(held);
                size /= 2;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Attempts that the lines of a folder stand for; each line must be whole.
fn lines(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("events-2026-11-25.jsonl")).unwrap();
    let read: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    read.len() as u64
}

/// What the closed day says, and that everything holds.
fn assert_told(folder: &Path, run: &Run, unwritten: u64) {
    let report = read_json(&folder.join("report-2026-11-25.json"));
    assert_eq!(report["totals"]["attempts"], run.attempts);
    assert_eq!(report["losses"]["events_unwritten"], unwritten);
    assert_eq!(lines(folder) + unwritten, run.attempts);
    assert_eq!(fs::read_link(folder.join("latest-day.json")).unwrap(), Path::new("report-2026-11-25.json"));
    let text = fs::read_to_string(folder.join("latest-day.txt")).unwrap();
    let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = format!("{unwritten} attempts have no event line. They are counted.");
    assert_eq!(told.contains(&sentence), unwritten > 0, "{text}");
    gatewatch(&["verify", &folder.display().to_string()], b"").good();
}

fn begin(reports: &Path, state: &Path, keep_free: u64) -> Run {
    let mut settings = settings(reports, state);
    settings.report.keep_free = Size(keep_free);
    Run::begin(&settings)
}

#[test]
fn on_a_disk_that_fills_event_lines_stop_first_and_everything_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, state) = (folder.path().join("reports"), folder.path().join("state"));
    let Some(disk) = Disk::mount(&reports, "2m") else { return };
    let mut run = begin(&reports, &state, 1 << 20);
    let mut seconds = 0;
    while run.writer.events_stopped().is_none() {
        run.second(50).unwrap();
        seconds += 1;
        assert!(seconds < 100, "2 MiB hold no more than some thousand lines");
    }
    assert!(run.writer.events_stopped().unwrap().contains("report.keep_free = 1MiB"));
    let before = lines(&reports);
    for _ in 0..5 {
        // Reports go on into what was kept free for them.
        run.second(50).unwrap();
    }
    assert_eq!(lines(&reports), before);
    let unwritten = run.attempts - before;
    disk.remount("size=16m");
    run.second(50).unwrap();
    assert_eq!((run.writer.events_stopped(), lines(&reports)), (None, before + 50), "at once");
    run.close_day();
    assert_told(&reports, &run, unwritten);
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_or_read_only_keeps_tallies_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, state) = (folder.path().join("reports"), folder.path().join("state"));
    let Some(disk) = Disk::mount(&reports, "4m") else { return };
    let mut run = begin(&reports, &state, 0);
    run.second(10).unwrap();
    let filler = disk.fill();
    run.now = run.now.plus_micros(50_000_000);
    run.second(10).unwrap();
    assert!(
        run.writer.events_stopped().unwrap().contains("No space left"),
        "{:?}",
        run.writer.events_stopped()
    );
    assert_eq!(lines(&reports), 10, "no half line is left");
    run.now = run.now.plus_micros(50_000_000);
    let failed = run.second(0).unwrap_err();
    assert!(failed.to_string().contains("No space left"), "{failed}");
    assert_eq!(run.second(0).unwrap(), Settled::Later, "it is not tried every second");
    fs::remove_file(filler).unwrap();
    run.now = run.now.plus_micros(11_000_000);
    assert_eq!(run.second(10).unwrap(), Settled::Done);
    assert_eq!((run.writer.events_stopped(), lines(&reports)), (None, 20));

    disk.remount("ro");
    run.second(10).unwrap();
    assert!(run.writer.events_stopped().unwrap().contains("Read-only"), "{:?}", run.writer.events_stopped());
    disk.remount("rw");
    run.second(10).unwrap();
    assert_eq!((run.writer.events_stopped(), lines(&reports)), (None, 30));
    run.close_day();
    assert_told(&reports, &run, 20);
}

#[test]
fn a_store_that_cannot_grow_takes_everything_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, state) = (folder.path().join("reports"), folder.path().join("state"));
    let Some(disk) = Disk::mount(&state, "4m") else { return };
    let mut run = begin(&reports, &state, 0);
    run.second(10).unwrap();
    let filler = disk.fill();
    let mut waiting = run.pass(2_000);
    let mut tries = 0;
    while tries < 3 {
        // Its log may have room for a little.
        match run.writer.record(&mut waiting) {
            Err(_) => tries += 1,
            Ok(()) => waiting = run.pass(2_000),
        }
        assert!(run.attempts < 100_000);
    }
    fs::remove_file(filler).unwrap();
    disk.remount("size=64m");
    run.writer.record(&mut waiting).unwrap();
    run.close_day();
    assert_told_of_two(&reports, &state, &run);
}

/// The same where the store lies elsewhere.
fn assert_told_of_two(reports: &Path, state: &Path, run: &Run) {
    assert_told(reports, run, 0);
    let month =
        ["report", "--month", "2026-11", "--format", "json", "--from-dir", &state.display().to_string()];
    let report = gatewatch(&month, b"").good().stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["totals"]["attempts"], run.attempts);
}
