//! Settings: text in, [`Settings`] or a complaint out.
//!
//! Owns every key: field, unit, default, range and doc comment, one file a section. Pure but for reading
//! the named files. Settings are immutable once built; a reload builds new ones.
//! Must not know: any other room but model.

pub mod capture;
pub mod check;
pub mod confinement;
pub mod detect;
pub mod flood;
pub mod given;
pub mod load;
pub mod login;
pub mod memory;
pub mod metrics;
pub mod origin;
pub mod print;
pub mod privacy;
pub mod report;
pub mod restart;
pub mod scan;
pub mod site;
pub mod size;
pub mod state;

use serde::{Deserialize, Serialize};

/// Everything that can be set. An empty file is a valid one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where packets come from.
    pub capture: capture::Capture,
    /// The protected sites. None: each destination address that answers is a site of its own.
    pub site: Vec<site::Site>,
    /// How origins are determined.
    pub origin: origin::OriginSettings,
    /// What is judged an attack.
    pub detect: detect::Detect,
    /// When first contacts are a scan.
    pub scan: scan::Scan,
    /// When refused logins are an attack.
    pub login: login::Login,
    /// When traffic is a flood.
    pub flood: flood::Flood,
    /// What is written, where and for how long.
    pub report: report::Report,
    /// What is kept of addresses.
    pub privacy: privacy::Privacy,
    /// Where the durable state lies.
    pub state: state::State,
    /// How much memory may be used.
    pub memory: memory::Memory,
    /// Where numbers for monitoring are served.
    pub metrics: metrics::Metrics,
    /// What the process gives up.
    pub confinement: confinement::Confinement,
}

/// The default of a switch. Serde derives no defaults of its own for types with constants.
const fn yes() -> bool {
    true
}

/// A default that stands in the type.
const fn number<const DEFAULT: u32>() -> u32 {
    DEFAULT
}

/// The same, larger.
const fn large_number<const DEFAULT: u64>() -> u64 {
    DEFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../config/gatewatch.toml");

    #[test]
    fn the_shipped_file_is_the_defaults() {
        assert_eq!(toml::from_str::<Settings>(SHIPPED).unwrap(), Settings::default());
    }

    #[test]
    fn the_shipped_file_states_every_key() {
        let shipped: toml::Table = SHIPPED.parse().unwrap();
        let toml::Value::Table(all) = toml::Value::try_from(Settings::default()).unwrap() else {
            panic!("a table")
        };
        for (section, keys) in all.iter().filter(|(_, keys)| keys.is_table()) {
            states_every_key(section, &shipped[section], keys);
        }
    }

    fn states_every_key(place: &str, shipped: &toml::Value, defaults: &toml::Value) {
        for (key, value) in defaults.as_table().into_iter().flatten() {
            let found = shipped.get(key);
            assert!(found.is_some(), "{place}.{key} is not in config/gatewatch.toml");
            states_every_key(&format!("{place}.{key}"), found.unwrap(), value);
        }
    }
}
