//! Logs to standard error, which journald reads under systemd; what repeats in a daemon is cut short.

pub mod limit;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Instant;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::app::logging::limit::{Limit, Limiter};

/// Name of the variable that sets the level: `warn`, or `gatewatch=debug`.
const VARIABLE: &str = "GATEWATCH_LOG";

/// What was said and left out lately, where that is limited.
static LIMIT: OnceLock<Limit> = OnceLock::new();

/// Starts logging. The level comes from the variable, else from the command line. A daemon's lines are limited: who can make it
/// complain must not fill the disk with complaints.
pub fn start(verbose: u8, quiet: bool, is_daemon: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "info",
        (_, 1) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    if is_daemon {
        // A second start, in one process of tests, changes nothing.
        let _ = LIMIT.set(Limit::at(steady()));
    }
    let layers = tracing_subscriber::registry().with(filter).with(Limiter);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    // The journal stamps each line itself.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        layers.with(lines.without_time()).try_init()
    } else if std::io::stderr().is_terminal() {
        layers.with(lines.compact()).try_init()
    } else {
        layers.with(lines).try_init()
    };
}

/// Says what was left out in the minute that is over; at the end of the process, in the one that is not.
pub fn tell_left_out(is_the_end: bool) {
    let Some(limit) = LIMIT.get() else { return };
    // Not while the limit is held: saying it asks for it.
    for (level, line, left_out) in limit.turn(steady(), is_the_end) {
        if level == Level::ERROR {
            tracing::error!(target: limit::SUMMARY, left_out, line, "said before, and left out since");
        } else {
            tracing::warn!(target: limit::SUMMARY, left_out, line, "said before, and left out since");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "app is one of the two rooms that read a clock")]
fn steady() -> Instant {
    Instant::now()
}
