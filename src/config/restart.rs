//! Which settings a reload cannot take, and which of them differ.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::config::Settings;

/// Keys and sections that are taken at a start only: they belong to what is open or divided by then. Every other key takes
/// effect at a reload.
pub const AT_START: [&str; 17] = [
    "capture.buffer",
    "capture.filter",
    "capture.interfaces",
    "capture.promiscuous",
    "capture.silence_mins",
    "capture.snaplen",
    "capture.workers",
    "confinement.capabilities",
    "confinement.files",
    "confinement.system_calls",
    "memory.limit",
    "metrics.listen",
    "metrics.socket",
    "report.directory",
    "report.sketch_key_file",
    "state.directory",
    "state.socket",
];

/// The keys that differ and cannot be reloaded.
pub fn needed_for(running: &Settings, new: &Settings) -> Vec<&'static str> {
    let (running, new) = (values(running), values(new));
    AT_START.into_iter().filter(|key| running.get(*key) != new.get(*key)).collect()
}

/// Every value by its dotted key.
fn values(settings: &Settings) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    if let Ok(Value::Table(table)) = Value::try_from(settings) {
        collect(table, "", &mut found);
    }
    found
}

fn collect(table: Table, prefix: &str, found: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let dotted = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => collect(inner, &dotted, found),
            other => _ = found.insert(dotted, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_that_differs_and_needs_a_restart_is_named() {
        let of = |text: &str| -> Settings { toml::from_str(text).unwrap() };
        let named = |text: &str| needed_for(&Settings::default(), &of(text));
        assert_eq!(named(""), Vec::<&str>::new());
        assert_eq!(
            named(
                "[capture]\nsnaplen = 1600\ntrusted_tunnels = [\"192.0.2.1\"]\n[memory]\nlimit = \"64MiB\"\n"
            ),
            ["capture.snaplen", "memory.limit"]
        );
        assert_eq!(named("[state]\nkeep_years = 3\n[origin]\nhome = [\"CN\"]\n"), Vec::<&str>::new());
        assert_eq!(named("[state]\nsocket = \"/x\"\n[metrics]\nlisten = \"127.0.0.1:9617\"\n").len(), 2);
    }

    #[test]
    fn every_key_of_the_list_exists() {
        let all = values(&Settings::default());
        for key in AT_START {
            assert!(all.contains_key(key), "{key}");
        }
    }
}
