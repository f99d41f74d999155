//! Which databases to use: those configured, those found in the usual folders, the embedded one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::classify::database::{Database, GeoError, Patience};

/// Where geoipupdate and Debian put databases, then our own state folder.
pub const FOLDERS: [&str; 3] = ["/var/lib/GeoIP", "/usr/share/GeoIP", "/var/lib/gatewatch/geo"];
/// Files looked at in one folder.
const FILES_MAX: usize = 256;

/// Opens what `configured` names; where it names nothing, the newest of each kind in `folders`; where there is
/// none with countries, the embedded default. Found files that are broken are passed over and told in the list.
pub fn open(
    configured: &[PathBuf],
    folders: &[&Path],
    patience: Patience<'_>,
) -> Result<(Vec<Database>, Vec<GeoError>), GeoError> {
    if !configured.is_empty() {
        let databases =
            configured.iter().map(|path| Database::open(path, patience)).collect::<Result<Vec<_>, _>>()?;
        return Ok((databases, Vec::new()));
    }
    let mut passed_over = Vec::new();
    // One of a kind is kept, so that a folder of monthly files does not fill the memory.
    let mut newest: BTreeMap<String, Database> = BTreeMap::new();
    for path in found(folders) {
        match Database::open(&path, patience) {
            Ok(database) => match newest.get(&database.info().kind) {
                Some(known) if known.info().build_date >= database.info().build_date => {}
                _ => _ = newest.insert(database.info().kind.clone(), database),
            },
            Err(error) => passed_over.push(error),
        }
    }
    let mut databases: Vec<Database> = newest.into_values().collect();
    // Newest first: the first with countries decides.
    databases.sort_by(|a, b| b.info().build_date.cmp(&a.info().build_date));
    if !databases.iter().any(|database| database.tells().countries) {
        databases.push(Database::embedded()?);
    }
    Ok((databases, passed_over))
}

/// The database files in folders, in the order of folders and names.
pub fn found(folders: &[&Path]) -> Vec<PathBuf> {
    folders.iter().flat_map(|folder| mmdb_files(folder)).collect()
}

fn mmdb_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "mmdb"))
        .take(FILES_MAX)
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(folder: &Path, name: &str, kind: &str, epoch: u64, value: &serde_json::Value) {
        let mut writer = mmdb_writer::Writer::builder(kind)
            .build_epoch(std::time::UNIX_EPOCH + std::time::Duration::from_secs(epoch))
            .build();
        writer.insert("9.0.0.0/8".parse::<ipnet::IpNet>().unwrap(), value).unwrap();
        std::fs::write(folder.join(name), writer.to_bytes().unwrap()).unwrap();
    }

    #[test]
    fn the_newest_of_each_kind_is_used_and_what_is_broken_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let country = json!({"country": "FR"});
        write(folder.path(), "a.mmdb", "X-Country", 2_000, &country);
        write(folder.path(), "b.mmdb", "X-Country", 3_000, &country);
        write(folder.path(), "c.mmdb", "X-Country", 1_000, &country);
        write(folder.path(), "d.mmdb", "X-ASN", 9_000, &json!({"asn": 64500}));
        std::fs::write(folder.path().join("e.mmdb"), "no database").unwrap();
        std::fs::write(folder.path().join("f.txt"), "no database").unwrap();
        let (databases, passed_over) = open(&[], &[folder.path()], &|| true).unwrap();
        let names: Vec<_> =
            databases.iter().map(|database| database.info().path.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["d.mmdb", "b.mmdb"]);
        assert_eq!(passed_over.len(), 1);
        assert!(passed_over[0].to_string().contains("e.mmdb"));
        let (alone, _) = open(&[folder.path().join("d.mmdb")], &[], &|| true).unwrap();
        assert_eq!(alone.len(), 1, "what is configured is all that is used");
        let (embedded, _) = open(&[], &[], &|| true).unwrap();
        assert_eq!(embedded[0].info().path, "embedded");
    }
}
