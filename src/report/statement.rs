//! The sentence in three strengths: for the press, in full, and with notes. The wording is in one template a language; which
//! clause has an occasion, and what it must say, is here.

mod facts;
mod slots;
pub mod template;
mod wording;

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use crate::report::format::{Output, hash_of};
use crate::report::markdown::escape::{cell, paragraph};
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::statement::slots::Strength;
use crate::report::statement::template::{Part, Template};
use crate::report::statement::wording::Told;
use crate::report::text::lines::{Lines, safe, width};

/// Version of the JSON's shape.
const SCHEMA_VERSION: u32 = 1;
/// Formats of a statement, as they are named on the command line.
pub const FORMATS: [&str; 3] = ["text", "md", "json"];

/// What may be said in public, three times.
#[derive(Clone, Debug, Serialize)]
pub struct Statement {
    /// Version of this shape.
    pub schema_version: u32,
    /// Language of the template: `en`.
    pub language: String,
    /// The period.
    pub period: String,
    /// The site it is restricted to.
    pub site: Option<String>,
    /// The strengths, shortest first.
    pub strengths: Vec<Said>,
    /// SHA-256 of the report it was made of.
    pub report_sha256: String,
}

/// One strength.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// `press`, `full`, `footnoted`
    pub strength: &'static str,
    /// Title for people.
    pub title: String,
    /// The sentences.
    pub text: String,
    /// The notes that the marks in the text number.
    pub notes: Vec<String>,
}

impl Statement {
    /// Of a report and its sealed JSON.
    pub fn of(report: &Report, span: &Span, sealed: &Value, template: &Template) -> Self {
        let report_sha256 = hash_of(sealed);
        let told = Told { report, span, template, sha256: &report_sha256 };
        Self {
            schema_version: SCHEMA_VERSION,
            language: template.language().to_owned(),
            period: span.name.clone(),
            site: report.site.clone(),
            strengths: Strength::ALL.into_iter().map(|strength| said(&told, strength)).collect(),
            report_sha256,
        }
    }

    /// In one of [`FORMATS`]; none of any other.
    pub fn write(&self, format: &str) -> Option<Output> {
        match format {
            "text" => Some(Output { suffix: ".txt".into(), content: self.text() }),
            "md" => Some(Output { suffix: ".md".into(), content: self.markdown() }),
            "json" => {
                // Text and numbers only, so this cannot fail.
                let content = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
                Some(Output { suffix: ".json".into(), content })
            }
            _ => None,
        }
    }

    fn text(&self) -> String {
        let mut text = Lines::default();
        for (at, said) in self.strengths.iter().enumerate() {
            if at > 0 {
                text.line("");
            }
            text.line(&said.title);
            text.line(&"-".repeat(width(&said.title)));
            text.paragraph(&said.text);
            for (number, note) in (1..).zip(&said.notes) {
                text.paragraph(&format!("[{number}] {note}"));
            }
        }
        text.into_text()
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for said in &self.strengths {
            let _ = write!(text, "## {}\n\n{}\n\n", cell(&said.title), paragraph(&said.text));
            for (number, note) in (1..).zip(&said.notes) {
                let _ = write!(text, "\\[{number}\\] {}\n\n", paragraph(note));
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

/// The sentences of a strength. Values are put in once and never read as placeholders.
fn said(told: &Told, strength: Strength) -> Said {
    let mut sentences: Vec<String> = Vec::new();
    let mut notes: Vec<String> = Vec::new();
    for sentence in told.template.sentences(strength) {
        let mut text = String::new();
        let mut speaks = false;
        // Notes that stand together have one mark.
        let mut marked = notes.len();
        for part in sentence {
            match part {
                Part::Text(letters) => {
                    marked = mark(&mut text, marked, notes.len());
                    text.push_str(letters);
                }
                Part::Value(name) => {
                    if let Some(clause) = told.clause(name) {
                        speaks = true;
                        marked = mark(&mut text, marked, notes.len());
                        text.push_str(&clause);
                    }
                }
                Part::Note(name) => {
                    if let Some(clause) = told.clause(name) {
                        speaks = true;
                        notes.push(clause);
                    }
                }
            }
        }
        mark(&mut text, marked, notes.len());
        if speaks {
            sentences.push(text);
        }
    }
    let text: Vec<String> = sentences.iter().map(|sentence| safe(sentence)).collect();
    let text = text.join(told.template.sentence_gap());
    Said {
        strength: strength.name(),
        title: told.template.title(strength).to_owned(),
        text: text.trim().to_owned(),
        notes: notes.iter().map(|note| safe(note)).collect(),
    }
}

/// The mark of the notes behind `marked` up to `last`: `[3]`, `[3–7]`; nothing where there are none. Gives `last`.
fn mark(text: &mut String, marked: usize, last: usize) -> usize {
    // Writing to a String cannot fail.
    let _ = match last.saturating_sub(marked) {
        0 => Ok(()),
        1 => write!(text, "[{last}]"),
        _ => write!(text, "[{}–{last}]", marked + 1),
    };
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::dominance::{Agreement, Dominance, Top};
    use crate::report::provenance::{Database, Provenance};
    use crate::report::store::Store;
    use crate::report::summary;

    fn of(report: &Report, period: &str, language: &str) -> Statement {
        let template = Template::built_in(language).unwrap().unwrap();
        let sealed = crate::report::format::seal(report);
        Statement::of(report, &Span::of(period.parse().unwrap()), &sealed, &template)
    }

    /// A report of nothing, to be filled by hand.
    fn empty(period: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let provenance = Provenance { home_declared: true, home: vec!["CN".into()], ..Provenance::default() };
        summary::build(&store, &Span::of(period.parse().unwrap()), None, &provenance).unwrap()
    }

    /// The year of the founding sentence, with everything that can be said of a number.
    fn founding() -> Report {
        let mut report = empty("2012");
        report.headline.sites = vec!["a".into(), "b".into()];
        report.headline.attempts = 1_730_000;
        report.headline.overseas_attempts = Some(1_728_000);
        report.headline.overseas_monthly_mean = Some(144_000.0);
        report.headline.interval = Some([1_728_000, 1_731_000]);
        report.headline.lower_bound = true;
        report.headline.database_age_days = Some(200);
        report.headline.top_country = Some(crate::report::shape::TopCountry {
            code: "US".into(),
            name: "United States".into(),
            attempts: 1_086_912,
            share: 0.629,
            interval: Some([0.611, 0.645]),
            base_rate: Some(0.36),
        });
        let top =
            |id: &str, name: &str| Some(Top { id: id.into(), name: name.into(), attempts: 9, share: 0.082 });
        report.headline.dominance = Dominance {
            source: top("192.0.2.7", "US"),
            system: top("AS64500", "Example Hosting"),
            campaign: top("7", "web.sqli union"),
            share_without_campaign: Some(0.5),
        };
        report.headline.agreement =
            Some(Agreement { attempts: 0.629, incidents: 0.4, sources: Some(0.2), agree: false });
        report.headline.second_opinion =
            Some(crate::report::shape::SecondOpinion { compared: 10, disputed: 1, agreement: 0.9 });
        report.losses.insert("dropped_kernel".into(), 12);
        report.period.coverage.seconds_observed = report.period.coverage.seconds - 60;
        report.databases = vec![Database {
            kind: "X-Country".into(),
            build_date: "2011-12-01T00:00:00Z".into(),
            sha256: "ab12".into(),
            path: "/x.mmdb".into(),
            attribution: None,
        }];
        report
    }

    #[test]
    fn the_founding_sentence_is_said_for_the_press() {
        let english = of(&founding(), "2012", "en");
        let press = &english.strengths[0];
        assert!(
            press.text.starts_with(
                "In 2012 our two web sites were attacked from overseas on average at least 144,000 times a month; \
                 62.9 per cent came from the United States, according to the IP addresses. Counted are attempts"
            ),
            "{}",
            press.text
        );
        assert!(press.text.ends_with("99.9 per cent of the time was observed."), "{}", press.text);
        let chinese = of(&founding(), "2012", "zh");
        assert!(
            chinese.strengths[0].text.starts_with(
                "2012年，我方两个网站平均每月至少遭受来自境外的攻击144,000次；其中62.9%来自美国，以IP地址为准。计数单位"
            ),
            "{}",
            chinese.strengths[0].text
        );
    }

    #[test]
    fn at_length_every_qualifier_is_said_once_and_notes_are_numbered_in_order() {
        for language in ["en", "zh"] {
            let said = of(&founding(), "2012", language);
            let [_, full, footnoted] = &said.strengths[..] else { panic!("{said:?}") };
            for value in [
                "1,731,000",
                "61.1",
                "64.5",
                "36.0",
                "192.0.2.7",
                "AS64500",
                "web.sqli union",
                "50.0",
                "40.0",
                "90.0",
                "X-Country",
                "200",
                "12",
            ] {
                assert!(full.text.contains(value), "{language}: {value} is not in {}", full.text);
                let noted = footnoted.notes.iter().chain([&footnoted.text]).any(|text| text.contains(value));
                assert!(noted, "{language}: {value} is not in {footnoted:?}");
            }
            let marks = footnoted.text.split('[').skip(1).filter_map(|part| part.split_once(']'));
            let mut last = 0;
            for (mark, _) in marks {
                let (from, to) = mark.split_once('–').unwrap_or((mark, mark));
                assert_eq!(from.parse(), Ok(last + 1), "{language}: {}", footnoted.text);
                last = to.parse().unwrap();
            }
            assert_eq!(last, footnoted.notes.len(), "{language}");
            assert!(!full.text.contains(['{', '}']), "{}", full.text);
        }
    }

    #[test]
    fn of_a_year_that_was_watched_in_part_the_scaled_number_is_said() {
        let mut report = founding();
        let coverage = &mut report.period.coverage;
        (coverage.seconds_observed, coverage.share) = (coverage.seconds * 3 / 4, 0.75);
        for (language, wanted) in [
            (
                "en",
                "75.0 per cent of the time was observed. Scaled to all of the time the mean is 192,000 times a month.",
            ),
            ("zh", "观测覆盖了75.0%的时间。按全部时间折算，平均每月为192,000次。"),
        ] {
            let said = of(&report, "2012", language);
            assert!(said.strengths[1].text.contains(wanted), "{}", said.strengths[1].text);
        }
        let told = crate::report::sentence::certainty(&report).join(" ");
        assert!(told.contains("75.0 per cent of the time was observed; scaled to all of it"), "{told}");
        assert!(told.contains("192,000 times a month"), "{told}");
        // An hour of a year tells nothing of the year.
        report.period.coverage.share = 0.01;
        assert!(!of(&report, "2012", "en").strengths[1].text.contains("Scaled"));
    }

    #[test]
    fn nothing_one_and_unknown_only_are_said_as_they_are() {
        let mut report = empty("2012-06");
        report.headline.sites = vec!["a".into()];
        let press = |report: &Report| of(report, "2012-06", "en").strengths[0].text.clone();
        assert!(press(&report).starts_with(
            "In June 2012 our web site was not attacked from overseas, as far as was seen. Counted"
        ));
        (report.headline.overseas_attempts, report.headline.attempts) = (Some(1), 1);
        assert!(press(&report).starts_with(
            "In June 2012 our web site was attacked from overseas once; the IP addresses do not tell from which country."
        ));
        (report.headline.overseas_attempts, report.headline.attempts) = (None, 10_000_000);
        report.site = Some("{period}\u{202e}<b>".into());
        assert!(press(&report).starts_with(
            "In June 2012 our web site {period}·<b> was attacked 10,000,000 times; the IP addresses do not tell"
        ));
        report.open = true;
        assert!(press(&report).contains("2012-06 is not closed"));
    }

    #[test]
    fn every_form_holds_the_text_and_keeps_its_columns() {
        for language in ["en", "zh"] {
            let mut report = founding();
            report.headline.dominance.system.as_mut().unwrap().name = "<b>|*\u{1b}[31m".repeat(9_000);
            let said = of(&report, "2012", language);
            for line in said.write("text").unwrap().content.lines() {
                assert!(width(line) <= 72 && !line.contains('\u{1b}'), "{line}");
            }
            let markdown = said.write("md").unwrap().content;
            assert!(markdown.starts_with("## ") && !markdown.contains("<b>|"), "{markdown:.200}");
            let json: Value = serde_json::from_str(&said.write("json").unwrap().content).unwrap();
            assert_eq!(
                json["strengths"][2]["notes"].as_array().unwrap().len(),
                said.strengths[2].notes.len()
            );
            assert!(said.write("html").is_none());
        }
    }
}
