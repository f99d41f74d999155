//! From settings to the parts of a run: detection set, databases, provenance.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::classify::behaviour::list;
use crate::classify::database::{DatabaseInfo, GeoError};
use crate::classify::geo::Geo;
use crate::classify::infrastructure::Lists;
use crate::classify::search::{self, FOLDERS};
use crate::config::Settings;
use crate::detect::Detector;
use crate::exit::Fatal;
use crate::model::origin::Infrastructure;
use crate::report::ReportError;
use crate::report::provenance::{Database, Provenance};

/// What checking one database, or counting its addresses, may take. The largest city databases need about a second.
pub const DATABASE_MAX: Duration = Duration::from_secs(20);

/// Compiles the detection set. `[detect]` names rules for requests and messages only: what judges by source has tables of its own.
pub fn detector(settings: &Settings) -> Result<Arc<Detector>, Fatal> {
    let detect = &settings.detect;
    let excepted = detect.exception.iter().filter_map(|exception| exception.rule.as_ref());
    for id in detect.disable.iter().chain(excepted) {
        if let Some(sections) = list::sections_of(id) {
            return Err(Fatal::Configuration(format!(
                "[detect]: {id:?} judges by source: switch it off by enabled = false in [{}]",
                sections.join("], [")
            )));
        }
    }
    Detector::new(settings).map(Arc::new).map_err(|error| Fatal::Configuration(error.to_string()))
}

/// Opens the databases; tells of those found and passed over.
pub fn geo(settings: &Settings) -> Result<Geo, Fatal> {
    let (geo, passed_over) = open_geo(settings)?;
    for error in passed_over {
        tracing::warn!(%error, "database passed over");
    }
    Ok(geo)
}

/// Opens the databases and lists; gives those found and passed over.
pub fn open_geo(settings: &Settings) -> Result<(Geo, Vec<GeoError>), Fatal> {
    let files = u32::try_from(settings.origin.databases.len()).unwrap_or(1).max(1);
    let patience = patience(DATABASE_MAX.saturating_mul(files));
    let (databases, passed_over) = search::open(&settings.origin.databases, &folders(), &patience)
        .map_err(|error| Fatal::Configuration(format!("origin.databases: {error}")))?;
    Ok((Geo::new(databases).with_lists(lists(settings)?), passed_over))
}

/// The files that origins are read from, or would be.
pub fn geo_files(settings: &Settings) -> Vec<PathBuf> {
    let mut files = settings.origin.databases.clone();
    if files.is_empty() {
        files = search::found(&folders());
    }
    files.extend(settings.origin.infrastructure.iter().map(|list| list.file.clone()));
    files
}

/// The folders in which databases are looked for.
pub fn folders() -> Vec<&'static Path> {
    FOLDERS.iter().map(Path::new).collect()
}

/// True for so long.
#[expect(clippy::disallowed_methods, reason = "app is one of the two rooms that read a clock")]
pub fn patience(time: Duration) -> impl Fn() -> bool {
    let started = Instant::now();
    move || started.elapsed() < time
}

/// Reads the operator's lists of kinds of network. Classes were checked when the settings were read.
fn lists(settings: &Settings) -> Result<Lists, Fatal> {
    let files =
        settings.origin.infrastructure.iter().filter_map(|list| {
            Infrastructure::from_name(&list.class).map(|class| (class, list.file.as_path()))
        });
    Lists::open(files).map_err(|error| Fatal::Configuration(format!("origin.infrastructure: {error}")))
}

/// What makes the numbers.
pub fn provenance(settings: &Settings, config_hash: &str, detector: &Detector, geo: &Geo) -> Provenance {
    Provenance {
        databases: geo.infos().into_iter().map(database).collect(),
        detector_set: detector.set_hash().to_owned(),
        config_hash: config_hash.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        home: settings.origin.home.clone(),
        addresses: geo.addresses(&patience(DATABASE_MAX)),
        home_declared: !settings.origin.home.is_empty() || !settings.origin.home_networks.is_empty(),
        privacy: settings.privacy.addresses.name().to_owned(),
        sites: settings.site.iter().map(|site| site.name.clone()).collect(),
    }
}

/// A database as reports name it.
pub fn database(info: DatabaseInfo) -> Database {
    Database {
        kind: info.kind,
        build_date: info.build_date,
        sha256: info.sha256,
        path: info.path,
        attribution: info.attribution,
    }
}

/// A report error as the end of the process.
pub fn unwritable(error: &ReportError) -> Fatal {
    match error {
        ReportError::File { error: system, .. } if system.kind() == std::io::ErrorKind::PermissionDenied => {
            Fatal::CannotWrite(format!(
                "{error}; give the user that gatewatch runs as write access, or set another folder"
            ))
        }
        ReportError::File { act: "read", .. }
        | ReportError::NoStore { .. }
        | ReportError::RolledUp { .. } => Fatal::NoInput(error.to_string()),
        ReportError::File { .. } | ReportError::Store { .. } => Fatal::CannotWrite(error.to_string()),
        ReportError::TooNew { .. } => Fatal::Unusable(error.to_string()),
    }
}
