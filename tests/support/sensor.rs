//! Runs the built binary and reads what it wrote.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::generator::capture::write_plan;
use super::generator::frames::Link;
use super::generator::plan::Plan;

/// No run of a test may last longer. A debug build replays the small year in a tenth of it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Asserts success.
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one line on standard error that names the trouble.
    pub fn complaint(&self) -> &str {
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines.len(), 1, "one clear line is wanted, not: {}", self.stderr);
        lines[0]
    }
}

/// Runs gatewatch to its end, with `input` on standard input.
pub fn gatewatch<S: AsRef<std::ffi::OsStr>>(arguments: &[S], input: &[u8]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
    command.args(arguments);
    run(command, input, PATIENCE)
}

/// Runs a command to its end, or kills it after `patience` and fails.
pub fn run(mut command: Command, input: &[u8], patience: Duration) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // A process that reads no input closes the pipe: not this thread's trouble.
    let feeder = thread::spawn(move || _ = { stdin }.write_all(&input));
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let Ok(stdout) = stdout.recv_timeout(patience) else {
        child.kill().expect("killed");
        panic!("{command:?} did not end within {patience:?}; stderr: {}", stderr.recv().unwrap_or_default());
    };
    let status = child.wait().expect("waited");
    feeder.join().expect("fed");
    Ended { code: status.code(), stdout, stderr: stderr.recv().unwrap_or_default() }
}

fn drain(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        _ = from.read_to_end(&mut bytes);
        _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A folder of one test: settings, captures, reports.
#[derive(Debug)]
pub struct Desk {
    folder: TempDir,
}

impl Desk {
    /// An empty one with the settings of a plan.
    pub fn of(plan: &Plan) -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::write(desk.settings(), plan.settings()).expect("settings written");
        desk
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.path("gatewatch.toml")
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file written");
        path
    }

    /// Replays `inputs` into the folder `output`.
    pub fn replay(&self, output: &str, inputs: &[&Path], stdin: &[u8]) -> Ended {
        let mut arguments = vec!["replay".into(), "-c".into(), self.settings().into_os_string()];
        arguments.extend(["-o".into(), self.path(output).into_os_string()]);
        arguments.extend(inputs.iter().map(|input| input.as_os_str().to_owned()));
        gatewatch(&arguments, stdin)
    }

    /// A report's JSON.
    pub fn report(&self, output: &str, period: &str) -> Value {
        read_json(&self.path(output).join(format!("report-{period}.json")))
    }

    /// All event lines of an output folder.
    pub fn events(&self, output: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        for path in files(&self.path(output)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("events-") {
                let text = fs::read_to_string(&path).expect("an events file");
                lines.extend(
                    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON")),
                );
            }
        }
        lines
    }
}

/// The files of a folder by name, those that end in a temporary name included.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A JSON file.
pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The whole capture of a plan.
pub fn capture(plan: &Plan, link: Link) -> Vec<u8> {
    write_plan(plan, link, Vec::new()).expect("written to memory")
}
