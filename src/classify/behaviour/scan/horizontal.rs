//! One port of many hosts, or two or three (TCP).

use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::walk::{
    failures, finding, is_concentrated, only, spread, walk, within,
};
use crate::classify::behaviour::scan::{Finding, ScanRow};
use crate::config::scan::Scan as Settings;
use crate::model::attempt::Transport;
use crate::model::class::Class;

/// The row of the table.
pub const ROW: ScanRow = ScanRow {
    id: "scan.horizontal",
    title: "One port of many hosts found closed (TCP)",
    class: Some(Class::ScanSweep),
    sections: &["scan.horizontal"],
    transport: Some(Transport::Tcp),
    judge,
};

/// Ports of a sweep at most: those of one service and its neighbours. More are counted by whoever shares files as well.
const PORTS_MAX: usize = 3;
/// Hosts more than on one port that did not answer where it is two or three.
const HOSTS_MORE: usize = 3;

fn judge(probes: &[Probe], newest: &Probe, settings: &Settings) -> Option<Finding> {
    let limits = &settings.horizontal;
    let members = within(probes, newest.time, limits.window_secs);
    let tcp = only(members, Transport::Tcp);
    // Each member is another target, so on one port each is another host.
    let hosts = failures(tcp.clone().filter(|probe| probe.port == newest.port));
    let (all_hosts, ports) = spread(tcp.clone());
    let is_wide = ports <= PORTS_MAX && all_hosts >= limits.targets_min as usize + HOSTS_MORE;
    let is_sweep = limits.enabled
        && (hosts >= limits.targets_min as usize || is_wide)
        && walk(tcp) >= settings.net_failures_min.cast_signed()
        && is_concentrated(members);
    if is_sweep { finding(Class::ScanSweep, members) } else { None }
}
