//! What made the numbers: databases, detectors, settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A database that attributed tallies, as reports name it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Database {
    /// `database_type` of the file.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was built, RFC 3339.
    pub build_date: String,
    /// SHA-256.
    pub sha256: String,
    /// Its path, or `embedded`.
    pub path: String,
    /// Attribution that its licence asks for.
    pub attribution: Option<String>,
}

/// What made the numbers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Provenance {
    /// Databases in use, the deciding one first.
    pub databases: Vec<Database>,
    /// Hash of the detection set.
    pub detector_set: String,
    /// Hash of the settings in effect.
    pub config_hash: String,
    /// Version of gatewatch.
    pub version: String,
    /// Declared home countries.
    pub home: Vec<String>,
    /// Whether a home (countries or networks) is declared, so that there is an overseas.
    pub home_declared: bool,
    /// IPv4 addresses by country, of the database that decides.
    #[serde(default)]
    pub addresses: BTreeMap<String, u64>,
    /// Names of the configured sites; empty where every responder is one.
    pub sites: Vec<String>,
}

impl Provenance {
    /// The part of the located IPv4 addresses that are in a country, 0 to 1: what share it would have if every address
    /// attacked alike.
    pub fn base_rate(&self, country: &str) -> Option<f64> {
        let all: u64 = self.addresses.values().sum();
        let of_country = self.addresses.get(country)?;
        (all > 0).then(|| crate::report::summary::share(*of_country, all))
    }
}
