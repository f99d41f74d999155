//! The table of metrics: name, type, labels, what it tells, and where in the state it stands.
//!
//! Labels are bounded: threads, interfaces, tables and databases are few by nature, classes and countries by their lists, and rows
//! of attempts by those that the state tells (1,024, the others in one row `…`).

use std::collections::BTreeMap;

use crate::app::activity::ActivityRow;
use crate::app::state::{State, Status};

/// What kind of number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the daemon.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl Kind {
    /// The name in the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// The values of its labels, in the order of their names, and its own.
pub type Sample = (Vec<String>, f64);

/// A row of the table.
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
    /// Its samples.
    pub read: fn(&Status) -> Vec<Sample>,
}

macro_rules! metrics {
    ($($kind:ident $name:literal [$($label:literal)*] $help:literal $read:expr;)*) => {
        /// Every metric besides the counters of the packet path, which have a table of their own.
        pub const METRICS: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help, read: $read },)*
        ];
    };
}

metrics! {
    Gauge "gatewatch_up" [] "1 while packets are captured and tallies are written, else 0" |told| one(f64::from(u8::from(told.vitals.healthy)));
    Gauge "gatewatch_state" ["state"] "1 for the state that the status tells, 0 for every other" states;
    Gauge "gatewatch_troubles" [] "things that are wrong, as the status names them" |told| one(told.troubles.len() as f64);
    Gauge "gatewatch_build_info" ["version" "detection_set"] "1; what counts" |told| vec![(
        vec![told.version.clone(), told.detector_set.clone()], 1.0)];
    Gauge "gatewatch_start_time_seconds" [] "when the daemon started, in seconds since 1970" |told| one(told.vitals.started_secs);
    Gauge "gatewatch_thread_heartbeat_age_seconds" ["thread"] "time since the thread's last sign of life" |told| told.vitals.threads.iter()
        .map(|thread| (vec![thread.name.clone()], thread.age_ms as f64 / 1_000.0)).collect();
    Gauge "gatewatch_interface_up" ["interface"] "1 while what passes the interface is observed, else 0" |told| told.interfaces.iter()
        .map(|one| (vec![one.name.clone()], f64::from(u8::from(one.capturing && ["up", "silent"].contains(&one.link.as_str()))))).collect();
    Gauge "gatewatch_interface_mtu_bytes" ["interface"] "largest packet of the interface; 0: not told" |told| told.interfaces.iter()
        .map(|one| (vec![one.name.clone()], f64::from(one.mtu))).collect();
    Gauge "gatewatch_interface_speed_bits_per_second" ["interface"] "speed of the interface; 0: not told" |told| told.interfaces.iter()
        .map(|one| (vec![one.name.clone()], f64::from(one.speed_mbits) * 1e6)).collect();
    Counter "gatewatch_attempts_total" ["class" "site"] "attempts counted" |told| summed(told, |row| vec![
        row.class.clone(), row.site.clone()]);
    Counter "gatewatch_country_attempts_total" ["country"] "attempts counted, by the place of their source" |told| summed(told, |row| vec![
        row.country.clone()]);
    Gauge "gatewatch_incidents_open" [] "incidents under way (1024 are remembered)" |told| one(told.vitals.incidents_open as f64);
    Counter "gatewatch_shed_total" ["what"] "what was given up behind the packet path; attempts are counted all the same" |told| labelled(told.vitals.shed.iter().map(|(name, count)| (name, *count as f64)));
    Gauge "gatewatch_channel_records" [] "records that wait for the classifier" |told| one(told.vitals.channel[0] as f64);
    Gauge "gatewatch_channel_capacity_records" [] "records that can wait; what comes beyond is dropped and counted" |told| one(told.vitals.channel[1] as f64);
    Gauge "gatewatch_memory_resident_bytes" [] "memory in use, without the capture ring and mapped files" |told| optional(
        told.vitals.resident_bytes.map(|bytes| bytes as f64));
    Gauge "gatewatch_memory_limit_bytes" [] "memory.limit, which tables and buffers share" |told| one(told.vitals.memory_limit_bytes as f64);
    Gauge "gatewatch_memory_share_bytes" ["table"] "what a table may have of the limit" |told| labelled(told.vitals.memory_shares.iter().map(|(name, bytes)| (name, *bytes as f64)));
    Gauge "gatewatch_tallies_reach_timestamp_seconds" [] "how far the written tallies reach, in seconds since 1970" |told| optional(told.vitals.reached_secs);
    Gauge "gatewatch_tallies_lag_seconds" [] "how far the written tallies are behind the clock: what a crash would lose" |told| optional(told.vitals.lag_secs);
    Gauge "gatewatch_last_write_timestamp_seconds" [] "when tallies were last written, in seconds since 1970" |told| optional(told.vitals.written_secs);
    Gauge "gatewatch_last_write_duration_seconds" [] "how long that took" |told| one(told.vitals.write_took_secs);
    Gauge "gatewatch_database_build_timestamp_seconds" ["database"] "when a database in use was built, in seconds since 1970" |told| labelled(told.vitals.databases_built_secs.iter().map(|(name, secs)| (name, *secs)));
}

fn one(value: f64) -> Vec<Sample> {
    vec![(Vec::new(), value)]
}

fn optional(value: Option<f64>) -> Vec<Sample> {
    value.into_iter().map(|value| (Vec::new(), value)).collect()
}

fn labelled<'a>(values: impl Iterator<Item = (&'a String, f64)>) -> Vec<Sample> {
    values.map(|(name, value)| (vec![name.clone()], value)).collect()
}

fn states(told: &Status) -> Vec<Sample> {
    let now = told.known_state();
    let sample = |state: State| (vec![state.name().to_owned()], f64::from(u8::from(state == now)));
    State::ALL.into_iter().map(sample).collect()
}

/// Rows of attempts, added up by some of their names.
fn summed(told: &Status, by: fn(&ActivityRow) -> Vec<String>) -> Vec<Sample> {
    let mut sums = BTreeMap::<Vec<String>, u64>::new();
    for row in &told.activity.rows {
        *sums.entry(by(row)).or_default() += row.attempts;
    }
    sums.into_iter().map(|(labels, attempts)| (labels, attempts as f64)).collect()
}
