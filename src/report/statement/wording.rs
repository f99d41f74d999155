//! Numbers, dates and names in the language of a template.

use crate::model::period::PeriodKind;
use crate::report::sentence::grouped;
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::statement::slots::slot;
use crate::report::statement::template::Template;

/// What a statement is made of.
pub struct Told<'t> {
    /// The numbers.
    pub report: &'t Report,
    /// What they are of.
    pub span: &'t Span,
    /// The wording.
    pub template: &'t Template,
    /// SHA-256 of the report.
    pub sha256: &'t str,
}

/// The wording of a clause that has an occasion, and its values.
pub type Fact = (&'static str, Vec<(&'static str, String)>);

impl Told<'_> {
    /// A clause in words; none where it has no occasion.
    pub fn clause(&self, name: &str) -> Option<String> {
        let (variant, values) = (slot(name)?.speak)(self)?;
        self.template.clause(name, variant, &values)
    }

    /// A word that has no placeholder.
    pub fn word(&self, name: &str) -> String {
        self.template.word(name, &[])
    }

    /// A whole number, its thousands apart.
    pub fn count(&self, number: u64) -> String {
        grouped(number).replace(',', &self.template.numbers().thousands)
    }

    /// A number that may not be told.
    pub fn known(&self, number: Option<u64>) -> String {
        number.map_or_else(|| self.word("not_told"), |number| self.count(number))
    }

    /// A number of the report's own making, with its decimal point.
    pub fn decimal(&self, text: &str) -> String {
        text.replace('.', &self.template.numbers().decimal)
    }

    /// A part of one as per cent, with one decimal.
    pub fn per_cent(&self, part: f64) -> String {
        self.decimal(&format!("{:.1}", part * 100.0))
    }

    /// So many times.
    pub fn times(&self, number: u64) -> String {
        match number {
            1 => self.word("times_one"),
            2 => self.word("times_two"),
            _ => self.template.word("times_many", &[("count", self.count(number))]),
        }
    }

    /// Whose sites.
    pub fn sites(&self) -> String {
        if let Some(name) = &self.report.site {
            return self.template.word("sites_named", &[("name", name.clone())]);
        }
        match self.report.headline.sites.len() {
            0 => self.word("sites_some"),
            1 => self.word("sites_one"),
            many => {
                let spelled = self.template.numbers().spelled.get(many).cloned();
                let number = spelled.unwrap_or_else(|| self.count(many as u64));
                self.template.word("sites_many", &[("number", number)])
            }
        }
    }

    /// When.
    pub fn period(&self) -> String {
        let start = self.span.from.start();
        let word = match self.span.kind {
            Some(PeriodKind::Year) => "period_year",
            Some(PeriodKind::Month) => "period_month",
            Some(PeriodKind::Day) => "period_day",
            Some(PeriodKind::Hour) => "period_hour",
            None => {
                let last = self.span.to.start().plus_micros(-1);
                let date = |time: crate::model::time::Timestamp| self.dated("date", time.to_jiff());
                let values = [("from", date(start)), ("to", date(last))];
                return self.template.word("period_range", &values);
            }
        };
        self.dated(word, start.to_jiff())
    }

    fn dated(&self, word: &str, time: jiff::Timestamp) -> String {
        let part = |format: &str| time.strftime(format).to_string();
        let month = part("%-m").parse::<usize>().ok().and_then(|month| month.checked_sub(1));
        let month = month.and_then(|at| self.template.numbers().months.get(at)).cloned();
        let values = [
            ("day", part("%-d")),
            ("hour", part("%-H")),
            ("month", month.unwrap_or_default()),
            ("year", part("%Y")),
        ];
        self.template.word(word, &values)
    }
}
