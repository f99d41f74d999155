//! What the running daemon writes: next to nothing while nothing is counted, and how much a day otherwise. Root and what
//! `system_live` needs. With `GATEWATCH_LONG` it takes minutes and prints the figures of docs/operating.md, "Bytes written".

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, says what it skips, and may look at the clock"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::{Bed, obstacle};
use support::daemon::{Daemon, Home};

const UNITED_STATES: &str = "73.10.20.30";
const SITE: &str = "[[site]]\nname = \"www.town.example\"\naddresses = [\"203.0.113.10\"]\n";
/// An idle daemon may write so much in the seconds of an ordinary run: no commit falls into them.
const IDLE_MAX_BYTES: u64 = 16 << 10;

/// Bytes that the process has caused to be written to storage.
fn written(daemon: &Daemon) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", daemon.id())).expect("its io");
    let value = |name: &str| {
        io.lines().find_map(|line| line.strip_prefix(name)).and_then(|text| text.trim().parse().ok())
    };
    value("write_bytes:").expect("write_bytes")
}

#[test]
fn an_idle_daemon_writes_nothing_between_its_rare_commits() {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return;
    }
    let mut bed = Bed::up();
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    // The reports of the beginning are written.
    daemon.let_pass(Duration::from_secs(4));
    let before = written(&daemon);
    bed.ask(UNITED_STATES, &["http://203.0.113.10/README.md".to_owned()]);
    daemon.let_pass(Duration::from_secs(5));
    let idle = written(&daemon) - before;
    assert!(idle <= IDLE_MAX_BYTES, "{idle} bytes in 5 s in which nothing was counted");
    bed.ask(UNITED_STATES, &["http://203.0.113.10/.env".to_owned()]);
    daemon.let_pass(Duration::from_secs(2));
    assert!(written(&daemon) > before + idle, "an attempt is written at once");
    daemon.stop().good();
}

/// What is measured: a name, settings beside the site, milliseconds between two attacks (0: none).
const CASES: [(&str, &str, u64); 6] = [
    ("idle, defaults", "", 0),
    ("idle, small-gateway.toml", "small", 0),
    ("an attempt every 10 s, defaults", "", 10_000),
    ("an attempt every 10 s, small-gateway.toml", "small", 10_000),
    ("10 attempts a second, defaults", "", 100),
    ("10 attempts a second, small-gateway.toml", "small", 100),
];
/// Long enough for the reports of open periods to be written a few times.
const MEASURED: Duration = Duration::from_secs(185);

#[test]
fn bytes_written_a_day_are_measured() {
    if std::env::var_os("GATEWATCH_LONG").is_none() {
        eprintln!("skipped: the figures of docs/operating.md take 19 minutes; GATEWATCH_LONG measures them");
        return;
    }
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return;
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/small-gateway.toml");
    let example = fs::read_to_string(example).unwrap();
    for (name, settings, every) in CASES {
        let mut bed = Bed::up();
        let home = Home::new(SITE);
        if settings == "small" {
            let own = fs::read_to_string(home.settings()).unwrap();
            let folder = |key: &str| {
                own.lines()
                    .filter(|line| line.starts_with(key))
                    .map(|line| format!("{line}\n"))
                    .collect::<Vec<_>>()
            };
            let [reports, state] = folder("directory").try_into().expect("two folders");
            let socket = folder("socket").concat();
            let text = example
                .replace("[report]\n", &format!("[report]\n{reports}"))
                .replace("[state]\n", &format!("[state]\n{state}{socket}"));
            fs::write(home.settings(), text).unwrap();
        }
        let mut daemon = Daemon::start(&bed, &home, "wan0");
        daemon.let_pass(Duration::from_secs(5));
        let (before, begin) = (written(&daemon), Instant::now());
        let mut sent = 0_u32;
        while begin.elapsed() < MEASURED {
            if every == 0 {
                daemon.let_pass(MEASURED.saturating_sub(begin.elapsed()));
                break;
            }
            // As many as are due by now, at once.
            let due = u32::try_from(begin.elapsed().as_millis() / u128::from(every)).unwrap();
            let urls: Vec<String> = (sent..due)
                .map(|n| format!("http://203.0.113.10/view?file=../../../etc/passwd&n={n}"))
                .collect();
            if !urls.is_empty() {
                bed.ask(UNITED_STATES, &urls);
            }
            sent = due;
            daemon.let_pass(Duration::from_millis(every.max(500)));
        }
        let (bytes, time) = (written(&daemon) - before, begin.elapsed().as_secs_f64());
        eprintln!(
            "{name}: {bytes} bytes in {time:.0} s with {sent} attempts: {:.0} MB a day",
            bytes as f64 / time * 86_400.0 / 1e6
        );
        daemon.stop().good();
    }
}
