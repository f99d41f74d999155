//! The short commands: those that start no thread.

use std::path::Path;
use std::process::ExitCode;

use crate::app::geo_build;
use crate::exit::Fatal;
use crate::model::period::Period;

/// `gatewatch geo build`
pub fn geo_build(source: &Path, output: &Path, date: &str) -> Result<ExitCode, Fatal> {
    let day: Period = date.parse().map_err(|error| Fatal::Usage(format!("--date: {error}")))?;
    let built = u64::try_from(day.start().secs()).map_err(|_| Fatal::Usage("--date: before 1970".into()))?;
    geo_build::run(source, output, built)?;
    Ok(ExitCode::SUCCESS)
}
