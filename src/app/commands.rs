//! The short commands: those that start no thread.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory;

use crate::app::loading::{self, load};
use crate::app::progress::Progress;
use crate::app::{compare, geo_build, manual, prepare, terminal};
use crate::classify::behaviour::{act, list};
use crate::classify::sector::Home;
use crate::cli::{CheckArgs, Cli, ConfigArg, ReportArgs};
use crate::config::print;
use crate::exit::Fatal;
use crate::model::grade::Grade;
use crate::model::origin::Infrastructure;
use crate::model::period::Period;
use crate::report::provenance::Provenance;
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::statement::template::{self, Template};
use crate::report::statement::{self, Statement};
use crate::report::store::Store;
use crate::report::summary;
use crate::report::zone::Zone;
use crate::report::{ReportError, files, format, merge, public, sentence, verify};

/// Writes to standard output; a reader that went away is no error.
pub fn say(text: &str) -> Result<(), Fatal> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Fatal::Io(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// `gatewatch check`
pub fn check(args: &CheckArgs) -> Result<ExitCode, Fatal> {
    let given = loading::interfaces(&args.interface).into_iter().chain(loading::home(&args.home));
    let loaded = loading::load_with(&args.config, given.collect(), |_, _| {})?;
    let detector = prepare::detector(&loaded.settings)?;
    let geo = prepare::geo(&loaded.settings)?;
    let mut text = print::effective(&loaded.settings, &loaded.sources);
    let _ = writeln!(text, "\n# settings {}", loaded.hash());
    let _ = writeln!(text, "# detection set {} ({} rules)", detector.set_hash(), detector.rules().count());
    for info in geo.infos() {
        let _ = writeln!(
            text,
            "# database {} of {} from {}, SHA-256 {}",
            info.kind, info.build_date, info.path, info.sha256
        );
    }
    let lists = geo.lists();
    if !lists.is_empty() {
        let _ = writeln!(text, "# lists of {} networks, SHA-256 {}", lists.len(), lists.hash());
    }
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `gatewatch rules list`
pub fn rules(config: &ConfigArg) -> Result<ExitCode, Fatal> {
    let loaded = load(config)?;
    let detector = prepare::detector(&loaded.settings)?;
    let mut text = String::new();
    for rule in detector.rules() {
        let state = if rule.enabled { "" } else { " (disabled)" };
        let _ = writeln!(
            text,
            "{:<30} {:<16} {:.3}  {}  not measured  {}{state}",
            rule.id,
            rule.class.id(),
            rule.weight,
            rule.hash,
            rule.title
        );
    }
    for judge in list::detectors(&loaded.settings) {
        let state = if judge.enabled { "" } else { " (disabled)" };
        let _ = writeln!(
            text,
            "{:<30} {:<16} {:.3}  {}  not measured  {}{state}",
            judge.id,
            judge.class,
            act::CERTAINTY,
            judge.hash,
            judge.title
        );
    }
    let _ = writeln!(text, "set {}", detector.set_hash());
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `gatewatch lookup`
pub fn lookup(config: &ConfigArg, addresses: &[IpAddr]) -> Result<ExitCode, Fatal> {
    let loaded = load(config)?;
    let mut geo = prepare::geo(&loaded.settings)?;
    let home = Home::new(&loaded.settings.origin);
    let mut text = String::new();
    for address in addresses {
        let origin = geo.look_up(*address);
        let code = origin.place.code();
        let asn = origin.asn.map_or_else(|| "not determined".to_owned(), |asn| format!("AS{asn}"));
        let (label, _) = home.label(*address);
        let _ = writeln!(
            text,
            "{address}: {code} ({}){}, {}, system {asn} {}, prefix {}, network {}{}",
            crate::report::countries::name(code),
            origin.second.map(|second| format!(", second opinion {}", second.code())).unwrap_or_default(),
            home.sector(*address, origin.place, Grade::E1).name(),
            origin.as_org.as_deref().unwrap_or_default(),
            origin.prefix.map_or_else(|| "not determined".to_owned(), |prefix| prefix.to_string()),
            origin.infrastructure.map_or("not determined", Infrastructure::name),
            label.map(|label| format!(", label {label}")).unwrap_or_default(),
        );
    }
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `gatewatch geo build`
pub fn geo_build(source: &Path, output: &Path, date: &str) -> Result<ExitCode, Fatal> {
    let day: Period = date.parse().map_err(|error| Fatal::Usage(format!("--date: {error}")))?;
    let built = u64::try_from(day.start().secs()).map_err(|_| Fatal::Usage("--date: before 1970".into()))?;
    let networks = geo_build::run(source, output, built)?;
    say(&format!("{}: {networks} networks\n", output.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// `gatewatch report`
pub fn report(args: &ReportArgs) -> Result<ExitCode, Fatal> {
    if !args.compare.is_empty() {
        put_out(args.output.as_deref(), &[compare::run(args, &args.compare, &folder(args)?)?])?;
        return Ok(ExitCode::SUCCESS);
    }
    let write = writer(args)?;
    let span = span(args)?;
    let zone = zone(args)?;
    let progress = Progress::working("adding up");
    let mut report = match &args.from_dir[..] {
        [] | [_] => report_of(&folder(args)?, args, &span)?,
        several => report_of_several(several, args, &span)?,
    };
    if let Some(sources_min) = args.public {
        public::redact(&mut report, sources_min);
        report.headline.text = sentence::headline(&report, &span);
    }
    report.zone = zone;
    let outputs = write(&report, &span);
    drop(progress);
    put_out(args.output.as_deref(), &outputs)?;
    Ok(ExitCode::SUCCESS)
}

fn report_of(folder: &Path, args: &ReportArgs, span: &Span) -> Result<Report, Fatal> {
    let (store, provenance) = open_store(folder)?;
    let mut report = summary::build(&store, span, args.site.as_deref(), &provenance)
        .map_err(|error| prepare::unwritable(&error))?;
    report.open = args_period(args).and_then(|period| store.closed(period).ok().flatten()).is_none();
    Ok(report)
}

fn report_of_several(folders: &[PathBuf], args: &ReportArgs, span: &Span) -> Result<Report, Fatal> {
    if folders.len() > merge::FOLDERS_MAX {
        return Err(Fatal::Usage(format!(
            "--from-dir: {} folders, {} at most are put together",
            folders.len(),
            merge::FOLDERS_MAX
        )));
    }
    let joined = merge::Joined::of(folders, span).map_err(|error| prepare::unwritable(&error))?;
    let mut report =
        joined.report(span, args.site.as_deref()).map_err(|error| prepare::unwritable(&error))?;
    report.open = !args_period(args).is_some_and(|period| joined.has_closed(period));
    Ok(report)
}

/// The folder of the one store that is asked.
fn folder(args: &ReportArgs) -> Result<PathBuf, Fatal> {
    match &args.from_dir[..] {
        [folder] => Ok(folder.clone()),
        [] => Ok(load(&args.config)?.settings.state.directory),
        _ => Err(Fatal::Usage("--compare: one --from-dir at most; compare each sensor by itself".into())),
    }
}

/// The zone that times are shown in: as asked, else as set where settings are read at all.
fn zone(args: &ReportArgs) -> Result<Zone, Fatal> {
    if let Some(name) = &args.time_zone {
        return Zone::named(name).map_err(|error| Fatal::Usage(format!("--time-zone: {error}")));
    }
    if !args.from_dir.is_empty() && args.config.config.is_none() && args.config.set.is_empty() {
        return Ok(Zone::default());
    }
    Ok(Zone::of_setting(&load(&args.config)?.settings.report.time_zone))
}

/// Writes a report in the form that was asked for.
type Write = Box<dyn Fn(&Report, &Span) -> Vec<format::Output>>;

/// What writes the form that was asked for: known before anything is read.
fn writer(args: &ReportArgs) -> Result<Write, Fatal> {
    let unknown =
        |names: &str| Fatal::Usage(format!("--format {:?}: one of {names} is possible", args.format));
    if args.statement {
        let names = statement::FORMATS;
        let name =
            names.into_iter().find(|name| *name == args.format).ok_or_else(|| unknown(&names.join(", ")))?;
        let template = template(args)?;
        return Ok(Box::new(move |report, span| {
            Statement::of(report, span, &format::seal(report), &template).write(name).into_iter().collect()
        }));
    }
    let row = format::by_name(&args.format).ok_or_else(|| unknown(&format::names()))?;
    Ok(Box::new(|report, _| (row.write)(report, &format::seal(report))))
}

/// The wording of a statement: one's own, or one that is built in.
fn template(args: &ReportArgs) -> Result<Template, Fatal> {
    let Some(path) = &args.template else {
        let known = || template::LANGUAGES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let built_in = Template::built_in(&args.language).ok_or_else(|| {
            Fatal::Usage(format!("--language {:?}: one of {} is built in", args.language, known()))
        })?;
        return built_in.map_err(|error| Fatal::Bug(error.to_string()));
    };
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(template::TEMPLATE_MAX_BYTES + 1).read_to_string(&mut text));
    read.map_err(|error| Fatal::NoInput(format!("--template {}: {error}", path.display())))?;
    if text.len() as u64 > template::TEMPLATE_MAX_BYTES {
        return Err(Fatal::Unusable(format!(
            "--template {}: is larger than {} bytes",
            path.display(),
            template::TEMPLATE_MAX_BYTES
        )));
    }
    Template::read(&path.display().to_string(), &text).map_err(|error| Fatal::Unusable(error.to_string()))
}

/// Writes what a command has found, or prints it: several files under their names, text in colours where they are shown.
pub fn put_out(path: Option<&Path>, outputs: &[format::Output]) -> Result<(), Fatal> {
    if let Some(path) = path {
        return write_outputs(path, outputs);
    }
    outputs.iter().try_for_each(|output| {
        if outputs.len() > 1 {
            say(&format!("# {}\n", output.suffix.trim_start_matches('.')))?;
        }
        if output.suffix == ".txt" && terminal::shows_colours() {
            return say(&format::coloured(&output.content));
        }
        say(&output.content)
    })
}

/// Opens the store of a folder for reading, with what it remembers of how is counted.
pub fn open_store(folder: &Path) -> Result<(Store, Provenance), Fatal> {
    if !folder.join(crate::report::store::FILE_NAME).exists() {
        return Err(prepare::unwritable(&ReportError::NoStore { folder: folder.to_owned() }));
    }
    let store = Store::open_to_read(folder).map_err(|error| prepare::unwritable(&error))?;
    let remembered = store.meta("provenance").map_err(|error| prepare::unwritable(&error))?;
    let provenance = remembered.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok((store, provenance))
}

/// One file as named; several (CSV) beside it, each with its table's name.
fn write_outputs(path: &Path, outputs: &[format::Output]) -> Result<(), Fatal> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Fatal::Usage(format!("--output {}: is no file name", path.display())))?;
    for output in outputs {
        let name = if outputs.len() == 1 {
            name.clone()
        } else {
            format!("{}{}", name.strip_suffix(".csv").unwrap_or(&name), output.suffix)
        };
        files::write_whole(folder, &name, output.content.as_bytes())
            .map_err(|error| prepare::unwritable(&error))?;
    }
    files::sync_folder(folder).map_err(|error| prepare::unwritable(&error))
}

/// The period that decides whether what is told can still change: of a range the last.
fn args_period(args: &ReportArgs) -> Option<Period> {
    args.month.as_ref().or(args.year.as_ref()).or(args.day.as_ref()).or(args.to.as_ref())?.parse().ok()
}

/// The period that an option names, in a text of that length; 0: of any.
pub fn period(option: &str, text: &str, length: usize) -> Result<Period, Fatal> {
    let period: Period = text.parse().map_err(|error| Fatal::Usage(format!("{option}: {error}")))?;
    if length != 0 && text.len() != length {
        return Err(Fatal::Usage(format!("{option}: {text:?} is another kind of period")));
    }
    Ok(period)
}

fn span(args: &ReportArgs) -> Result<Span, Fatal> {
    match (&args.month, &args.year, &args.day, &args.from, &args.to) {
        (Some(month), ..) => period("--month", month, 7).map(Span::of),
        (_, Some(year), ..) => period("--year", year, 4).map(Span::of),
        (_, _, Some(day), ..) => period("--day", day, 10).map(Span::of),
        (_, _, _, Some(from), Some(to)) => {
            let (first, last) = (period("--from", from, 0)?, period("--to", to, 0)?);
            if last.end_hour() <= first.first_hour() {
                return Err(Fatal::Usage(format!("--to {to} lies before --from {from}")));
            }
            Ok(Span::between(first, last))
        }
        _ => Err(Fatal::Usage(
            "say which period: --month 2012-06, --year 2012, --day 2012-06-30, or --from A --to B".into(),
        )),
    }
}

/// `gatewatch verify`
pub fn verify(folder: &Path) -> Result<ExitCode, Fatal> {
    let checked = verify::folder(folder).map_err(|error| prepare::unwritable(&error))?;
    let mut text = String::new();
    for told in &checked.unchecked {
        let _ = writeln!(text, "not checked: {told}");
    }
    for told in &checked.wrong {
        let _ = writeln!(text, "wrong: {told}");
    }
    let counted = format!(
        "{} reports, {} events, {} rows of sources, {} files of manifests",
        checked.reports, checked.events, checked.sources, checked.files
    );
    if checked.reports == 0 {
        return Err(Fatal::NoInput(format!("{}: holds no closed report", folder.display())));
    }
    if checked.wrong.is_empty() {
        let _ = writeln!(text, "reconciled: {counted}");
    }
    say(&text)?;
    match checked.wrong.first() {
        Some(first) => {
            Err(Fatal::Unusable(format!("{counted}: {} do not hold, first {first}", checked.wrong.len())))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// `gatewatch completions`
pub fn completions(shell: clap_complete::Shell) -> Result<ExitCode, Fatal> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gatewatch", &mut script);
    say(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// `gatewatch man`
pub fn man(folder: &Path) -> Result<ExitCode, Fatal> {
    manual::write(folder)
        .map_err(|error| Fatal::CannotWrite(format!("{}: cannot be written: {error}", folder.display())))?;
    Ok(ExitCode::SUCCESS)
}
