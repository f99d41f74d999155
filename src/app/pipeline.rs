//! The threads of one run: capture → classify → report, started, asked and joined here.

use serde::{Deserialize, Serialize};

/// What the control plane may ask of a running pipeline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Build new settings, rules and databases; keep the old where the new are bad.
    Reload,
    /// Start a new part of the events file now.
    Rotate,
    /// Drain, write and end.
    Stop,
}

/// One-shot state of the daemon, as `gatewatch status` gets it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// `starting`, `capturing`, `degraded` (capturing, but something is wrong) or `stopping`.
    pub state: String,
    /// Version of the daemon.
    pub version: String,
    /// RFC 3339 time of the start.
    pub started: String,
    /// Interfaces and whether each is being read.
    pub interfaces: Vec<InterfaceStatus>,
    /// Counters of the packet path by name, since the start.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// Attempts counted since the start.
    pub attempts: u64,
    /// RFC 3339 time of the last snapshot that reached the disk.
    pub written: Option<String>,
    /// What is wrong, one line each.
    pub troubles: Vec<String>,
    /// Databases in use: type and build date.
    pub databases: Vec<String>,
    /// Hash of the detection set.
    pub detector_set: String,
}

/// One captured interface.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Whether frames are being read from it.
    pub capturing: bool,
}
