//! The command line: shapes only. What a command does lives in app.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

/// The release, the commit where the builder named it (`make` does), the machine it was built for, and what it confines itself
/// with.
fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let commit = option_env!("GATEWATCH_COMMIT").filter(|commit| !commit.is_empty());
        format!(
            "{} (commit {}, {}-{}, +landlock +seccomp +systemd)",
            env!("CARGO_PKG_VERSION"),
            commit.unwrap_or("not recorded"),
            std::env::consts::ARCH,
            std::env::consts::OS
        )
    });
    &TEXT
}

/// Counts attack requests on a gateway, per origin, and defends the number.
#[derive(Debug, Parser)]
#[command(version = version(), about, long_about = None, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log more (twice: everything). `GATEWATCH_LOG` overrides it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// The configuration file.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArg {
    /// Configuration file. Without it /etc/gatewatch/gatewatch.toml is read if it exists; drop-ins in conf.d/*.toml
    /// beside the file are read after it.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting, before every file: a dotted key and a value of TOML, such as capture.snaplen=1600; may be given several
    /// times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture live and write reports: the daemon, in the foreground, for systemd.
    Run {
        /// Where the settings are.
        #[command(flatten)]
        config: ConfigArg,
        /// Interface to listen on, instead of capture.interfaces; may be given several times.
        #[arg(short, long, value_name = "IFACE")]
        interface: Vec<String>,
    },
    /// Take capture files through the same path as live traffic, write the same reports, and exit.
    Replay {
        /// Where the settings are.
        #[command(flatten)]
        config: ConfigArg,
        /// Folder of the reports. A second replay into the same folder counts nothing twice.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Home countries, instead of origin.home.
        #[arg(long, value_name = "CC,...", value_delimiter = ',')]
        home: Vec<String>,
        /// Capture files (pcap or pcapng, plain, .gz or .zst), folders of them, or - for standard input.
        #[arg(required = true, value_name = "PCAP")]
        captures: Vec<PathBuf>,
    },
    /// Check settings, rules and databases, and print the settings in effect with where each comes from.
    Check(CheckArgs),
    /// Print a report from the store, or from folders of reports.
    Report(ReportArgs),
    /// Count the sources of a period anew by another country database, and print what the database alone moves.
    Recount(RecountArgs),
    /// Ask the running daemon for its state; exit 0 only if it is capturing.
    Status {
        /// Where the settings are (for the socket's path).
        #[command(flatten)]
        config: ConfigArg,
        /// Socket to ask, instead of state.socket.
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        /// Print the state as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Watch the running daemon on a terminal: rates, classes, origins, incidents, losses. Keys are named in its last line.
    Top {
        /// Where the settings are (for the socket's path and the time zone).
        #[command(flatten)]
        config: ConfigArg,
        /// Socket to ask, instead of state.socket.
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        /// Time zone to show times in, instead of `report.time_zone`.
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
    },
    /// Tell why something was counted: every attempt of an address, or the event with an id, with its evidence.
    Explain {
        /// Where the settings are (for the report folder and the titles of rules).
        #[command(flatten)]
        config: ConfigArg,
        /// Folder of the event files, instead of report.directory.
        #[arg(long = "from-dir", value_name = "DIR")]
        folder: Option<PathBuf>,
        /// An address, or the id of an event.
        #[arg(value_name = "ADDRESS|EVENT-ID")]
        asked: String,
    },
    /// Recompute every total of a report folder from its events, sources and store, and check its hashes and chains.
    Verify {
        /// The folder: report.directory, or one that a replay wrote.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// The detectors in use.
    Rules {
        /// What to do with them.
        #[command(subcommand)]
        command: RulesCommand,
    },
    /// Geolocation databases.
    Geo {
        /// What to do.
        #[command(subcommand)]
        command: GeoCommand,
    },
    /// Print the origin of addresses as gatewatch sees it.
    Lookup {
        /// Where the settings are.
        #[command(flatten)]
        config: ConfigArg,
        /// Addresses.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<IpAddr>,
    },
    /// Print a completion script for a shell.
    Completions {
        /// bash, zsh, fish, …
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder.
    Man {
        /// The folder; it must exist.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// What to check.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Where the settings are.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Interface to listen on, as for run.
    #[arg(short, long, value_name = "IFACE")]
    pub interface: Vec<String>,
    /// Home countries, as for replay.
    #[arg(long, value_name = "CC,...", value_delimiter = ',')]
    pub home: Vec<String>,
}

/// What to report on.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Where the settings are.
    #[command(flatten)]
    pub config: ConfigArg,
    /// A month: 2012-06.
    #[arg(long, value_name = "YYYY-MM", group = "period")]
    pub month: Option<String>,
    /// A year: 2012.
    #[arg(long, value_name = "YYYY", group = "period")]
    pub year: Option<String>,
    /// A day: 2012-06-30.
    #[arg(long, value_name = "YYYY-MM-DD", group = "period")]
    pub day: Option<String>,
    /// First day, month or year of a range.
    #[arg(long, value_name = "PERIOD", requires = "to", group = "period")]
    pub from: Option<String>,
    /// Last day, month or year of the range, included.
    #[arg(long, value_name = "PERIOD", requires = "from")]
    pub to: Option<String>,
    /// Two years, months or days side by side, with a test for change: --compare 2011 2012 (text | md | json | csv).
    #[arg(long, value_name = "PERIOD", num_args = 2, group = "period", conflicts_with_all = ["statement", "public"])]
    pub compare: Vec<String>,
    /// One site only.
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// For the public: no addresses, no texts of attackers, rows of fewer than so many sources put together.
    #[arg(long, value_name = "SOURCES", num_args = 0..=1, default_missing_value = "5")]
    pub public: Option<u64>,
    /// The sentence alone, in three strengths with every qualifier it owes: for the press, in full, with notes (text | md | json).
    #[arg(long)]
    pub statement: bool,
    /// Language of the statement: en | zh
    #[arg(long, value_name = "LANGUAGE", default_value = "en", requires = "statement")]
    pub language: String,
    /// A wording of one's own for the statement, instead of a language that is built in.
    #[arg(long, value_name = "FILE", requires = "statement", conflicts_with = "language")]
    pub template: Option<PathBuf>,
    /// Time zone to show times in, instead of `report.time_zone`: Asia/Shanghai, UTC.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// text | json | csv | html | md
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: String,
    /// File to write, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Folder whose store is read (one that a replay wrote, or state.directory), instead of state.directory. Given several
    /// times, the sensors are put together; each folder should hold its events-*.jsonl files, by which attempts that two
    /// sensors saw are told.
    #[arg(long, value_name = "DIR")]
    pub from_dir: Vec<PathBuf>,
}

/// What to count anew.
#[derive(Args, Debug)]
pub struct RecountArgs {
    /// Where the settings are: what is home, and the folder of the store.
    #[command(flatten)]
    pub config: ConfigArg,
    /// The other country database (.mmdb).
    #[arg(long, value_name = "FILE")]
    pub geo: PathBuf,
    /// A month: 2012-06.
    #[arg(long, value_name = "YYYY-MM", group = "recounted")]
    pub month: Option<String>,
    /// A year: 2012.
    #[arg(long, value_name = "YYYY", group = "recounted")]
    pub year: Option<String>,
    /// A day: 2012-06-30.
    #[arg(long, value_name = "YYYY-MM-DD", group = "recounted")]
    pub day: Option<String>,
    /// text | json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: String,
    /// File to write, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Report folder whose store is read (one that a replay wrote, or state.directory), instead of state.directory.
    #[arg(long, value_name = "DIR")]
    pub from_dir: Option<PathBuf>,
}

/// `gatewatch rules …`
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// One line a detector: id, class, weight, hash, recall where it was measured, title.
    List {
        /// Where the settings are.
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Judge the requests in capture files and print every attempt with its evidence; nothing is counted or written.
    Test {
        /// Where the settings are.
        #[command(flatten)]
        config: ConfigArg,
        /// Capture files, folders of them, or - for standard input.
        #[arg(required = true, value_name = "PCAP")]
        captures: Vec<PathBuf>,
    },
}

/// `gatewatch geo …`
#[derive(Debug, Subcommand)]
pub enum GeoCommand {
    /// Build a country database from `first,last,country` or `network,country` lines (plain, .gz, .zst).
    Build {
        /// The table of ranges.
        source: PathBuf,
        /// The database to write.
        #[arg(short, long, value_name = "FILE.mmdb")]
        output: PathBuf,
        /// Date that the data are of, written into the database.
        #[arg(long, value_name = "YYYY-MM-DD")]
        date: String,
    },
}
