//! From settings to the parts of a run: detection set, databases, provenance.

use std::path::Path;
use std::sync::Arc;

use crate::classify::geo::Geo;
use crate::classify::search::{self, FOLDERS};
use crate::config::Settings;
use crate::detect::Detector;
use crate::exit::Fatal;
use crate::report::ReportError;
use crate::report::provenance::{Database, Provenance};

/// Compiles the detection set.
pub fn detector(settings: &Settings) -> Result<Arc<Detector>, Fatal> {
    Detector::new(settings).map(Arc::new).map_err(|error| Fatal::Configuration(error.to_string()))
}

/// Opens the databases; tells of those found and passed over.
pub fn geo(settings: &Settings) -> Result<Geo, Fatal> {
    let folders: Vec<&Path> = FOLDERS.iter().map(Path::new).collect();
    let (geo, passed_over) = search::open(&settings.origin.databases, &folders)
        .map_err(|error| Fatal::Configuration(format!("origin.databases: {error}")))?;
    for error in passed_over {
        tracing::warn!(%error, "database passed over");
    }
    Ok(geo)
}

/// What makes the numbers.
pub fn provenance(settings: &Settings, config_hash: &str, detector: &Detector, geo: &Geo) -> Provenance {
    let databases = geo.infos().into_iter().map(|info| Database {
        kind: info.kind,
        build_date: info.build_date,
        sha256: info.sha256,
        path: info.path,
        attribution: info.attribution,
    });
    Provenance {
        databases: databases.collect(),
        detector_set: detector.set_hash().to_owned(),
        config_hash: config_hash.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        home: settings.origin.home.clone(),
        addresses: geo.addresses(),
        home_declared: !settings.origin.home.is_empty() || !settings.origin.home_networks.is_empty(),
        sites: settings.site.iter().map(|site| site.name.clone()).collect(),
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
        ReportError::File { act: "read", .. } => Fatal::NoInput(error.to_string()),
        ReportError::File { .. } | ReportError::Store { .. } => Fatal::CannotWrite(error.to_string()),
        ReportError::TooNew { .. } => Fatal::Unusable(error.to_string()),
    }
}
