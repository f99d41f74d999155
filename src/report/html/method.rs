//! What could not be seen, what may be wrong, how it was counted, and how to verify it.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use crate::model::class::Class;
use crate::report::format::hash_of;
use crate::report::html::tables::{Cell, Table, count, text};
use crate::report::html::words::{counter, moment, shown};
use crate::report::sentence::grouped;
use crate::report::shape::Report;

/// What no number of this report holds.
pub fn unseen(report: &Report) -> Markup {
    html! {
        (readings(report))
        @let lost: u64 = report.losses.values().sum();
        @if lost == 0 { p { "Nothing was seen to be lost: every counter of losses is zero." } }
        @else { p { strong { "Something was lost." } " Every count of this report is a lower bound." } }
        details open[lost > 0] {
            summary { "Counters of losses" }
            (counters("What was lost", &report.losses))
        }
        @if report.not_judged.values().any(|count| *count > 0) {
            (counters("Watched, and no attack: in no number above", &report.not_judged))
        }
    }
}

fn counters(caption: &str, counters: &BTreeMap<String, u64>) -> Markup {
    let rows = counters.iter().map(|(name, value)| vec![Cell::Text(counter(name)), count(*value)]).collect();
    Table { caption, columns: &["Counter", "#Count"], rows }.write()
}

fn titles(classes: &[&str]) -> String {
    let title =
        |id: &&str| Class::from_id(id).map_or_else(|| (*id).to_owned(), |class| class.row().title.to_owned());
    classes.iter().map(title).collect::<Vec<_>>().join("; ")
}

fn readings(report: &Report) -> Markup {
    let rows = report
        .readings
        .iter()
        .map(|row| {
            vec![
                text(&row.site),
                count(row.clear),
                count(row.hidden),
                count(row.unknown),
                Cell::Share(Some(row.inspectable_share)),
            ]
        })
        .collect();
    let encrypted: Vec<_> = report.readings.iter().filter(|row| row.hidden > 0).collect();
    html! {
        (Table {
            caption: "What could be read: conversations by site",
            columns: &["Site", "#In clear", "#Encrypted", "#Unknown protocol", "#Readable"],
            rows,
        }.write())
        @if let Some(first) = encrypted.first() {
            p {
                "In encrypted conversations no web attack, no web, mail or database login and no exploit is seen; of SSH and remote "
                "desktop logins and of floods only what lengths, times and handshakes tell (inferred)."
            }
            details {
                summary { "Classes that encryption hides" }
                @if !first.hidden_classes.is_empty() { p { strong { "Hidden: " } (titles(&first.hidden_classes)) "." } }
                @if !first.inferred_classes.is_empty() { p { strong { "Inferred: " } (titles(&first.inferred_classes)) "." } }
            }
        }
    }
}

/// Endpoints where a rule may be wrong.
pub fn doubtful(report: &Report) -> Option<Markup> {
    (!report.likely_false_alarms.is_empty()).then(|| {
        html! {
            p { "One rule, one place, and many clients that did nothing else and were served. If they are honest, except them:" }
            @for row in &report.likely_false_alarms {
                p { (grouped(row.attempts)) " attempts, " (grouped(row.clean_sources)) " clients" }
                pre tabindex="0" { @for line in row.exception.lines() { (shown(line)) "\n" } }
            }
        }
    })
}

/// Definitions, databases, detectors, settings.
pub fn method(report: &Report) -> Markup {
    let definition = &report.definition;
    let words = [
        ("Attempt", definition.attempt),
        ("Session", definition.session),
        ("Incident", definition.incident),
        ("Campaign", definition.campaign),
        ("Source", definition.source),
        ("Overseas", definition.overseas),
    ];
    let home = if report.home.is_empty() { "not declared".to_owned() } else { report.home.join(", ") };
    html! {
        dl {
            @for (word, meaning) in words { dt { (word) } dd { (meaning) "." } }
            dt { "Home" } dd { (shown(&home)) }
            dt { "Addresses are written" } dd { (shown(&report.addresses)) }
            dt { "Version" } dd { "gatewatch " (shown(&report.gatewatch_version)) ", definitions " (definition.version) }
            dt { "Detection set" } dd { code { (shown(&report.detectors.set_hash)) } }
            dt { "Settings" } dd { code { (shown(&report.config_hash)) } }
        }
        (databases(report))
        (regimes(report))
    }
}

fn databases(report: &Report) -> Markup {
    html! {
        h3 { "Databases of origins" }
        @if report.databases.is_empty() { p { "None: no origin could be determined." } }
        @for database in &report.databases {
            p {
                (shown(&database.kind)) ", built " (moment(&database.build_date)) ". "
                @if database.kind.starts_with("DBIP") { a href="https://db-ip.com" { "IP Geolocation by DB-IP" } ". " }
                @else if let Some(attribution) = &database.attribution { (shown(attribution)) " " }
                "SHA-256 " code { (shown(&database.sha256)) }
            }
        }
    }
}

fn regimes(report: &Report) -> Markup {
    let rows = report
        .regimes
        .iter()
        .map(|row| {
            vec![
                text(&report.zone.hour(&row.from)),
                text(&report.zone.hour(&row.last)),
                count(row.attempts),
                text(&row.changed.join(", ")),
                text(&row.version),
                Cell::Code(row.detector_set.chars().take(12).collect()),
                Cell::Code(row.config_hash.chars().take(12).collect()),
            ]
        })
        .collect();
    let columns = &["From hour", "To hour", "#Attempts", "Changed", "Version", "Detection set", "Settings"];
    Table { caption: "Stretches that were counted in one way", columns, rows }.write()
}

/// What an auditor does with it.
pub fn verify(report: &Report, sealed: &Value) -> Markup {
    let name = shown(&report.period.name);
    html! {
        ol {
            li { "The folder that this file lies in: " code { "gatewatch verify FOLDER" } " adds up every table again, compares the files with their manifest and follows the chain of hashes." }
            li {
                "The numbers of this page are those of " code { "report-" (name) ".json" } ". Its SHA-256, over the canonical form (RFC 8785) without the member "
                code { "sha256" } ", is " code { (hash_of(sealed)) } "."
            }
            @if let Some(previous) = &report.previous_sha256 { li { "The period before it, of the same kind, has " code { (shown(previous)) } "." } }
            li { "From the store, counted again: " code { "gatewatch report --from-dir FOLDER" } "; by another country database: " code { "gatewatch recount" } "." }
            li { "One attempt, with its evidence: " code { "gatewatch explain EVENT-ID" } ", with an id from " code { "events-*.jsonl" } "." }
        }
    }
}
