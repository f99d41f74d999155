//! The event lines of a folder, as far as a comparison with those of another needs them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::period::{Period, PeriodKind};
use crate::model::place::{Sector, SourceKey};
use crate::model::time::{Hour, MICROS_PER_DAY, Timestamp};
use crate::report::ReportError;
use crate::report::names::parse_event_name;
use crate::report::span::Span;

/// Bytes of a line that are read; ours are some kilobytes.
const LINE_MAX_BYTES: u64 = 1 << 20;

/// One line.
#[derive(Debug)]
pub struct Line {
    /// Identity of its attempt.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// Begin of its incident; none for an attempt with a line of its own.
    pub first: Option<Timestamp>,
    /// Attempts that it stands for.
    pub attempts: u64,
    /// The row that it counts in.
    pub row: TallyRow,
    /// Conversations that these opened.
    pub sessions: u64,
    /// Incidents that they began.
    pub incidents: u64,
}

/// A row of the tally and of sources, by what an event line tells of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TallyRow {
    /// The source key as text; empty for nobody in particular.
    pub source: String,
    pub site: String,
    pub class: String,
    pub grade: String,
    pub place: String,
    pub sector: String,
    /// Empty for none.
    pub label: String,
    pub headline: bool,
    pub campaign: i64,
    pub frames: u16,
    /// Whether a second database knew the source, and puts it elsewhere.
    pub compared: bool,
    pub disputed: bool,
}

impl TallyRow {
    /// Whether it is in the overseas row of the headline.
    pub fn is_overseas(&self) -> bool {
        self.headline && self.sector == Sector::Overseas.name()
    }

    /// Whose incident it is.
    pub fn whose(&self) -> String {
        [self.source.as_str(), &self.class, &self.site, &self.grade].join("\n")
    }
}

#[derive(Deserialize)]
struct Told {
    timestamp: String,
    src_ip: Option<IpAddr>,
    gatewatch: Own,
}

#[derive(Deserialize)]
struct Own {
    id: String,
    class: String,
    site: String,
    grade: String,
    origin: Origin,
    represented: u64,
    counts: Counts,
    incident: Option<Incident>,
}

#[derive(Deserialize)]
struct Origin {
    country: String,
    second_country: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    sector: String,
    label: Option<String>,
    headline: bool,
    campaign: String,
    sessions: u64,
    incidents: u64,
    frames: u16,
}

#[derive(Deserialize)]
struct Incident {
    first: String,
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond()))
}

/// A line; none of one that an older version wrote, which does not tell its row.
fn parse(text: &str) -> Option<Line> {
    let told: Told = serde_json::from_str(text).ok()?;
    let own = told.gatewatch;
    let second = own.origin.second_country;
    let first = match own.incident {
        Some(incident) => Some(time(&incident.first)?),
        None => None,
    };
    Some(Line {
        id: u64::from_str_radix(&own.id, 16).ok()?,
        time: time(&told.timestamp)?,
        first,
        attempts: own.represented,
        sessions: own.counts.sessions,
        incidents: own.counts.incidents,
        row: TallyRow {
            source: told
                .src_ip
                // Nobody's, which older lines have as null.
                .filter(|address| !address.is_unspecified())
                .map(|address| SourceKey::of(address).to_string())
                .unwrap_or_default(),
            site: own.site,
            class: own.class,
            grade: own.grade,
            compared: second.is_some(),
            disputed: second.is_some_and(|second| second != own.origin.country),
            place: own.origin.country,
            sector: own.counts.sector,
            label: own.counts.label.unwrap_or_default(),
            headline: own.counts.headline,
            campaign: u64::from_str_radix(&own.counts.campaign, 16).ok()?.cast_signed(),
            frames: own.counts.frames,
        },
    })
}

/// Goes through the lines of a span, file by file.
pub fn each(
    folder: &Path,
    span: &Span,
    mut take: impl FnMut(&Line) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    for path in files(folder, span)? {
        let failed = || ReportError::file("read", &path);
        let file = File::open(&path).map_err(failed())?;
        let reader: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "zst") {
            Box::new(zstd::Decoder::new(file).map_err(failed())?)
        } else {
            Box::new(file)
        };
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while (&mut reader).take(LINE_MAX_BYTES).read_until(b'\n', &mut bytes).map_err(failed())? > 0 {
            let line = std::str::from_utf8(&bytes).ok().and_then(parse);
            if let Some(line) = line.filter(|line| (span.from..span.to).contains(&line.time.hour())) {
                take(&line)?;
            }
            bytes.clear();
        }
    }
    Ok(())
}

/// Event files that may hold lines of a span: what came late stands in the file of a later day.
fn files(folder: &Path, span: &Span) -> Result<Vec<PathBuf>, ReportError> {
    let day = |hour: Hour, days: i64| {
        Period::containing(PeriodKind::Day, hour.start().plus_micros(days * MICROS_PER_DAY))
    };
    let wanted = day(span.from, -1)..=day(span.to, 1);
    let entries = fs::read_dir(folder).map_err(ReportError::file("read", folder))?;
    let mut found: Vec<(Period, u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let (day, part) = parse_event_name(name.strip_suffix(".zst").unwrap_or(name))?;
            let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
            (is_file && wanted.contains(&day)).then_some((day, part, path))
        })
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(.., path)| path).collect())
}
