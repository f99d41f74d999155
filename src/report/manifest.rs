//! Manifests: the files of a closed period with their hashes, chained like the reports; and the list of files that have expired.
//!
//! A file is hashed as it was before compression. Event and source files expire whole: a line of `expired.jsonl` says which, with
//! the hash that the manifest has of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::period::Period;
use crate::model::time::Timestamp;
use crate::report::store::Store;
use crate::report::store::closed::Closed;
use crate::report::{ReportError, files, json, tally_files};

/// Name of the list of expired files.
pub const EXPIRED: &str = "expired.jsonl";
/// Version of the shape of a manifest.
const SCHEMA_VERSION: u32 = 1;

/// A file of a period.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Listed {
    /// Name in the folder, without the `.zst` it may have got since.
    pub name: String,
    /// Bytes before compression.
    pub bytes: u64,
    /// SHA-256 of these bytes.
    pub sha256: String,
}

/// `manifest-<period>.json`
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// Version of this shape.
    pub schema_version: u32,
    /// The period.
    pub period: String,
    /// 1 for the first, 2 for its first correction, …
    pub version: u32,
    /// The files of the period, by name.
    pub files: Vec<Listed>,
    /// Hash of the manifest before this one of its kind of period.
    pub previous_sha256: Option<String>,
}

/// An expired file: a line of the list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Expired {
    /// Its name, without `.zst`.
    pub name: String,
    /// The hash that its manifest has; none where there was no manifest.
    pub sha256: Option<String>,
    /// When it was removed, RFC 3339.
    pub removed: String,
}

/// The name that a manifest has a file under.
pub fn plain(name: &str) -> &str {
    name.strip_suffix(".zst").unwrap_or(name)
}

/// Lists the files of a period that is being closed. What is returned is for the store to note.
pub fn write(store: &Store, folder: &Path, period: Period, version: u32) -> Result<Closed, ReportError> {
    let mut listed = Vec::new();
    for name in names_of(folder, period)? {
        let (bytes, sha256) =
            hash(&folder.join(&name)).map_err(ReportError::file("read", &folder.join(&name)))?;
        listed.push(Listed { name: plain(&name).to_owned(), bytes, sha256 });
    }
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        period: period.to_string(),
        version,
        files: listed,
        previous_sha256: store.last_manifest(period.kind())?,
    };
    let sealed = json::sealed(serde_json::to_value(&manifest).unwrap_or_default());
    let name = if version <= 1 {
        format!("manifest-{period}.json")
    } else {
        format!("manifest-{period}.c{version}.json")
    };
    let mut text = serde_json::to_string_pretty(&sealed).unwrap_or_default();
    text.push('\n');
    files::write_whole(folder, &name, text.as_bytes())?;
    let sha256 = sealed.get("sha256").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    Ok(Closed { version, sha256 })
}

/// Files of a period: its reports in every version, and of a day its events, sources and tallies.
fn names_of(folder: &Path, period: Period) -> Result<Vec<String>, ReportError> {
    let prefixes = ["events", "report", "sources"].map(|kind| format!("{kind}-{period}."));
    let entries = fs::read_dir(folder).map_err(ReportError::file("read", folder))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)) && !name.contains(".open."))
        .collect();
    let tallies = tally_files::all(folder).into_iter().filter(|(day, _)| *day == period);
    names.extend(tallies.map(|(_, name)| name));
    names.sort();
    Ok(names)
}

/// Bytes and SHA-256 of a file, decompressed where it is compressed.
pub fn hash(path: &Path) -> std::io::Result<(u64, String)> {
    let file = File::open(path)?;
    let mut reader: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "zst") {
        Box::new(zstd::Decoder::new(file)?)
    } else {
        Box::new(file)
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((bytes, json::hex(&hash.finalize())));
        }
        bytes += count as u64;
        hash.update(buffer.get(..count).unwrap_or_default());
    }
}

/// Adds the files that were removed to the list.
pub fn note_expired(folder: &Path, removed: &[String], now: Timestamp) -> Result<(), ReportError> {
    if removed.is_empty() {
        return Ok(());
    }
    let mut lines = String::new();
    for name in removed {
        let name = plain(name);
        let line =
            Expired { sha256: listed_hash(folder, name), name: name.to_owned(), removed: now.to_string() };
        lines.push_str(&serde_json::to_string(&line).unwrap_or_default());
        lines.push('\n');
    }
    let path = folder.join(EXPIRED);
    let append = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    };
    append().map_err(ReportError::file("written", &path))
}

/// The hash that a manifest has of a file.
fn listed_hash(folder: &Path, name: &str) -> Option<String> {
    let period = match tally_files::day_of(name) {
        Some(day) => day.to_string(),
        None => name.split_once('-')?.1.split('.').next()?.to_owned(),
    };
    let bytes = fs::read(folder.join(format!("manifest-{period}.json"))).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let listed: Vec<Listed> = serde_json::from_value(manifest.get("files")?.clone()).ok()?;
    listed.into_iter().find(|file| file.name == name).map(|file| file.sha256)
}

/// The list of expired files, by name.
pub fn expired(folder: &Path) -> BTreeMap<String, Expired> {
    let Ok(file) = File::open(folder.join(EXPIRED)) else { return BTreeMap::new() };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    lines
        .filter_map(|line| serde_json::from_str::<Expired>(&line).ok())
        .map(|line| (line.name.clone(), line))
        .collect()
}
