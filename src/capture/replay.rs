//! Replay: capture files as if they came from an interface, merged by time stamp.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::capture::Sink;
use crate::capture::file::{FileComplaint, Source};
use crate::model::time::Timestamp;

/// Endings of capture files that are looked for in a folder.
const ENDINGS: [&str; 6] = ["pcap", "pcapng", "cap", "dmp", "dump", "trace"];
/// Folders within folders that are followed; a loop of links ends here.
const DEPTH_MAX: usize = 16;

/// What became of a replay.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Files read, whole or in part.
    pub files: usize,
    /// Files, or parts of them, that could not be read.
    pub complaints: Vec<FileComplaint>,
}

/// Reads the files named by `inputs` (files, folders, `-`) through `filter` into `sink`.
///
/// Several files are merged by time stamp; between equal stamps the order of their names decides, so that the
/// order of the arguments changes nothing.
pub fn replay(inputs: &[PathBuf], filter: &str, sink: &mut impl Sink, stop: &AtomicBool) -> Replayed {
    let mut replayed = Replayed::default();
    let mut waiting = Vec::new();
    for path in files(inputs, &mut replayed.complaints) {
        match Source::open(&path, filter) {
            Ok(source) => {
                replayed.files += 1;
                // Only the time of its first frame is kept, so that a thousand files need not be open at once.
                if let Some(time) = source.time() {
                    let keep = path == Path::new("-");
                    waiting.push(Waiting { time, path, source: keep.then_some(source) });
                }
            }
            Err(complaint) => replayed.complaints.push(complaint),
        }
    }
    if let [only] = waiting.as_mut_slice() {
        if let Some(source) = only.take(filter, &mut replayed.complaints) {
            single(source, sink, stop, &mut replayed.complaints);
        }
        return replayed;
    }
    waiting.sort_by(|a, b| (b.time, &b.path).cmp(&(a.time, &a.path)));
    merge(waiting, filter, sink, (stop, &mut replayed.complaints));
    replayed
}

/// A file that has not begun.
struct Waiting {
    time: Timestamp,
    path: PathBuf,
    source: Option<Source>,
}

impl Waiting {
    fn take(&mut self, filter: &str, complaints: &mut Vec<FileComplaint>) -> Option<Source> {
        match self.source.take().map_or_else(|| Source::open(&self.path, filter), Ok) {
            Ok(source) => Some(source),
            Err(complaint) => {
                complaints.push(complaint);
                None
            }
        }
    }
}

/// One file: its frames without a copy, observed from the first to the last.
fn single(mut source: Source, sink: &mut impl Sink, stop: &AtomicBool, complaints: &mut Vec<FileComplaint>) {
    let mut last = source.time();
    let result = source.each(|frame| {
        if let Some(known) = last
            && frame.time > known
        {
            sink.observed(known, frame.time);
            last = Some(frame.time);
        }
        sink.frame(frame);
        !stop.load(Ordering::Relaxed)
    });
    complaints.extend(result.err());
    source.close();
}

/// Several files. `waiting` is sorted, the earliest last.
fn merge(
    mut waiting: Vec<Waiting>,
    filter: &str,
    sink: &mut impl Sink,
    (stop, complaints): (&AtomicBool, &mut Vec<FileComplaint>),
) {
    let mut open: Vec<Source> = Vec::new();
    // Which open file comes next: by time, then by the order in which they began.
    let mut queue: BTreeSet<(Timestamp, usize)> = BTreeSet::new();
    let mut last: Option<Timestamp> = None;
    while !stop.load(Ordering::Relaxed) {
        while waiting.last().is_some_and(|next| queue.first().is_none_or(|(time, _)| next.time <= *time)) {
            let Some(mut next) = waiting.pop() else { break };
            if let Some(source) = next.take(filter, complaints)
                && let Some(time) = source.time()
            {
                if queue.is_empty() {
                    last = None;
                }
                queue.insert((time, open.len()));
                open.push(source);
            }
        }
        let Some((time, index)) = queue.pop_first() else { break };
        let Some(source) = open.get_mut(index) else { break };
        // Some file was being read before this frame and has more to come: the time between was watched.
        if let Some(known) = last
            && time > known
        {
            sink.observed(known, time);
        }
        last = Some(last.map_or(time, |known| known.max(time)));
        if let Some(frame) = source.head() {
            sink.frame(&frame);
        }
        if let Err(complaint) = source.advance() {
            complaints.push(complaint);
        }
        if let Some(next) = source.time() {
            // A step back within a file must not hold up the others.
            queue.insert((next.max(time), index));
        }
    }
    for source in open {
        source.close();
    }
}

/// The files that `inputs` name, each once, in the order of their names.
fn files(inputs: &[PathBuf], complaints: &mut Vec<FileComplaint>) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for input in inputs {
        if input.is_dir() {
            let before = found.len();
            walk(input, DEPTH_MAX, &mut found, complaints);
            if found.len() == before {
                let text =
                    format!("holds no capture file (*.{}, also with .gz or .zst)", ENDINGS.join(", *."));
                complaints.push(FileComplaint { path: input.clone(), text, missing: true });
            }
        } else {
            found.insert(input.clone());
        }
    }
    found.into_iter().collect()
}

fn walk(folder: &Path, depth: usize, found: &mut BTreeSet<PathBuf>, complaints: &mut Vec<FileComplaint>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let text = format!("cannot be listed: {error}");
            complaints.push(FileComplaint { path: folder.to_owned(), text, missing: true });
            return;
        }
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, found, complaints);
            }
        } else if is_capture_name(&path) {
            found.insert(path);
        }
    }
}

fn is_capture_name(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && ENDINGS.contains(&ending))
}
