//! One self-contained page: no script, no request to anywhere. Escaped by construction (maud).

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use crate::report::format::Output;
use crate::report::sentence::{self, grouped, per_cent};
use crate::report::shape::{Report, Row};
use crate::report::text::lines::safe;
use crate::report::trend::Trend;
use crate::report::units::UnitPart;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#57606a;--line:#d0d7de;--bar:#0b5cad}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9198a1;--line:#30363d;--bar:#58a6ff}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:0 auto;padding:1rem}
blockquote{font-size:1.35rem;line-height:1.4;margin:1.5rem 0;padding:.5rem 1rem;border-left:.3rem solid var(--bar)}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.5rem 0}
th,td{text-align:right;padding:.2rem .5rem;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}
thead th{color:var(--soft);font-weight:600}
p.note,footer{color:var(--soft);font-size:.9rem;overflow-wrap:anywhere}
.wide{overflow-x:auto}
svg{width:100%;height:auto}svg rect{fill:var(--bar)}svg text{fill:var(--soft);font-size:11px}
@media print{body{max-width:none}section{break-inside:avoid}}
";

/// Height of the bars of the series.
const CHART_HEIGHT: u64 = 120;
/// Width of the chart's drawing area.
const CHART_WIDTH: u64 = 720;

/// Writes the page.
pub fn write(report: &Report, sealed: &Value) -> Vec<Output> {
    vec![Output { suffix: ".html".into(), content: page(report, sealed).into_string() }]
}

fn page(report: &Report, sealed: &Value) -> Markup {
    let coverage = &report.period.coverage;
    let observed = per_cent(coverage.seconds_observed.unsigned_abs(), coverage.seconds.unsigned_abs());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "gatewatch report " (safe(&report.period.name)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Attacks in " (safe(&report.period.name)) }
                    @if report.open { p.note { "This period is still open; the numbers will change." } }
                    blockquote { (safe(&report.headline.text)) }
                    @for told in sentence::certainty(report) { p { (safe(&told)) } }
                    p.note {
                        "Counted are attempts of the classes web, auth and exploit whose origin is proven (grade E1 or better), from "
                        (report.period.from) " to " (report.period.to) ". Observed: " (observed) " % of that time. "
                        @if report.headline.lower_bound { "Something was lost: every count is a lower bound (≥)." }
                    }
                }
                main {
                    section { (series(report)) }
                    @if let Some(trend) = &report.trend { section { (months(trend)) } }
                    section { (ladder(report)) }
                    section { (table("Rows of the statement", &report.sectors)) }
                    section { (origins(report)) }
                    section { (table("Protected sites", &report.sites)) }
                    section { (table("Classes of attack", &report.classes)) }
                    @for unit in report.units.iter().filter(|unit| unit.is_apart() && unit.counts.attempts > 0) {
                        section { (apart(unit)) }
                    }
                    section { (table("Evidence of the origin", &report.grades)) }
                    @if !report.labels.is_empty() { section { (table("Labelled networks", &report.labels)) } }
                    @if !report.likely_false_alarms.is_empty() { section { (doubtful(report)) } }
                    @if !report.campaigns.is_empty() { section { (campaigns(report)) } }
                    @if !report.readings.is_empty() { section { (readings(report)) } }
                    section { (regimes(report)) }
                    section { (losses(report)) }
                }
                (footer(report, sealed))
            }
        }
    }
}

fn ladder(report: &Report) -> Markup {
    let rows = sentence::ladder(&report.totals);
    html! {
        table {
            caption { "The same traffic in every unit" }
            thead { tr { th scope="col" { "Unit" } th scope="col" { "Count" } } }
            tbody { @for (unit, count) in rows { tr { td { (unit) } td { (count) } } } }
        }
    }
}

/// How much of each site's conversations could be read.
fn readings(report: &Report) -> Markup {
    html! {
        table {
            caption { "What could be read: conversations by site" }
            thead { tr {
                th scope="col" { "Site" } th scope="col" { "In clear" } th scope="col" { "Encrypted" }
                th scope="col" { "Unknown protocol" } th scope="col" { "Readable" }
            } }
            tbody {
                @for row in &report.readings {
                    tr {
                        td { (safe(&row.site)) } td { (grouped(row.clear)) } td { (grouped(row.hidden)) }
                        td { (grouped(row.unknown)) } td { (format!("{:.1} %", row.inspectable_share * 100.0)) }
                    }
                }
            }
        }
        @if report.readings.iter().any(|row| row.hidden > 0) {
            p.note {
                "In encrypted conversations no web attack, no web, mail or database login and no exploit is seen; of SSH and remote "
                "desktop logins and of floods only what lengths, times and handshakes tell (inferred)."
            }
        }
    }
}

/// A unit that is counted apart.
fn apart(unit: &UnitPart) -> Markup {
    let tables = [("Class", &unit.classes), ("Site", &unit.sites), ("Origin", &unit.origins)];
    html! {
        h2 { (unit.title) " (not in the headline)" }
        @for (name, rows) in tables {
            table {
                caption { (unit.title) " by " (name.to_lowercase()) }
                thead { tr { th scope="col" { (name) } th scope="col" { "Attempts" } th scope="col" { "Incidents" } } }
                tbody {
                    @for row in rows {
                        tr {
                            td { (safe(&row.title)) @if row.id != row.title { " (" (safe(&row.id)) ")" } }
                            td { (grouped(row.counts.attempts)) } td { (grouped(row.counts.incidents)) }
                        }
                    }
                }
            }
        }
    }
}

fn table(title: &str, rows: &[Row]) -> Markup {
    html! {
        div.wide {
            table {
                caption { (title) }
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "Attempts" } th scope="col" { "In the headline" }
                    th scope="col" { "From overseas" } th scope="col" { "Sessions" } th scope="col" { "Incidents" }
                    th scope="col" { "Campaigns" } th scope="col" { "Sources" }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            td { (safe(&row.title)) @if row.id != row.title { " (" (safe(&row.id)) ")" } }
                            td { (grouped(row.counts.attempts)) } td { (grouped(row.counts.headline_attempts)) }
                            td { (grouped(row.counts.overseas_attempts)) } td { (grouped(row.counts.sessions)) }
                            td { (grouped(row.counts.incidents)) }
                            td { (known(row.campaigns)) } td { (known(row.sources)) }
                        }
                    }
                }
            }
        }
    }
}

/// A number that may not be told.
fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), grouped)
}

fn per_hundred(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn origins(report: &Report) -> Markup {
    html! {
        @for (kind, title) in [
            ("country", "Origins, according to the IP addresses"),
            ("as", "Autonomous systems"),
            ("prefix", "Prefixes"),
            ("infrastructure", "Kinds of network"),
            ("registered", "Countries of registration"),
        ] {
            @let rows: Vec<_> = report.origins.iter().filter(|row| row.kind == kind).collect();
            @if !rows.is_empty() {
                div.wide {
                    table {
                        caption { (title) }
                        thead { tr {
                            th scope="col" { "Origin" } th scope="col" { "Attempts" } th scope="col" { "In the headline" }
                            th scope="col" { "Share" } th scope="col" { "Of all addresses" } th scope="col" { "Incidents" }
                            th scope="col" { "Sources" }
                        } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td { @if row.name.is_empty() { (safe(&row.code)) } @else { (safe(&row.name)) " (" (safe(&row.code)) ")" } }
                                    td { (grouped(row.counts.attempts)) } td { (grouped(row.counts.headline_attempts)) }
                                    td { (per_hundred(row.share)) } td { (per_hundred(row.base_rate)) }
                                    td { (grouped(row.counts.incidents)) } td { (known(row.sources)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn months(trend: &Trend) -> Markup {
    html! {
        div.wide {
            table {
                caption { "Month by month" }
                thead { tr {
                    th scope="col" { "Month" } th scope="col" { "Observed" } th scope="col" { "In the headline" }
                    th scope="col" { "From overseas" } th scope="col" { "A 30-day month" } th scope="col" { "Changed" }
                } }
                tbody {
                    @for month in &trend.months {
                        tr {
                            td { (month.period) }
                            td { (per_cent(month.seconds_observed.unsigned_abs(), month.seconds.unsigned_abs())) " %" }
                            td { (grouped(month.headline_attempts)) } td { (known(month.overseas_attempts)) }
                            td { (sentence::normalised(month)) } td { (month.breaks.join(", ")) }
                        }
                    }
                }
            }
        }
        @for shift in &trend.level_shifts { p { (sentence::level_shift(shift)) } }
        @if let Some(method) = trend.method_told() { p.note { (method) } }
    }
}

fn campaigns(report: &Report) -> Markup {
    html! {
        div.wide {
            table {
                caption { "Campaigns: incidents that share a fingerprint" }
                thead { tr {
                    th scope="col" { "First rule" } th scope="col" { "Payload" } th scope="col" { "Attempts" }
                    th scope="col" { "Incidents" } th scope="col" { "Sources" } th scope="col" { "Countries" }
                } }
                tbody {
                    @for row in &report.campaigns {
                        tr {
                            td { (safe(&row.rule)) } td { (safe(&row.payload)) } td { (grouped(row.attempts)) }
                            td { (grouped(row.incidents)) } td { (grouped(row.sources)) } td { (grouped(row.countries)) }
                        }
                    }
                }
            }
        }
    }
}

fn regimes(report: &Report) -> Markup {
    html! {
        table {
            caption { "Stretches that were counted in one way" }
            thead { tr {
                th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Attempts" } th scope="col" { "Changed" }
            } }
            tbody {
                @for row in &report.regimes {
                    tr { td { (row.from) } td { (row.last) } td { (grouped(row.attempts)) } td { (row.changed.join(", ")) } }
                }
            }
        }
    }
}

fn doubtful(report: &Report) -> Markup {
    html! {
        h2 { "Likely false alarms" }
        p { "One rule, one place, and many clients that did nothing else and were served. If they are honest, except them:" }
        @for row in &report.likely_false_alarms {
            p { (grouped(row.attempts)) " attempts, " (grouped(row.clean_sources)) " clients" }
            pre { @for line in row.exception.lines() { (safe(line)) "\n" } }
        }
    }
}

fn losses(report: &Report) -> Markup {
    html! {
        table {
            caption { "What was lost" }
            thead { tr { th scope="col" { "Counter" } th scope="col" { "Count" } } }
            tbody { @for (name, count) in &report.losses { tr { td { (name) } td { (grouped(*count)) } } } }
        }
    }
}

/// Bars of headline attempts; time that was not observed has no bar but a mark on the base line.
fn series(report: &Report) -> Markup {
    let steps = &report.series;
    let highest = steps.iter().map(|step| step.counts.headline_attempts).max().unwrap_or(0);
    let width = CHART_WIDTH / (steps.len() as u64).max(1);
    let first = steps.first().map_or("", |step| step.period.as_str());
    let last = steps.last().map_or("", |step| step.period.as_str());
    html! {
        h2 { "Over time" }
        svg viewBox=(format!("0 0 {} {}", CHART_WIDTH + 10, CHART_HEIGHT + 40)) role="img"
            aria-label=(format!("Headline attempts from {first} to {last}; the highest step has {}", grouped(highest))) {
            text x="0" y="12" { "highest: " (grouped(highest)) }
            @for (at, step) in steps.iter().enumerate() {
                @let height = (step.counts.headline_attempts * CHART_HEIGHT).checked_div(highest).unwrap_or(0);
                rect x=(at as u64 * width) y=(20 + CHART_HEIGHT - height) width=(width.saturating_sub(1).max(1)) height=(height) {
                    title { (step.period) ": " (grouped(step.counts.headline_attempts)) @if step.seconds_observed == 0 { ", not observed" } }
                }
            }
            text x="0" y=(CHART_HEIGHT + 36) { (first) }
            text x=(CHART_WIDTH) y=(CHART_HEIGHT + 36) text-anchor="end" { (last) }
        }
    }
}

fn footer(report: &Report, sealed: &Value) -> Markup {
    html! {
        footer {
            p { "An attempt is " (report.definition.attempt) ". Overseas: " (report.definition.overseas) "." }
            @for database in &report.databases {
                p {
                    "Database " (safe(&database.kind)) " of " (database.build_date) ", SHA-256 " (database.sha256) ". "
                    @if database.kind.starts_with("DBIP") { a href="https://db-ip.com" { "IP Geolocation by DB-IP" } }
                    @else if let Some(attribution) = &database.attribution { (safe(attribution)) }
                }
            }
            p {
                "gatewatch " (report.gatewatch_version) ", detection set " (report.detectors.set_hash) ", settings " (report.config_hash)
                ". SHA-256 of the JSON form: " (crate::report::format::hash_of(sealed))
            }
        }
    }
}
