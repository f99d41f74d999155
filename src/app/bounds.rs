//! From settings to what the process may do once it has opened its interfaces: the places that it reads and writes.

use std::path::{Path, PathBuf};

use crate::app::prepare;
use crate::config::Settings;
use crate::config::load::DEFAULT_FILE;
use crate::confine::{self, Bounds, Part, Task};
use crate::detect::RULES_FOLDER;

/// What the kernel tells of interfaces and of the default route. The first leads into the second by links.
const INTERFACE_FILES: [&str; 3] = ["/sys/class/net", "/sys/devices", "/proc/self/net"];
/// Where the zones are in which times are shown.
const ZONES_FOLDER: &str = "/usr/share/zoneinfo";
/// Variables by which SQLite is told where large sorts go, in its order, then where it looks itself.
const SORT_VARIABLES: [&str; 2] = ["SQLITE_TMPDIR", "TMPDIR"];
const SORT_FOLDERS: [&str; 2] = ["/var/tmp", "/tmp"];

/// Of the daemon. Makes the folders that it writes to: what cannot be made is told by whoever needs it.
pub fn of_capture(settings: &Settings, file: Option<&Path>) -> Bounds {
    let mut bounds = common(Task::Capture, settings, file);
    bounds.readable.extend(INTERFACE_FILES.map(PathBuf::from));
    bounds.writable.extend([settings.report.directory.clone(), settings.state.directory.clone()]);
    let sockets = [settings.state.socket.clone(), settings.metrics.socket(&settings.state)];
    bounds.writable.extend(sockets.iter().filter_map(|socket| socket.parent()).map(folder_of));
    bounds.writable.dedup();
    made(bounds)
}

/// Of a replay.
pub fn of_replay(settings: &Settings, file: Option<&Path>, captures: &[PathBuf], output: &Path) -> Bounds {
    let mut bounds = common(Task::Replay, settings, file);
    bounds.readable.extend(captures.iter().cloned());
    bounds.writable.push(output.to_owned());
    made(bounds)
}

/// Confines the process; what this kernel cannot do is logged, once. Gives a line a part.
pub fn confine(bounds: &Bounds) -> Vec<String> {
    let outcomes = confine::confine(bounds);
    for outcome in &outcomes {
        if outcome.is_degraded() {
            tracing::warn!("confinement of {}", outcome.line());
        } else {
            tracing::debug!("confinement of {}", outcome.line());
        }
    }
    outcomes.iter().map(confine::Outcome::line).collect()
}

fn common(task: Task, settings: &Settings, file: Option<&Path>) -> Bounds {
    let main = file.unwrap_or(Path::new(DEFAULT_FILE));
    let mut readable: Vec<PathBuf> = main.parent().map(folder_of).into_iter().collect();
    readable.extend([RULES_FOLDER, ZONES_FOLDER].map(PathBuf::from));
    readable.extend(prepare::folders().iter().map(PathBuf::from));
    // A file is replaced by renaming another over it: its folder is what is read.
    let keys = Some(settings.report.sketch_key_file.clone()).filter(|path| !path.as_os_str().is_empty());
    let files =
        prepare::geo_files(settings).into_iter().chain(settings.detect.rules.iter().cloned()).chain(keys);
    readable.extend(files.filter_map(|path| path.parent().map(folder_of)));
    readable.sort();
    readable.dedup();
    let sorts = SORT_VARIABLES.iter().filter_map(std::env::var_os).map(PathBuf::from);
    let writable = sorts.chain(SORT_FOLDERS.map(PathBuf::from)).find(|folder| folder.is_dir());
    Bounds { task, readable, writable: writable.into_iter().collect(), open: left_open(settings) }
}

/// The parent of a bare file name is the working folder.
fn folder_of(parent: &Path) -> PathBuf {
    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() }
}

fn left_open(settings: &Settings) -> Vec<Part> {
    let confinement = &settings.confinement;
    let closes = |part: &Part| match part {
        Part::Capabilities => confinement.capabilities,
        Part::Files => confinement.files,
        Part::SystemCalls => confinement.system_calls,
    };
    Part::ALL.into_iter().filter(|part| !closes(part)).collect()
}

fn made(mut bounds: Bounds) -> Bounds {
    for folder in &bounds.writable {
        let _ = std::fs::create_dir_all(folder);
    }
    // What is not there needs no rule, nor does a pipe: it lies in no folder.
    bounds.readable.retain(|path| path.canonicalize().is_ok());
    bounds
}
