//! The detectors that judge by source, for people: what `gatewatch rules list` prints after the rules for requests.

use sha2::{Digest, Sha256};
use toml::Value;

use crate::classify::behaviour::flood::rows::FLOODS;
use crate::classify::behaviour::login::LOGINS;
use crate::classify::behaviour::scan::{SCANS, distributed};
use crate::classify::behaviour::unmet::{self, rows::UNMETS};
use crate::config::Settings;
use crate::model::class::Class;
use crate::model::marks::hex;

/// A detector as it is listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Stable id.
    pub id: &'static str,
    /// Its class, or the family of them that it chooses from: `auth.*`.
    pub class: String,
    /// What it sees, for people.
    pub title: &'static str,
    /// Tables of its settings.
    pub sections: &'static [&'static str],
    /// Whether any of these tables lets it look.
    pub enabled: bool,
    /// Sixteen digits of a hash of its id and settings: equal ones judge alike in one version.
    pub hash: String,
}

/// What the rows of the four families have in common.
type Row = (&'static str, Option<Class>, &'static str, &'static [&'static str]);

fn rows() -> impl Iterator<Item = Row> {
    let scans = SCANS.iter().map(|row| (row.id, row.class, row.title, row.sections));
    let crowd = (distributed::ID, None, distributed::TITLE, distributed::SECTIONS);
    let logins = LOGINS.iter().map(|row| (row.id, row.class, row.title, row.sections));
    let floods = FLOODS.iter().map(|row| (row.id, Some(row.class), row.title, row.sections));
    let unmets = UNMETS.iter().map(|row| (row.id, Some(unmet::CLASS), row.title, row.sections));
    scans.chain([crowd]).chain(unmets).chain(logins).chain(floods)
}

/// Every detector, as these settings have it.
pub fn detectors(settings: &Settings) -> Vec<Listed> {
    // Settings are plain tables; were they not, the detectors would be listed as switched off.
    let tables = Value::try_from(settings).unwrap_or(Value::Boolean(false));
    rows().map(|row| listed(row, &tables)).collect()
}

/// The tables of a detector that judges by source, by its id.
pub fn sections_of(id: &str) -> Option<&'static [&'static str]> {
    rows().find(|row| row.0 == id).map(|row| row.3)
}

fn listed((id, class, title, sections): Row, tables: &Value) -> Listed {
    let (family, _) = id.split_once('.').unwrap_or_default();
    let mut hash = Sha256::new().chain_update(id);
    let mut enabled = false;
    for section in sections {
        let Some((above, table)) = table(tables, section) else { continue };
        enabled |= table.get("enabled").and_then(Value::as_bool).unwrap_or(false);
        // What stands beside the tables holds for all of them: net_failures_min.
        for (key, shared) in above.iter().filter(|(_, value)| !value.is_table()) {
            hash.update(format!("{key}={shared};"));
        }
        hash.update(format!("{section}={table};"));
    }
    Listed {
        id,
        class: class.map_or_else(|| format!("{family}.*"), |class| class.id().to_owned()),
        title,
        sections,
        enabled,
        hash: hex(hash.finalize().get(..8).unwrap_or_default()),
    }
}

/// The table of a section such as `scan.vertical`, and the one above it.
fn table<'t>(tables: &'t Value, section: &str) -> Option<(&'t toml::Table, &'t Value)> {
    let (above, name) = section.split_once('.')?;
    let above = tables.get(above)?.as_table()?;
    Some((above, above.get(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(settings: &str, id: &str) -> Listed {
        let settings = toml::from_str(settings).unwrap();
        detectors(&settings).into_iter().find(|listed| listed.id == id).unwrap()
    }

    #[test]
    fn every_detector_is_listed_with_tables_that_there_are() {
        let tables = Value::try_from(Settings::default()).unwrap();
        let listed = detectors(&Settings::default());
        assert_eq!(listed.len(), SCANS.len() + 1 + UNMETS.len() + LOGINS.len() + FLOODS.len());
        for detector in &listed {
            assert!(detector.enabled && detector.class.contains('.') && detector.hash.len() == 16);
            assert!(!detector.sections.is_empty());
            for section in detector.sections {
                assert!(table(&tables, section).is_some(), "{section}");
            }
        }
        let mut ids: Vec<_> = listed.iter().map(|detector| detector.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), listed.len());
    }

    #[test]
    fn the_hash_is_that_of_its_own_settings_and_of_those_it_shares() {
        let (plain, id) = (one("", "scan.vertical"), "scan.vertical");
        assert_ne!(one("[scan.vertical]\ntargets_min = 11", id).hash, plain.hash);
        assert_ne!(one("[scan]\nnet_failures_min = 10", id).hash, plain.hash);
        assert_eq!(one("[scan.udp]\ntargets_min = 11\n[login.ssh]\nleak_secs = 9", id), plain);
    }

    #[test]
    fn a_detector_is_off_when_all_its_tables_are() {
        assert!(!one("[flood.syn]\nenabled = false", "flood.syn").enabled);
        assert!(one("[login.ssh]\nenabled = false", "auth.guessing").enabled);
        assert_eq!(sections_of("auth.guessing").map(<[_]>::len), Some(8));
        assert_eq!(sections_of("sqli.union"), None);
    }
}
