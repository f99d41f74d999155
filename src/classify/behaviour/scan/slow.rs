//! A few targets an hour, for hours (TCP and UDP).

use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::walk::{failures, finding, is_concentrated, shape, within};
use crate::classify::behaviour::scan::{Finding, ScanRow};
use crate::config::scan::Scan as Settings;

/// The row of the table.
pub const ROW: ScanRow = ScanRow {
    id: "scan.slow",
    title: "A few targets an hour found closed, for hours (TCP and UDP)",
    class: None,
    sections: &["scan.slow"],
    transport: None,
    judge,
};

/// Targets without an answer from which on hardly any answer may come, wherever they lie: blind scans at random.
const BLIND_MIN: usize = 40;
/// The share of answers below which a source is blind: even programs that share files find more than that.
const BLIND_ANSWERED_MAX: f64 = 0.05;

fn judge(probes: &[Probe], newest: &Probe, settings: &Settings) -> Option<Finding> {
    let limits = &settings.slow;
    let members = within(probes, newest.time, limits.window_secs);
    let failed = failures(members);
    if !limits.enabled || failed < limits.targets_min as usize {
        return None;
    }
    let answered = (members.len() - failed) as f64 / members.len() as f64;
    let is_blind = failed >= BLIND_MIN && answered < BLIND_ANSWERED_MAX;
    let is_slow = answered < limits.answered_max && (is_concentrated(members) || is_blind);
    if is_slow { finding(shape(members), members) } else { None }
}
