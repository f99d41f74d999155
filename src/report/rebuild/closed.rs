//! What was closed, read back from the folder: a period whose manifest lies there is closed, whatever the store remembers.
//! Else its files would be written a second time, and the chain of hashes would begin anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::model::period::{Period, PeriodKind};
use crate::report::ReportError;
use crate::report::names::{parse_name, stem};
use crate::report::store::Store;
use crate::report::store::closed::Closed;

/// A manifest of the folder: how often its period was closed, its own hash and the one before it.
struct Manifest {
    period: Period,
    version: u32,
    sha256: String,
    previous: Option<String>,
}

/// Notes the periods whose closing the store does not know, in the order of their chain. Gives how many.
pub fn adopt(store: &mut Store, folder: &Path) -> Result<usize, ReportError> {
    let mut by_kind: BTreeMap<PeriodKind, Vec<Manifest>> = BTreeMap::new();
    for (period, version, name) in unknown(store, folder)? {
        // One that cannot be read is for `verify` to tell.
        if let Some((sha256, previous)) = hashes(&folder.join(name)) {
            by_kind.entry(period.kind()).or_default().push(Manifest { period, version, sha256, previous });
        }
    }
    let mut adopted = 0;
    for manifests in by_kind.into_values() {
        for Manifest { period, version, sha256, .. } in in_order(manifests) {
            let report = hashes(&folder.join(format!("{}.json", stem(period, version))));
            let report = report.map(|(sha256, _)| Closed { version, sha256 });
            store.close(period, report.as_ref(), &Closed { version, sha256 })?;
            adopted += 1;
        }
    }
    Ok(adopted)
}

/// Manifests of later versions than the store knows.
fn unknown(store: &Store, folder: &Path) -> Result<Vec<(Period, u32, String)>, ReportError> {
    let entries = fs::read_dir(folder).map_err(ReportError::file("read", folder))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found = Vec::new();
    for (period, version, name) in names.filter_map(|name| {
        let (period, version) = parse_name("manifest", &name)?;
        Some((period, version, name))
    }) {
        if store.closed_version(period)?.is_none_or(|known| known < version) {
            found.push((period, version, name));
        }
    }
    Ok(found)
}

/// The hash that a closed file has of itself, and of the one before it.
fn hashes(path: &Path) -> Option<(String, Option<String>)> {
    let json: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let text = |member: &str| json.get(member).and_then(Value::as_str).map(str::to_owned);
    Some((text("sha256")?, text("previous_sha256")))
}

/// In the order in which they were closed: each behind the one whose hash it names. Those whose predecessor has expired come
/// first, by their end.
fn in_order(mut manifests: Vec<Manifest>) -> Vec<Manifest> {
    manifests.sort_by_key(|manifest| (manifest.period.end(), manifest.version));
    let mut ordered: Vec<Manifest> = Vec::with_capacity(manifests.len());
    let mut waiting: BTreeSet<String> = manifests.iter().map(|manifest| manifest.sha256.clone()).collect();
    while !manifests.is_empty() {
        let is_next = |manifest: &Manifest| {
            manifest.previous.as_ref().is_none_or(|previous| !waiting.contains(previous))
        };
        // A ring, which no hash can make: any order will do.
        let at = manifests.iter().position(is_next).unwrap_or(0);
        let next = manifests.remove(at);
        waiting.remove(&next.sha256);
        ordered.push(next);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_come_back_in_the_order_of_their_chain() {
        let manifest = |period: &str, version, sha256: &str, previous: Option<&str>| Manifest {
            period: period.parse().unwrap(),
            version,
            sha256: sha256.into(),
            previous: previous.map(str::to_owned),
        };
        // The first day was closed again after the second; what came before it has expired.
        let manifests = vec![
            manifest("2012-06-02", 1, "b", Some("a")),
            manifest("2012-06-01", 2, "c", Some("b")),
            manifest("2012-06-01", 1, "a", Some("gone")),
            manifest("2012-06-03", 1, "d", Some("c")),
        ];
        let order: Vec<String> = in_order(manifests).into_iter().map(|manifest| manifest.sha256).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_lies_in_the_folder_is_closed_and_the_chain_goes_on() {
        let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, sha256, previous) in [
            ("manifest-2012-06-01.json", "m1", None),
            ("manifest-2012-06-02.json", "m2", Some("m1")),
            ("report-2012-06-02.json", "r2", None),
        ] {
            let json = serde_json::json!({"sha256": sha256, "previous_sha256": previous});
            fs::write(folder.path().join(name), json.to_string()).unwrap();
        }
        let (mut store, _) = Store::open(state.path()).unwrap();
        assert_eq!(adopt(&mut store, folder.path()).unwrap(), 2);
        assert_eq!(adopt(&mut store, folder.path()).unwrap(), 0, "once");
        assert_eq!(store.last_manifest(PeriodKind::Day).unwrap().as_deref(), Some("m2"));
        assert_eq!(store.last_closed("day").unwrap().as_deref(), Some("r2"));
        assert!(store.is_closed("2012-06-01".parse().unwrap()).unwrap());
    }
}
