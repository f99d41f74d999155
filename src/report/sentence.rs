//! The wording of the headline: the one place where numbers become a sentence.

use std::fmt::Write;

use crate::model::period::PeriodKind;
use crate::report::rebuild::repair::Repair;
use crate::report::shape::{Report, Totals};
use crate::report::span::Span;
use crate::report::summary::EVENTS_UNWRITTEN;
use crate::report::trend::{LevelShift, Month, OBSERVED_MIN, Trend};
use crate::report::{countries, merge};

/// Numbers that are spelled out.
const WORDS: [&str; 13] =
    ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A database older than this is spoken of. Good ones drift by about a point of IPv4 a year, and by three times that of IPv6.
pub const OLD_DAYS: i64 = 90;

/// Observed for less than this part of the time, the number is told scaled as well.
const SCALED_BELOW: f64 = 0.98;

/// A whole number with its thousands apart: `144,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part` in `whole` as per cent with one decimal, rounded half up from the integers: `62.9`.
pub fn per_cent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0.0".to_owned();
    }
    let tenths = (u128::from(part) * 2_000 + u128::from(whole)) / (u128::from(whole) * 2);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The part of a time that was observed, as per cent with one decimal, rounded down: nearly all of it is not all of it.
pub fn observed(seconds_observed: i64, seconds: i64) -> String {
    let (observed, seconds) = (seconds_observed.unsigned_abs(), seconds.unsigned_abs());
    let tenths = u128::from(observed.min(seconds)) * 1_000 / u128::from(seconds.max(1));
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What the headline's number would be had all of the time been observed; of several months their mean. None where nearly all
/// was observed, and where too little was to say.
pub fn scaled(report: &Report) -> Option<u64> {
    let coverage = &report.period.coverage;
    let number = report.headline.overseas_attempts.unwrap_or(report.headline.attempts);
    // What several sensors counted rests on more time than all of them observed.
    if number == 0 || report.merged.is_some() || !(OBSERVED_MIN..SCALED_BELOW).contains(&coverage.share) {
        return None;
    }
    let told = report.headline.overseas_monthly_mean.unwrap_or(number as f64);
    #[expect(clippy::cast_sign_loss, reason = "counts are not below zero")]
    Some((told * coverage.seconds as f64 / coverage.seconds_observed as f64).round() as u64)
}

/// Whether the sentence tells a mean of months.
pub fn is_mean(report: &Report) -> bool {
    let headline = &report.headline;
    headline
        .overseas_monthly_mean
        .zip(headline.overseas_attempts)
        .is_some_and(|(mean, all)| mean < all as f64)
}

/// The sentence of a report.
pub fn headline(report: &Report, span: &Span) -> String {
    let headline = &report.headline;
    let when = period(span);
    let sites = sites(headline.sites.len(), report.site.as_deref());
    let was = if report.site.is_some() || headline.sites.len() == 1 { "was" } else { "were" };
    let at_least = if headline.lower_bound { "at least " } else { "" };
    let Some(overseas) = headline.overseas_attempts else {
        let text = format!("{when} {sites} {was} attacked {}", times(headline.attempts, at_least));
        return finish(&text, report, headline.attempts > 0);
    };
    if overseas == 0 {
        return format!("{when} {sites} {was} not attacked from overseas, as far as was seen.");
    }
    let text = match span.months {
        Some(months) if months > 1 => {
            let mean = (overseas * 2 + u64::from(months)) / (u64::from(months) * 2);
            format!(
                "{when} {sites} {was} attacked from overseas on average {at_least}{} times a month",
                grouped(mean)
            )
        }
        _ => format!("{when} {sites} {was} attacked from overseas {}", times(overseas, at_least)),
    };
    finish(&text, report, true)
}

/// How long something took: `45 s`, `12 min`, `3 h 05 min`, `2 d 04 h`.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{} d {:02} h", hours / 24, hours % 24),
    }
}

/// Where a sentence begins something, it begins as a sentence does.
pub fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The ladder, unit by unit, each number with what it is: at least, an estimate, or not told.
pub fn ladder(totals: &Totals) -> [(&'static str, String); 6] {
    [
        ("packets", Some(totals.packets)),
        ("attempts", Some(totals.attempts)),
        ("sessions", Some(totals.sessions)),
        ("incidents", Some(totals.incidents)),
        ("campaigns", totals.campaigns),
        ("sources", totals.sources),
    ]
    .map(|(unit, count)| {
        let mark = if totals.lower_bounds.contains(&unit) {
            "≥ "
        } else if totals.estimates.contains(&unit) {
            "≈ "
        } else {
            ""
        };
        let told =
            count.map_or_else(|| "not determined".to_owned(), |count| format!("{mark}{}", grouped(count)));
        (unit, told)
    })
}

/// How far the sentence's numbers may be off, a sentence each.
pub fn certainty(report: &Report) -> Vec<String> {
    let headline = &report.headline;
    let mut told = report.merged.as_ref().map_or_else(Vec::new, merge::sentences);
    told.extend(report.repairs.iter().flat_map(Repair::sentences));
    if let Some(unwritten) = report.losses.get(EVENTS_UNWRITTEN).filter(|count| **count > 0) {
        told.push(format!(
            "The disk was full or could not be written: {} attempts have no event line. They are counted.",
            grouped(*unwritten)
        ));
    }
    told.extend(of_all_time(report));
    if let Some([low, high]) = headline.interval.filter(|[low, high]| low < high) {
        told.push(format!(
            "With what was lost the number lies between {} and {}.",
            grouped(low),
            grouped(high)
        ));
    }
    if let Some(top) = &headline.top_country
        && let Some([low, high]) = top.interval.filter(|[low, high]| low < high)
    {
        told.push(format!(
            "The share of {} lies between {:.1} and {:.1} per cent (95 per cent interval, over sources).",
            countries::in_sentence(&top.code),
            low * 100.0,
            high * 100.0
        ));
    }
    if let Some(top) = &headline.top_country
        && let Some(rate) = top.base_rate
    {
        told.push(format!(
            "Of the addresses that the database locates, {:.1} per cent are in {}.",
            rate * 100.0,
            countries::in_sentence(&top.code)
        ));
    }
    told.extend(headline.database_age_days.and_then(database_age));
    told.extend(rests_on(report));
    told.extend(other_units(report));
    if let Some(second) = headline.second_opinion.as_ref().filter(|second| second.disputed > 0) {
        told.push(format!(
            "A second database puts {} of these attempts into another country; both agree on {:.1} per cent.",
            grouped(second.disputed),
            second.agreement * 100.0
        ));
    }
    told.extend(report.trend.as_ref().and_then(trend));
    told
}

/// The number as it would be had all of the time been observed, where much was not.
fn of_all_time(report: &Report) -> Option<String> {
    let scaled = scaled(report)?;
    let coverage = &report.period.coverage;
    let observed = observed(coverage.seconds_observed, coverage.seconds);
    let told = if is_mean(report) {
        format!("the mean is {} times a month", grouped(scaled))
    } else {
        format!("the number is {}", grouped(scaled))
    };
    Some(format!("{observed} per cent of the time was observed; scaled to all of it {told}."))
}

/// Whether it is getting worse, or why that cannot be told.
fn trend(trend: &Trend) -> Option<String> {
    let (Some(change), Some([low, high]), Some(p_value)) =
        (trend.change_per_year, trend.interval, trend.p_value)
    else {
        return trend.reason.clone();
    };
    let per_cent = |part: f64| format!("{:.0}", (part * 100.0).round() + 0.0);
    let p_value = if p_value < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p_value:.3}") };
    let months = trend.months_used;
    Some(if low <= 0.0 && high >= 0.0 {
        format!(
            "Over {months} months no change of the number can be told from chance: {} per cent a year (95 per cent interval {} to {}; {p_value}).",
            per_cent(change),
            per_cent(low),
            per_cent(high)
        )
    } else {
        let (act, change, [low, high]) =
            if change > 0.0 { ("grew", change, [low, high]) } else { ("fell", -change, [-high, -low]) };
        format!(
            "Over {months} months the number {act} by {} per cent a year (95 per cent interval {} to {}; {p_value}).",
            per_cent(change),
            per_cent(low),
            per_cent(high)
        )
    })
}

/// The headline's number of a month by 30 days of observed time; empty where too little was observed for one.
pub fn normalised(month: &Month) -> String {
    #[expect(clippy::cast_sign_loss, reason = "counts are not below zero")]
    month.normalised.map_or_else(String::new, |number| grouped(number.round() as u64))
}

/// A change of how is counted, and what it did to the number.
pub fn level_shift(shift: &LevelShift) -> String {
    let changed = shift.changed.join(", ");
    let factor = shift.factor.map_or_else(|| "not told".to_owned(), |factor| format!("{factor:.2}"));
    format!("Level of its own from {} on (changed: {changed}); factor {factor}.", shift.period)
}

/// What the age of the database does to the countries, if it does something.
fn database_age(days: i64) -> Option<String> {
    let out = "a part of its answers is out of date";
    if days > OLD_DAYS {
        return Some(format!("The database that tells the countries was {days} days old: {out}."));
    }
    (days < -OLD_DAYS).then(|| {
        format!(
            "The database that tells the countries was built {} days after the period: {out} for that time.",
            -days
        )
    })
}

/// How much the number rests on a few.
fn rests_on(report: &Report) -> Option<String> {
    let dominance = &report.headline.dominance;
    let source = dominance.source.as_ref()?;
    let mut text = format!(
        "The largest source, {} ({}), sent {:.1} per cent of the attempts",
        source.id,
        source.name,
        source.share * 100.0
    );
    if let Some(system) = &dominance.system {
        let _ =
            write!(text, ", the largest network, {} {}, {:.1}", system.id, system.name, system.share * 100.0);
    }
    if let Some(campaign) = &dominance.campaign {
        let _ = write!(text, ", the largest campaign ({}) {:.1}", campaign.name, campaign.share * 100.0);
        if let Some((share, top)) = dominance.share_without_campaign.zip(report.headline.top_country.as_ref())
        {
            let country = countries::in_sentence(&top.code);
            let _ = write!(text, "; without that campaign the share of {country} is {:.1}", share * 100.0);
        }
    }
    text.push('.');
    Some(text)
}

/// The same share by other units, where they do not tell the same.
fn other_units(report: &Report) -> Option<String> {
    let agreement = report.headline.agreement.as_ref().filter(|agreement| !agreement.agree)?;
    let top = report.headline.top_country.as_ref()?;
    let sources =
        agreement.sources.map_or_else(String::new, |share| format!(", by sources {:.1}", share * 100.0));
    Some(format!(
        "Counted by incidents the share of {} is {:.1} per cent{sources}: the units do not tell the same.",
        countries::in_sentence(&top.code),
        agreement.incidents * 100.0
    ))
}

fn finish(text: &str, report: &Report, attacked: bool) -> String {
    let declared = report.headline.overseas_attempts;
    let located: u64 =
        report.origins.iter().filter(|row| row.share.is_some()).map(|row| row.counts.headline_attempts).sum();
    match &report.headline.top_country {
        Some(top) if attacked => {
            let share = per_cent(top.attempts, declared.unwrap_or(located));
            format!(
                "{text}; {share} per cent came from {}, according to the IP addresses.",
                countries::in_sentence(&top.code)
            )
        }
        _ if attacked => format!("{text}; the IP addresses do not tell from which country."),
        _ => format!("{text}."),
    }
}

fn times(count: u64, at_least: &str) -> String {
    match count {
        0 => "no times".to_owned(),
        1 => format!("{at_least}once"),
        2 => format!("{at_least}twice"),
        _ => format!("{at_least}{} times", grouped(count)),
    }
}

fn sites(count: usize, only: Option<&str>) -> String {
    match (only, count) {
        (Some(name), _) => format!("our web site {name}"),
        (None, 0) => "our web sites".to_owned(),
        (None, 1) => "our web site".to_owned(),
        (None, many) => {
            let number = WORDS.get(many).map_or_else(|| grouped(many as u64), |word| (*word).to_owned());
            format!("our {number} web sites")
        }
    }
}

/// `in 2012`, `in June 2012`, `on 30 June 2012`, `from … to …`.
fn period(span: &Span) -> String {
    let date = span.from.start().to_jiff();
    let month = month_name(&date.strftime("%m").to_string());
    let year = date.strftime("%Y");
    match span.kind {
        Some(PeriodKind::Year) => format!("in {year}"),
        Some(PeriodKind::Month) => format!("in {month} {year}"),
        Some(PeriodKind::Day) => format!("on {} {month} {year}", date.strftime("%-d")),
        Some(PeriodKind::Hour) => {
            format!("on {} {month} {year} from {} o'clock UTC", date.strftime("%-d"), date.strftime("%-H"))
        }
        None => {
            let last = span.to.start().plus_micros(-1).to_jiff();
            format!("from {} to {}", date.strftime("%Y-%m-%d"), last.strftime("%Y-%m-%d"))
        }
    }
}

fn month_name(number: &str) -> &'static str {
    number.parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).copied().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded_from_integers() {
        assert_eq!(
            [0, 999, 1_000, 144_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "144,000", "1,234,567"]
        );
        assert_eq!(per_cent(1_086_912, 1_728_000), "62.9");
        assert_eq!(per_cent(1, 8), "12.5");
        assert_eq!(per_cent(125, 1_000_000), "0.0");
        assert_eq!(per_cent(1_495, 10_000), "15.0", "half is rounded up");
        assert_eq!(per_cent(u64::MAX, u64::MAX), "100.0");
        assert_eq!(per_cent(0, 0), "0.0");
        assert_eq!([45, 61, 11_100, 187_200].map(duration), ["45 s", "1 min", "3 h 05 min", "2 d 04 h"]);
        assert_eq!(
            [(0, 10), (9_999, 10_000), (10, 10), (0, 0)].map(|(a, b)| observed(a, b)),
            ["0.0", "99.9", "100.0", "0.0"]
        );
    }

    #[test]
    fn a_trend_is_told_with_its_interval_or_with_why_there_is_none() {
        let of = |change: f64, interval: [f64; 2], p_value: f64| {
            trend(&Trend {
                of: "overseas_attempts",
                months: Vec::new(),
                change_per_year: Some(change),
                interval: Some(interval),
                p_value: Some(p_value),
                reason: None,
                dispersion: None,
                autocorrelation: None,
                months_used: 36,
                level_shifts: Vec::new(),
                method: "",
            })
            .unwrap()
        };
        assert_eq!(
            of(0.12, [0.03, 0.22], 0.0104),
            "Over 36 months the number grew by 12 per cent a year (95 per cent interval 3 to 22; p = 0.010)."
        );
        assert_eq!(
            of(-0.12, [-0.22, -0.03], 0.0),
            "Over 36 months the number fell by 12 per cent a year (95 per cent interval 3 to 22; p < 0.001)."
        );
        assert_eq!(
            of(-0.001, [-0.05, 0.12], 0.41),
            "Over 36 months no change of the number can be told from chance: 0 per cent a year (95 per cent interval -5 to 12; p = 0.410)."
        );
    }

    #[test]
    fn periods_are_told_as_people_tell_them() {
        let told = |text: &str| period(&Span::of(text.parse().unwrap()));
        assert_eq!(told("2012"), "in 2012");
        assert_eq!(told("2012-06"), "in June 2012");
        assert_eq!(told("2012-06-03"), "on 3 June 2012");
        let range = Span::between("2012-03".parse().unwrap(), "2012-05".parse().unwrap());
        assert_eq!((period(&range).as_str(), range.months), ("from 2012-03-01 to 2012-05-31", Some(3)));
        let days = Span::between("2012-03-02".parse().unwrap(), "2012-05".parse().unwrap());
        assert_eq!(days.months, None);
    }
}
