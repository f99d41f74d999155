//! What made the numbers: databases, detectors, settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::time::{MICROS_PER_DAY, Timestamp};

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

impl Database {
    /// Whole days from its build to `at`; negative if it was built later. None where the build date is no date.
    pub fn age_days(&self, at: Timestamp) -> Option<i64> {
        let built: jiff::Timestamp = self.build_date.parse().ok()?;
        Some(at.micros_since(Timestamp(built.as_microsecond())).div_euclid(MICROS_PER_DAY))
    }
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
    /// What is written of addresses: `full`, `truncate`, `pseudonym`.
    #[serde(default)]
    pub privacy: String,
    /// Names of the configured sites; empty where every responder is one.
    pub sites: Vec<String>,
}

impl Provenance {
    /// The database that decides where an address is.
    pub fn deciding(&self) -> Option<&Database> {
        self.databases.first()
    }

    /// That the deciding database is older than `max_days` at `at`, in words.
    pub fn too_old(&self, at: Timestamp, max_days: u32) -> Option<String> {
        let database = self.deciding()?;
        let days = database.age_days(at).filter(|days| *days > i64::from(max_days))?;
        Some(format!(
            "the deciding database {} ({}) is {days} days old, more than {max_days}: origins drift, use a newer one",
            database.kind, database.path
        ))
    }

    /// The part of the located IPv4 addresses that are in a country, 0 to 1: what share it would have if every address
    /// attacked alike.
    pub fn base_rate(&self, country: &str) -> Option<f64> {
        let all: u64 = self.addresses.values().sum();
        let of_country = self.addresses.get(country)?;
        (all > 0).then(|| crate::report::summary::share(*of_country, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_ages_by_whole_days() {
        let database = Database {
            kind: "X-Country".into(),
            build_date: "2026-10-01T00:00:00Z".into(),
            sha256: String::new(),
            path: "/x.mmdb".into(),
            attribution: None,
        };
        let built = "2026-10-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let after = |days: i64| Timestamp(built + days * MICROS_PER_DAY);
        assert_eq!(database.age_days(after(90)), Some(90));
        assert_eq!(database.age_days(Timestamp(built - 1)), Some(-1));
        assert_eq!(Database { build_date: "soon".into(), ..database.clone() }.age_days(after(0)), None);
        let provenance = Provenance { databases: vec![database], ..Provenance::default() };
        assert_eq!(provenance.too_old(after(90), 90), None);
        assert!(provenance.too_old(after(91), 90).unwrap().contains("91 days"));
        assert_eq!(Provenance::default().too_old(after(999), 90), None);
    }
}
