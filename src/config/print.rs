//! Settings in effect, as TOML that reads back equal, with where each value comes from.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use toml::{Table, Value};

use crate::config::Settings;

/// Prints settings; each line ends with its source.
pub fn effective(settings: &Settings, sources: &BTreeMap<String, PathBuf>) -> String {
    let mut text = String::new();
    if let Ok(Value::Table(table)) = Value::try_from(settings) {
        section(&table, "", sources, &mut text);
    }
    text
}

fn section(table: &Table, prefix: &str, sources: &BTreeMap<String, PathBuf>, text: &mut String) {
    let dotted = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        let source =
            sources.get(&dotted(key)).map_or_else(|| "default".to_owned(), |path| path.display().to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value}  # {source}");
    }
    for (key, value) in table.iter().filter(|(_, value)| is_section(value)) {
        let name = dotted(key);
        match value {
            Value::Table(inner) => {
                let _ = writeln!(text, "\n[{name}]");
                section(inner, &name, sources, text);
            }
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_table) {
                    let _ = writeln!(text, "\n[[{name}]]");
                    for (key, value) in item {
                        let _ = writeln!(text, "{key} = {value}");
                    }
                }
            }
            _ => {}
        }
    }
}

/// Tables, and lists of tables with something in them.
fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_settings_read_back_equal() {
        let mut settings = Settings::default();
        settings.origin.home = vec!["CN".into()];
        settings.capture.filter = "tcp port 80 or \"x\"".into();
        settings.site.push(crate::config::site::Site {
            name: "ä".into(),
            ports: vec![80],
            ..Default::default()
        });
        settings
            .detect
            .exception
            .push(crate::config::detect::Exception { rule: Some("x".into()), ..Default::default() });
        for settings in [Settings::default(), settings] {
            let printed = effective(&settings, &BTreeMap::new());
            assert_eq!(toml::from_str::<Settings>(&printed).unwrap(), settings, "{printed}");
        }
    }
}
