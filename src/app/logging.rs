//! Logs to standard error, which journald reads under systemd.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Name of the variable that sets the level: `warn`, or `gatewatch=debug`.
const VARIABLE: &str = "GATEWATCH_LOG";

/// Starts logging. The level comes from the variable, else from the command line.
pub fn start(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "info",
        (_, 1) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // The journal stamps each line itself. A second start, in one process of tests, changes nothing.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().try_init()
    } else if std::io::stderr().is_terminal() {
        builder.compact().try_init()
    } else {
        builder.try_init()
    };
}
