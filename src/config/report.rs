//! `[report]`: what is written, where and for how long.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::size::Size;

/// `[report]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// Folder of events, sources and reports.
    pub directory: PathBuf,
    /// json | csv | text | html
    pub formats: Vec<String>,
    /// hour | day | month | year
    pub periods: Vec<String>,
    /// Seconds after which the reports of open periods are written anew, 10 to 86400; where nothing was counted, ten times that.
    pub refresh_secs: u32,
    /// Time zone that reports show times in, a name of the IANA database or UTC; stored times and periods are UTC.
    pub time_zone: String,
    /// Minutes without an attempt after which an incident of one source, class and site has ended, 1 to 1440.
    pub incident_gap_mins: u32,
    /// Whether the start and the end of each incident are told to the journal, or on standard error where there is none.
    pub journal: bool,
    /// Incidents that are told so in a minute, 1 to 10000; how many more there were is told then.
    pub journal_per_minute: u32,
    /// Whether event and source files are written.
    pub events: bool,
    /// Whether a tally file of each day is written below `tally/`, for analysts and fleets.
    pub tallies: bool,
    /// Name of this sensor in tally files and merged reports: 1 to 64 letters, digits, `.`, `_`, `-`. Empty: the host's name.
    pub sensor: String,
    /// File with the secret that sources are hashed by in sketches; the same on each sensor of a fleet, so that their
    /// sketches merge. Empty: a secret of this store alone.
    pub sketch_key_file: PathBuf,
    /// Size at which an events file is continued in a next part, 1MiB to 16GiB.
    pub events_part: Size,
    /// Days after which event and source files are removed, 1 to 36500.
    pub keep_events_days: u32,
    /// Days after which reports of hours and days are removed, 1 to 36500; months and years stay.
    pub keep_reports_days: u32,
    /// Days after which tally files are removed, 1 to 36500.
    pub keep_tallies_days: u32,
    /// Bytes that event, source and tally files may take together; the oldest days go first, tally files last.
    pub keep_bytes: Size,
    /// Bytes that are left free on the file system of the folder, 0 to 1TiB: below it no event lines are written, while attempts
    /// are counted on.
    pub keep_free: Size,
    /// Days after which a closed day's event and source files are compressed (zstd), 0 to 36500.
    pub compress_after_days: u32,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/log/gatewatch"),
            formats: ["json", "csv", "text", "html"].map(String::from).to_vec(),
            periods: ["day", "month", "year"].map(String::from).to_vec(),
            refresh_secs: 60,
            time_zone: "UTC".to_owned(),
            incident_gap_mins: 30,
            journal: true,
            journal_per_minute: 300,
            events: true,
            tallies: true,
            sensor: String::new(),
            sketch_key_file: PathBuf::new(),
            events_part: Size(1 << 30),
            keep_events_days: 90,
            keep_reports_days: 1_830,
            keep_tallies_days: 400,
            keep_bytes: Size(4 << 30),
            keep_free: Size(64 << 20),
            compress_after_days: 2,
        }
    }
}
