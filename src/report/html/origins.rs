//! From where: the map, countries with what they would have by chance, networks, and how well the origin is proven.

use maud::{Markup, html};

use crate::model::class::Class;
use crate::report::countries;
use crate::report::html::tables::{Cell, Table, count, text, titled, titled_code};
use crate::report::html::words::zone;
use crate::report::html::{map, sites};
use crate::report::incidents::IncidentRow;
use crate::report::networks::NOT_DETERMINED;
use crate::report::sentence::duration;
use crate::report::shape::{OriginRow, Report};

/// Kinds of origin below the country, with their titles.
const NETWORKS: [(&str, &str, &str); 4] = [
    ("as", "Autonomous systems", "Network"),
    ("prefix", "Prefixes", "Prefix"),
    ("infrastructure", "Kinds of network", "Kind"),
    ("registered", "Countries in which the addresses are registered", "Country"),
];

fn of_kind<'r>(report: &'r Report, kind: &str) -> Vec<&'r OriginRow> {
    report.origins.iter().filter(|row| row.kind == kind).collect()
}

/// The map and the countries.
pub fn places(report: &Report) -> Markup {
    let rows = of_kind(report, "country");
    let disputed = rows.iter().any(|row| row.disputed.is_some());
    let cells = |row: &&OriginRow| {
        let mut cells = vec![
            titled(&row.name, &row.code),
            count(row.counts.headline_attempts),
            count(row.counts.overseas_attempts),
            Cell::Share(row.share),
            Cell::Interval(row.interval),
            Cell::Rate(row.base_rate),
            count(row.counts.attempts),
            count(row.counts.incidents),
            Cell::Count(row.sources),
        ];
        if disputed {
            cells.push(Cell::Count(row.disputed));
        }
        cells
    };
    let mut columns = vec![
        "Origin",
        "#In the headline",
        "#From overseas",
        "#Share",
        "#95 % interval",
        "#Of all addresses",
        "#All attempts",
        "#Incidents",
        "#Sources",
    ];
    if disputed {
        columns.push("#Disputed");
    }
    html! {
        (map::write(report))
        (Table { caption: "Origins, according to the IP addresses", columns: &columns, rows: rows.iter().map(cells).collect() }.write())
        @if !rows.is_empty() {
            p.note {
                "Share: of the " @if report.headline.overseas_attempts.is_some() { "overseas attempts" } @else { "located attempts in the headline" }
                ". Its interval is told of the ten largest countries, drawn over sources, since attempts of one source are not independent. "
                "Of all addresses: the part of the IPv4 addresses located by the database; what the share would be if every address attacked alike."
                @if disputed { " Disputed: attempts that a second database puts elsewhere." }
            }
        }
    }
}

/// Networks and their kinds; those of which nothing is determined are one sentence.
pub fn networks(report: &Report) -> Option<Markup> {
    let kinds = NETWORKS.map(|(kind, caption, first)| (caption, first, of_kind(report, kind)));
    let (told, untold): (Vec<_>, Vec<_>) = kinds
        .into_iter()
        .filter(|(_, _, rows)| !rows.is_empty())
        .partition(|(_, _, rows)| rows.iter().any(|row| row.code != NOT_DETERMINED));
    let untold: Vec<String> = untold.iter().map(|(caption, ..)| caption.to_lowercase()).collect();
    (!told.is_empty() || !untold.is_empty()).then(|| {
        html! {
            @for (caption, first, rows) in &told {
                (Table {
                    caption,
                    columns: &[first, "#In the headline", "#From overseas", "#All attempts", "#Sessions", "#Incidents", "#Sources"],
                    rows: rows.iter().map(|row| network(row)).collect(),
                }.write())
            }
            @if !untold.is_empty() { p.note { "Not determined, since no database in use tells it: " (untold.join("; ")) "." } }
            @if !report.labels.is_empty() { (sites::rows("Networks labelled by the operator", "Label", &report.labels)) }
        }
    })
}

fn network(row: &OriginRow) -> Vec<Cell> {
    vec![
        titled(&row.name, &row.code),
        count(row.counts.headline_attempts),
        count(row.counts.overseas_attempts),
        count(row.counts.attempts),
        count(row.counts.sessions),
        count(row.counts.incidents),
        Cell::Count(row.sources),
    ]
}

/// How well the origin is proven, and which rows of the statement there are.
pub fn evidence(report: &Report) -> Markup {
    html! {
        p { "An address is evidence only where its sender answered. Every attempt is graded by that; the headline takes E1 and better." }
        (sites::rows("Evidence of the origin", "Grade", &report.grades))
        (sites::rows("Rows of the statement", "Row", &report.sectors))
    }
}

/// What is counted in units of its own, never in the headline.
pub fn apart(report: &Report) -> Option<Markup> {
    let units: Vec<_> =
        report.units.iter().filter(|unit| unit.is_apart() && unit.counts.attempts > 0).collect();
    (!units.is_empty()).then(|| {
        html! {
            @for unit in units {
                h3 { (unit.title) }
                @for (name, rows) in [("class", &unit.classes), ("site", &unit.sites), ("origin", &unit.origins)] {
                    (Table {
                        caption: &format!("{} by {name}", unit.title),
                        columns: &[name, "#Attempts", "#Incidents"],
                        rows: rows.iter().map(|row| vec![titled(&row.title, &row.id), count(row.counts.attempts), count(row.counts.incidents)]).collect(),
                    }.write())
                }
            }
        }
    })
}

/// The largest incidents, with their beginning, end and busiest minute.
pub fn incidents(report: &Report) -> Option<Markup> {
    let cells = |row: &IncidentRow| {
        vec![
            Cell::Code(row.source.clone()),
            titled(countries::name(&row.place), &row.place),
            class(&row.class),
            text(&row.site),
            span(report, [row.first_seen.as_str(), row.last_seen.as_str()]),
            Cell::Number(if row.seconds > 0 { duration(row.seconds) } else { "–".to_owned() }),
            count(row.attempts),
            count(row.peak_per_minute),
        ]
    };
    let seen = format!("#First and last, {}", zone(report));
    let columns =
        &["Source", "Origin", "Class", "Site", seen.as_str(), "#Length", "#Attempts", "#Busiest minute"];
    let of = |headline: bool| -> Vec<_> {
        report.incidents.iter().filter(|row| row.headline == headline).map(cells).collect()
    };
    (!report.incidents.is_empty()).then(|| {
        html! {
            p { "Incident: " (report.definition.incident) ". Told are the largest that touch the period, each with all of its attempts." }
            (Table { caption: "Largest incidents in the headline", columns, rows: of(true) }.write())
            (Table { caption: "Largest incidents that are not in it", columns, rows: of(false) }.write())
        }
    })
}

/// From the first to the last moment, in the zone that is shown.
fn span(report: &Report, moments: [&str; 2]) -> Cell {
    Cell::Span(moments.map(|moment| report.zone.second(moment)))
}

fn class(id: &str) -> Cell {
    titled(Class::from_id(id).map_or("", |class| class.row().title), id)
}

/// Campaigns with most attempts.
pub fn campaigns(report: &Report) -> Option<Markup> {
    let rows = report
        .campaigns
        .iter()
        .map(|row| {
            vec![
                titled_code(Class::from_id(&row.class).map_or("", |class| class.row().title), &row.rule),
                Cell::Codes(vec![row.payload.clone(), row.client.clone()]),
                count(row.attempts),
                Cell::Share(Some(row.share)),
                count(row.incidents),
                count(row.sources),
                count(row.countries),
                count(row.sites),
                span(report, [row.first_seen.as_str(), row.last_seen.as_str()]),
            ]
        })
        .collect::<Vec<_>>();
    let seen = format!("#First and last, {}", zone(report));
    let columns = &[
        "Class and first rule",
        "What it sends, and as whom",
        "#Attempts",
        "#Of all",
        "#Incidents",
        "#Sources",
        "#Countries",
        "#Sites",
        seen.as_str(),
    ];
    (!rows.is_empty()).then(|| {
        html! {
            p { "Campaign: " (report.definition.campaign) "." }
            (Table { caption: "Campaigns with most attempts", columns, rows }.write())
        }
    })
}
