//! Manifests: every file that one lists is as it was, or has expired as listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::model::period::{Period, PeriodKind};
use crate::report::manifest::{self, Listed};
use crate::report::verify::{Checked, check_chain, read_report};
use crate::report::{names, tally_files};

/// Every file that a manifest lists is as it was, or has expired as listed; manifests are chained as well.
pub fn check(folder: &Path, names: &BTreeSet<String>, checked: &mut Checked) {
    let expired = manifest::expired(folder);
    let mut chains: BTreeMap<PeriodKind, Vec<(Period, String, Value)>> = BTreeMap::new();
    let mut latest: BTreeMap<Period, (u32, String, Value)> = BTreeMap::new();
    for name in names {
        let Some((period, version)) = names::parse_name("manifest", name) else { continue };
        let Some(json) = read_report(&folder.join(name), name, checked) else { continue };
        chains.entry(period.kind()).or_default().push((period, name.clone(), json.clone()));
        if latest.get(&period).is_none_or(|(known, ..)| *known < version) {
            latest.insert(period, (version, name.clone(), json));
        }
    }
    for manifests in chains.values() {
        check_chain(manifests, checked);
    }
    let mut shipped = 0_u64;
    for (_, name, json) in latest.values() {
        let listed = json.get("files").cloned().unwrap_or_default();
        let listed: Vec<Listed> = serde_json::from_value(listed).unwrap_or_default();
        for file in listed {
            let present = [file.name.clone(), format!("{}.zst", file.name)];
            let Some(present) = present.iter().find(|present| folder.join(present).exists()) else {
                match expired.get(&file.name) {
                    // They are written to be taken away.
                    None if tally_files::day_of(&file.name).is_some() => shipped += 1,
                    Some(_) => checked.unchecked.push(format!("{}: has expired, as listed", file.name)),
                    None => checked.complain(format!("{name}: lists {}, which is not here", file.name)),
                }
                continue;
            };
            match manifest::hash(&folder.join(present)) {
                Ok((_, found)) if found == file.sha256 => checked.files += 1,
                Ok((_, found)) => checked.complain(format!(
                    "{present}: its hash is {found}, {name} says {}: the file was changed",
                    file.sha256
                )),
                Err(error) => checked.complain(format!("{present}: cannot be read: {error}")),
            }
        }
    }
    if shipped > 0 {
        checked.unchecked.push(format!("{shipped} tally files are not here: they were taken elsewhere"));
    }
}
