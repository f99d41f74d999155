//! A clock that is set while gatewatch runs, forward and back, by seconds and by years: nothing is lost, nothing counted
//! twice, no closed file changes. The whole way from frames to files, with a clock of the test's own.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use gatewatch::app::prepare;
use gatewatch::capture::watch::{Link as Carrier, Look, NOT_BEFORE, Watch};
use gatewatch::capture::{Lost, Sink};
use gatewatch::classify::classifier::Classifier;
use gatewatch::classify::site::Fallback;
use gatewatch::config::Settings;
use gatewatch::handoff::{Outbox, Parcel, Record, WhenFull, channel};
use gatewatch::inspect::Inspector;
use gatewatch::inspect::detector_cell::DetectorCell;
use gatewatch::inspect::limits::limits;
use gatewatch::model::frame::{Frame, Link};
use gatewatch::model::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SEC, Timestamp};
use gatewatch::report::writer::{Mode, Setup, Writer};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::random::Random;
use support::talk::{conversation, cut};

const REQUEST: &[u8] =
    b"GET /item?id=1%27%20UNION%20SELECT%20user,password%20FROM%20users--%20- HTTP/1.1\r\nHost: a\r\n\r\n";
const REPLY: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
/// A tick of the daemon takes half a second; this one is just short of what would pass for a clock that was set.
const TICK_MICROS: i64 = 50 * MICROS_PER_SEC;
const UP: Carrier = Carrier { up: true, changes: 1 };
/// 2026-06-15T12:00:00Z
const START: Timestamp = Timestamp::from_parts(1_781_524_800, 0);

/// The parts of a daemon, without its threads.
struct Sensor {
    folder: tempfile::TempDir,
    watch: Watch,
    inspector: Inspector,
    records: Receiver<Parcel>,
    classifier: Classifier,
    writer: Writer,
    steady: Duration,
    /// What the wall clock shows beyond the steady one.
    offset: i64,
    undated: u64,
    sent: u64,
    closed: BTreeMap<PathBuf, Vec<u8>>,
}

impl Sensor {
    fn new(offset: i64) -> Self {
        Self::start(tempfile::tempdir().unwrap(), offset)
    }

    /// Killed, and started again when the clock shows something else.
    fn restart(self, offset: i64) -> Self {
        drop((self.writer, self.classifier, self.inspector));
        let mut next = Self::start(self.folder, offset);
        // Of addresses that did not attack so far: it is not about what counts twice.
        next.sent = self.sent;
        next
    }

    fn start(folder: tempfile::TempDir, offset: i64) -> Self {
        let mut settings = Settings::default();
        settings.report.directory = folder.path().join("reports");
        settings.report.formats = vec!["json".into()];
        settings.report.periods = ["hour", "day", "month", "year"].map(str::to_owned).to_vec();
        let detector = prepare::detector(&settings).unwrap();
        let geo = prepare::geo(&settings).unwrap();
        let setup = Setup {
            state: gatewatch::config::state::State {
                directory: folder.path().to_owned(),
                ..settings.state.clone()
            },
            settings: settings.report.clone(),
            privacy: settings.privacy.clone(),
            mode: Mode::Live,
            provenance: prepare::provenance(&settings, "", &detector, &geo),
            prefixes: (24, 48),
        };
        let (sender, records) = channel(8_192);
        let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
        let first = Look { wall: Timestamp(offset), steady: Duration::ZERO, link: UP, heard: false };
        Self {
            watch: Watch::new(first, Duration::ZERO),
            inspector: Inspector::new(limits(64 << 20), Arc::new(DetectorCell::new(detector)), outbox),
            records,
            classifier: Classifier::new(&settings, geo, Fallback::Responders, 1, false),
            writer: Writer::open(setup).unwrap().0,
            folder,
            steady: Duration::ZERO,
            offset,
            undated: 0,
            sent: 0,
            closed: BTreeMap::new(),
        }
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.offset + self.steady.as_micros() as i64)
    }

    /// A conversation with one attack. `steps`: what the clock is set by, and before which of its packets.
    fn attack(&mut self, answered: bool, steps: &[(usize, i64)]) {
        self.sent += 1;
        let address = u32::from_be_bytes([73, 0, 0, 0]) + self.sent as u32;
        let client = SocketAddr::new(std::net::Ipv4Addr::from(address).into(), 40_000);
        let packets = conversation(client, &cut(REQUEST, 40), REQUEST.len(), REPLY);
        let last = if answered { packets.len() } else { 3 + REQUEST.len().div_ceil(40) };
        for (number, bytes) in packets[..last].iter().enumerate() {
            self.offset += steps.iter().filter(|(at, _)| *at == number).map(|(_, by)| by).sum::<i64>();
            self.steady += Duration::from_micros(300);
            self.watch.reach(self.steady);
            let frame = Frame { time: self.wall(), bytes, length: bytes.len() as u32, link: Link::RawIp };
            let steady = self.steady;
            let dated = self.watch.hand_on(&frame, || steady, &mut self.inspector);
            self.undated += u64::from(!dated);
        }
    }

    fn tick(&mut self) {
        self.steady += Duration::from_micros(TICK_MICROS as u64);
        let wall = self.wall();
        let seen = self.watch.look(Look { wall, steady: self.steady, link: UP, heard: true });
        if let Some((from, to)) = seen.observed {
            self.inspector.observed(from, to);
        }
        let undated = std::mem::take(&mut self.undated);
        self.inspector.lost(Lost { undated, ..Lost::default() });
        let reached = self.watch.reached(wall, (true, seen.stepped), &mut self.inspector);
        self.inspector.tick(reached);
        self.write();
    }

    fn write(&mut self) {
        for (worker, record) in self.records.try_iter() {
            match record {
                Record::Attempt(attempt) => self.classifier.attempt(attempt),
                Record::Contact(contact) => self.classifier.contact(&contact),
                Record::Progress(progress) => self.classifier.progress(worker, &progress),
                Record::Surge(surge) => self.classifier.surge(&surge),
            }
        }
        self.writer.record(&mut self.classifier.take_snapshot()).unwrap();
        self.writer.settle().unwrap();
        self.check_closed();
    }

    /// Every report that was ever closed is there and is what it was.
    fn check_closed(&mut self) {
        for entry in std::fs::read_dir(self.folder.path().join("reports")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("report-") && !name.contains(".open.") {
                self.closed.entry(path.clone()).or_insert_with(|| std::fs::read(&path).unwrap());
            }
        }
        for (path, content) in &self.closed {
            assert_eq!(&std::fs::read(path).expect("still there"), content, "{}", path.display());
        }
    }

    /// Ends it. Gives attempts by hour, seconds observed and counters, as the store has them.
    fn end(mut self) -> (BTreeMap<i64, u64>, u64, BTreeMap<String, u64>) {
        self.inspector.finish();
        self.write();
        self.writer.finish().unwrap();
        self.check_closed();
        drop(self.writer);
        let store = rusqlite::Connection::open(self.folder.path().join("gatewatch.sqlite")).unwrap();
        let mut attempts = BTreeMap::new();
        let mut rows = store.prepare("SELECT hour, sum(attempts) FROM tally GROUP BY hour").unwrap();
        let read =
            rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))).unwrap();
        attempts.extend(read.map(Result::unwrap));
        let observed: i64 = store
            .query_row("SELECT coalesce(sum(observed_micros), 0) FROM watch", [], |row| row.get(0))
            .unwrap();
        let mut rows = store.prepare("SELECT name, sum(value) FROM counter GROUP BY name").unwrap();
        let read =
            rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))).unwrap();
        let counters = read.map(Result::unwrap).collect();
        let events: BTreeSet<String> = std::fs::read_dir(self.folder.path().join("reports"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
            .flat_map(|path| {
                std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(events.len() as u64, attempts.values().sum::<u64>(), "events and tallies agree");
        (attempts, (observed / MICROS_PER_SEC).cast_unsigned(), counters)
    }
}

#[test]
fn a_clock_that_is_set_at_random_loses_nothing_counts_nothing_twice_and_changes_no_closed_file() {
    const STEPS: [i64; 10] = [
        -400 * MICROS_PER_DAY,
        -40 * MICROS_PER_DAY,
        -MICROS_PER_HOUR,
        -30 * MICROS_PER_SEC,
        -MICROS_PER_SEC / 2,
        5 * MICROS_PER_SEC,
        90 * MICROS_PER_SEC,
        MICROS_PER_HOUR,
        40 * MICROS_PER_DAY,
        400 * MICROS_PER_DAY,
    ];
    let mut corrected = 0;
    for seed in 0..2 {
        let mut random = Random::keyed(&[seed]);
        let mut sensor = Sensor::new(START.0);
        for _ in 0..120 {
            for _ in 0..random.below(4) {
                let mut steps = Vec::new();
                if random.chance(10) {
                    let by = STEPS[random.below(STEPS.len() as u64) as usize];
                    // Not before the build: that is another test.
                    if sensor.wall().0 + by > NOT_BEFORE.0 + 2 * MICROS_PER_DAY {
                        steps.push((random.below(9) as usize, by));
                    }
                }
                sensor.attack(random.chance(70), &steps);
            }
            if random.chance(10) {
                // Set right while nothing arrives.
                sensor.offset = START.0;
            }
            sensor.tick();
        }
        let sent = sensor.sent;
        corrected += sensor.closed.keys().filter(|path| path.to_string_lossy().contains(".c2.")).count();
        let (attempts, observed, counters) = sensor.end();
        assert_eq!(attempts.values().sum::<u64>(), sent, "seed {seed}");
        assert!(observed <= 120 * 51, "seed {seed}: {observed} s observed");
        assert_eq!(counters.get("channel_drops"), None);
    }
    assert!(corrected > 0, "no seed set the clock back into a closed period");
}

#[test]
fn a_year_forward_and_back_within_minutes_closes_nothing_and_all_counts_where_it_belongs() {
    let mut sensor = Sensor::new(START.0);
    sensor.attack(true, &[]);
    sensor.tick();
    sensor.attack(true, &[(4, 365 * MICROS_PER_DAY)]);
    sensor.tick();
    sensor.tick();
    sensor.offset = START.0;
    sensor.attack(true, &[]);
    for _ in 0..12 {
        sensor.attack(true, &[]);
        sensor.tick();
    }
    assert_eq!(sensor.closed.len(), 0);
    let (attempts, observed, _) = sensor.end();
    let hour = START.hour().0;
    assert_eq!(attempts.get(&hour), Some(&14), "{attempts:?}");
    assert_eq!(attempts.get(&(hour + 365 * 24)), Some(&1));
    assert!((700..=750).contains(&observed), "{observed}");
}

#[test]
fn a_clock_before_the_build_opens_no_period_and_what_it_stamps_is_a_loss() {
    let mut sensor = Sensor::new(0);
    sensor.attack(true, &[]);
    sensor.tick();
    sensor.tick();
    sensor.offset = START.0;
    sensor.attack(true, &[]);
    sensor.tick();
    // And once more later on: the battery is gone, the time server too.
    sensor.offset = 0;
    sensor.attack(true, &[]);
    sensor.tick();
    let (attempts, observed, counters) = sensor.end();
    assert_eq!(attempts.into_iter().collect::<Vec<_>>(), [(START.hour().0, 1)]);
    assert!(observed <= 51, "{observed}");
    assert!(counters["clock_unset"] >= 18, "{counters:?}");

    let mut never = Sensor::new(0);
    never.attack(true, &[]);
    never.tick();
    let (attempts, observed, counters) = never.end();
    assert_eq!((attempts.len(), observed, counters.len()), (0, 0, 0), "no hour to put anything in");
}

#[test]
fn a_kill_between_late_counts_and_their_correction_leaves_the_correction_to_the_next_run() {
    const TICKS_PER_HOUR: i64 = MICROS_PER_HOUR / TICK_MICROS;
    let mut sensor = Sensor::new(START.0);
    sensor.attack(true, &[]);
    for _ in 0..TICKS_PER_HOUR + 4 {
        sensor.tick();
    }
    let hour = sensor.folder.path().join("reports/report-2026-06-15T12.json");
    let told = |path: &PathBuf| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(told(&hour)["totals"]["attempts"], 1);

    // Its clock is half an hour late: what it counts is in an hour that is closed.
    let mut sensor = sensor.restart(START.0 + MICROS_PER_HOUR / 2);
    sensor.attack(true, &[]);
    sensor.tick();
    let corrected = sensor.folder.path().join("reports/report-2026-06-15T12.c2.json");
    assert!(!corrected.exists(), "the hour is not over by that clock");

    let mut sensor = sensor.restart(START.0 + 2 * MICROS_PER_HOUR);
    sensor.tick();
    assert_eq!(told(&corrected)["totals"]["attempts"], 2);
    let mut sensor = sensor.restart(START.0 + 3 * MICROS_PER_HOUR);
    sensor.tick();
    let reports = sensor.folder.path().join("reports");
    assert!(!reports.join("report-2026-06-15T12.c3.json").exists(), "once is enough");
}
