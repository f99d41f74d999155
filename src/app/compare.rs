//! `gatewatch report --compare`: two periods side by side.

use std::path::Path;

use crate::app::{commands, prepare};
use crate::cli::ReportArgs;
use crate::exit::Fatal;
use crate::model::period::Period;
use crate::report::compare::{self, print};
use crate::report::format::Output;
use crate::report::span::Span;

/// What to print of a comparison of the periods `named`.
pub fn run(args: &ReportArgs, named: &[String], folder: &Path) -> Result<Output, Fatal> {
    let possible = print::FORMATS;
    let format = possible.into_iter().find(|name| *name == args.format).ok_or_else(|| {
        Fatal::Usage(format!("--format {:?}: one of {} is possible", args.format, possible.join(", ")))
    })?;
    let mut periods = named.iter().map(|text| commands::period("--compare", text, 0));
    let (Some(first), Some(second)) = (periods.next(), periods.next()) else {
        return Err(Fatal::Usage("--compare: name two periods, such as 2011 2012".into()));
    };
    let spans = told(first?, second?)?;
    let (store, provenance) = commands::open_store(folder)?;
    let [first, second] = &spans;
    let comparison = compare::compare(&store, [first, second], args.site.as_deref(), &provenance)
        .map_err(|error| prepare::unwritable(&error))?;
    comparison.write(format).ok_or_else(|| Fatal::Bug(format!("no comparison is written as {format}")))
}

/// Both periods as spans; of one kind, or nothing could be said of their difference.
fn told(first: Period, second: Period) -> Result<[Span; 2], Fatal> {
    if first == second {
        return Err(Fatal::Usage(format!("--compare: {first} is compared with itself")));
    }
    if first.kind() != second.kind() {
        return Err(Fatal::Usage(format!(
            "--compare: {first} and {second} are not of one kind; name two years, two months or two days"
        )));
    }
    if first.kind() == crate::model::period::PeriodKind::Hour {
        return Err(Fatal::Usage(
            "--compare: an hour has no steps to test by; name two days at least".into(),
        ));
    }
    Ok([Span::of(first), Span::of(second)])
}
