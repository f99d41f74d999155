//! What the detectors of scans share: views of the first contacts of one source, and the sequential test over them.

use std::net::IpAddr;

use crate::classify::behaviour::act::span_text;
use crate::classify::behaviour::scan::Finding;
use crate::classify::behaviour::scan::probe::Probe;
use crate::model::attempt::Transport;
use crate::model::class::Class;
use crate::model::contact::Touched;
use crate::model::time::{MICROS_PER_SEC, Timestamp};

/// How far a good history goes: three answers more than needed are remembered, so that it can be overturned.
const FLOOR: i32 = -3;

/// The probes of the last `window_secs` before the newest one; `probes` are in the order of time.
pub fn within(probes: &[Probe], newest: Timestamp, window_secs: u32) -> &[Probe] {
    let opens = newest.plus_micros(-i64::from(window_secs) * MICROS_PER_SEC);
    let at = probes.partition_point(|probe| probe.time < opens);
    probes.get(at..).unwrap_or_default()
}

/// The sequential test, in steps of one first contact: what it stands at after the last probe. A segment that no honest
/// host sends counts double.
pub fn walk<'p>(probes: impl Iterator<Item = &'p Probe>) -> i32 {
    probes.fold(0, |level, probe| {
        let step = match probe.touched {
            Touched::Answered => -1,
            Touched::Unrouted => 0,
            Touched::Refused | Touched::Silent | Touched::Unreachable => 1,
            Touched::Stealth(_) => 2,
        };
        (level + step).max(FLOOR)
    })
}

/// Targets without an answer.
pub fn failures<'p>(probes: impl IntoIterator<Item = &'p Probe>) -> usize {
    probes.into_iter().filter(|probe| !probe.is_answered()).count()
}

/// Distinct hosts and distinct ports that did not answer.
pub fn spread<'p>(probes: impl IntoIterator<Item = &'p Probe>) -> (usize, usize) {
    let failed = probes.into_iter().filter(|probe| !probe.is_answered());
    let (mut hosts, mut ports): (Vec<IpAddr>, Vec<(u16, u8)>) =
        failed.map(|probe| (probe.server, (probe.port, probe.transport.number()))).unzip();
    hosts.sort_unstable();
    hosts.dedup();
    ports.sort_unstable();
    ports.dedup();
    (hosts.len(), ports.len())
}

/// Whether targets come in rows or columns: three to a host or three to a port. Programs that share files among each other
/// ask many hosts, each at a port of its own, and half of them are gone.
pub fn is_concentrated(probes: &[Probe]) -> bool {
    let (hosts, ports) = spread(probes);
    failures(probes) >= 3 * hosts.min(ports)
}

/// Port scan or sweep: whether there are more ports or more hosts.
pub fn shape<'p>(probes: impl IntoIterator<Item = &'p Probe>) -> Class {
    let (hosts, ports) = spread(probes);
    if hosts > ports { Class::ScanSweep } else { Class::ScanPort }
}

/// Only the probes of a transport.
pub fn only(probes: &[Probe], transport: Transport) -> impl Iterator<Item = &Probe> + Clone {
    probes.iter().filter(move |probe| probe.transport == transport)
}

/// What is found in `members`.
pub fn finding(class: Class, members: &[Probe]) -> Option<Finding> {
    let (first, last) = (members.first()?, members.last()?);
    let (failed, all) = (failures(members), members.len());
    let span = span_text(last.time.micros_since(first.time));
    let excerpt = format!("{failed} of {all} first contacts in {span} found nobody");
    Some(Finding { class, since: first.time, excerpt })
}
