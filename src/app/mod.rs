//! Wiring: knows every room, decides nothing about packets.
//!
//! Owns the threads, the signals, the sockets and the commands. One of the two rooms that read a clock.

pub mod commands;
pub mod geo_build;
pub mod pipeline;

use std::process::ExitCode;

use crate::cli::{Cli, Command, GeoCommand};
use crate::exit::Fatal;

/// Runs the command.
pub fn run(cli: Cli) -> Result<ExitCode, Fatal> {
    match cli.command {
        Command::Geo { command: GeoCommand::Build { source, output, date } } => {
            commands::geo_build(&source, &output, &date)
        }
        _ => Err(Fatal::Bug("not wired yet".into())),
    }
}

/// Prints what ended the process: one line.
#[expect(clippy::print_stderr, reason = "the one place where an error reaches the operator")]
pub fn complain(fatal: &Fatal) {
    eprintln!("gatewatch: {fatal}");
}
