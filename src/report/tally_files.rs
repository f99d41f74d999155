//! Tally files: one of each closed day, immutable, for analysts and fleets.
//!
//! `tally/v1/dt=<day>/sensor=<name>/<day>-<boot>-<seq>.jsonl.zst` holds one JSON object a line, each with a `kind`: the header,
//! what made the numbers, coverage and counters, the tally by hour, the same attempts by network, and the distinct sources as
//! sketches that merge. Every table reader takes a folder of them as one table. `boot` names the store that counted and `seq`
//! how often it closed the day: of one day and boot the largest `seq` holds, and a file shipped twice has the same name and
//! the same bytes.

mod rows;

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::check::is_sensor_name;
use crate::config::report::Report as Settings;
use crate::model::period::Period;
use crate::report::store::Store;
use crate::report::tally_files::rows::{Lines, Named};
use crate::report::{ReportError, files};

/// The folder of tally files in a report folder; the version is that of the rows.
pub const FOLDER: &str = "tally/v1";
/// What each file's rows are.
pub const SCHEMA: &str = "gatewatch.tally.v1";
/// Compression level: some kilobytes a day, written once and kept for long.
const LEVEL: i32 = 12;
/// Where the name of this store lies among the remembered values.
const BOOT: &str = "boot";
/// Where the name of the sensor lies there, for reports that put several together.
pub const SENSOR: &str = "sensor";
/// What a sensor is called whose host has no usable name.
const NAMELESS: &str = "sensor";
/// A closing that was cut off may have left its file, so that the next number is taken. More than so many leftovers of one day
/// are a fault.
const LEFTOVERS_MAX: u32 = 1_000;

/// The name of this sensor: as set, or that of the host.
pub fn sensor(settings: &Settings) -> String {
    if !settings.sensor.is_empty() {
        return settings.sensor.clone();
    }
    // Not from /proc, which the unit hides.
    let host = rustix::system::uname();
    let name: String = host
        .nodename()
        .to_string_lossy()
        .chars()
        .take(64)
        .map(|letter| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '-' })
        .collect();
    if is_sensor_name(&name) { name } else { NAMELESS.to_owned() }
}

/// Lets a store that was rebuilt go on under the name that the latest file of the folder has: under another one its files would
/// stand beside those of the same days, and both would count.
pub fn keep_boot(store: &Store, folder: &Path) -> Result<(), ReportError> {
    if store.meta(BOOT)?.is_some() {
        return Ok(());
    }
    let latest = all(folder).into_iter().next_back().map(|(_, name)| name);
    match latest.as_deref().and_then(boot_of) {
        Some(boot) => store.set_meta(BOOT, boot),
        None => Ok(()),
    }
}

/// The name of the store that wrote a file.
fn boot_of(name: &str) -> Option<&str> {
    name.rsplit('/').next()?.strip_suffix(".jsonl.zst")?.rsplit('-').nth(1)
}

/// Writes the file of a day that is being closed, for the `version`th time. Gives its name in the report folder.
pub fn write(
    store: &Store,
    settings: &Settings,
    day: Period,
    version: u32,
) -> Result<Option<String>, ReportError> {
    let sensor = sensor(settings);
    let boot = store.name_of_its_own(BOOT)?;
    let below = format!("{FOLDER}/dt={day}/sensor={sensor}");
    let folder = settings.directory.join(&below);
    for seq in version..version.saturating_add(LEFTOVERS_MAX) {
        let named = Named { sensor: &sensor, boot: &boot, seq, day };
        let Some(text) = Lines::of(store, &named)? else { return Ok(None) };
        let name = format!("{}.jsonl.zst", named.file());
        let path = folder.join(&name);
        let bytes =
            zstd::encode_all(text.as_bytes(), LEVEL).map_err(ReportError::file("compressed", &path))?;
        match fs::read(&path) {
            // What lies there may have been shipped: it stays, whatever it holds.
            Ok(known) if known != bytes => continue,
            Ok(_) => {}
            Err(_) => write_below(settings, &folder, &name, &bytes)?,
        }
        return Ok(Some(format!("{below}/{name}")));
    }
    Ok(None)
}

fn write_below(settings: &Settings, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ReportError> {
    files::make_folder(folder)?;
    files::write_whole(folder, name, bytes)?;
    // The file's name, then those of the folders above it, which may be new.
    for above in folder.ancestors().take_while(|above| above.starts_with(&settings.directory)) {
        files::sync_folder(above)?;
    }
    Ok(())
}

/// Day and path below the report folder of every tally file in it, by name.
pub fn all(folder: &Path) -> Vec<(Period, String)> {
    let mut found = Vec::new();
    for day in below(&folder.join(FOLDER)) {
        for sensor in below(&day) {
            for path in below(&sensor) {
                let named = path.strip_prefix(folder).ok().and_then(Path::to_str).map(str::to_owned);
                let Some(name) = named.filter(|name| is_complete(name)) else { continue };
                found.extend(day_of(&name).map(|day| (day, name)));
            }
        }
    }
    found.sort();
    found
}

fn is_complete(name: &str) -> bool {
    name.ends_with(".jsonl.zst") && !name.contains("/.")
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

/// The day that a tally file is of, by its path below the report folder.
pub fn day_of(name: &str) -> Option<Period> {
    name.strip_prefix(FOLDER)?.strip_prefix("/dt=")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_from_a_path_and_nothing_else_is_one() {
        let name = "tally/v1/dt=2012-06-30/sensor=gw1/2012-06-30-0a0b0c0d-0001.jsonl.zst";
        assert_eq!(day_of(name).unwrap().to_string(), "2012-06-30");
        assert_eq!(day_of("events-2012-06-30.jsonl"), None);
        assert_eq!(boot_of(name), Some("0a0b0c0d"));
        assert!(is_complete(name) && !is_complete("tally/v1/dt=2012-06-30/sensor=gw1/.x.jsonl.zst.new"));
    }

    #[test]
    fn a_sensor_is_called_as_set_or_by_its_host() {
        let named = Settings { sensor: "gw-7".into(), ..Settings::default() };
        assert_eq!(sensor(&named), "gw-7");
        assert!(is_sensor_name(&sensor(&Settings::default())));
    }
}
