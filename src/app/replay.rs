//! `gatewatch replay`: capture files through the same path as live traffic.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};

use crate::app::pipeline::Stages;
use crate::app::prepare;
use crate::app::progress::Progress;
use crate::app::shared::Shared;
use crate::capture::file::FileComplaint;
use crate::capture::replay::{Replayed, listed, replay};
use crate::classify::classifier::Classifier;
use crate::classify::geo::hex;
use crate::classify::site::Fallback;
use crate::config::Settings;
use crate::config::state::State;
use crate::exit::Fatal;
use crate::handoff::{Outbox, REPLAY_RECORDS, WhenFull, channel};
use crate::inspect::Inspector;
use crate::inspect::detector_cell::DetectorCell;
use crate::inspect::limits::limits;
use crate::report::store::Store;
use crate::report::writer::{Mode, Setup, Writer};

/// Replays `inputs` into the folder `output`. What could be read is counted and reported even where the result is an
/// error that tells of the rest.
pub fn run(settings: &Settings, config_hash: &str, inputs: &[PathBuf], output: &Path) -> Result<(), Fatal> {
    let (paths, mut complaints) = listed(inputs);
    let fresh = not_replayed_before(paths, output, &mut complaints)?;
    if fresh.files.is_empty() {
        return finish(&Replayed { files: fresh.known, complaints }, fresh.known);
    }
    let detector = prepare::detector(settings)?;
    let geo = prepare::geo(settings)?;
    let setup = Setup {
        state: State { directory: output.to_owned(), ..settings.state.clone() },
        settings: crate::config::report::Report { directory: output.to_owned(), ..settings.report.clone() },
        privacy: settings.privacy.clone(),
        mode: Mode::Replay,
        provenance: prepare::provenance(settings, config_hash, &detector, &geo),
        prefixes: settings.origin.prefixes(),
    };
    let provenance = setup.provenance.clone();
    let (writer, repaired) = Writer::open(setup).map_err(|error| prepare::unwritable(&error))?;
    for told in repaired {
        tracing::warn!("{told}");
    }
    let mut classifier = Classifier::new(settings, geo, Fallback::Responders, 1, true);
    let known =
        writer.identities(classifier.identities_max()).map_err(|error| prepare::unwritable(&error))?;
    classifier.preload(known);
    classifier.set_month_key(writer.month_key().map_err(|error| prepare::unwritable(&error))?);
    classifier.preload_observed(writer.spans().map_err(|error| prepare::unwritable(&error))?);
    classifier.preload_incidents(writer.open_incidents().map_err(|error| prepare::unwritable(&error))?);
    let (sender, records) = channel(REPLAY_RECORDS);
    let shared = Arc::new(Shared::default());
    let stages = Stages::start(classifier, (writer, None), Mode::Replay, records, &shared)
        .map_err(|error| Fatal::Os(format!("cannot start a thread: {error}")))?;
    let memory = usize::try_from(settings.memory.limit.0).unwrap_or(usize::MAX);
    let outbox = Outbox::new(sender, 0, WhenFull::Wait);
    let mut inspector = Inspector::new(limits(memory), Arc::new(DetectorCell::new(detector)), outbox);
    let paths: Vec<PathBuf> = fresh.files.iter().map(|(path, _)| path.clone()).collect();
    let stop = AtomicBool::new(false);
    let progress = Progress::replaying(&shared);
    let mut replayed = replay(&paths, &settings.capture.filter, &mut inspector, &stop);
    inspector.finish();
    drop(inspector);
    let mut writer = stages.join().map_err(Fatal::Io)?;
    let hashes = fresh.files.iter().map(|(_, hash)| hash.as_str()).filter(|hash| !hash.is_empty());
    writer.finish_replay(hashes).map_err(|error| prepare::unwritable(&error))?;
    drop(progress);
    if let Some(reached) = shared.written()
        && let Some(old) = provenance.too_old(reached, settings.origin.database_age_max_days)
    {
        tracing::warn!("{old}");
    }
    say_last_word(&writer)?;
    complaints.append(&mut replayed.complaints);
    finish(&Replayed { files: replayed.files, complaints }, fresh.known)
}

struct Fresh {
    /// Files to read with their hash; empty for standard input, which can be hashed only while it is read.
    files: Vec<(PathBuf, String)>,
    /// Files that this folder has counted already.
    known: usize,
}

/// Leaves out the files that an earlier replay into this folder has counted: their content is remembered by hash.
fn not_replayed_before(
    paths: Vec<PathBuf>,
    output: &Path,
    complaints: &mut Vec<FileComplaint>,
) -> Result<Fresh, Fatal> {
    let store = if output.join(crate::report::store::FILE_NAME).exists() {
        match Store::open_to_read(output) {
            // It is rebuilt before anything is counted, and knows no file then.
            Err(error) if error.is_corrupt() => None,
            opened => Some(opened.map_err(|error| prepare::unwritable(&error))?),
        }
    } else {
        None
    };
    let mut fresh = Fresh { files: Vec::new(), known: 0 };
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    let progress = Progress::over("looking whether they were counted before", paths.iter().map(size).sum());
    for path in paths {
        if path == Path::new("-") {
            fresh.files.push((path, String::new()));
            continue;
        }
        match hash_of(&path, &progress) {
            Ok(hash) => {
                let known = store.as_ref().is_some_and(|store| store.has_counted(&hash));
                if known || fresh.files.iter().any(|(_, other)| *other == hash) {
                    tracing::info!(file = %path.display(), "counted already in this folder, passed over");
                    fresh.known += 1;
                } else {
                    fresh.files.push((path, hash));
                }
            }
            Err(error) => complaints.push(FileComplaint {
                path,
                text: format!("cannot be read: {error}"),
                missing: true,
            }),
        }
    }
    Ok(fresh)
}

fn hash_of(path: &Path, progress: &Progress) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        // A pipe or device can be read only once: counted by identity, like standard input.
        return Ok(String::new());
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        progress.add(count as u64);
        hash.update(buffer.get(..count).unwrap_or_default());
    }
}

/// Prints the sentence and where the report lies.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn say_last_word(writer: &Writer) -> Result<(), Fatal> {
    if let Some((path, report)) = writer.last_word().map_err(|error| prepare::unwritable(&error))? {
        println!("{}", report.headline.text);
        println!("report: {}", path.display());
    }
    Ok(())
}

/// Every complaint is a line; the exit code is that of the worst.
#[expect(clippy::print_stderr, reason = "complaints reach the operator here")]
fn finish(replayed: &Replayed, known: usize) -> Result<(), Fatal> {
    let describe = |complaint: &FileComplaint| format!("{} {}", complaint.path.display(), complaint.text);
    let Some((last, others)) = replayed.complaints.split_last() else { return Ok(()) };
    for complaint in others {
        eprintln!("gatewatch: {}", describe(complaint));
    }
    let nothing_read = replayed.files == 0 && known == 0;
    if nothing_read && replayed.complaints.iter().all(|complaint| complaint.missing) {
        return Err(Fatal::NoInput(describe(last)));
    }
    Err(Fatal::Unusable(describe(last)))
}
