//! Reading settings: the file, then its drop-ins, then the checks. All complaints at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::config::{Settings, check};

/// The file that is read where none is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/gatewatch/gatewatch.toml";
/// A settings file larger than this is something else.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// What is wrong with a setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Complaint {
    /// The file, where one is to blame.
    pub file: Option<PathBuf>,
    /// Dotted key, or the line.
    pub place: String,
    /// What was found and what would be right.
    pub text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.text)
    }
}

/// Settings and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// In effect.
    pub settings: Settings,
    /// The file that set each dotted key; absent: the default.
    pub sources: BTreeMap<String, PathBuf>,
    /// Legal but unreasonable.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Hash of the settings in effect.
    pub fn hash(&self) -> String {
        hash(&self.settings)
    }
}

/// SHA-256 of settings, whatever file they were written in.
pub fn hash(settings: &Settings) -> String {
    let text = serde_json::to_string(settings).unwrap_or_default();
    crate::config::print::hex(&Sha256::digest(text.as_bytes()))
}

/// Reads `file` (which must exist if it is named) and `conf.d/*.toml` beside it.
pub fn load(file: Option<&Path>) -> Result<Loaded, Vec<Complaint>> {
    let main = file.unwrap_or(Path::new(DEFAULT_FILE));
    let mut complaints = Vec::new();
    let mut merged = Table::new();
    let mut sources = BTreeMap::new();
    if file.is_some() || main.exists() {
        read(main, &mut merged, &mut sources, &mut complaints);
    }
    for drop_in in drop_ins(main) {
        read(&drop_in, &mut merged, &mut sources, &mut complaints);
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let settings = Settings::deserialize_from(merged)
        .map_err(|text| vec![Complaint { file: None, place: String::new(), text }])?;
    finish(settings, sources)
}

/// Checks settings that were put together otherwise (command line).
pub fn finish(settings: Settings, sources: BTreeMap<String, PathBuf>) -> Result<Loaded, Vec<Complaint>> {
    let found = check::check(&settings);
    if !found.is_empty() {
        let complaint =
            |(place, text): (String, String)| Complaint { file: blamed(&place, &sources), place, text };
        return Err(found.into_iter().map(complaint).collect());
    }
    Ok(Loaded { warnings: check::warnings(&settings), settings, sources })
}

fn blamed(place: &str, sources: &BTreeMap<String, PathBuf>) -> Option<PathBuf> {
    let key = place.split('[').next().unwrap_or(place);
    sources.get(key).cloned()
}

fn drop_ins(main: &Path) -> Vec<PathBuf> {
    let Some(folder) = main.parent().map(|parent| parent.join("conf.d")) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    files
}

/// Reads one file into the merged table. Tables merge, lists of tables grow, everything else is replaced.
fn read(
    path: &Path,
    merged: &mut Table,
    sources: &mut BTreeMap<String, PathBuf>,
    complaints: &mut Vec<Complaint>,
) {
    let mut complain = |place: String, text: String| {
        complaints.push(Complaint { file: Some(path.to_owned()), place, text });
    };
    let text = match std::fs::metadata(path).and_then(|metadata| {
        if metadata.len() > FILE_MAX_BYTES {
            return Err(std::io::Error::other(format!(
                "has {} bytes; {FILE_MAX_BYTES} at most are read",
                metadata.len()
            )));
        }
        std::fs::read_to_string(path)
    }) {
        Ok(text) => text,
        Err(error) => return complain(String::new(), format!("cannot be read: {error}")),
    };
    // Each file by itself must be right, so that a complaint can name its line.
    if let Err(error) = toml::from_str::<Settings>(&text) {
        let (place, message) = explain(&text, &error);
        return complain(place, message);
    }
    match text.parse::<Table>() {
        Ok(table) => merge(merged, table, "", path, sources),
        Err(error) => complain(String::new(), error.message().to_owned()),
    }
}

/// The line that an error of the TOML reader is about, and its words.
pub fn explain(text: &str, error: &toml::de::Error) -> (String, String) {
    let Some(span) = error.span() else { return (String::new(), error.message().replace('\n', ", ")) };
    let before = text.get(..span.start).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let line: String = text.lines().nth(number - 1).unwrap_or_default().trim().chars().take(120).collect();
    (format!("line {number}"), format!("`{line}`: {}", error.message().replace('\n', ", ")))
}

fn merge(into: &mut Table, from: Table, prefix: &str, path: &Path, sources: &mut BTreeMap<String, PathBuf>) {
    for (key, value) in from {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (into.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(more)) => merge(known, more, &dotted, path, sources),
            (Some(Value::Array(known)), Value::Array(more))
                if more.iter().all(Value::is_table) && known.iter().all(Value::is_table) =>
            {
                known.extend(more);
                sources.insert(dotted, path.to_owned());
            }
            (None, Value::Table(more)) => {
                let mut table = Table::new();
                merge(&mut table, more, &dotted, path, sources);
                into.insert(key, Value::Table(table));
            }
            (_, other) => {
                into.insert(key, other);
                sources.insert(dotted, path.to_owned());
            }
        }
    }
}

impl Settings {
    fn deserialize_from(table: Table) -> Result<Self, String> {
        table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Loaded, Vec<Complaint>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gatewatch.toml");
        std::fs::write(&file, text).unwrap();
        load(Some(&file))
    }

    fn complaint(text: &str) -> String {
        load_text(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn an_empty_file_is_valid_and_means_the_defaults() {
        assert_eq!(load_text("").unwrap().settings, Settings::default());
    }

    #[test]
    fn a_complaint_names_file_line_what_was_found_and_what_is_right() {
        let text = complaint("[capture]\nsnaplenn = 1\n");
        assert!(text.contains("gatewatch.toml: line 2: `snaplenn = 1`: unknown field"), "{text}");
        let text = complaint("[capture]\nsnaplen = \"big\"\n");
        assert!(text.contains("line 2") && text.contains("invalid type"), "{text}");
        let text = complaint("[capture]\nsnaplen = 10\nworkers = 9\n[origin]\nhome = [\"Germany\"]\n");
        for part in ["capture.snaplen: 10", "96 to 262144", "capture.workers: 9", "origin.home[0]", "Germany"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn drop_ins_are_read_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gatewatch.toml");
        std::fs::create_dir(folder.path().join("conf.d")).unwrap();
        std::fs::write(&file, "[capture]\nsnaplen = 1000\npromiscuous = true\n[[site]]\nname = \"a\"\n")
            .unwrap();
        std::fs::write(
            folder.path().join("conf.d/10.toml"),
            "[capture]\nsnaplen = 2000\n[[site]]\nname = \"b\"\n",
        )
        .unwrap();
        std::fs::write(folder.path().join("conf.d/20.toml"), "[capture]\nsnaplen = 3000\n").unwrap();
        std::fs::write(folder.path().join("conf.d/30.txt"), "nonsense").unwrap();
        let loaded = load(Some(&file)).unwrap();
        assert_eq!((loaded.settings.capture.snaplen, loaded.settings.capture.promiscuous), (3_000, true));
        assert_eq!(loaded.settings.site.len(), 2);
        assert!(loaded.sources["capture.snaplen"].ends_with("20.toml"));
        assert!(!loaded.sources.contains_key("capture.filter"));
    }

    #[test]
    fn a_named_file_must_exist() {
        assert!(
            load(Some(Path::new("/nonexistent/gatewatch.toml"))).unwrap_err()[0]
                .text
                .contains("cannot be read")
        );
    }
}
