//! Real tools against real servers in a bed: each scenario is a row, what the daemon told of it is compared with what the
//! server's log or the tool itself says.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::bed::Bed;
use super::sensor::run;

/// The address of the bed's server.
pub const SERVER: &str = "203.0.113.10";
/// A scenario that lasts longer than this is cut off by `timeout`.
const SCENARIO_SECS: u32 = 100;
/// The same from here, with room for its end.
const PATIENCE: Duration = Duration::from_secs(SCENARIO_SECS as u64 + 20);
/// Places of programs that a `PATH` without the folders of the system's own may lack.
const FURTHER_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The rows.
const SCENARIOS: &str = include_str!("knock.toml");

/// One row: a tool, acting once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    group: String,
    name: String,
    /// The server that it needs; more may run.
    #[serde(default)]
    server: String,
    tools: Vec<String>,
    source: String,
    command: String,
    /// Addresses each of which must have the count.
    #[serde(default)]
    each: Vec<String>,
    /// The beginning of addresses that have the count together.
    together: Option<String>,
    /// The site, where the sender cannot be proved.
    site: Option<String>,
    /// The class of what must come out; none: silence.
    class: Option<String>,
    logged: Option<String>,
    exactly: Option<u64>,
    range: Option<(u64, u64)>,
    #[serde(default)]
    seconds: bool,
}

#[derive(Deserialize)]
struct Rows {
    scenario: Vec<Scenario>,
}

/// By what attempts are found.
#[derive(Clone, Debug)]
enum Who {
    Address(String),
    Together(String),
    Site(String),
}

/// A bed with servers, on which scenarios are played one after the other.
#[derive(Debug)]
pub struct Stage {
    bed: Bed,
    folder: TempDir,
    served: Vec<&'static str>,
    played: Vec<Played>,
}

/// A scenario that was played.
#[derive(Debug)]
struct Played {
    scenario: Scenario,
    begin: String,
    end: String,
    seconds: u64,
    logged: u64,
}

impl Stage {
    /// Builds the bed and starts the servers whose programs are there; others are told as skipped.
    pub fn up(bed: Bed, servers: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Servers that give up root still read their settings below it.
        chmod(folder.path());
        let words: Vec<String> = (1..=12).map(|number| format!("wrong-{number}")).collect();
        std::fs::write(folder.path().join("words"), words.join("\n") + "\n").expect("words written");
        let mut stage = Self { bed, folder, served: Vec::new(), played: Vec::new() };
        for (server, program) in servers {
            if installed(program) {
                stage.serve(server);
            } else {
                eprintln!("skipped: server {server}: {program} is not installed");
            }
        }
        stage
    }

    /// The bed.
    pub const fn bed(&self) -> &Bed {
        &self.bed
    }

    fn serve(&mut self, server: &'static str) {
        let folder = self.folder.path().join(server);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut command = self.bed.command("server", support("knock.sh"));
        command.arg(server).arg(&folder).arg(SERVER);
        let ended = run(command, b"", PATIENCE);
        assert_eq!(ended.code, Some(0), "{server}: {ended:?}");
        self.served.push(server);
    }

    /// Runs a line of bash in a part of the bed; it must succeed.
    pub fn prepare(&self, part: &str, line: &str) {
        let mut command = self.bed.command(part, "bash");
        command.args(["-euc", line]);
        let ended = run(command, b"", PATIENCE);
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    }

    /// Plays the scenarios of a group, or says why one is not played.
    pub fn play(&mut self, group: &str) {
        let rows: Rows = toml::from_str(SCENARIOS).expect("the rows are TOML");
        let rows: Vec<Scenario> = rows.scenario.into_iter().filter(|row| row.group == group).collect();
        assert!(!rows.is_empty(), "no scenario of {group}");
        for row in rows {
            match self.obstacle(&row) {
                Some(what) => eprintln!("skipped: {}: {what} is not there", row.name),
                None => self.play_row(row),
            }
        }
    }

    fn obstacle<'a>(&self, row: &'a Scenario) -> Option<&'a str> {
        let tool = row.tools.iter().find(|tool| !installed(tool)).map(String::as_str);
        let server = Some(row.server.as_str()).filter(|server| !server.is_empty());
        tool.or_else(|| server.filter(|server| !self.served.contains(server)))
    }

    fn play_row(&mut self, row: Scenario) {
        self.prepare(
            "client",
            &format!(
                "ip addr replace {0}/32 dev lo; ip route replace 203.0.113.0/24 via 198.51.100.1 src {0}",
                row.source
            ),
        );
        let before = self.logged(&row);
        // A flood is dated by whole seconds.
        let (begin, watch) = (clock(-1), std::time::Instant::now());
        let mut command = self.bed.command("client", "timeout");
        command.args(["-k", "5", &SCENARIO_SECS.to_string(), "bash", "-uc", &row.command]);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.env("SERVER", SERVER).env("SOURCE", &row.source).env("PASSWORD", "harbour-lamp-7");
        command.env("CLIENT", support("knock.py")).env("ROUTER", self.router());
        let ended = run(command, b"", PATIENCE);
        let (seconds, end) = (watch.elapsed().as_secs(), clock(1));
        let logged = self.logged(&row) - before;
        // Tools end with codes of their own when they were refused; one that could not be run is a fault of the row.
        assert!(!matches!(ended.code, Some(126 | 127)), "{}: {ended:?}", row.name);
        if row.logged.is_some() {
            assert!(logged > 0, "{}: the server logged nothing: {ended:?}", row.name);
        }
        self.played.push(Played { scenario: row, begin, end, seconds, logged });
    }

    /// The gateway's Ethernet address, for tools with a stack of their own.
    fn router(&self) -> String {
        let mut command = self.bed.command("gateway", "cat");
        command.arg("/sys/class/net/wan0/address");
        run(command, b"", PATIENCE).stdout.trim().to_owned()
    }

    /// Lines of the server's log with the row's words.
    fn logged(&self, row: &Scenario) -> u64 {
        let Some(words) = &row.logged else { return 0 };
        let log = self.folder.path().join(&row.server).join(format!("{}.log", row.server));
        let text = std::fs::read(&log).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(words)).count() as u64
    }

    /// How many of the scenarios that were played must be counted: none where every tool or server is absent.
    pub fn attacks_played(&self) -> usize {
        self.played.iter().filter(|played| played.scenario.class.is_some()).count()
    }

    /// Compares what was played with what was told; every difference is one line.
    pub fn differences(&self, events: &[Value]) -> Vec<String> {
        let told = Told { events };
        self.played.iter().flat_map(|played| played.differences(&told)).collect()
    }
}

impl Played {
    fn differences(&self, told: &Told<'_>) -> Vec<String> {
        let row = &self.scenario;
        let searched: Vec<Who> = match (&row.site, &row.together, row.each.as_slice()) {
            (Some(site), ..) => vec![Who::Site(site.clone())],
            (_, Some(beginning), _) => vec![Who::Together(beginning.clone())],
            (.., []) => vec![Who::Address(row.source.clone())],
            (.., each) => each.iter().cloned().map(Who::Address).collect(),
        };
        searched.iter().filter_map(|who| self.difference(who, told)).collect()
    }

    fn difference(&self, who: &Who, told: &Told<'_>) -> Option<String> {
        let rows = told.rows(who);
        let counted: BTreeMap<&str, u64> = rows.iter().map(|(class, row)| (*class, row.attempts)).collect();
        let wanted = self.wanted();
        let class = self.scenario.class.as_deref();
        let said =
            format!("{}: {who:?}: wanted {class:?} {wanted:?}, counted {counted:?}", self.scenario.name);
        eprintln!("{said}");
        let fits = match class {
            None => counted.is_empty(),
            Some(class) => {
                counted.len() == 1 && counted.get(class).is_some_and(|count| wanted.contains(count))
            }
        };
        if !fits {
            return Some(said);
        }
        let outside = rows.values().find(|row| row.first < self.begin || row.last > self.end)?;
        let run = (&self.begin, &self.end);
        Some(format!("{}: {}..{} is outside {run:?}", self.scenario.name, outside.first, outside.last))
    }

    /// How many attempts must come out.
    fn wanted(&self) -> RangeInclusive<u64> {
        let row = &self.scenario;
        match (row.exactly, row.range) {
            (Some(count), _) => count..=count,
            (_, Some((low, high))) => low..=high,
            // A tool needs up to a second to begin and the last second may be a short one.
            _ if row.seconds => self.seconds.saturating_sub(2)..=self.seconds + 2,
            _ => self.logged..=self.logged,
        }
    }
}

/// What the event lines say.
struct Told<'a> {
    events: &'a [Value],
}

/// The attempts of one class.
#[derive(Debug)]
struct Row {
    attempts: u64,
    first: String,
    last: String,
}

impl<'a> Told<'a> {
    fn rows(&self, who: &Who) -> BTreeMap<&'a str, Row> {
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        for event in self.events.iter().filter(|event| who.sent(event)) {
            let class = event["gatewatch"]["class"].as_str().expect("a class");
            let at = |name: &str| {
                let incident = event["gatewatch"]["incident"][name].as_str();
                incident.or_else(|| event["timestamp"].as_str()).expect("a time").to_owned()
            };
            let (first, last) = (at("first"), at("last"));
            let row = rows.entry(class).or_insert_with(|| Row {
                attempts: 0,
                first: first.clone(),
                last: last.clone(),
            });
            row.attempts += event["gatewatch"]["represented"].as_u64().expect("a number");
            row.first = std::mem::take(&mut row.first).min(first);
            row.last = std::mem::take(&mut row.last).max(last);
        }
        rows
    }
}

impl Who {
    fn sent(&self, event: &Value) -> bool {
        let source = event["src_ip"].as_str();
        match self {
            Self::Address(address) => source == Some(address),
            Self::Together(beginning) => source.is_some_and(|source| source.starts_with(beginning)),
            Self::Site(site) => event["gatewatch"]["site"] == **site,
        }
    }
}

/// Whether a program is there.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = FURTHER_FOLDERS.iter().map(PathBuf::from);
    std::env::split_paths(&path).chain(further).any(|folder| folder.join(program).is_file())
}

fn support(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}

/// The time as event lines write it, `shift` seconds away.
fn clock(shift: i32) -> String {
    let date = format!("{shift} seconds");
    let output = Command::new("date").args(["-u", "-d", &date, "+%Y-%m-%dT%H:%M:%S.%6NZ"]).output();
    let output = output.expect("date runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn chmod(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}
