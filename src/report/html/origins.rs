//! From where: the map, countries with what they would have by chance, networks, and how well the origin is proven.

use maud::{Markup, html};

use crate::model::class::Class;
use crate::report::countries;
use crate::report::html::tables::{Cell, Table, count, text, titled};
use crate::report::html::words::{duration, moment};
use crate::report::html::{map, sites};
use crate::report::incidents::IncidentRow;
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

/// Networks and their kinds.
pub fn networks(report: &Report) -> Option<Markup> {
    let kinds = NETWORKS.map(|(kind, caption, first)| (caption, first, of_kind(report, kind)));
    kinds.iter().any(|(_, _, rows)| !rows.is_empty()).then(|| {
        html! {
            @for (caption, first, rows) in &kinds {
                (Table {
                    caption,
                    columns: &[first, "#In the headline", "#From overseas", "#All attempts", "#Sessions", "#Incidents", "#Sources"],
                    rows: rows.iter().map(|row| network(row)).collect(),
                }.write())
            }
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
            Cell::Span([moment(&row.first_seen), moment(&row.last_seen)]),
            Cell::Number(duration(row.seconds)),
            count(row.attempts),
            count(row.peak_per_minute),
        ]
    };
    let columns = &[
        "Source",
        "Origin",
        "Class",
        "Site",
        "#First and last, UTC",
        "#Length",
        "#Attempts",
        "#Busiest minute",
    ];
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
                Cell::Code(row.rule.clone()),
                class(&row.class),
                Cell::Codes(vec![row.payload.clone(), row.client.clone()]),
                count(row.attempts),
                Cell::Share(Some(row.share)),
                count(row.incidents),
                count(row.sources),
                count(row.countries),
                count(row.sites),
                Cell::Span([moment(&row.first_seen), moment(&row.last_seen)]),
            ]
        })
        .collect::<Vec<_>>();
    let columns = &[
        "First rule",
        "Class",
        "What it sends, and as whom",
        "#Attempts",
        "#Of all",
        "#Incidents",
        "#Sources",
        "#Countries",
        "#Sites",
        "#First and last, UTC",
    ];
    (!rows.is_empty()).then(|| {
        html! {
            p { "Campaign: " (report.definition.campaign) "." }
            (Table { caption: "Campaigns with most attempts", columns, rows }.write())
        }
    })
}
