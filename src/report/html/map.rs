//! The world by country: a choropleth in an equal-area projection, with what is not on it told beside it.

use std::sync::LazyLock;

use maud::{Markup, html};

use crate::report::html::words::{counter, shown};
use crate::report::sentence::grouped;
use crate::report::shape::{OriginRow, Report};

/// The outline; its first lines name source and licence.
const WORLD: &str = include_str!("world.tsv");
/// Colours of the scale, weak to strong.
const COLOURS: usize = 6;
/// A country of less than this area, in units of the drawing, has a dot as well, or nobody would see it.
const SPECK: u32 = 60;
/// Radius of the dot.
const DOT: u32 = 5;

struct Land {
    code: &'static str,
    x: &'static str,
    y: &'static str,
    area: u32,
    path: &'static str,
}

struct World {
    size: (&'static str, &'static str),
    /// The outline of the globe.
    sea: &'static str,
    lands: Vec<Land>,
}

static MAP: LazyLock<World> = LazyLock::new(|| {
    let (mut size, mut sea) = (("1", "1"), "");
    let mut lands = Vec::new();
    for line in WORLD.lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let mut next = || cells.next().unwrap_or_default();
        let (first, second, third, fourth, path) = (next(), next(), next(), next(), next());
        if first == "~" {
            sea = path;
        } else if third.is_empty() {
            size = (first, second);
        } else {
            lands.push(Land { code: first, x: second, y: third, area: fourth.parse().unwrap_or(0), path });
        }
    }
    World { size, sea, lands }
});

/// What is drawn: the attempts that shares of countries are of, and where the others are.
struct Drawn<'r> {
    /// Country rows on the map.
    on: Vec<(&'static Land, &'r OriginRow, u64)>,
    /// Rows that no map can show, with their attempts in the headline.
    off: Vec<(&'r OriginRow, u64)>,
    /// Attempts in the headline from countries on the map that are not counted as overseas.
    domestic: u64,
    edges: Vec<u64>,
}

impl<'r> Drawn<'r> {
    fn of(report: &'r Report) -> Self {
        let declared = report.headline.overseas_attempts.is_some();
        let mut drawn = Self { on: Vec::new(), off: Vec::new(), domestic: 0, edges: Vec::new() };
        for row in report.origins.iter().filter(|row| row.kind == "country") {
            let headline = row.counts.headline_attempts;
            match MAP.lands.iter().find(|land| land.code == row.code) {
                Some(land) => {
                    let part = if declared { row.counts.overseas_attempts } else { headline };
                    drawn.domestic += headline.saturating_sub(part);
                    if part > 0 {
                        drawn.on.push((land, row, part));
                    }
                }
                None if headline > 0 => drawn.off.push((row, headline)),
                None => {}
            }
        }
        drawn.edges = edges(drawn.on.iter().map(|(_, _, part)| *part).max().unwrap_or(0));
        drawn
    }

    fn sum(&self) -> u64 {
        self.on.iter().map(|(_, _, part)| part).sum()
    }

    /// The class of a colour: the first edge above, 1 being the weakest.
    fn colour(&self, part: u64) -> usize {
        self.edges.iter().filter(|edge| **edge <= part).count().max(1)
    }
}

/// Where each colour begins: one, two, five, ten while that is enough, else by tens, the weakest taking all that is small.
fn edges(highest: u64) -> Vec<u64> {
    const FINE: [u64; COLOURS] = [1, 2, 5, 10, 20, 50];
    if highest < 500 {
        return FINE.into_iter().filter(|edge| *edge <= highest).collect();
    }
    let mut edges: Vec<u64> = std::iter::successors(Some(1_u64), |edge| edge.checked_mul(10))
        .take_while(|edge| *edge <= highest)
        .collect();
    let small = edges.len().saturating_sub(COLOURS);
    edges.drain(1..=small);
    edges
}

/// The map with its legend and what is not on it.
pub fn write(report: &Report) -> Markup {
    let drawn = Drawn::of(report);
    let (width, height) = MAP.size;
    html! {
        figure.map {
            svg role="img" aria-labelledby="map-title map-told" viewBox=(format!("0 0 {width} {height}")) {
                title id="map-title" { "World map of the attempts " (counted(report)) ", by country" }
                desc id="map-told" { (told(&drawn)) }
                (lands(report, &drawn))
            }
            figcaption {
                (legend(report, &drawn))
                p { (balance(report, &drawn)) }
                p.note { "Areas are true (Equal Earth projection). Borders are those of Natural Earth and take no position." }
            }
        }
    }
}

const fn counted(report: &Report) -> &'static str {
    if report.headline.overseas_attempts.is_some() {
        "from overseas in the headline"
    } else {
        "in the headline"
    }
}

fn lands(report: &Report, drawn: &Drawn<'_>) -> Markup {
    let is_drawn = |land: &Land| drawn.on.iter().any(|(on, ..)| on.code == land.code);
    let is_home = |land: &Land| report.home.iter().any(|home| home == land.code);
    let blank: String = MAP
        .lands
        .iter()
        .filter(|land| land.code != "-" && !is_drawn(land) && !is_home(land))
        .map(|land| land.path)
        .collect();
    html! {
        path.sea d=(MAP.sea) {}
        path.land d=(blank) {}
        @for land in MAP.lands.iter().filter(|land| land.code == "-") { path.nocode d=(land.path) {} }
        @for land in MAP.lands.iter().filter(|land| is_home(land) && !is_drawn(land)) {
            path.home d=(land.path) { title { (crate::report::countries::name(land.code)) ": home" } }
        }
        @for (land, row, part) in &drawn.on {
            g class=(format!("q{}", drawn.colour(*part))) {
                title { (shown(&row.name)) ": " (grouped(*part)) }
                path d=(land.path) {}
                @if land.area < SPECK { circle cx=(land.x) cy=(land.y) r=(DOT) {} }
            }
        }
    }
}

fn legend(report: &Report, drawn: &Drawn<'_>) -> Markup {
    let nexts = drawn.edges.iter().skip(1).map(|next| Some(next - 1)).chain(std::iter::once(None));
    html! {
        ul.legend {
            li { span.swatch.land {} "none located here" }
            @for ((at, low), high) in drawn.edges.iter().enumerate().zip(nexts) {
                li {
                    span class=(format!("swatch q{}", at + 1)) {}
                    @match high {
                        Some(high) if high == *low => (grouped(*low)),
                        Some(high) => { (grouped(*low)) "–" (grouped(high)) },
                        None => { (grouped(*low)) " and more" },
                    }
                }
            }
            @if !report.home.is_empty() { li { span.swatch.home {} "home, not overseas" } }
            li { span.swatch.nocode {} "no country code of its own" }
        }
    }
}

/// The five largest, for those who do not see the map.
fn told(drawn: &Drawn<'_>) -> String {
    let mut largest: Vec<_> = drawn.on.iter().map(|(_, row, part)| (*part, shown(&row.name))).collect();
    largest.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let rest = largest.len().saturating_sub(5);
    let named: Vec<String> =
        largest.iter().take(5).map(|(part, name)| format!("{name} {}", grouped(*part))).collect();
    match (named.is_empty(), rest) {
        (true, _) => "No attempt is located in a country.".to_owned(),
        (false, 0) => format!("{}. The table below tells the same.", named.join(", ")),
        (false, rest) => {
            format!("{}, and {rest} more countries. The table below tells them all.", named.join(", "))
        }
    }
}

/// Where every attempt of the headline is: on the map, at home, or nowhere on it.
fn balance(report: &Report, drawn: &Drawn<'_>) -> Markup {
    let off: u64 = drawn.off.iter().map(|(_, headline)| headline).sum();
    html! {
        "Of " (grouped(report.headline.attempts)) " attempts in the headline the map shows " strong { (grouped(drawn.sum())) }
        @if drawn.domestic > 0 { "; " (grouped(drawn.domestic)) " came from home" }
        @if off > 0 {
            "; " strong { (grouped(off)) " cannot be drawn" } " ("
            @for (at, (row, headline)) in drawn.off.iter().enumerate() {
                @if at > 0 { ", " }
                @if row.name.is_empty() { (counter(&row.code)) } @else { (shown(&row.name)) } ": " (grouped(*headline))
            }
            ")"
        }
        "."
        @if off == 0 { " None is left out." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outline_has_every_country_once_with_a_place() {
        let mut codes: Vec<&str> = MAP.lands.iter().map(|land| land.code).collect();
        assert!(codes.len() > 240, "{}", codes.len());
        codes.dedup();
        assert_eq!(codes.len(), MAP.lands.len(), "each once, in order");
        let (width, height): (u32, u32) = (MAP.size.0.parse().unwrap(), MAP.size.1.parse().unwrap());
        for land in &MAP.lands {
            let (x, y): (u32, u32) = (land.x.parse().unwrap(), land.y.parse().unwrap());
            assert!(x <= width && y <= height, "{}", land.code);
            assert!(!land.path.is_empty() || land.area < SPECK, "{} would be invisible", land.code);
            assert!(land.path.bytes().all(|byte| b"Mlz,- 0123456789".contains(&byte)), "{}", land.code);
        }
        for code in ["AD", "GF", "GI", "HK", "RE", "SG", "TV", "US", "VA", "XK"] {
            assert!(codes.contains(&code), "{code}");
        }
    }

    #[test]
    fn every_country_that_reports_name_is_on_the_map_but_those_without_people() {
        let named: Vec<String> = ('A'..='Z')
            .flat_map(|a| ('A'..='Z').map(move |b| format!("{a}{b}")))
            .filter(|code| {
                !["AP", "EU"].contains(&code.as_str()) && crate::report::countries::name(code) != code
            })
            .collect();
        let missing: Vec<&String> =
            named.iter().filter(|code| !MAP.lands.iter().any(|land| land.code == code.as_str())).collect();
        assert_eq!(missing, ["AQ", "BV"]);
    }

    #[test]
    fn colours_begin_at_round_numbers_and_reach_the_highest() {
        assert_eq!(edges(0), Vec::<u64>::new());
        assert_eq!(edges(1), [1]);
        assert_eq!(edges(37), [1, 2, 5, 10, 20]);
        assert_eq!(edges(499), [1, 2, 5, 10, 20, 50]);
        assert_eq!(edges(500), [1, 10, 100]);
        assert_eq!(edges(999_999), [1, 10, 100, 1_000, 10_000, 100_000]);
        assert_eq!(edges(10_000_000), [1, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]);
        assert!(edges(u64::MAX).len() <= COLOURS);
    }
}
