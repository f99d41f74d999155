//! Many sources upon one site, each of which does too little to be judged by itself.

use crate::classify::behaviour::crowd::Crowd;
use crate::config::scan::Scan as Settings;

/// Id of the rule.
pub const ID: &str = "scan.distributed";
/// What it sees, for people.
pub const TITLE: &str = "Many sources, each of which does too little, upon one site";
/// Tables of the settings.
pub const SECTIONS: &[&str] = &["scan.distributed"];

/// What it saw, for people.
pub fn judge(crowd: &Crowd, settings: &Settings) -> Option<String> {
    let limits = &settings.distributed;
    let least = limits.sources_min.max(limits.targets_min) as usize;
    if !limits.enabled || crowd.acts() < least || !crowd.is_due() {
        return None;
    }
    let (sources, targets) = crowd.distinct();
    let is_scan = sources >= limits.sources_min as usize && targets >= limits.targets_min as usize;
    is_scan.then(|| format!("{targets} targets of {sources} sources found nobody"))
}
