//! Charts as SVG: bars over time with breaks and holes marked, and the band of coverage. Places are in per cent across and in
//! pixels down, so that letters keep their size on a phone and on paper. A table beside each chart tells the same.

use maud::{Markup, html};

use crate::model::period::Period;
use crate::report::html::words::{short_step, step as named};
use crate::report::rhythm::{Rhythm, WEEKDAYS};
use crate::report::sentence::grouped;
use crate::report::zone::Zone;

/// Height of the bars.
const HEIGHT: f64 = 200.0;
/// Room above them for the marks of breaks.
const ABOVE: f64 = 18.0;
/// Room below them for dates.
const BELOW: f64 = 24.0;
/// Part of a step that its bar fills.
const FILLED: f64 = 0.78;
/// Dates below the bars, at most: a phone has room for no more.
const DATES_MAX: usize = 6;
/// Observed for less than this, a step counts as a hole.
const HOLE: f64 = 0.001;
/// Observed for less than this, it is marked as watched in part.
const WHOLE: f64 = 0.99;

/// One step of a chart.
pub struct Step<'s> {
    /// Its period: `2026-09-03`.
    pub period: &'s str,
    /// Height of the bar.
    pub whole: u64,
    /// The part of it that is drawn strong.
    pub part: u64,
    /// The part of the time that was observed, 0 to 1.
    pub observed: f64,
    /// What changed of how is counted.
    pub breaks: &'s [&'static str],
}

impl Step<'_> {
    /// Seconds of a step by its name, 0 where that is no period.
    pub fn seconds(period: &str) -> i64 {
        period.parse::<Period>().map_or(0, |period| (period.end_hour().0 - period.first_hour().0) * 3_600)
    }

    /// What changed, but for coverage, which has its own sign.
    fn changes(&self) -> Vec<&'static str> {
        self.breaks.iter().copied().filter(|name| *name != "coverage").collect()
    }
}

/// The part of a step that was observed.
pub fn observed(period: &str, seconds_observed: i64) -> f64 {
    let seconds = Step::seconds(period);
    if seconds == 0 { 0.0 } else { (seconds_observed as f64 / seconds as f64).clamp(0.0, 1.0) }
}

/// Bars over time. `told` says what the picture shows; `strong`, `weak` and `hole` what the colours mean, an empty word being none.
pub struct Bars<'b> {
    pub told: String,
    pub strong: &'b str,
    pub weak: &'b str,
    pub hole: &'b str,
    pub zone: &'b Zone,
    pub steps: Vec<Step<'b>>,
}

impl Bars<'_> {
    /// The figure.
    pub fn write(&self) -> Markup {
        let highest = self.steps.iter().map(|step| step.whole).max().unwrap_or(0);
        let ceiling = ceiling(highest);
        let wide = 100.0 / self.steps.len().max(1) as f64;
        html! {
            figure.chart {
                svg role="img" aria-label=(self.told) width="100%" height=(ABOVE + HEIGHT + BELOW) {
                    (lines(ceiling))
                    @for (at, step) in self.steps.iter().enumerate() { (self.bar(step, at as f64 * wide, wide, ceiling)) }
                    (scale(ceiling))
                    (dates(&self.steps, self.zone, wide))
                }
                figcaption { (self.legend()) }
            }
            (self.breaks())
        }
    }

    fn legend(&self) -> Markup {
        let holes = self.steps.iter().any(|step| step.observed < HOLE);
        let parts = self.steps.iter().any(|step| (HOLE..WHOLE).contains(&step.observed));
        let changed = self.steps.iter().any(|step| !step.changes().is_empty());
        html! {
            ul.legend {
                li { span.swatch.strong {} (self.strong) }
                @if !self.weak.is_empty() { li { span.swatch.weak {} (self.weak) } }
                @if holes { li { span.swatch.hole {} (self.hole) } }
                @if parts { li { span.swatch.part {} "observed in part" } }
                @if changed { li { span.swatch.break {} "counted in another way from here on" } }
            }
        }
    }
}

impl Bars<'_> {
    fn bar(&self, step: &Step<'_>, from: f64, wide: f64, ceiling: u64) -> Markup {
        let place = |part: f64| format!("{:.3}%", from + wide * part);
        let (x, width) = (place((1.0 - FILLED) / 2.0), format!("{:.3}%", wide * FILLED));
        let y = |value: u64| format!("{:.1}", down(value, ceiling));
        let tall = |value: u64| format!("{:.1}", HEIGHT * value as f64 / ceiling as f64);
        html! {
            g {
                title { (self.told_of(step)) }
                @if step.observed < HOLE {
                    rect.hole x=(place(0.0)) width=(format!("{wide:.3}%")) y=(ABOVE) height=(HEIGHT) {}
                } @else if step.observed < WHOLE {
                    rect.part x=(place(0.0)) width=(format!("{wide:.3}%")) y=(ABOVE + HEIGHT + 1.0) height="4" {}
                }
                @if step.whole > step.part { rect.weak x=(x) width=(width) y=(y(step.whole)) height=(tall(step.whole)) {} }
                @if step.part > 0 { rect.strong x=(x) width=(width) y=(y(step.part)) height=(tall(step.part)) {} }
                @if !step.changes().is_empty() {
                    line.break x1=(place(0.0)) x2=(place(0.0)) y1="4" y2=(ABOVE + HEIGHT) {}
                }
            }
        }
    }

    fn told_of(&self, step: &Step<'_>) -> String {
        let name = named(step.period, self.zone);
        if step.observed < HOLE && step.whole == 0 {
            return format!("{name}: {}", self.hole);
        }
        let mut told = format!("{name}: {}", grouped(step.whole));
        if step.part < step.whole {
            told = format!("{told}, of these {}", grouped(step.part));
        }
        if step.observed < HOLE {
            told = format!("{told}; {}", self.hole);
        } else if step.observed < WHOLE {
            told = format!("{told}; {:.1} % observed", step.observed * 100.0);
        }
        told
    }

    /// The breaks in words.
    fn breaks(&self) -> Markup {
        let changed: Vec<(&str, String)> = self
            .steps
            .iter()
            .filter(|step| !step.changes().is_empty())
            .map(|step| (step.period, step.changes().join(", ")))
            .collect();
        html! {
            @if !changed.is_empty() {
                p.note {
                    "Not to be compared across: "
                    @for (at, (name, changes)) in changed.iter().enumerate() {
                        @if at > 0 { "; " }
                        (named(name, self.zone)) " (" (changes) " changed)"
                    }
                    "."
                }
            }
        }
    }
}

/// A round number not below the highest bar, of which a half is round as well.
fn ceiling(highest: u64) -> u64 {
    if highest < 10 {
        return highest.next_multiple_of(2).max(2);
    }
    let mut tenth = 1_u64;
    while let Some(tenfold) = tenth.checked_mul(10).filter(|tenfold| *tenfold <= highest / 10) {
        tenth = tenfold;
    }
    [10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100]
        .into_iter()
        .filter_map(|times| tenth.checked_mul(times))
        .find(|round| *round >= highest)
        .unwrap_or(highest)
}

fn down(value: u64, ceiling: u64) -> f64 {
    ABOVE + HEIGHT * (1.0 - value as f64 / ceiling as f64)
}

fn lines(ceiling: u64) -> Markup {
    html! {
        @for value in [ceiling, ceiling / 2, 0] {
            @let y = format!("{:.1}", down(value, ceiling));
            line.grid x1="0" x2="100%" y1=(y) y2=(y) {}
        }
    }
}

/// The numbers of the lines, over the bars so that they can be read.
fn scale(ceiling: u64) -> Markup {
    html! {
        @for value in [ceiling, ceiling / 2] {
            text.scale x="2" y=(format!("{:.1}", down(value, ceiling) - 3.0)) { (grouped(value)) }
        }
    }
}

/// A few dates, the first at the left end, the last at the right.
fn dates(steps: &[Step<'_>], zone: &Zone, wide: f64) -> Markup {
    let last = steps.len().saturating_sub(1);
    let every = last.div_ceil(DATES_MAX - 1).max(1);
    let is_told = |at: usize| at == last || at.is_multiple_of(every) && last - at >= every;
    html! {
        @for (at, step) in steps.iter().enumerate().filter(|(at, _)| is_told(*at)) {
            @let (x, anchor) = if at == 0 && last > 0 { (0.0, "start") }
                else if at == last && last > 0 { (100.0, "end") }
                else { ((at as f64 + 0.5) * wide, "middle") };
            text.date x=(format!("{x:.2}%")) y=(ABOVE + HEIGHT + BELOW - 5.0) text-anchor=(anchor) { (short_step(step.period, zone)) }
        }
    }
}

/// When was watched: a band from the first to the last step.
pub fn band(told: &str, zone: &Zone, steps: &[Step<'_>]) -> Markup {
    let wide = 100.0 / steps.len().max(1) as f64;
    html! {
        figure.chart {
            svg role="img" aria-label=(told) width="100%" height="44" {
                @for (first, count, class, part) in runs(steps) {
                    @let title = steps.get(first).map_or_else(String::new, |step| named(step.period, zone));
                    rect class=(class) x=(format!("{:.3}%", first as f64 * wide)) width=(format!("{:.3}%", count as f64 * wide)) y="2" height="18" {
                        title { "from " (title) ": " (part) }
                    }
                }
                g transform=(format!("translate(0 {})", 44.0 - ABOVE - HEIGHT - BELOW)) { (dates(steps, zone, wide)) }
            }
            figcaption {
                ul.legend {
                    li { span.swatch.watched {} "observed" }
                    li { span.swatch.part {} "in part" }
                    li { span.swatch.hole {} "not observed" }
                }
            }
        }
    }
}

/// Height of a day of the week, and the part of it that its squares fill.
const DAY: f64 = 24.0;
const DAY_FILLED: f64 = 21.0;
/// Where the squares begin, in per cent: before them stand the days.
const DAYS_WIDE: f64 = 11.0;
/// Colours of the squares, weak to strong.
const COLOURS: f64 = 6.0;

/// The week: a row a day, a square an hour, the stronger the more attempts by observed time.
pub fn week(rhythm: &Rhythm, told: &str) -> Markup {
    let highest = rhythm.busiest().map_or(0.0, |(_, rate)| rate);
    let wide = (100.0 - DAYS_WIDE) / 24.0;
    let place = |hour: usize| format!("{:.3}%", DAYS_WIDE + hour as f64 * wide);
    let holes = rhythm.rates().any(|(_, rate)| rate.is_none());
    html! {
        figure.chart {
            svg role="img" aria-label=(told) width="100%" height=(7.0 * DAY + BELOW) {
                @for (row, day) in WEEKDAYS.iter().enumerate() {
                    text.date x="0" y=(row as f64 * DAY + 15.0) { (day.get(..3).unwrap_or(day)) }
                }
                @for (cell, rate) in rhythm.rates() {
                    rect class=(shade(rate, highest)) x=(place(cell.hour)) width=(format!("{:.3}%", wide * 0.94))
                        y=(cell.weekday as f64 * DAY) height=(DAY_FILLED) {
                        title { (cell.name()) ": " (grouped(cell.attempts)) @if rate.is_none() { "; hardly or not observed" } }
                    }
                }
                @for hour in [0, 6, 12, 18] {
                    text.date x=(place(hour)) y=(7.0 * DAY + 14.0) { (format!("{hour:02}:00")) }
                }
            }
            figcaption {
                ul.legend {
                    li { span.swatch.land {} "none" }
                    li { span.swatch.q1 {} span.swatch.q3 {} span.swatch.q6 {} "few to most" }
                    @if holes { li { span.swatch.hole {} "hardly or not observed" } }
                }
            }
        }
    }
}

/// The colour of a square.
fn shade(rate: Option<f64>, highest: f64) -> String {
    match rate {
        None => "hole".to_owned(),
        Some(rate) if rate > 0.0 && highest > 0.0 => {
            format!("q{:.0}", (rate / highest * COLOURS).ceil().clamp(1.0, COLOURS))
        }
        Some(_) => "land".to_owned(),
    }
}

/// First step, how many, class and words of the stretches that were watched alike.
fn runs(steps: &[Step<'_>]) -> Vec<(usize, usize, &'static str, &'static str)> {
    let mut runs: Vec<(usize, usize, &'static str, &'static str)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let (class, words) = match step.observed {
            share if share < HOLE => ("hole", "not observed"),
            share if share < WHOLE => ("part", "observed in part"),
            _ => ("watched", "observed"),
        };
        match runs.last_mut().filter(|run| run.2 == class) {
            Some(run) => run.1 += 1,
            None => runs.push((at, 1, class, words)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(period: &str, whole: u64, observed: f64) -> Step<'_> {
        Step { period, whole, part: whole / 2, observed, breaks: &[] }
    }

    fn bars(steps: Vec<Step<'_>>) -> String {
        let told = "x".to_owned();
        Bars { told, strong: "a", weak: "b", hole: "not observed", zone: &Zone::default(), steps }
            .write()
            .into_string()
    }

    #[test]
    fn the_scale_is_round_and_not_below_the_highest() {
        let found = [0, 1, 3, 8, 9, 10, 11, 37, 99, 100, 101, 2_295, 1_728_000].map(ceiling);
        assert_eq!(found, [2, 2, 4, 8, 10, 10, 12, 40, 100, 100, 120, 2_400, 2_000_000]);
        assert_eq!(ceiling(u64::MAX), u64::MAX, "without overflow");
    }

    #[test]
    fn holes_breaks_and_dates_are_drawn_and_told() {
        let names: Vec<String> = (1..=30).map(|day| format!("2026-09-{day:02}")).collect();
        let mut steps: Vec<Step<'_>> = names.iter().map(|name| step(name, 10, 1.0)).collect();
        steps[3].observed = 0.0;
        steps[4].observed = 0.5;
        steps[9].breaks = &["coverage", "detectors"];
        let page = bars(steps);
        for wanted in [
            "4 September 2026: 10, of these 5; not observed",
            "5 September 2026: 10, of these 5; 50.0 % observed",
            "10 September 2026 (detectors changed)",
            "counted in another way",
            ">1 Sep<",
            ">30 Sep<",
        ] {
            assert!(page.contains(wanted), "{wanted}");
        }
        assert!((4..=DATES_MAX).contains(&page.matches("class=\"date\"").count()), "{page}");
    }

    #[test]
    fn stretches_that_were_watched_alike_are_one() {
        let steps = [1.0, 1.0, 0.5, 0.0, 0.0, 1.0].map(|observed| step("2026-09-01", 0, observed));
        let runs: Vec<_> = runs(&steps).into_iter().map(|(at, count, class, _)| (at, count, class)).collect();
        assert_eq!(runs, [(0, 2, "watched"), (2, 1, "part"), (3, 2, "hole"), (5, 1, "watched")]);
    }

    #[test]
    fn no_steps_and_huge_ones_are_drawn() {
        assert!(bars(Vec::new()).contains("<svg"));
        let steps =
            vec![Step { period: "2026", whole: u64::MAX, part: u64::MAX, observed: 1.0, breaks: &[] }];
        let page = bars(steps);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
