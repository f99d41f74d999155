//! Values that the command line gives: `--set capture.snaplen=1600`.

use toml::{Table, Value};

/// The option that gives any key.
pub const SET: &str = "--set";

/// A value of the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The option, for whoever asks where the value comes from.
    pub option: &'static str,
    /// Dotted key.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl Given {
    /// Reads `KEY=VALUE`: the dotted key of a setting and a value of TOML.
    pub fn parse(text: &str) -> Result<Self, String> {
        let short: String = text.chars().take(120).collect();
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{SET} {short}: KEY=VALUE is wanted, such as capture.snaplen=1600"))?;
        let (key, value) = (key.trim(), value.trim());
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if !key.split('.').all(is_name) {
            return Err(format!("{SET} {short}: {key:?} is no dotted key such as capture.snaplen"));
        }
        let value: Value = value.parse().map_err(|_| {
            format!(
                "{SET} {short}: the value is not TOML; a text wants quotes, which the shell must leave alone: {SET} '{key}=\"…\"'"
            )
        })?;
        Ok(Self { option: SET, key: key.to_owned(), value })
    }

    /// A list of texts that an option of its own gives.
    pub fn texts(option: &'static str, key: &str, texts: &[String]) -> Self {
        let value = Value::Array(texts.iter().cloned().map(Value::String).collect());
        Self { option, key: key.to_owned(), value }
    }

    /// The value as a file would have it.
    pub fn table(&self) -> Table {
        let (sections, last) = self.key.rsplit_once('.').unwrap_or(("", &self.key));
        let mut table = Table::from_iter([(last.to_owned(), self.value.clone())]);
        for section in sections.rsplit('.').filter(|section| !section.is_empty()) {
            table = Table::from_iter([(section.to_owned(), Value::Table(table))]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_value_of_any_kind_are_read() {
        for (text, key, value) in [
            ("capture.snaplen=1600", "capture.snaplen", "1600"),
            ("capture.promiscuous = true", "capture.promiscuous", "true"),
            ("capture.filter=\"tcp port 80 = x\"", "capture.filter", "\"tcp port 80 = x\""),
            ("scan.slow.answered_max=0.5", "scan.slow.answered_max", "0.5"),
            ("capture.interfaces=[\"a\", \"b\"]", "capture.interfaces", "[\"a\", \"b\"]"),
        ] {
            let given = Given::parse(text).unwrap();
            assert_eq!((given.key.as_str(), given.value.to_string().as_str()), (key, value));
            let mut at = &Value::Table(given.table());
            for part in key.split('.') {
                at = &at[part];
            }
            assert_eq!(*at, given.value);
        }
    }

    #[test]
    fn what_is_no_key_or_no_value_is_refused() {
        for (text, told) in [
            ("capture.snaplen", "KEY=VALUE"),
            ("=1", "dotted key"),
            ("a..b=1", "dotted key"),
            ("site[0].name=\"x\"", "dotted key"),
            ("report.sensor=north", "wants quotes"),
            ("a.b=1\nc = 2", "not TOML"),
            ("a.b=", "not TOML"),
        ] {
            let refused = Given::parse(text).unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }
}
