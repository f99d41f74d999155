//! What is read first: the sentence, what it counts, how far it may be off; key figures; when was watched.

use maud::{Markup, html};

use crate::report::html::chart::{self, Step, observed};
use crate::report::html::tables::{Cell, Table, per_cent, text};
use crate::report::html::words::{moment, period, shown};
use crate::report::merge;
use crate::report::sentence::{self, grouped};
use crate::report::shape::Report;

/// The head of the page.
pub fn head(report: &Report) -> Markup {
    let certainty = sentence::certainty(report);
    html! {
        header {
            p.kicker { "Attack report" @if let Some(site) = &report.site { " · " (shown(site)) } }
            h1 { "Attacks in " (period(&report.period.name)) }
            (warnings(report))
            div.lead {
                div {
                    blockquote { p { (capital(&shown_whole(&report.headline.text))) } }
                    (means(report))
                }
                @if !certainty.is_empty() {
                    div.sure {
                        h2 { "How sure this is" }
                        ul.plain { @for told in certainty { li { (shown_whole(&told)) } } }
                    }
                }
            }
        }
    }
}

/// The sentence is ours, the names in it are not: they are cut where they are taken in, and it is cleaned part by part.
fn shown_whole(sentence: &str) -> String {
    sentence.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

/// The sentence begins the page, so it begins as a sentence does.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn warnings(report: &Report) -> Markup {
    html! {
        @if report.open { p.warning { strong { "Still open. " } "This period is not over; the numbers will change." } }
        @if let Some(file) = &report.corrects { p.warning { strong { "A correction " } "of " code { (shown(file)) } "." } }
        @if report.headline.lower_bound {
            p.warning { strong { "A lower bound. " } "Something was lost: every count stands for “at least” (≥). " a href="#unseen" { "What was lost" } "." }
        }
        @if let Some(least) = report.public_sources_min {
            p.warning {
                strong { "For the public. " } "No address and no text of an attacker is in it; rows of fewer than " (grouped(least)) " sources are put together."
            }
        }
    }
}

fn means(report: &Report) -> Markup {
    let coverage = &report.period.coverage;
    html! {
        p.means {
            "Counted are attempts of the classes web, auth and exploit whose origin is proven (grade E1 or better): "
            (report.definition.attempt) ". From " (moment(&report.period.from)) " to " (moment(&report.period.to)) " UTC, of which "
            (per_cent(coverage.share)) " were observed."
            @if report.headline.overseas_attempts.is_some() { " Overseas: " (report.definition.overseas) "." }
            @else { " No home is declared, so nothing is counted as from overseas." }
        }
    }
}

/// The numbers that are asked for most, then the same traffic in every unit.
pub fn figures(report: &Report) -> Markup {
    let headline = &report.headline;
    let located = report.origins.iter().filter(|row| row.share.is_some()).count() as u64;
    let unknown =
        report.sectors.iter().find(|row| row.id == "unknown").map_or(0, |row| row.counts.headline_attempts);
    let tiles = [
        ("attempts in the headline", Some(grouped(headline.attempts)), String::new()),
        ("of these from overseas", headline.overseas_attempts.map(grouped), interval(headline.interval)),
        ("countries they came from", Some(grouped(located)), String::new()),
        ("of them from an unknown country", Some(share_of(unknown, headline.attempts)), String::new()),
    ];
    let units = sentence::ladder(&report.totals)
        .into_iter()
        .filter(|(unit, _)| ["sources", "incidents", "campaigns"].contains(unit));
    html! {
        ul.tiles {
            @for (what, number, beside) in tiles {
                @if let Some(number) = number { li { strong { (number) } span { (what) } @if !beside.is_empty() { small { (beside) } } } }
            }
            @for (unit, told) in units { li { strong { (told) } span { (unit) ", all attempts" } } }
            li { strong { (per_cent(report.period.coverage.share)) } span { "of the time observed" } }
        }
        (ladder(report))
    }
}

fn interval(interval: Option<[u64; 2]>) -> String {
    interval
        .filter(|[low, high]| low < high)
        .map_or_else(String::new, |[low, high]| format!("between {} and {}", grouped(low), grouped(high)))
}

fn share_of(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { per_cent(part as f64 / whole as f64) }
}

fn ladder(report: &Report) -> Markup {
    let meaning = |unit: &str| match unit {
        "packets" => "frames captured",
        "attempts" => report.definition.attempt,
        "sessions" => report.definition.session,
        "incidents" => report.definition.incident,
        "campaigns" => report.definition.campaign,
        _ => report.definition.source,
    };
    let rows = sentence::ladder(&report.totals)
        .into_iter()
        .map(|(unit, told)| vec![text(unit), Cell::Number(told), text(meaning(unit))])
        .collect();
    Table { caption: "The same traffic in every unit", columns: &["Unit", "#Count", "What it is"], rows }
        .write()
}

/// How much of the time was watched, and when.
pub fn coverage(report: &Report) -> Markup {
    let coverage = &report.period.coverage;
    let hours = |seconds: i64| format!("{:.1}", seconds as f64 / 3_600.0);
    let told = format!(
        "{} of {} hours were observed ({})",
        hours(coverage.seconds_observed),
        hours(coverage.seconds),
        per_cent(coverage.share)
    );
    let steps: Vec<Step<'_>> = report
        .series
        .iter()
        .map(|step| Step {
            period: &step.period,
            whole: 0,
            part: 0,
            observed: observed(&step.period, step.seconds_observed),
            breaks: &[],
        })
        .collect();
    let holes = steps.iter().filter(|step| step.observed < 0.001).count() as u64;
    html! {
        p { (told) "; " (grouped(report.totals.packets)) " packets were captured."
            @if holes > 0 { " In " (grouped(holes)) " of " (grouped(steps.len() as u64)) " steps nothing was observed: what happened then is in no number." }
        }
        @if let Some(merged) = &report.merged {
            ul.plain { @for told in merge::sentences(merged) { li { (shown_whole(&told)) } } }
        }
        (chart::band(&format!("Band of coverage from {} to {}: {told}", moment(&report.period.from), moment(&report.period.to)), &steps))
    }
}
