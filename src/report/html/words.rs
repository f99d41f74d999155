//! Words and numbers as the page shows them: cleaned, cut, dated for people.

use std::borrow::Cow;

use crate::model::period::{Period, PeriodKind};
use crate::report::sentence::grouped;
use crate::report::shape::Report;
use crate::report::text::lines::safe;
use crate::report::zone::Zone;

/// Letters of one text that are shown: what comes from the wire may be 64 KB long.
const TEXT_MAX: usize = 240;

/// Text that was written by others: cut, and without letters that nobody sees or that turn the others around.
pub fn shown(text: &str) -> String {
    let cut = match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default())),
        None => Cow::Borrowed(text),
    };
    safe(&cut).chars().map(|letter| if is_hidden(letter) { '·' } else { letter }).collect()
}

/// Letters without a shape of their own that a page, other than a terminal, obeys or hides things in: the Arabic letter mark,
/// line and paragraph separators, fillers, variation selectors, and tags.
const fn is_hidden(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{2028}' | '\u{2029}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The zone that times are shown in.
pub fn zone(report: &Report) -> &str {
    report.zone.other_than_utc().unwrap_or("UTC")
}

/// A period as people write it: `September 2026`, `3 September 2026`, `2026`.
pub fn period(name: &str) -> String {
    match name.split_once('_') {
        Some((first, last)) => format!("{} to {}", period(first), period(last)),
        None => dated(name, &Zone::default(), ["%-d %B %Y, %H:%M UTC", "%-d %B %Y", "%B %Y"]),
    }
}

/// A step of a chart in the same way; an hour as it is in the zone that is shown.
pub fn step(name: &str, zone: &Zone) -> String {
    dated(name, zone, ["%-d %B %Y, %H:%M", "%-d %B %Y", "%B %Y"])
}

/// The same where there is little room: `14:00`, `3 Sep`, `Sep 26`.
pub fn short_step(name: &str, zone: &Zone) -> String {
    dated(name, zone, ["%H:%M", "%-d %b", "%b %y"])
}

/// A period by one of the formats for an hour, a day, a month; a year is its number. What is no period is shown as it is.
fn dated(name: &str, zone: &Zone, [hour, day, month]: [&str; 3]) -> String {
    let Ok(period) = name.parse::<Period>() else { return shown(name) };
    let start = period.start().to_jiff();
    match period.kind() {
        PeriodKind::Hour => zone.of(start).strftime(hour).to_string(),
        PeriodKind::Day => start.strftime(day).to_string(),
        PeriodKind::Month => start.strftime(month).to_string(),
        PeriodKind::Year => start.strftime("%Y").to_string(),
    }
}

/// A moment that a database tells of itself, RFC 3339, to the second.
pub fn moment(time: &str) -> String {
    let second: String = shown(time).chars().take("2012-06-30T14:05:09".len()).collect();
    second.replacen('T', " ", 1)
}

/// So many of a thing, in the number that English wants.
pub fn so_many(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A counter's name as words.
pub fn counter(name: &str) -> String {
    shown(name).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_cut_and_cleaned() {
        assert_eq!(shown("plain näme 名前"), "plain näme 名前");
        assert_eq!(shown("a\u{202e}b\u{1b}[31m\u{61c}\u{2028}\u{e0041}\n"), "a·b·[31m····");
        let long = shown(&"é".repeat(65_536));
        assert_eq!((long.chars().count(), long.ends_with('…')), (TEXT_MAX + 1, true));
    }

    #[test]
    fn periods_are_dated_for_people() {
        assert_eq!(period("2026-09"), "September 2026");
        assert_eq!(period("2026-09-03"), "3 September 2026");
        assert_eq!(period("2026-09-03T04"), "3 September 2026, 04:00 UTC");
        assert_eq!(period("2026-03_2026-05"), "March 2026 to May 2026");
        assert_eq!(period("<script>"), "<script>", "escaping is the page's");
        assert_eq!(
            ["2026-09-03T04", "2026-09-03", "2026-09", "2026"].map(|name| short_step(name, &Zone::default())),
            ["04:00", "3 Sep", "Sep 26", "2026"]
        );
        assert_eq!([so_many(1, "source"), so_many(1_000, "source")], ["1 source", "1,000 sources"]);
        if let Ok(zone) = Zone::named("Asia/Shanghai") {
            assert_eq!(step("2026-09-03T22", &zone), "4 September 2026, 06:00");
            assert_eq!(short_step("2026-09-03", &zone), "3 Sep", "days are those of UTC");
        }
        assert_eq!(moment("2026-09-03T04:05:06.789Z"), "2026-09-03 04:05:06");
    }
}
