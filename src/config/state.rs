//! `[state]`: where the durable state lies.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::size::Size;

/// `[state]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Folder of the store.
    pub directory: PathBuf,
    /// Socket that `gatewatch status` asks.
    pub socket: PathBuf,
    /// Seconds of attempts that a kill may cost, 1 to 300: they are written twice in that time. More writes less, to flash.
    pub sync_secs: u32,
    /// Days that tallies are kept by the hour, 31 to 36500; older ones by the day.
    pub keep_hours_days: u32,
    /// Days that tallies are kept by the day, 31 to 36500; older ones by the month.
    pub keep_days_days: u32,
    /// Years that the monthly tallies are kept, 1 to 100.
    pub keep_years: u16,
    /// Size of the store, 16MiB to 1TiB. Beyond it addresses go first, then hours, days, prefixes; never a count.
    pub limit: Size,
    /// Source rows of one day, 1000 to 100000000; what comes beyond is counted by country.
    pub sources_per_day: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/gatewatch"),
            socket: PathBuf::from("/run/gatewatch/gatewatch.sock"),
            sync_secs: 1,
            keep_hours_days: 400,
            keep_days_days: 1_830,
            keep_years: 10,
            limit: Size(4 << 30),
            sources_per_day: 100_000,
        }
    }
}
