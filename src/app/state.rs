//! The state of the daemon as the status socket tells it: shapes only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::app::activity::Activity;

/// One-shot state of the daemon, as `gatewatch status` gets it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// Version of this shape: 1 had no `activity`, 2 no `vitals`.
    #[serde(default)]
    pub schema_version: u32,
    /// The name of a [`State`].
    pub state: String,
    /// Version of the daemon.
    pub version: String,
    /// RFC 3339 time of the start.
    pub started: String,
    /// Interfaces and whether each is being read.
    pub interfaces: Vec<InterfaceStatus>,
    /// Counters of the packet path by name, since the start.
    pub counters: BTreeMap<String, u64>,
    /// Attempts counted since the start.
    pub attempts: u64,
    /// How far the written tallies reach, RFC 3339.
    pub written: Option<String>,
    /// What is wrong, one line each.
    pub troubles: Vec<String>,
    /// Databases in use: type and build date.
    pub databases: Vec<String>,
    /// What happened that reports tell as well, a line each: the store was rebuilt.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What the process has given up and what it could not, a line a part.
    #[serde(default)]
    pub confinement: Vec<String>,
    /// Hash of the detection set.
    pub detector_set: String,
    /// What was counted since the start, and the incidents under way.
    #[serde(default)]
    pub activity: Activity,
    /// How the process itself is.
    #[serde(default)]
    pub vitals: Vitals,
}

/// Version of the status that is told.
pub const STATUS_VERSION: u32 = 3;

/// The one word on the daemon, for the status, its exit code, the metrics and the service manager alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Every interface is down, or nothing can be dated.
    Blind,
    /// It captures and writes.
    Capturing,
    /// It captures and writes, and something is wrong.
    Degraded,
    /// It captures, and tallies cannot be written: they wait in memory.
    NotWriting,
    /// A thread gives no sign of life.
    Stalled,
    /// No interface is read yet.
    Starting,
    /// It drains and ends.
    Stopping,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Blind,
        Self::Capturing,
        Self::Degraded,
        Self::NotWriting,
        Self::Stalled,
        Self::Starting,
        Self::Stopping,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Capturing => "capturing",
            Self::Degraded => "degraded",
            Self::NotWriting => "not writing",
            Self::Stalled => "stalled",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
        }
    }

    /// Whether packets are captured and tallies written: what health is.
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Capturing | Self::Degraded)
    }
}

impl Status {
    /// The state. One of a later version that is not known is no good one.
    pub fn known_state(&self) -> State {
        State::ALL.into_iter().find(|state| state.name() == self.state).unwrap_or(State::Starting)
    }
}

/// How the process is. Times are seconds since 1970.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Vitals {
    /// Whether packets are captured and tallies written.
    pub healthy: bool,
    /// The threads, and how long ago each gave a sign of life.
    pub threads: Vec<ThreadStatus>,
    /// Records that wait for the classifier, and how many can.
    pub channel: [u64; 2],
    /// When the daemon started.
    pub started_secs: f64,
    /// How far the written tallies reach.
    pub reached_secs: Option<f64>,
    /// When tallies were last written.
    pub written_secs: Option<f64>,
    /// How long that took.
    pub write_took_secs: f64,
    /// How far the written tallies are behind the clock.
    pub lag_secs: Option<f64>,
    /// Bytes of memory in use, the capture ring left out; where the system tells.
    pub resident_bytes: Option<u64>,
    /// The limit of the settings.
    pub memory_limit_bytes: u64,
    /// How the limit is divided.
    pub memory_shares: BTreeMap<String, u64>,
    /// When each database in use was built, by its type.
    pub databases_built_secs: BTreeMap<String, f64>,
    /// Incidents under way, of those that are remembered.
    pub incidents_open: u64,
    /// What was shed behind the packet path since the start, by what it is.
    pub shed: BTreeMap<String, u64>,
}

/// A thread.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ThreadStatus {
    /// Its name.
    pub name: String,
    /// How long ago it gave a sign of life.
    pub age_ms: u64,
}

/// One captured interface.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Whether frames are being read from it.
    pub capturing: bool,
    /// `up`, `down` (or without a carrier), `silent` (up, and no frame for long), `clock not set` or `gone`.
    #[serde(default)]
    pub link: String,
    /// Its largest packet in bytes; 0: not told.
    #[serde(default)]
    pub mtu: u32,
    /// Megabits a second; 0: not told.
    #[serde(default)]
    pub speed_mbits: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_known_by_its_name_and_only_two_are_healthy() {
        for state in State::ALL {
            let status = Status { state: state.name().to_owned(), ..Status::default() };
            assert_eq!(status.known_state(), state);
        }
        let healthy: Vec<&str> =
            State::ALL.into_iter().filter(|state| state.is_healthy()).map(State::name).collect();
        assert_eq!(healthy, ["capturing", "degraded"]);
        assert!(!Status { state: "dancing".into(), ..Status::default() }.known_state().is_healthy());
    }
}
