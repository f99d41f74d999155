//! Many ports of one host (TCP).

use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::walk::{failures, finding, only, walk, within};
use crate::classify::behaviour::scan::{Finding, ScanRow};
use crate::config::scan::Scan as Settings;
use crate::model::attempt::Transport;
use crate::model::class::Class;

/// The row of the table.
pub const ROW: ScanRow = ScanRow {
    id: "scan.vertical",
    title: "Many ports of one host found closed (TCP)",
    class: Some(Class::ScanPort),
    sections: &["scan.vertical"],
    transport: Some(Transport::Tcp),
    judge,
};

fn judge(probes: &[Probe], newest: &Probe, settings: &Settings) -> Option<Finding> {
    let limits = &settings.vertical;
    if !limits.enabled {
        return None;
    }
    let on_host = |secs| {
        let members = only(within(probes, newest.time, secs), Transport::Tcp);
        failures(members.filter(|probe| probe.server == newest.server))
    };
    let members = within(probes, newest.time, limits.window_secs);
    let is_many = on_host(limits.window_secs) >= limits.targets_min as usize
        && walk(only(members, Transport::Tcp)) >= settings.net_failures_min.cast_signed();
    let is_burst = || on_host(limits.burst_secs) >= limits.burst_min as usize;
    if is_many || is_burst() { finding(Class::ScanPort, members) } else { None }
}
