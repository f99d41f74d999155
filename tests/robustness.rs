//! Whatever arrives as a frame or as a capture file is survived, in bounded time, with the books in order.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gatewatch::capture::Sink;
use gatewatch::config::Settings;
use gatewatch::detect::Detector;
use gatewatch::handoff::{Outbox, Record, WhenFull, channel};
use gatewatch::inspect::Inspector;
use gatewatch::inspect::detector_cell::DetectorCell;
use gatewatch::inspect::limits::limits;
use gatewatch::model::frame::{Frame, Link};
use gatewatch::model::progress::{Counter, Counters};
use gatewatch::model::time::Timestamp;
use proptest::prelude::*;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::frames::Link as FileLink;
use support::generator::plan::Plan;
use support::generator::schedule::Schedule;
use support::sensor::run;

/// Every link type that decode tells apart, and one it does not know.
const LINKS: [Link; 9] = [
    Link::Ethernet,
    Link::Null,
    Link::Loop,
    Link::RawIp,
    Link::Ppp,
    Link::CiscoHdlc,
    Link::LinuxSll,
    Link::LinuxSll2,
    Link::Unread(147),
];

/// Sends frames down the packet path and gives back its counters and the number of attempts.
fn inspect(frames: &[(Link, Vec<u8>)]) -> (Counters, u64) {
    let detector = Detector::new(&Settings::default()).expect("the built-in rules compile");
    let (sender, receiver) = channel(1_000_000);
    let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
    let mut inspector =
        Inspector::new(limits(32 << 20), Arc::new(DetectorCell::new(Arc::new(detector))), outbox);
    for (index, (link, bytes)) in frames.iter().enumerate() {
        let time = Timestamp(1_338_508_800_000_000 + index.cast_signed() as i64 * 1_000);
        inspector.frame(&Frame { time, bytes, length: bytes.len() as u32, link: *link });
    }
    inspector.finish();
    let mut counters = Counters::default();
    let mut attempts = 0;
    while let Ok((_, record)) = receiver.try_recv() {
        match record {
            Record::Attempt(_) => attempts += 1,
            Record::Progress(progress) => counters.merge(&progress.counters),
            Record::Contact(_) | Record::Surge(_) => {}
        }
    }
    (counters, attempts)
}

fn assert_books(frames: &[(Link, Vec<u8>)]) {
    let (counters, attempts) = inspect(frames);
    assert_eq!(counters.value(Counter::FramesReceived), frames.len() as u64);
    assert_eq!(counters.outcomes(), frames.len() as u64, "every frame has exactly one outcome: {counters:?}");
    assert!(attempts <= counters.value(Counter::HttpRequests) + counters.value(Counter::MessagesAttack));
}

/// Frames of real conversations, attacks among them.
fn real_frames() -> Vec<Vec<u8>> {
    let plan = Plan::named("demo").expect("a built-in plan");
    let mut schedule = Schedule::of(&plan);
    let slots: Vec<_> = schedule.slots().take(2).collect();
    let packets = slots.into_iter().flat_map(|slot| schedule.packets(slot));
    packets.map(|(_, packet)| [FileLink::Ethernet.header(&packet), packet].concat()).collect()
}

/// A harm done to a frame.
#[derive(Clone, Debug)]
enum Harm {
    Cut(prop::sample::Index),
    Doubled,
    Flipped(prop::sample::Index, u8),
    Lost,
    Tail(Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Harm::Cut),
        Just(Harm::Doubled),
        (any::<prop::sample::Index>(), 1_u8..).prop_map(|(at, bits)| Harm::Flipped(at, bits)),
        Just(Harm::Lost),
        prop::collection::vec(any::<u8>(), 1..64).prop_map(Harm::Tail),
    ]
}

fn harmed(mut frames: Vec<Vec<u8>>, harms: &[(prop::sample::Index, Harm)]) -> Vec<Vec<u8>> {
    for (which, harm) in harms {
        let which = which.index(frames.len());
        let frame = &mut frames[which];
        match harm {
            Harm::Cut(at) => frame.truncate(at.index(frame.len() + 1)),
            Harm::Doubled => {
                let copy = frame.clone();
                frames.insert(which, copy);
            }
            // Most harm lies in the headers.
            Harm::Flipped(at, bits) if !frame.is_empty() => {
                let at = at.index(frame.len().min(80));
                frame[at] ^= bits;
            }
            Harm::Flipped(..) => {}
            Harm::Lost => frame.clear(),
            Harm::Tail(bytes) => frame.extend_from_slice(bytes),
        }
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_frames_are_survived(
        frames in prop::collection::vec((prop::sample::select(&LINKS[..]), prop::collection::vec(any::<u8>(), 0..300)), 1..60)
    ) {
        assert_books(&frames);
    }

    #[test]
    fn harmed_conversations_are_survived(
        harms in prop::collection::vec((any::<prop::sample::Index>(), harm()), 1..40)
    ) {
        let frames = harmed(real_frames(), &harms);
        assert_books(&frames.into_iter().map(|bytes| (Link::Ethernet, bytes)).collect::<Vec<_>>());
    }
}

#[test]
fn every_prefix_of_a_real_frame_has_one_outcome() {
    let frames = real_frames();
    let longest = frames.iter().max_by_key(|frame| frame.len()).expect("frames");
    let prefixes = (0..=longest.len()).map(|end| (Link::Ethernet, longest[..end].to_vec()));
    assert_books(&prefixes.collect::<Vec<_>>());
}

/// No file of a corpus may take longer; the largest are read in a few seconds by a debug build.
const FILE_PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_file_of_a_corpus_is_survived() {
    let Some(folder) = std::env::var_os("GATEWATCH_ROBUST_DIR").map(PathBuf::from) else {
        eprintln!("skipped: GATEWATCH_ROBUST_DIR names no folder of capture files");
        return;
    };
    let mut files = Vec::new();
    walk(&folder, &mut files);
    assert!(!files.is_empty(), "{} holds no capture file", folder.display());
    let out = tempfile::tempdir().expect("a temporary folder");
    for (index, file) in files.iter().enumerate() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
        command.args(["replay", "-o"]).arg(out.path().join(index.to_string())).arg(file);
        let ended = run(command, b"", FILE_PATIENCE);
        let code = ended.code.unwrap_or(-1);
        assert!([0, 65, 66].contains(&code), "{}: code {code}: {}", file.display(), ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}: {}", file.display(), ended.stderr);
        _ = std::fs::remove_dir_all(out.path().join(index.to_string()));
    }
    eprintln!("{} files survived", files.len());
}

/// Two packets may claim decades between them: the work must follow the packets, not the calendar.
#[test]
fn a_capture_that_claims_decades_is_reported_where_it_has_packets() {
    let mut writer = CaptureWriter::begin(Vec::new(), FileLink::Ethernet).expect("memory");
    for (time, frame) in [0, 2_100_000_000_000_000].into_iter().zip(real_frames()) {
        let packet = frame[FileLink::Ethernet.header(&frame).len()..].to_vec();
        writer.write(&(time, packet)).expect("memory");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("decades.pcap");
    std::fs::write(&file, writer.end().expect("memory")).expect("written");
    let out = folder.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
    command.args(["replay", "-o"]).args([&out, &file]);
    let ended = run(command, b"", FILE_PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let reports = std::fs::read_dir(&out).expect("a folder").flatten().map(|entry| entry.file_name());
    let mut reports: Vec<String> = reports.filter_map(|name| name.into_string().ok()).collect();
    reports.retain(|name| {
        name.starts_with("report-") && Path::new(name).extension().is_some_and(|ending| ending == "json")
    });
    reports.sort();
    let wanted = ["1970-01-01", "1970-01", "1970", "2036-07-18", "2036-07", "2036"];
    assert_eq!(reports, wanted.map(|period| format!("report-{period}.json")).as_slice());
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let name = path.to_string_lossy().to_ascii_lowercase();
        if path.is_dir() {
            walk(&path, files);
        } else if [".pcap", ".pcapng", ".cap", ".gz"].iter().any(|ending| name.ends_with(ending)) {
            files.push(path);
        }
    }
    files.sort();
}
