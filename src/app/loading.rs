//! Settings as a command uses them: the files, then what its command line gives. Every complaint is told.

use crate::cli::ConfigArg;
use crate::config::Settings;
use crate::config::given::Given;
use crate::config::load::{self, Complaint, Loaded, Sources};
use crate::exit::Fatal;

/// Loads settings and checks them.
pub fn load(config: &ConfigArg) -> Result<Loaded, Fatal> {
    load_with(config, Vec::new(), |_, _| {})
}

/// The same with values that options of the command give, which `--set` goes before. `change` may put others in the place of
/// defaults.
pub fn load_with(
    config: &ConfigArg,
    mut given: Vec<Given>,
    change: impl FnOnce(&mut Settings, &mut Sources),
) -> Result<Loaded, Fatal> {
    for text in &config.set {
        given.push(Given::parse(text).map_err(Fatal::Usage)?);
    }
    let mut loaded = load::load(config.config.as_deref(), &given).map_err(|told| unusable(&told))?;
    change(&mut loaded.settings, &mut loaded.sources);
    let loaded = load::finish(loaded.settings, loaded.sources).map_err(|told| unusable(&told))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded)
}

/// Interfaces that `-i` names.
pub fn interfaces(names: &[String]) -> Option<Given> {
    (!names.is_empty()).then(|| Given::texts("-i", "capture.interfaces", names))
}

/// Countries that `--home` names.
pub fn home(codes: &[String]) -> Option<Given> {
    (!codes.is_empty()).then(|| Given::texts("--home", "origin.home", codes))
}

fn unusable(complaints: &[Complaint]) -> Fatal {
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    Fatal::Configuration(lines.join("\ngatewatch: "))
}
