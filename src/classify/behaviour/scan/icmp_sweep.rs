//! Echo requests to many hosts, of which many do not exist. Monitoring asks many hosts, too, but those answer.

use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::walk::{failures, finding, only, within};
use crate::classify::behaviour::scan::{Finding, ScanRow};
use crate::config::scan::Scan as Settings;
use crate::model::attempt::Transport;
use crate::model::class::Class;

/// The row of the table.
pub const ROW: ScanRow = ScanRow {
    id: "scan.icmp_sweep",
    title: "Echo requests to many hosts, half of them not there",
    class: Some(Class::ScanSweep),
    sections: &["scan.icmp_sweep"],
    transport: Some(Transport::Icmp),
    judge,
};

fn judge(probes: &[Probe], newest: &Probe, settings: &Settings) -> Option<Finding> {
    let limits = &settings.icmp_sweep;
    let members = within(probes, newest.time, limits.window_secs);
    let pings = only(members, Transport::Icmp);
    let (hosts, failed) = (pings.clone().count(), failures(pings));
    let is_sweep = limits.enabled && hosts >= limits.targets_min as usize && failed * 2 >= hosts;
    if is_sweep { finding(Class::ScanSweep, members) } else { None }
}
