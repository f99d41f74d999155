//! gatewatch: argv → run → exit code.

use std::process::ExitCode;

use clap::Parser;
use gatewatch::app;
use gatewatch::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else is a wrong command line (EX_USAGE).
            let code = if error.use_stderr() { 64 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match app::run(cli) {
        Ok(code) => code,
        Err(fatal) => {
            app::complain(&fatal);
            ExitCode::from(fatal.code())
        }
    }
}
