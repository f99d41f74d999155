//! First contacts: who scans. What is known of each source that found nobody at least once.
//!
//! Judged by negative answers: clients of a busy server, resolvers and crawlers find somebody. One target is one act however
//! often it is tried, so a client whose server is down is no scanner.

pub mod distributed;
pub mod horizontal;
pub mod icmp_sweep;
pub mod lobby;
pub mod probe;
pub mod slow;
pub mod stealth;
pub mod targets;
pub mod udp;
pub mod vertical;
pub mod walk;

use std::net::IpAddr;
use std::sync::Arc;

use crate::classify::behaviour::act::{self, Reason};
use crate::classify::behaviour::crowd::{Crowd, Member};
use crate::classify::behaviour::scan::lobby::Lobby;
use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::targets::{BLOCK_BYTES, Noted, Targets};
use crate::classify::behaviour::table::{Held, Table};
use crate::classify::behaviour::{Aim, Judged};
use crate::config::scan::Scan as Settings;
use crate::model::attempt::Transport;
use crate::model::class::Class;
use crate::model::contact::{Contact, Touched};
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_DAY, MICROS_PER_SEC, Timestamp};

/// First contacts that are kept of a source while it is not judged: the largest threshold is 48. 5 KB.
const PROBES_MAX: usize = 64;
/// Ports that tell what a scan is after.
const PORTS_TOLD: usize = 8;
/// Ports that traceroute sends its datagrams to; nobody is meant to answer there.
const TRACEROUTE_PORTS: std::ops::RangeInclusive<u16> = 33_434..=33_689;

/// A detector of this family.
#[derive(Debug)]
pub struct ScanRow {
    /// Stable id of the rule.
    pub id: &'static str,
    /// For people: what it sees.
    pub title: &'static str,
    /// The class, where its scans are all of one.
    pub class: Option<Class>,
    /// Tables of the settings.
    pub sections: &'static [&'static str],
    /// Only first contacts of it can complete the scan.
    pub transport: Option<Transport>,
    /// The detector: the first contacts of a source, each of another target, in the order of time; the one of them that came
    /// in just now and found nobody.
    pub judge: fn(&[Probe], &Probe, &Settings) -> Option<Finding>,
}

/// The detectors that look at one source.
pub const SCANS: &[ScanRow] =
    &[stealth::ROW, vertical::ROW, horizontal::ROW, udp::ROW, icmp_sweep::ROW, slow::ROW];

/// What a detector found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// `scan.port` or `scan.sweep`.
    pub class: Class,
    /// First contacts from then on belong to it.
    pub since: Timestamp,
    /// What it saw, for people.
    pub excerpt: String,
}

/// A source that was judged.
#[derive(Debug)]
struct Scanner {
    class: Class,
    reason: Reason,
    /// Its last new target.
    last: Timestamp,
    targets: Targets,
}

/// What is known of one source.
#[derive(Debug, Default)]
struct Track {
    /// First contacts that are not judged, each of another target, in the order of time.
    probes: Vec<Probe>,
    scanner: Option<Box<Scanner>>,
}

impl Held for Track {
    fn held(&self) -> usize {
        let scanner =
            self.scanner.as_ref().map_or(0, |scanner| size_of::<Scanner>() + scanner.targets.held());
        self.probes.capacity() * size_of::<Probe>() + scanner
    }
}

/// Where targets are kept: the hash, and how many blocks of them.
type Room<'r> = (&'r ahash::RandomState, usize);

/// The state machines of all scans.
#[derive(Debug)]
pub struct Scans {
    tracks: Table<SourceKey, Track>,
    /// First contacts that were answered, of sources that always found somebody.
    lobby: Lobby,
    /// By site.
    crowds: Table<Arc<str>, Crowd>,
    hasher: ahash::RandomState,
    /// Blocks of targets that one source may have.
    blocks_max: usize,
    settings: Settings,
    gap_micros: i64,
}

impl Scans {
    /// Uses up to `memory_bytes`.
    pub fn new(memory_bytes: usize, settings: &Settings, gap_micros: i64) -> Self {
        Self {
            tracks: Table::new(memory_bytes / 4 * 3, MICROS_PER_DAY),
            lobby: Lobby::new(memory_bytes / 8),
            crowds: Table::new(memory_bytes / 8, MICROS_PER_DAY),
            hasher: ahash::RandomState::default(),
            blocks_max: (memory_bytes / 4 / BLOCK_BYTES).max(2_048),
            settings: settings.clone(),
            gap_micros,
        }
    }

    /// Takes new settings; windows and what was judged stay.
    pub fn reload(&mut self, settings: &Settings, gap_micros: i64) {
        self.settings = settings.clone();
        self.gap_micros = gap_micros;
    }

    /// Takes a first contact and what became of it.
    pub fn touched(&mut self, contact: &Contact, touched: Touched, aim: &Aim, out: &mut Judged) {
        let probe = Probe::of(contact, touched);
        if aim.is_proxy || is_to_nobody(&probe) {
            return;
        }
        // A client whose own line is down finds nobody anywhere.
        if touched == Touched::Unrouted && !self.is_scanner(aim.source) {
            out.sums.contacts += 1;
            return;
        }
        if probe.is_answered() && !self.tracks.has(&aim.source) {
            self.lobby.enter(aim.source, &probe, &self.hasher);
            return;
        }
        self.turn(probe.time, out);
        if !self.judge(&probe, aim.source, out) && !probe.is_answered() {
            self.note_in_crowd(&probe, aim, out);
        }
    }

    fn is_scanner(&mut self, source: SourceKey) -> bool {
        self.tracks.known(&source, |track| track.scanner.is_some()).unwrap_or(false)
    }

    /// Judges a source by one more first contact. Says whether that is settled.
    fn judge(&mut self, probe: &Probe, source: SourceKey, out: &mut Judged) -> bool {
        let Self { tracks, lobby, hasher, settings, gap_micros, blocks_max, .. } = self;
        let room = (&*hasher, *blocks_max);
        let new = || Track { probes: lobby.leave(source, hasher), scanner: None };
        let settled = tracks.entry(&source, new, |track| {
            if track.goes_on(probe, source, (room, *gap_micros), out) || !track.insert(*probe, out) {
                return true;
            }
            let rows = SCANS.iter().filter(|row| row.transport.is_none_or(|only| only == probe.transport));
            for row in rows.filter(|_| !probe.is_answered()) {
                if let Some(finding) = (row.judge)(&track.probes, probe, settings) {
                    track.convict(row.id, finding, (source, room), out);
                    return true;
                }
            }
            false
        });
        settled.unwrap_or(true)
    }

    /// Notes that a source found nobody at a site; many that do so are judged together.
    fn note_in_crowd(&mut self, probe: &Probe, aim: &Aim, out: &mut Judged) {
        let (settings, window_secs) = (&self.settings, self.settings.distributed.window_secs);
        let target = probe.target(&self.hasher);
        let found = self.crowds.entry(&aim.site, Crowd::default, |crowd| {
            crowd.note(Member { time: probe.time, source: aim.source, target }, window_secs);
            match distributed::judge(crowd, settings) {
                Some(excerpt) => {
                    crowd.convict(probe.time, window_secs, excerpt.clone());
                    Some((excerpt, crowd.sources()))
                }
                None if crowd.is_due() => {
                    crowd.acquit();
                    None
                }
                // One that comes between two looks at the crowd belongs to it as well.
                None => crowd.judged(probe.time).map(|excerpt| (excerpt.to_owned(), vec![aim.source])),
            }
        });
        let Some((excerpt, sources)) = found.flatten() else { return };
        let since = probe.time.plus_micros(-i64::from(window_secs) * MICROS_PER_SEC);
        let room = (&self.hasher, self.blocks_max);
        for source in sources {
            self.tracks.known(&source, |track| {
                // A source that finds somebody is a client of ours.
                if track.scanner.is_none() && track.probes.iter().all(|probe| !probe.is_answered()) {
                    let class = walk::shape(&track.probes);
                    let finding = Finding { class, since, excerpt: excerpt.clone() };
                    track.convict(distributed::ID, finding, (source, room), out);
                }
            });
        }
    }

    /// Makes room.
    fn turn(&mut self, now: Timestamp, out: &mut Judged) {
        if let Some((gone, is_full)) = self.tracks.turn(now) {
            out.sums.windows_forgotten += if is_full { gone.len() as u64 } else { 0 };
            for track in gone.into_values() {
                out.sums.contacts += walk::failures(&track.probes) as u64;
            }
        }
        if let Some((gone, true)) = self.crowds.turn(now) {
            out.sums.windows_forgotten += gone.len() as u64;
        }
    }

    /// The end: what was not judged is counted as that.
    pub fn finish(&mut self, out: &mut Judged) {
        for (_, track) in self.tracks.take().into_iter().flatten() {
            out.sums.contacts += walk::failures(&track.probes) as u64;
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.tracks.bytes() + self.crowds.bytes() + self.lobby.bytes()
    }
}

/// Whether nobody is meant to answer: groups and broadcasts, traceroute.
fn is_to_nobody(probe: &Probe) -> bool {
    let is_group = match probe.server {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unspecified(),
    };
    is_group || probe.transport == Transport::Udp && TRACEROUTE_PORTS.contains(&probe.port)
}

impl Track {
    /// Keeps a first contact in its place. Says whether it is of a new target; one that answers after all is one that answers.
    fn insert(&mut self, probe: Probe, out: &mut Judged) -> bool {
        if let Some(known) = self.probes.iter_mut().find(|known| known.is_same_target(&probe)) {
            if probe.is_answered() {
                known.touched = Touched::Answered;
            }
            return false;
        }
        let at = self.probes.partition_point(|known| known.order() <= probe.order());
        if self.probes.len() == self.probes.capacity() {
            // Most sources try one or two targets: the first allocation is for that many.
            self.probes.reserve_exact(self.probes.len().clamp(2, PROBES_MAX));
        }
        self.probes.insert(at, probe);
        let newest = self.probes.last().map_or(probe.time, |last| last.time);
        let old = self.probes.partition_point(|known| newest.micros_since(known.time) > MICROS_PER_DAY);
        let over = self.probes.len().saturating_sub(PROBES_MAX).max(old);
        out.sums.contacts += self.probes.drain(..over).filter(|known| !known.is_answered()).count() as u64;
        true
    }

    /// A source that was judged: each new target counts at once.
    fn goes_on(
        &mut self,
        probe: &Probe,
        source: SourceKey,
        (room, gap_micros): (Room<'_>, i64),
        out: &mut Judged,
    ) -> bool {
        let Some(scanner) = &mut self.scanner else { return false };
        if probe.time.micros_since(scanner.last).saturating_abs() > gap_micros {
            self.scanner = None;
            return false;
        }
        let noted = scanner.targets.note(probe, room.0, room.1);
        let class = scanner.targets.shape(scanner.class);
        scanner.add(probe, noted, (source, class), out);
        true
    }

    /// Judged: the first contacts since the window opened count, the earlier ones do not.
    fn convict(
        &mut self,
        rule: &'static str,
        finding: Finding,
        (source, room): (SourceKey, Room<'_>),
        out: &mut Judged,
    ) {
        let probes = std::mem::take(&mut self.probes);
        let targets = Some(ports_text(&probes, rule).into());
        let reason = Reason { rule, excerpt: finding.excerpt.into(), targets };
        let mut scanner =
            Scanner { class: finding.class, reason, last: finding.since, targets: Targets::default() };
        for probe in probes {
            if probe.time < finding.since {
                out.sums.contacts += u64::from(!probe.is_answered());
                continue;
            }
            let noted = scanner.targets.note(&probe, room.0, room.1);
            scanner.add(&probe, noted, (source, finding.class), out);
        }
        self.scanner = Some(Box::new(scanner));
    }
}

impl Scanner {
    /// Counts a target, if it is a new one.
    fn add(&mut self, probe: &Probe, noted: Noted, (source, class): (SourceKey, Class), out: &mut Judged) {
        match noted {
            Noted::New => {
                self.last = self.last.max(probe.time);
                out.attempts.push(act::attempt(&probe.contact(source), class, &self.reason));
            }
            Noted::Shed => {
                self.last = self.last.max(probe.time);
                out.sums.targets_shed += 1;
            }
            Noted::Known => {}
        }
    }
}

/// The lowest ports that a scan asked for. Sources that scan together are after the same, whatever each of them asks for.
fn ports_text(probes: &[Probe], rule: &str) -> String {
    if rule == distributed::ID {
        return "divided among many sources".to_owned();
    }
    let mut ports: Vec<u16> = probes.iter().map(|probe| probe.port).collect();
    ports.sort_unstable();
    ports.dedup();
    let told: Vec<String> = ports.iter().take(PORTS_TOLD).map(u16::to_string).collect();
    format!("ports {}", told.join(","))
}

#[cfg(test)]
mod tests;
