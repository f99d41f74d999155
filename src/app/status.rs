//! The status socket: one JSON line to whoever connects. And its client, `gatewatch status`.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use crate::app::commands;
use crate::app::live::Pipeline;
use crate::app::state::{State, Status, ThreadStatus};
use crate::exit::Fatal;

/// Clients served at once; others wait in the kernel's queue.
const CLIENTS_MAX: usize = 8;
/// A client that does not read is dropped after this long.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer that is read.
const ANSWER_MAX_BYTES: u64 = 1 << 20;

/// Removes the socket when the daemon ends.
pub struct Server {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // One that stays is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves the status. A socket that cannot be made is told and costs the status, never the capture.
pub fn serve(path: &Path, pipeline: Arc<Pipeline>) -> Option<Server> {
    let listener = match bind(path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(socket = %path.display(), %error, "no status socket; set state.socket to a folder that can be written");
            return None;
        }
    };
    let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
    let task = tokio::spawn(async move {
        while let Ok(permit) = Arc::clone(&clients).acquire_owned().await {
            let Ok((mut client, _)) = listener.accept().await else { continue };
            let mut line = serde_json::to_string(&pipeline.status()).unwrap_or_default();
            line.push('\n');
            tokio::spawn(async move {
                // A client that does not listen is its own problem.
                let _ = tokio::time::timeout(CLIENT_TIMEOUT, client.write_all(line.as_bytes())).await;
                drop(permit);
            });
        }
    });
    Some(Server { path: path.to_owned(), task })
}

/// Makes a socket that root and the group of the daemon may connect to.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Only a socket is ever replaced: the path may be a mistake.
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// `gatewatch status`: prints the state; success only if the daemon captures and writes.
pub fn ask(path: &Path, json: bool) -> Result<ExitCode, Fatal> {
    let line = read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Fatal::Permission(format!(
            "{}: {error}; ask as root or in the group of the daemon",
            path.display()
        )),
        _ => Fatal::DeviceLost(format!("{}: no daemon answers: {error}", path.display())),
    })?;
    let status: Status = serde_json::from_str(&line)
        .map_err(|error| Fatal::Unusable(format!("{}: the answer is no status: {error}", path.display())))?;
    let text = if json { line.trim_end().to_owned() } else { describe(&status) };
    commands::say(&format!("{text}\n"))?;
    Ok(match status.known_state() {
        state if state.is_healthy() => ExitCode::SUCCESS,
        State::NotWriting => ExitCode::from(Fatal::Io(String::new()).code()),
        _ => ExitCode::from(Fatal::DeviceLost(String::new()).code()),
    })
}

/// The state, or in words why there is none.
pub fn state(path: &Path) -> Result<Status, String> {
    let line = read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&line)
        .map_err(|error| format!("{}: the answer is no status: {error}", path.display()))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.flush()?;
    let mut line = String::new();
    stream.take(ANSWER_MAX_BYTES).read_to_string(&mut line)?;
    Ok(line)
}

/// The state for people.
pub(crate) fn describe(status: &Status) -> String {
    let mut text = format!("{} since {}, gatewatch {}\n", status.state, status.started, status.version);
    for interface in &status.interfaces {
        let mtu = if interface.mtu > 0 { format!(", MTU {}", interface.mtu) } else { String::new() };
        let _ = writeln!(
            text,
            "interface {}: {}, {}{mtu}",
            interface.name,
            if interface.capturing { "capturing" } else { "not capturing" },
            interface.link
        );
    }
    let age = |thread: &ThreadStatus| format!("{} {:.1} s", thread.name, thread.age_ms as f64 / 1_000.0);
    let threads: Vec<String> = status.vitals.threads.iter().map(age).collect();
    if !threads.is_empty() {
        let _ = writeln!(text, "last sign of life: {}", threads.join(", "));
    }
    let _ = writeln!(
        text,
        "attempts {}, written up to {}",
        status.attempts,
        status.written.as_deref().unwrap_or("nothing yet")
    );
    for (name, value) in status.counters.iter().filter(|(_, value)| **value > 0) {
        let _ = writeln!(text, "  {name} {value}");
    }
    for database in &status.databases {
        let _ = writeln!(text, "database {database}");
    }
    for part in &status.confinement {
        let _ = writeln!(text, "confinement {part}");
    }
    for note in &status.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for trouble in &status.troubles {
        let _ = writeln!(text, "trouble: {trouble}");
    }
    let _ = write!(text, "detection set {}", status.detector_set);
    text
}
