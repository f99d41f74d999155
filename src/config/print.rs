//! Settings in effect, as TOML that reads back equal, with where each value comes from.

use std::fmt::Write;

use toml::{Table, Value};

use crate::config::Settings;
use crate::config::load::Sources;

/// Prints settings; each line ends with its source.
pub fn effective(settings: &Settings, sources: &Sources) -> String {
    let mut text = String::new();
    if let Ok(Value::Table(table)) = Value::try_from(settings) {
        section(&table, "", sources, &mut text);
    }
    text
}

fn section(table: &Table, prefix: &str, sources: &Sources, text: &mut String) {
    let dotted = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        line((key, value), &dotted(key), sources, text);
    }
    for (key, value) in table.iter().filter(|(_, value)| is_section(value)) {
        let name = dotted(key);
        match value {
            Value::Table(inner) => {
                let _ = writeln!(text, "\n[{name}]");
                section(inner, &name, sources, text);
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    let _ = writeln!(text, "\n[[{name}]]");
                    for (key, value) in item.as_table().into_iter().flatten() {
                        line((key, value), &format!("{name}[{number}].{key}"), sources, text);
                    }
                }
            }
            _ => {}
        }
    }
}

/// One value with its source.
fn line((key, value): (&str, &Value), dotted: &str, sources: &Sources, text: &mut String) {
    let source = sources.get(dotted).map_or_else(|| "default".to_owned(), ToString::to_string);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{key} = {value}  # {source}");
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
            let printed = effective(&settings, &Sources::new());
            assert_eq!(toml::from_str::<Settings>(&printed).unwrap(), settings, "{printed}");
        }
    }
}
