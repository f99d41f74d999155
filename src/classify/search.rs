//! Which databases to use: those configured, those found in the usual folders, the embedded one.

use std::path::{Path, PathBuf};

use crate::classify::geo::{Database, Geo, GeoError};

/// Where geoipupdate and Debian put databases, then our own state folder.
pub const FOLDERS: [&str; 3] = ["/var/lib/GeoIP", "/usr/share/GeoIP", "/var/lib/gatewatch/geo"];
/// Files looked at in one folder.
const FILES_MAX: usize = 256;

/// Opens what `configured` names; where it names nothing, the newest of each kind in `folders`; where there is
/// none with countries, the embedded default. Found files that are broken are passed over and told in the list.
pub fn open(configured: &[PathBuf], folders: &[&Path]) -> Result<(Geo, Vec<GeoError>), GeoError> {
    if !configured.is_empty() {
        let databases = configured.iter().map(|path| Database::open(path)).collect::<Result<Vec<_>, _>>()?;
        return Ok((Geo::new(databases), Vec::new()));
    }
    let mut passed_over = Vec::new();
    let mut found = Vec::new();
    for path in folders.iter().flat_map(|folder| mmdb_files(folder)) {
        match Database::open(&path) {
            Ok(database) => found.push(database),
            Err(error) => passed_over.push(error),
        }
    }
    // Newest first, so that the first of a kind decides.
    found.sort_by(|a, b| b.info().build_date.cmp(&a.info().build_date));
    if !found.iter().any(|database| tells_countries(&database.info().kind)) {
        found.push(Database::embedded()?);
    }
    Ok((Geo::new(found), passed_over))
}

fn tells_countries(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    ["country", "city", "enterprise", "location", "lite", "standard"].iter().any(|word| kind.contains(word))
        && !kind.contains("asn")
        || kind.contains("country_asn")
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
