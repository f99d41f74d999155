//! `gatewatch recount`: a period counted anew by another database.

use std::path::Path;
use std::process::ExitCode;

use crate::app::prepare;
use crate::app::progress::Progress;
use crate::app::{commands, loading};
use crate::classify::database::Database;
use crate::classify::geo::Geo;
use crate::classify::relocate::{Kept, Relocator};
use crate::classify::sector::Home;
use crate::cli::RecountArgs;
use crate::config::Settings;
use crate::exit::Fatal;
use crate::report::provenance::Provenance;
use crate::report::recount::{self, About, Moved, Recount, Sum};
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::{ReportError, regimes, summary};

/// Prints a recount.
pub fn run(args: &RecountArgs) -> Result<ExitCode, Fatal> {
    if !["text", "json"].contains(&args.format.as_str()) {
        return Err(Fatal::Usage(format!("--format {:?}: one of text, json is possible", args.format)));
    }
    let span = span(args)?;
    let database = open(&args.geo)?;
    let settings = loading::load(&args.config)?.settings;
    let (store, remembered) =
        commands::open_store(args.from_dir.as_ref().unwrap_or(&settings.state.directory))?;
    let recount = count(&store, &span, database, (settings, &remembered))
        .map_err(|error| prepare::unwritable(&error))?;
    if recount.total == 0 {
        return Err(Fatal::NoInput(format!(
            "{}: no attempt in the headline has a row of sources in the store; the {} counted there cannot be recounted",
            recount.period, recount.not_kept
        )));
    }
    let output = if args.format == "json" { recount.json() } else { recount.text() };
    commands::put_out(args.output.as_deref(), &[output])?;
    Ok(ExitCode::SUCCESS)
}

fn span(args: &RecountArgs) -> Result<Span, Fatal> {
    match (&args.month, &args.year, &args.day) {
        (Some(month), ..) => commands::period("--month", month, 7).map(Span::of),
        (_, Some(year), _) => commands::period("--year", year, 4).map(Span::of),
        (_, _, Some(day)) => commands::period("--day", day, 10).map(Span::of),
        _ => Err(Fatal::Usage("say which period: --month 2012-06, --year 2012 or --day 2012-06-30".into())),
    }
}

fn open(path: &Path) -> Result<Database, Fatal> {
    if !path.is_file() {
        return Err(Fatal::NoInput(format!("--geo {}: is no file", path.display())));
    }
    let patience = prepare::patience(prepare::DATABASE_MAX);
    let database =
        Database::open(path, &patience).map_err(|error| Fatal::Unusable(format!("--geo: {error}")))?;
    if !database.tells().countries {
        return Err(Fatal::Unusable(format!(
            "--geo {}: is of type {:?} and tells no countries; use a Country or City database",
            path.display(),
            database.info().kind
        )));
    }
    Ok(database)
}

/// Counts. What is home is as the settings in effect say; where they say nothing of countries, as it was when it was counted.
fn count(
    store: &Store,
    span: &Span,
    database: Database,
    (settings, remembered): (Settings, &Provenance),
) -> Result<Recount, ReportError> {
    let span = &recount::told(store, span)?;
    let regimes = regimes::read(store, span, None)?;
    let counted = regimes.last().map_or(remembered, |regime| &regime.way.provenance);
    let mut origin = settings.origin;
    if origin.home.is_empty() {
        origin.home.clone_from(&counted.home);
    } else if origin.home != counted.home {
        tracing::warn!(
            settings = origin.home.join(" "),
            counted = counted.home.join(" "),
            "home differs from that in which it was counted; what changes by that is not the database's"
        );
    }
    let info = database.info().clone();
    let home = Home::new(&origin);
    let mut sum = Sum::new(home.is_declared());
    let mut relocator = Relocator::new(Geo::new(vec![database]), home);
    let progress = Progress::working("counting anew");
    recount::each_row(store, span, |row| {
        let kept = Kept {
            source: &row.source,
            prefix: &row.prefix,
            place: row.place,
            sector: row.sector,
            grade: row.grade,
        };
        let found = relocator.relocate(&kept);
        let moved =
            Moved { before: found.before, place: found.place, sector: found.sector, basis: found.basis };
        sum.add(&row, moved);
    })?;
    drop(progress);
    let about = About {
        period: span.name.clone(),
        home: origin.home,
        databases_before: summary::databases(&regimes, remembered),
        database_after: prepare::database(info),
        tallied: recount::tallied(store, span)?,
    };
    Ok(recount::recount(&sum, about))
}
