//! `gatewatch top` in a real terminal: tmux, 80×24, with a daemon that comes, goes and comes again.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The view asks every second; on a busy machine it may take a while to be drawn.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the screen is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Answers as the daemon does, until it is dropped.
struct Answering {
    path: PathBuf,
    gone: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn on(path: &Path, started: &str) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let gone = Arc::new(AtomicBool::new(false));
        let (ended, started) = (Arc::clone(&gone), started.to_owned());
        let thread = std::thread::spawn(move || {
            for (asked, client) in (1_u64..).zip(listener.incoming()) {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                // A view that is quit while it is answered is no failure.
                let _ = client.and_then(|mut client| client.write_all(answer(&started, asked).as_bytes()));
            }
        });
        Self { path: path.to_owned(), gone, thread: Some(thread) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(started: &str, asked: u64) -> String {
    let row = |site: &str, class: &str, country: &str, attempts: u64| {
        format!(r#"{{"site":"{site}","class":"{class}","country":"{country}","attempts":{attempts}}}"#)
    };
    format!(
        r#"{{"schema_version":2,"state":"capturing","version":"9.9.9","started":"{started}","interfaces":[],"attempts":7,"written":null,
        "counters":{{"frames_received":{},"kernel_drops":12}},"troubles":[],"databases":[],"detector_set":"x",
        "activity":{{"rows":[{},{}],"incidents":[{{"source":"192.0.2.7","country":"US","class":"web.sqli","site":"www.example.org",
        "attempts":3,"first":"2012-06-30T14:00:00Z","last":"2012-06-30T14:01:02Z"}}]}}}}"#,
        asked * 100,
        row("www.example.org", "web.sqli", "US", asked * 10),
        row("mail.example.org\\u001b[31m", "auth.mail", "DE", 5),
    )
    .replace('\n', " ")
        + "\n"
}

/// A tmux server of its own, with one window.
struct Tmux {
    name: String,
}

impl Tmux {
    fn start(socket: &Path) -> Option<Self> {
        let tmux = Self { name: format!("gatewatch-top-{}", std::process::id()) };
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: tmux is not installed (make test-packages)");
            return None;
        }
        let top = format!("{} top --socket {}", env!("CARGO_BIN_EXE_gatewatch"), socket.display());
        let started = tmux.run(&[
            "-u",
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-s",
            "top",
            "-x",
            "80",
            "-y",
            "24",
            &top,
        ]);
        assert!(started.status.success(), "{started:?}");
        Some(tmux)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("tmux").args(["-L", &self.name]).args(arguments).output().expect("tmux runs")
    }

    fn press(&self, key: &str) {
        assert!(self.run(&["send-keys", "-t", "top", key]).status.success(), "{key}");
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.run(&["capture-pane", "-p", "-t", "top"]).stdout).into_owned()
    }

    fn await_screen(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < PATIENCE, "{what} does not come:\n{screen}");
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

#[test]
fn a_terminal_shows_the_daemon_filters_pauses_and_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gatewatch.sock");
    let daemon = Answering::on(&socket, "2012-06-30T12:00:00Z");
    let Some(tmux) = Tmux::start(&socket) else { return };
    let screen = tmux
        .await_screen("a rate", |screen| screen.contains("web.sqli") && screen.contains("10.0 attempts/s"));
    for wanted in
        ["gatewatch 9.9.9", "United States", "192.0.2.7", "14:01:02", "lost: kernel_drops 12", "q quit"]
    {
        assert!(screen.contains(wanted), "{wanted}:\n{screen}");
    }
    assert_eq!(screen.lines().count(), 24, "{screen}");

    tmux.press("s");
    let screen = tmux.await_screen("the first site", |screen| screen.contains("site mail.example.org"));
    assert!(screen.contains("auth.mail") && !screen.contains("United States"), "{screen}");
    tmux.press("a");
    tmux.press("c");
    tmux.await_screen("the first class", |screen| screen.contains("class auth.mail"));
    tmux.press("a");
    tmux.press("o");
    tmux.await_screen("the order", |screen| screen.contains("order rate"));
    tmux.press("p");
    tmux.await_screen("the pause", |screen| screen.contains("PAUSED"));
    tmux.press("p");

    drop(daemon);
    let screen =
        tmux.await_screen("the trouble", |screen| screen.contains("no daemon answers, asking again"));
    assert!(screen.contains("web.sqli"), "what was known stays:\n{screen}");
    let _daemon = Answering::on(&socket, "2012-06-30T13:00:00Z");
    tmux.await_screen("the new daemon", |screen| screen.contains("since 2012-06-30 13:00:00 UTC"));

    tmux.run(&["resize-window", "-t", "top", "-x", "40", "-y", "12"]);
    let screen = tmux.await_screen("the small window", |screen| {
        screen.lines().count() == 12 && screen.contains("web.sqli")
    });
    assert!(screen.lines().all(|line| line.chars().count() <= 40), "{screen}");
    tmux.press("q");
    let begun = Instant::now();
    while tmux.run(&["has-session", "-t", "top"]).status.success() {
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        std::thread::park_timeout(LOOK_EVERY);
    }
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let ended =
        Command::new(env!("CARGO_BIN_EXE_gatewatch")).args(["top", "--socket", "/nowhere"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("gatewatch status"), "{ended:?}");
}
