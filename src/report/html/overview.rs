//! What is read first: the sentence, what it counts, how far it may be off; key figures; when was watched.

use maud::{Markup, html};

use crate::report::html::chart::{self, Step, observed};
use crate::report::html::tables::{Cell, Table, per_cent, text};
use crate::report::html::time;
use crate::report::html::words::{period, shown, zone};
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
                    blockquote { p { (sentence::capital(&shown_whole(&report.headline.text))) } }
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

/// What the sentence counts, when, and what it calls overseas.
fn means(report: &Report) -> Markup {
    let coverage = &report.period.coverage;
    let [from, to] = [&report.period.from, &report.period.to].map(|moment| report.zone.second(moment));
    html! {
        p.means {
            "Counted are single requests judged an attack and failed logins (classes web, auth and exploit), each sent over a "
            "connection that its sender completed (grade E1 or better). Scans and floods are counted apart. From " (from) " to " (to) " "
            (zone(report)) ", of which " (sentence::observed(coverage.seconds_observed, coverage.seconds)) " % were observed."
            @if report.headline.overseas_attempts.is_some() { " Overseas: " (report.definition.overseas) "." }
            @else { " No home is declared, so nothing is counted as from overseas." }
        }
    }
}

/// The numbers that are asked for most, earlier periods beside them, then the same traffic in every unit.
pub fn figures(report: &Report) -> Markup {
    html! {
        ul.tiles { @for tile in tiles(report) { (tile.write()) } }
        (time::earlier(report))
        (ladder(report))
    }
}

/// A number large, and what it is.
struct Tile {
    number: String,
    what: String,
    beside: String,
}

impl Tile {
    fn of(number: String, what: &str) -> Self {
        Self { number, what: what.to_owned(), beside: String::new() }
    }

    fn write(&self) -> Markup {
        html! {
            li { strong { (self.number) } span { (self.what) } @if !self.beside.is_empty() { small { (self.beside) } } }
        }
    }
}

fn tiles(report: &Report) -> Vec<Tile> {
    let headline = &report.headline;
    let located = report.origins.iter().filter(|row| row.share.is_some()).count() as u64;
    let unknown =
        report.sectors.iter().find(|row| row.id == "unknown").map_or(0, |row| row.counts.headline_attempts);
    let mut tiles = vec![Tile::of(grouped(headline.attempts), "attempts in the headline")];
    if let Some(overseas) = headline.overseas_attempts {
        let beside = interval(headline.interval);
        tiles.push(Tile { beside, ..Tile::of(grouped(overseas), "of these from overseas") });
    }
    tiles.push(Tile::of(grouped(located), "countries they came from"));
    tiles.push(Tile::of(share_of(unknown, headline.attempts), "of them from an unknown country"));
    for (unit, told) in sentence::ladder(&report.totals) {
        if ["sources", "incidents", "campaigns"].contains(&unit) {
            tiles.push(Tile::of(told, &format!("{unit}, all attempts")));
        }
    }
    let coverage = &report.period.coverage;
    let observed = sentence::observed(coverage.seconds_observed, coverage.seconds);
    tiles.push(Tile::of(format!("{observed} %"), "of the time observed"));
    tiles
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
    Table {
        caption: "The same traffic in every unit, scans and floods included",
        columns: &["Unit", "#Count", "What it is"],
        rows,
    }
    .write()
}

/// How much of the time was watched, and when.
pub fn coverage(report: &Report) -> Markup {
    let coverage = &report.period.coverage;
    let hours = |seconds: i64| {
        let tenths = seconds.unsigned_abs() / 360;
        format!("{}.{}", grouped(tenths / 10), tenths % 10)
    };
    let told = format!(
        "{} of {} hours were observed ({})",
        hours(coverage.seconds_observed),
        hours(coverage.seconds),
        format_args!("{} %", sentence::observed(coverage.seconds_observed, coverage.seconds))
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
    let [from, to] = [&report.period.from, &report.period.to].map(|moment| report.zone.second(moment));
    let holes = steps.iter().filter(|step| step.observed < 0.001).count() as u64;
    html! {
        p { (told) "; " (grouped(report.totals.packets)) " packets were captured."
            @if holes > 0 { " In " (grouped(holes)) " of " (grouped(steps.len() as u64)) " steps nothing was observed: what happened then is in no number." }
        }
        @if let Some(merged) = &report.merged {
            ul.plain { @for told in merge::sentences(merged) { li { (shown_whole(&told)) } } }
        }
        (chart::band(&format!("Band of coverage from {from} to {to}: {told}"), &report.zone, &steps))
    }
}
