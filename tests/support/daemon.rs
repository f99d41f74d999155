//! A running daemon: started inside a bed, watched through its notifications and its log, ended by signals.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::bed::Bed;
use super::sensor::{Ended, files, read_json, run};

/// Start to capturing takes well under a second; a loaded machine may need more.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// The contract gives a stopping daemon ten seconds.
pub const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Where a daemon's files lie; outlives the daemon.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// A home with settings; `further` is added to the necessary ones.
    pub fn new(further: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        home.settle(further);
        home
    }

    /// Writes the settings anew.
    pub fn settle(&self, further: &str) {
        let path = |name: &str| self.path(name).display().to_string();
        let (reports, state, socket) = (path("reports"), path("state"), path("gatewatch.sock"));
        let text = format!(
            "[report]\ndirectory = {reports:?}\n[state]\ndirectory = {state:?}\nsocket = {socket:?}\n{further}"
        );
        for folder in ["reports", "state"] {
            std::fs::create_dir_all(self.path(folder)).expect("a folder");
        }
        std::fs::write(self.settings(), text).expect("settings written");
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.path("gatewatch.toml")
    }

    /// A path in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The report of the current year, open or closed.
    pub fn report(&self) -> Value {
        let is_year = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let stem = name.strip_suffix(".open.json").or_else(|| name.strip_suffix(".json"));
            stem.is_some_and(|stem| stem.len() == "report-2026".len() && stem.starts_with("report-"))
        };
        let all = files(&self.path("reports"));
        let found = all.iter().rfind(is_year);
        read_json(found.unwrap_or_else(|| panic!("no report of a year in {all:?}")))
    }

    /// All event lines.
    pub fn events(&self) -> Vec<Value> {
        let mut events = Vec::new();
        for file in files(&self.path("reports")) {
            if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events-")) {
                let text = std::fs::read_to_string(&file).expect("an events file");
                events.extend(
                    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON")),
                );
            }
        }
        events
    }

    /// `gatewatch status`.
    pub fn status(&self) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
        command.arg("status").arg("-c").arg(self.settings());
        run(command, b"", START_PATIENCE)
    }
}

/// A daemon that captures.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: mpsc::Receiver<String>,
    heard: Vec<String>,
    output: mpsc::Receiver<String>,
    notifications: mpsc::Receiver<String>,
}

impl Daemon {
    /// Starts one on an interface of the bed's gateway and waits until it says that it is ready.
    pub fn start(bed: &Bed, home: &Home, interface: &str) -> Self {
        Self::begin(bed, home, &["-i", interface], &[])
    }

    /// The same under a watchdog that waits so long.
    pub fn start_watched(bed: &Bed, home: &Home, interface: &str, patience: Duration) -> Self {
        let patience = patience.as_micros().to_string();
        Self::begin(bed, home, &["-i", interface], &[("WATCHDOG_USEC", &patience)])
    }

    /// The same with further options.
    pub fn start_with(bed: &Bed, home: &Home, interface: &str, options: &[&str]) -> Self {
        Self::begin(bed, home, &[&["-i", interface], options].concat(), &[])
    }

    /// The same on the interfaces that its settings name.
    pub fn start_as_set(bed: &Bed, home: &Home) -> Self {
        Self::begin(bed, home, &[], &[])
    }

    fn begin(bed: &Bed, home: &Home, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let socket = home.path("notify.sock");
        _ = std::fs::remove_file(&socket);
        let notifications = UnixDatagram::bind(&socket).expect("a socket");
        let notifications = datagrams(notifications);
        let mut command = bed.command("gateway", env!("CARGO_BIN_EXE_gatewatch"));
        command.arg("run").args(options).arg("-c").arg(home.settings()).env("NOTIFY_SOCKET", &socket);
        command.envs(unit_environment()).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the daemon");
        let log = lines(child.stderr.take().expect("piped"));
        let output = lines(child.stdout.take().expect("piped"));
        let mut daemon = Self { child, log, heard: Vec::new(), output, notifications };
        daemon.await_notification("READY=1");
        daemon
    }

    /// Waits for a notification that holds `text`.
    pub fn await_notification(&mut self, text: &str) {
        loop {
            match self.notifications.recv_timeout(START_PATIENCE) {
                Ok(heard) if heard.contains(text) => return,
                Ok(_) => {}
                Err(error) => {
                    self.heard.extend(self.log.try_iter());
                    panic!("the daemon did not say {text}: {error}; its log: {:#?}", self.heard)
                }
            }
        }
    }

    /// How many notifications that hold `text` come within a time; what came before is not counted.
    pub fn notifications_within(&mut self, text: &str, time: Duration) -> usize {
        self.notifications.try_iter().for_each(drop);
        self.let_pass(time);
        self.notifications.try_iter().filter(|heard| heard.contains(text)).count()
    }

    /// Waits for a log line that holds `text`.
    pub fn await_log(&mut self, text: &str) -> String {
        loop {
            match self.log.recv_timeout(START_PATIENCE) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no log line with {text:?} ({error}): {:#?}", self.heard),
            }
        }
    }

    /// Lets time pass in which the daemon works on its own; its log is read meanwhile.
    pub fn let_pass(&mut self, time: Duration) {
        let (_hold, never) = mpsc::channel::<()>();
        _ = never.recv_timeout(time);
        self.heard.extend(self.log.try_iter());
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `HUP`, `KILL`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("kill runs").success(), "signal {name}");
    }

    /// Ends it by SIGTERM, within the time of the contract.
    pub fn stop(mut self) -> Ended {
        self.signal("TERM");
        let stderr = self.drain_log();
        let status = self.child.wait().expect("waited");
        let stdout: Vec<String> = self.output.iter().collect();
        Ended { code: status.code(), stdout: stdout.join("\n"), stderr }
    }

    /// Ends it without a warning.
    pub fn kill(mut self) {
        self.signal("KILL");
        self.child.wait().expect("waited");
    }

    /// The log up to its end, which is that of the process.
    fn drain_log(&mut self) -> String {
        loop {
            match self.log.recv_timeout(STOP_PATIENCE) {
                Ok(line) => self.heard.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.heard.join("\n"),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    _ = self.child.kill();
                    panic!("the daemon did not end within {STOP_PATIENCE:?}: {:#?}", self.heard);
                }
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What the unit sets: memory is measured as it is then.
fn unit_environment() -> Vec<(String, String)> {
    let unit = include_str!("../../systemd/gatewatch.service");
    let set = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn lines(from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// What arrives at a socket. It is read all the time, as a service manager does: a full one would hold the daemon up.
fn datagrams(from: UnixDatagram) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(length) = from.recv(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A run of the daemon that is expected to be refused: its end.
pub fn refused(bed: &Bed, settings: &Path, interface: &str) -> Ended {
    let mut command = bed.command("gateway", env!("CARGO_BIN_EXE_gatewatch"));
    command.args(["run", "-i", interface, "-c"]).arg(settings);
    run(command, b"", START_PATIENCE)
}
