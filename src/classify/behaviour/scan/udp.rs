//! Many ports of one host, or one port of many hosts (UDP).

use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::walk::{failures, finding, is_concentrated, only, walk, within};
use crate::classify::behaviour::scan::{Finding, ScanRow};
use crate::config::scan::Scan as Settings;
use crate::model::attempt::Transport;
use crate::model::class::Class;

/// The row of the table.
pub const ROW: ScanRow = ScanRow {
    id: "scan.udp",
    title: "Many ports of one host, or one of many, found closed (UDP)",
    class: None,
    sections: &["scan.udp"],
    transport: Some(Transport::Udp),
    judge,
};

/// One in so many that answers is too many for a scan: services over UDP answer whoever speaks their protocol, and one that asks its
/// list of servers finds a third of them.
const ANSWERED_PART: usize = 5;

fn judge(probes: &[Probe], newest: &Probe, settings: &Settings) -> Option<Finding> {
    let limits = &settings.udp;
    let members = within(probes, newest.time, limits.window_secs);
    let udp = only(members, Transport::Udp);
    let ports = failures(udp.clone().filter(|probe| probe.server == newest.server));
    let hosts = failures(udp.clone().filter(|probe| probe.port == newest.port));
    let all = udp.clone().count();
    let answered = all - failures(udp.clone());
    let is_scan = limits.enabled
        && answered * ANSWERED_PART <= all
        && ports.max(hosts) >= limits.targets_min as usize
        && walk(udp) >= settings.net_failures_min.cast_signed()
        && is_concentrated(members);
    let class = if hosts > ports { Class::ScanSweep } else { Class::ScanPort };
    if is_scan { finding(class, members) } else { None }
}
