//! Which clause of a statement has an occasion, and the values it needs: read from a report, one function a clause.

#![expect(
    clippy::unnecessary_wraps,
    reason = "the table of clauses holds them all; most have no occasion at times"
)]

use crate::model::place::Sector;
use crate::report::dominance::Top;
use crate::report::sentence::{self, OLD_DAYS};
use crate::report::shape::{TopCountry, Totals};
use crate::report::statement::wording::{Fact, Told};
use crate::report::summary::share;

/// The number of the headline.
fn number(told: &Told) -> u64 {
    told.report.headline.overseas_attempts.unwrap_or(told.report.headline.attempts)
}

fn top<'t>(told: &'t Told) -> Option<&'t TopCountry> {
    told.report.headline.top_country.as_ref().filter(|_| number(told) > 0)
}

/// The sentence itself.
pub fn lead(told: &Told) -> Option<Fact> {
    let (declared, number) = (told.report.headline.overseas_attempts.is_some(), number(told));
    let mut values = vec![("period", told.period()), ("sites", told.sites())];
    if number == 0 {
        return Some((if declared { "not_overseas" } else { "not_attacked" }, values));
    }
    let months = told.span.months.filter(|months| declared && *months > 1);
    let said = months.map_or(number, |months| (number * 2 + u64::from(months)) / (u64::from(months) * 2));
    let at_least = if told.report.headline.lower_bound { told.word("at_least") } else { String::new() };
    values.extend([("at_least", at_least), ("times", told.times(said))]);
    Some((
        match (declared, months) {
            (true, Some(_)) => "mean",
            (true, None) => "overseas",
            (false, _) => "attacked",
        },
        values,
    ))
}

/// The country with the largest share.
pub fn origin(told: &Told) -> Option<Fact> {
    let Some(top) = top(told) else {
        return (number(told) > 0).then(|| ("untold", Vec::new()));
    };
    let base = told.report.headline.overseas_attempts.unwrap_or_else(|| {
        let located = told.report.origins.iter().filter(|row| row.share.is_some());
        located.map(|row| row.counts.headline_attempts).sum()
    });
    let values = vec![
        ("share", told.decimal(&sentence::per_cent(top.attempts, base))),
        ("country", told.template.country(&top.code)),
        ("according", told.word("according")),
    ];
    Some(("share", values))
}

/// The unit, and what is in the number.
pub fn counted(told: &Told) -> Option<Fact> {
    let classes = told.report.headline.classes.join(&told.word("list"));
    Some(("unit", vec![("classes", classes), ("grade", "E1".to_owned())]))
}

/// That the period is not over.
pub fn open(told: &Told) -> Option<Fact> {
    told.report.open.then(|| ("open", vec![("period", told.span.name.clone())]))
}

/// That something was lost.
pub fn lower(told: &Told) -> Option<Fact> {
    let losses =
        told.report.losses.iter().filter(|(name, count)| **count > 0 && crate::report::store::is_loss(name));
    let losses = losses.map(|(name, count)| format!("{name} {}", told.count(*count)));
    let losses = losses.collect::<Vec<_>>().join(&told.word("list"));
    told.report.headline.lower_bound.then(|| ("lost", vec![("losses", losses)]))
}

/// That not all of the time was observed.
pub fn gaps(told: &Told) -> Option<Fact> {
    let coverage = &told.report.period.coverage;
    let (observed, seconds) = (coverage.seconds_observed.unsigned_abs(), coverage.seconds.unsigned_abs());
    (observed < seconds).then(|| {
        let share = told.decimal(&sentence::observed(coverage.seconds_observed, coverage.seconds));
        ("some", vec![("share", share), ("observed", told.count(observed)), ("seconds", told.count(seconds))])
    })
}

/// What the number would be had all of the time been observed.
pub fn scaled(told: &Told) -> Option<Fact> {
    let scaled = sentence::scaled(told.report)?;
    let variant = if sentence::is_mean(told.report) { "mean" } else { "number" };
    Some((variant, vec![("times", told.times(scaled))]))
}

/// That all of it was.
pub fn whole(told: &Told) -> Option<Fact> {
    gaps(told).is_none().then(|| ("whole", Vec::new()))
}

/// How far the number may be off.
pub fn interval(told: &Told) -> Option<Fact> {
    let [low, high] = told.report.headline.interval.filter(|[low, high]| low < high)?;
    Some(("count", vec![("low", told.count(low)), ("high", told.count(high))]))
}

/// What encryption hides.
pub fn unseen(told: &Told) -> Option<Fact> {
    let sum = |count: fn(&crate::report::reading::ReadingRow) -> u64| -> u64 {
        told.report.readings.iter().map(count).sum()
    };
    let hidden = sum(|row| row.hidden);
    let all = hidden + sum(|row| row.clear) + sum(|row| row.unknown);
    (hidden > 0).then(|| ("encrypted", vec![("share", told.per_cent(share(hidden, all)))]))
}

/// What the share is a share of.
pub fn share_of(told: &Told) -> Option<Fact> {
    top(told)?;
    if told.report.headline.overseas_attempts.is_none() {
        return Some(("located", Vec::new()));
    }
    let home = told.report.home.iter().map(|code| told.template.country(code)).collect::<Vec<_>>();
    let home = if home.is_empty() { told.word("not_told") } else { home.join(&told.word("list")) };
    Some(("overseas", vec![("home", home)]))
}

/// How far the share may be off.
pub fn share_interval(told: &Told) -> Option<Fact> {
    let top = top(told)?;
    let [low, high] = top.interval.filter(|[low, high]| low < high)?;
    let country = told.template.country(&top.code);
    Some(("share", vec![("country", country), ("low", told.per_cent(low)), ("high", told.per_cent(high))]))
}

/// What the share would be by chance.
pub fn base_rate(told: &Told) -> Option<Fact> {
    let top = top(told)?;
    Some((
        "rate",
        vec![("share", told.per_cent(top.base_rate?)), ("country", told.template.country(&top.code))],
    ))
}

/// The rows that stand beside the number and are not in it.
pub fn beside(told: &Told) -> Option<Fact> {
    let declared = told.report.headline.overseas_attempts.is_some();
    let counts = |sector: Sector| {
        let row = told.report.sectors.iter().find(|row| row.id == sector.name());
        row.map(|row| row.counts).unwrap_or_default()
    };
    let headline = |sector: Sector| told.count(counts(sector).headline_attempts);
    // Without a proven origin nothing is in the headline: these are told as they are.
    let whole = |sector: Sector| told.count(counts(sector).attempts);
    let numbered = if declared { Sector::Overseas } else { Sector::Located };
    let values = vec![
        ("attempts", headline(numbered)),
        ("domestic", headline(Sector::Domestic)),
        ("region", headline(Sector::Region)),
        ("unknown", headline(Sector::Unknown)),
        ("private", headline(Sector::Private)),
        ("proxy", whole(Sector::Proxy)),
        ("unprovable", whole(Sector::Unprovable)),
    ];
    Some((if declared { "home" } else { "no_home" }, values))
}

fn named(top: &Top) -> String {
    if top.name.is_empty() { top.id.clone() } else { format!("{} ({})", top.id, top.name) }
}

/// The largest source.
pub fn top_source(told: &Told) -> Option<Fact> {
    let top = told.report.headline.dominance.source.as_ref()?;
    Some(("top", vec![("source", named(top)), ("share", told.per_cent(top.share))]))
}

/// The largest autonomous system.
pub fn top_system(told: &Told) -> Option<Fact> {
    let top = told.report.headline.dominance.system.as_ref()?;
    Some(("top", vec![("system", named(top)), ("share", told.per_cent(top.share))]))
}

/// The largest campaign, and the share without it.
pub fn top_campaign(told: &Told) -> Option<Fact> {
    let dominance = &told.report.headline.dominance;
    let campaign = dominance.campaign.as_ref()?;
    let mut values = vec![("campaign", campaign.name.clone()), ("share", told.per_cent(campaign.share))];
    let Some((without, top)) = dominance.share_without_campaign.zip(top(told)) else {
        return Some(("top", values));
    };
    values.extend([("country", told.template.country(&top.code)), ("without", told.per_cent(without))]);
    Some(("without", values))
}

/// That other units tell another share.
pub fn disagreement(told: &Told) -> Option<Fact> {
    let agreement = told.report.headline.agreement.as_ref().filter(|agreement| !agreement.agree)?;
    let sources = agreement.sources.map_or_else(|| told.word("not_told"), |share| told.per_cent(share));
    let country = told.template.country(&top(told)?.code);
    let incidents = told.per_cent(agreement.incidents);
    Some(("units", vec![("country", country), ("incidents", incidents), ("sources", sources)]))
}

/// Every unit side by side.
pub fn ladder(told: &Told) -> Option<Fact> {
    let totals = &told.report.totals;
    let values = units(totals).map(|(unit, count)| {
        let mark = if totals.lower_bounds.contains(&unit) {
            "≥ "
        } else if totals.estimates.contains(&unit) {
            "≈ "
        } else {
            ""
        };
        (unit, format!("{mark}{}", told.known(count)))
    });
    Some(("units", values.to_vec()))
}

fn units(totals: &Totals) -> [(&'static str, Option<u64>); 6] {
    [
        ("packets", Some(totals.packets)),
        ("attempts", Some(totals.attempts)),
        ("sessions", Some(totals.sessions)),
        ("incidents", Some(totals.incidents)),
        ("campaigns", totals.campaigns),
        ("sources", totals.sources),
    ]
}

/// What a second database makes of it.
pub fn second(told: &Told) -> Option<Fact> {
    let second = told.report.headline.second_opinion.as_ref()?;
    let values =
        vec![("disputed", told.count(second.disputed)), ("agreement", told.per_cent(second.agreement))];
    Some(("database", values))
}

/// Which databases told the countries.
pub fn database(told: &Told) -> Option<Fact> {
    let named = told.report.databases.iter().map(|database| {
        let day = database.build_date.get(..10).unwrap_or(&database.build_date);
        format!("{} ({day}, SHA-256 {})", database.kind, database.sha256)
    });
    let named = named.collect::<Vec<_>>();
    if named.is_empty() {
        return Some(("none", Vec::new()));
    }
    Some(("names", vec![("databases", named.join(&told.word("list")))]))
}

/// That the database is out of date.
pub fn database_age(told: &Told) -> Option<Fact> {
    let days = told.report.headline.database_age_days.filter(|days| days.abs() > OLD_DAYS)?;
    let variant = if days < 0 { "newer" } else { "old" };
    Some((variant, vec![("days", told.count(days.unsigned_abs()))]))
}

/// That how is counted was changed within the period.
pub fn changed(told: &Told) -> Option<Fact> {
    let mut changed: Vec<&'static str> = Vec::new();
    for name in told.report.regimes.iter().flat_map(|regime| &regime.changed) {
        if !changed.contains(name) {
            changed.push(name);
        }
    }
    let words: Vec<String> = changed.iter().map(|name| told.word(&format!("changed_{name}"))).collect();
    (!words.is_empty()).then(|| ("changed", vec![("changed", words.join(&told.word("list")))]))
}

/// Whether it is getting worse.
pub fn trend(told: &Told) -> Option<Fact> {
    let trend = told.report.trend.as_ref()?;
    let months = ("months", told.count(trend.months_used as u64));
    let (Some(change), Some([low, high]), Some(p_value)) =
        (trend.change_per_year, trend.interval, trend.p_value)
    else {
        return Some(("untold", vec![months]));
    };
    let whole = |part: f64| format!("{:.0}", (part * 100.0).round() + 0.0);
    let p_value = if p_value < 0.001 {
        told.template.word("p_small", &[("p", told.decimal("0.001"))])
    } else {
        told.template.word("p_value", &[("p", told.decimal(&format!("{p_value:.3}")))])
    };
    let (variant, change, [low, high]) = match (low <= 0.0 && high >= 0.0, change > 0.0) {
        (true, _) => ("none", change, [low, high]),
        (false, true) => ("grew", change, [low, high]),
        (false, false) => ("fell", -change, [-high, -low]),
    };
    let values =
        vec![months, ("change", whole(change)), ("low", whole(low)), ("high", whole(high)), ("p", p_value)];
    Some((variant, values))
}

/// What made the number, so that it can be made again.
pub fn made(told: &Told) -> Option<Fact> {
    let report = told.report;
    let values = vec![
        ("version", report.gatewatch_version.clone()),
        ("from", report.period.from.clone()),
        ("to", report.period.to.clone()),
        ("detectors", report.detectors.set_hash.clone()),
        ("settings", report.config_hash.clone()),
        ("sha256", told.sha256.to_owned()),
    ];
    Some(("by", values))
}
