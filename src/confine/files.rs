//! The file system by Landlock: what is not named cannot be opened, made, renamed or removed, nor can TCP be used.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, make_bitflags,
};

use crate::confine::{Bounds, State};

/// The newest rights that are asked for (Linux 6.10): files, renaming between folders, cutting, TCP, devices. An older kernel
/// gives what it has.
const RIGHTS: ABI = ABI::V5;
/// What reading is. Not executing: nothing is ever executed.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// What writing is: files, folders, the links to the latest of them and the status socket, no devices or pipes.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | RemoveFile | RemoveDir | MakeReg | MakeDir | MakeSym | MakeSock
});

/// Closes everything but what the bounds name.
pub fn close(bounds: &Bounds) -> State {
    match restrict(bounds) {
        Ok(RulesetStatus::FullyEnforced) => State::Closed(format!(
            "Landlock, {} places to read and {} to write",
            bounds.readable.len(),
            bounds.writable.len()
        )),
        Ok(RulesetStatus::PartiallyEnforced) => {
            State::Degraded("this kernel's Landlock is older than 6.10 and closes only a part".to_owned())
        }
        Ok(RulesetStatus::NotEnforced) => {
            State::Degraded("this kernel has no Landlock, or a container forbids it".to_owned())
        }
        Err(error) => State::Degraded(format!("Landlock refused: {error}")),
    }
}

fn restrict(bounds: &Bounds) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::from_all(RIGHTS))?
        .create()?;
    for path in &bounds.readable {
        rules = allow(rules, path, READ)?;
    }
    for path in &bounds.writable {
        rules = allow(rules, path, WRITE)?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// A place that is not there needs no rule. Rights on the content of a folder do not go with a file.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(place) = PathFd::new(path) else { return Ok(rules) };
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(RIGHTS) };
    rules.add_rule(PathBeneath::new(place, rights))
}
