//! Reading settings: the file, then its drop-ins, then the command line, then the checks. All complaints at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::config::given::Given;
use crate::config::{Settings, check};

/// The file that is read where none is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/gatewatch/gatewatch.toml";
/// A settings file larger than this is something else.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// Where a value comes from that is no default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// An option of the command line.
    CommandLine(&'static str),
    /// The file, or a drop-in.
    File(PathBuf),
    /// A folder that the service manager made, told by a variable.
    Service(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(option) => write!(f, "command line ({option})"),
            Self::File(path) => path.display().fmt(f),
            Self::Service(variable) => write!(f, "service manager (${variable})"),
        }
    }
}

/// The source of each dotted key that was set; a key of a table in a list has the number of the table: `site[0].name`.
pub type Sources = BTreeMap<String, Source>;

/// What is wrong with a setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Complaint {
    /// Where the value comes from, where that is known.
    pub source: Option<Source>,
    /// Dotted key, or the line.
    pub place: String,
    /// What was found and what would be right.
    pub text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
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
    /// Where each value comes from; absent: the default.
    pub sources: Sources,
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

/// Reads `file` (which must exist if it is named) and `conf.d/*.toml` beside it, and puts what the command line gives over it.
pub fn load(file: Option<&Path>, given: &[Given]) -> Result<Loaded, Vec<Complaint>> {
    let main = file.unwrap_or(Path::new(DEFAULT_FILE));
    let mut complaints = Vec::new();
    let mut merged = Merged::default();
    if file.is_some() || main.exists() {
        read(main, &mut merged, &mut complaints);
    }
    for drop_in in drop_ins(main) {
        read(&drop_in, &mut merged, &mut complaints);
    }
    for value in given {
        take(value, &mut merged, &mut complaints);
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let settings = Settings::deserialize_from(&merged.table)
        .map_err(|text| vec![Complaint { source: None, place: String::new(), text }])?;
    finish(settings, merged.sources)
}

/// Checks settings that were put together otherwise (folders of the service manager).
pub fn finish(settings: Settings, sources: Sources) -> Result<Loaded, Vec<Complaint>> {
    let found = check::check(&settings);
    if !found.is_empty() {
        let complaint =
            |(place, text): (String, String)| Complaint { source: blamed(&place, &sources), place, text };
        return Err(found.into_iter().map(complaint).collect());
    }
    Ok(Loaded { warnings: check::warnings(&settings), settings, sources })
}

/// Who set the key, the list that it is in, or the list of tables that is one in.
fn blamed(place: &str, sources: &Sources) -> Option<Source> {
    let mut place = place;
    loop {
        if let Some(source) = sources.get(place) {
            return Some(source.clone());
        }
        place = place.rsplit_once('[')?.0;
    }
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

/// What was read so far.
#[derive(Default)]
struct Merged {
    table: Table,
    sources: Sources,
}

/// Reads one file into the merged table. Tables merge, lists of tables grow, everything else is replaced.
fn read(path: &Path, merged: &mut Merged, complaints: &mut Vec<Complaint>) {
    let source = Source::File(path.to_owned());
    let mut complain = |place: String, text: String| {
        complaints.push(Complaint { source: Some(source.clone()), place, text });
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
        Ok(table) => merge(&mut merged.table, table, "", (&source, &mut merged.sources)),
        Err(error) => complain(String::new(), error.message().to_owned()),
    }
}

/// Takes a value of the command line. A list of tables is replaced as a whole, as any other list is.
fn take(given: &Given, merged: &mut Merged, complaints: &mut Vec<Complaint>) {
    let source = Source::CommandLine(given.option);
    // By itself it must be right, so that a complaint can name it.
    if let Err(text) = Settings::deserialize_from(&given.table()) {
        let text = text.replace('\n', ", ");
        complaints.push(Complaint { source: Some(source), place: given.key.clone(), text });
        return;
    }
    merge(&mut merged.table, given.table(), "", (&source, &mut merged.sources));
}

/// The line that an error of the TOML reader is about, and its words.
pub fn explain(text: &str, error: &toml::de::Error) -> (String, String) {
    let Some(span) = error.span() else { return (String::new(), error.message().replace('\n', ", ")) };
    let before = text.get(..span.start).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let line: String = text.lines().nth(number - 1).unwrap_or_default().trim().chars().take(120).collect();
    (format!("line {number}"), format!("`{line}`: {}", error.message().replace('\n', ", ")))
}

fn merge(into: &mut Table, from: Table, prefix: &str, (source, sources): (&Source, &mut Sources)) {
    let adds = matches!(source, Source::File(_));
    for (key, value) in from {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (into.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(more)) => merge(known, more, &dotted, (source, sources)),
            (Some(Value::Array(known)), Value::Array(more))
                if adds && more.iter().all(Value::is_table) && known.iter().all(Value::is_table) =>
            {
                note_items(&more, &dotted, known.len(), (source, sources));
                known.extend(more);
            }
            (None, Value::Table(more)) => {
                let mut table = Table::new();
                merge(&mut table, more, &dotted, (source, sources));
                into.insert(key, Value::Table(table));
            }
            (_, other) => {
                let of_item = format!("{dotted}[");
                sources.retain(|known, _| !known.starts_with(&of_item));
                note_items(other.as_array().map_or(&[], Vec::as_slice), &dotted, 0, (source, sources));
                into.insert(key, other);
            }
        }
    }
}

/// Notes who set a value, and each key of the tables in it if it is a list of some, the first of which has that number.
fn note_items(items: &[Value], dotted: &str, first: usize, (source, sources): (&Source, &mut Sources)) {
    sources.insert(dotted.to_owned(), source.clone());
    for (number, item) in (first..).zip(items) {
        for key in item.as_table().into_iter().flat_map(Table::keys) {
            sources.insert(format!("{dotted}[{number}].{key}"), source.clone());
        }
    }
}

impl Settings {
    /// By way of text: what reads tables as they are would be a second deserializer of every section, in a binary that is to be
    /// small.
    fn deserialize_from(table: &Table) -> Result<Self, String> {
        toml::from_str(&table.to_string()).map_err(|error| error.message().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Loaded, Vec<Complaint>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gatewatch.toml");
        std::fs::write(&file, text).unwrap();
        load(Some(&file), &[])
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
        let loaded = load(Some(&file), &[]).unwrap();
        assert_eq!((loaded.settings.capture.snaplen, loaded.settings.capture.promiscuous), (3_000, true));
        assert_eq!(loaded.settings.site.len(), 2);
        assert!(loaded.sources["capture.snaplen"].to_string().ends_with("20.toml"));
        assert!(loaded.sources["site[0].name"].to_string().ends_with("gatewatch.toml"));
        assert!(loaded.sources["site[1].name"].to_string().ends_with("10.toml"));
        assert!(!loaded.sources.contains_key("capture.filter"));
    }

    #[test]
    fn a_named_file_must_exist() {
        assert!(
            load(Some(Path::new("/nonexistent/gatewatch.toml")), &[]).unwrap_err()[0]
                .text
                .contains("cannot be read")
        );
    }

    #[test]
    fn the_command_line_goes_before_every_file_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gatewatch.toml");
        std::fs::write(&file, "[capture]\nsnaplen = 1000\n[[site]]\nname = \"a\"\nports = [80]\n").unwrap();
        let given =
            |texts: &[&str]| -> Vec<Given> { texts.iter().map(|text| Given::parse(text).unwrap()).collect() };
        let set = given(&["capture.snaplen=2000", "site = [{name = \"b\"}]", "capture.snaplen=3000"]);
        let loaded = load(Some(&file), &set).unwrap();
        assert_eq!((loaded.settings.capture.snaplen, loaded.settings.site[0].name.as_str()), (3_000, "b"));
        assert_eq!(loaded.sources["capture.snaplen"].to_string(), "command line (--set)");
        assert_eq!(loaded.sources["site[0].name"].to_string(), "command line (--set)");
        assert!(!loaded.sources.contains_key("site[0].ports"), "the list was replaced");
        for (text, told) in [
            ("capture.snaplenn=1", "command line (--set): capture.snaplenn: unknown field `snaplenn`"),
            ("capture.snaplen=\"x\"", "command line (--set): capture.snaplen: invalid type"),
            ("capture.snaplen=7", "command line (--set): capture.snaplen: 7: 96 to 262144"),
            ("capture=7", "command line (--set): capture: invalid type"),
            ("origin.home=[\"Germany\"]", "command line (--set): origin.home[0]: \"Germany\""),
        ] {
            let complaint = load(Some(&file), &given(&[text])).unwrap_err()[0].to_string();
            assert!(complaint.starts_with(told), "{text}: {complaint}");
        }
    }
}
