//! `[state]`: where the durable state lies.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[state]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Folder of the store.
    pub directory: PathBuf,
    /// Socket that `gatewatch status` asks.
    pub socket: PathBuf,
    /// Years that the monthly tallies are kept, 1 to 100.
    pub keep_years: u16,
}

impl Default for State {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/gatewatch"),
            socket: PathBuf::from("/run/gatewatch/gatewatch.sock"),
            keep_years: 10,
        }
    }
}
