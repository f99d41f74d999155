//! `[confinement]`: which of its privileges the process gives up.

use serde::{Deserialize, Serialize};

use crate::config::yes;

/// `[confinement]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Confinement {
    /// Give up every capability but a resting `CAP_NET_RAW`.
    #[serde(default = "yes")]
    pub capabilities: bool,
    /// Close the file system but for the folders that the settings name (Landlock).
    #[serde(default = "yes")]
    pub files: bool,
    /// Refuse the system calls that gatewatch does not need (seccomp).
    #[serde(default = "yes")]
    pub system_calls: bool,
}

impl Default for Confinement {
    fn default() -> Self {
        Self { capabilities: true, files: true, system_calls: true }
    }
}
