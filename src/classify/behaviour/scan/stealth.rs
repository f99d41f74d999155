//! Segments that no honest host sends first: no flags at all, SYN with FIN, FIN with PSH and URG.

use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::walk::{finding, shape, within};
use crate::classify::behaviour::scan::{Finding, ScanRow};
use crate::config::scan::Scan as Settings;
use crate::model::attempt::Transport;
use crate::model::contact::Touched;

/// The row of the table.
pub const ROW: ScanRow = ScanRow {
    id: "scan.stealth",
    title: "Segments that no honest host sends first: NULL, XMAS, SYN with FIN",
    class: None,
    sections: &["scan.stealth"],
    transport: Some(Transport::Tcp),
    judge,
};

/// TCP's flags (RFC 9293 §3.1).
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// A lone FIN or ACK may be the rest of a conversation that nobody remembers; these are nobody's rest.
const fn is_telling(touched: Touched) -> bool {
    let Some(flags) = form(touched) else { return false };
    flags == 0 || flags & (SYN | FIN) == SYN | FIN || flags == FIN | PSH | URG
}

/// The flags of a segment that acknowledges nothing and is no SYN alone.
const fn form(touched: Touched) -> Option<u8> {
    let Touched::Stealth(flags) = touched else { return None };
    let flags = flags & (FIN | SYN | PSH | ACK | URG);
    if flags & ACK == 0 || flags & SYN != 0 { Some(flags) } else { None }
}

fn judge(probes: &[Probe], newest: &Probe, settings: &Settings) -> Option<Finding> {
    let limits = &settings.stealth;
    if !limits.enabled || !is_telling(newest.touched) {
        return None;
    }
    let members = within(probes, newest.time, limits.window_secs);
    let telling = members.iter().filter(|probe| is_telling(probe.touched)).count();
    let mut forms: Vec<u8> = members.iter().filter_map(|probe| form(probe.touched)).collect();
    let targets = forms.len();
    forms.sort_unstable();
    forms.dedup();
    // Whoever tries one form after the other tries what passes a filter.
    let tried = if forms.len() > 1 { targets } else { telling };
    if tried >= limits.targets_min as usize { finding(shape(members), members) } else { None }
}
