//! What the event lines of a folder count in, as far as a comparison with those of another needs it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::period::{Period, PeriodKind};
use crate::model::place::{Sector, SourceKey};
use crate::model::time::{Hour, MICROS_PER_DAY};
use crate::report::ReportError;
use crate::report::event_lines::{self, Line};
use crate::report::span::Span;

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
    /// The row that a line counts in.
    pub fn of(line: &Line) -> Self {
        let (compared, disputed) = line.second;
        Self {
            source: line.source.map(|address| SourceKey::of(address).to_string()).unwrap_or_default(),
            site: line.site.to_string(),
            class: line.class.id().to_owned(),
            grade: line.grade.name().to_owned(),
            place: line.place.code().to_owned(),
            sector: line.sector.name().to_owned(),
            label: line.label.as_deref().unwrap_or_default().to_owned(),
            headline: line.headline,
            campaign: line.campaign.0.cast_signed(),
            frames: line.frames,
            compared,
            disputed,
        }
    }

    /// Whether it is in the overseas row of the headline.
    pub fn is_overseas(&self) -> bool {
        self.headline && self.sector == Sector::Overseas.name()
    }

    /// Whose incident it is.
    pub fn whose(&self) -> String {
        [self.source.as_str(), &self.class, &self.site, &self.grade].join("\n")
    }
}

/// Goes through the lines of a span, file by file. One that an older version wrote does not tell its row, and is passed over.
pub fn each(
    folder: &Path,
    span: &Span,
    mut take: impl FnMut(&Line) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    // What came late stands in the file of a later day.
    let day = |hour: Hour, days: i64| {
        Period::containing(PeriodKind::Day, hour.start().plus_micros(days * MICROS_PER_DAY))
    };
    let wanted = day(span.from, -1)..=day(span.to, 1);
    for file in event_lines::files(folder)?.iter().filter(|file| wanted.contains(&file.day)) {
        event_lines::each(file, 0, |line, _| {
            if let Some(line) = line.filter(|line| (span.from..span.to).contains(&line.time.hour())) {
                take(&line)?;
            }
            Ok(true)
        })?;
    }
    Ok(())
}
