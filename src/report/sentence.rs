//! The wording of the headline: the one place where numbers become a sentence.

use crate::model::period::PeriodKind;
use crate::report::countries;
use crate::report::shape::Report;
use crate::report::summary::Span;

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

/// How far the sentence's numbers may be off, a sentence each.
pub fn certainty(report: &Report) -> Vec<String> {
    let headline = &report.headline;
    let mut told = Vec::new();
    if let Some([low, high]) = headline.interval.filter(|[low, high]| low < high) {
        told.push(format!(
            "With what was lost the number lies between {} and {}.",
            grouped(low),
            grouped(high)
        ));
    }
    if let Some(top) = &headline.top_country
        && let Some([low, high]) = top.interval
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
    if let Some(top) = &headline.top_source {
        told.push(format!(
            "The largest source, {} ({}), sent {:.1} per cent of the attempts.",
            top.source,
            top.country,
            top.share * 100.0
        ));
    }
    told
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
