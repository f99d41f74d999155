//! Wiring: knows every room, decides nothing about packets.
//!
//! Owns the threads, the signals, the sockets and the commands. One of the two rooms that read a clock.

pub mod activity;
pub mod bounds;
pub mod commands;
pub mod compare;
pub mod daemon;
pub mod explain;
pub mod geo_build;
pub mod journal;
pub mod live;
pub mod loading;
pub mod logging;
pub mod manual;
pub mod metrics;
pub mod pipeline;
pub mod prepare;
pub mod progress;
pub mod recount;
pub mod replay;
pub mod resident;
pub mod rules_test;
pub mod shared;
pub mod state;
pub mod status;
pub mod terminal;
pub mod top;
pub mod watch;

use std::process::ExitCode;

use crate::cli::{Cli, Command, GeoCommand, RulesCommand};
use crate::exit::Fatal;
use crate::report::store::Store;
use crate::report::zone::Zone;

/// Runs the command.
pub fn run(cli: Cli) -> Result<ExitCode, Fatal> {
    logging::start(cli.verbose, cli.quiet, matches!(cli.command, Command::Run { .. }));
    match cli.command {
        Command::Run { config, interface } => daemon::run(config, interface),
        Command::Replay { config, output, home, captures } => {
            let home = loading::home(&home).into_iter().collect();
            let loaded = loading::load_with(&config, home, |_, _| {})?;
            bounds::confine(&bounds::of_replay(
                &loaded.settings,
                config.config.as_deref(),
                &captures,
                &output,
            ));
            replay::run(&loaded.settings, &loaded.hash(), &captures, &output)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(args) => commands::check(&args),
        Command::Report(args) => commands::report(&args),
        Command::Recount(args) => recount::run(&args),
        Command::Status { config, socket, json } => {
            let socket = match socket {
                Some(socket) => socket,
                None => loading::load(&config)?.settings.state.socket,
            };
            status::ask(&socket, json)
        }
        Command::Top { config, socket, time_zone } => {
            let settings = loading::load(&config)?.settings;
            let zone = match time_zone {
                Some(name) => {
                    Zone::named(&name).map_err(|error| Fatal::Usage(format!("--time-zone: {error}")))?
                }
                None => Zone::of_setting(&settings.report.time_zone),
            };
            top::run(&socket.unwrap_or(settings.state.socket), zone)
        }
        Command::Explain { config, folder, asked } => {
            let settings = loading::load(&config)?.settings;
            let detector = prepare::detector(&settings)?;
            let state = folder.as_deref().unwrap_or(&settings.state.directory);
            let key = Store::open_to_read(state).ok().and_then(|store| store.known_month_key());
            let folder = folder.as_deref().unwrap_or(&settings.report.directory);
            explain::run(folder, &asked, &detector, key.as_ref())
        }
        Command::Rules { command: RulesCommand::List { config } } => commands::rules(&config),
        Command::Rules { command: RulesCommand::Test { config, captures } } => {
            rules_test::run(&loading::load(&config)?.settings, &captures)
        }
        Command::Geo { command: GeoCommand::Build { source, output, date } } => {
            commands::geo_build(&source, &output, &date)
        }
        Command::Lookup { config, addresses } => commands::lookup(&config, &addresses),
        Command::Verify { folder } => commands::verify(&folder),
        Command::Completions { shell } => commands::completions(shell),
        Command::Man { folder } => commands::man(&folder),
    }
}

/// Prints what ended the process: one line.
#[expect(clippy::print_stderr, reason = "the one place where an error reaches the operator")]
pub fn complain(fatal: &Fatal) {
    eprintln!("gatewatch: {fatal}");
}
