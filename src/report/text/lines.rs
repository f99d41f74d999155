//! Lines of at most 72 columns that no terminal obeys and no letter widens: what every text of gatewatch is made of.

use unicode_width::UnicodeWidthChar;

use crate::report::sentence::grouped;
use crate::report::shape::Row;

/// Columns of a line: what a mail shows unbroken, with room to be quoted.
pub const WIDTH: usize = 72;
/// Columns of a counter's name.
const NAME_WIDTH: usize = 28;
/// Columns that the name of a row has at least, however large its numbers are.
const NAME_WIDTH_MIN: usize = 8;
/// Letters of a paragraph; a name of 64 KiB from the wire must not fill the screen.
const PARAGRAPH_LETTERS_MAX: usize = 4_000;
/// Marks without a column of their own that follow each other: more are written to smear over other lines.
const MARKS_MAX: usize = 2;
/// Steps of a spark line, low to high.
pub const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Signs that no line begins with, where lines may break between any two letters.
const NEVER_FIRST: &str = "，。；：、！？）》」』】…,.;:!?)%";
/// Signs that no line ends with.
const NEVER_LAST: &str = "（《「『【([";

/// A text that grows by lines.
#[derive(Default)]
pub struct Lines(String);

impl Lines {
    /// What was written.
    pub fn into_text(self) -> String {
        self.0
    }

    /// A line; what is beyond the width is cut and shows it.
    pub fn line(&mut self, line: &str) {
        let line = safe(line.trim_end());
        if width(&line) > WIDTH {
            self.0.push_str(fit(&line, WIDTH).trim_end());
        } else {
            self.0.push_str(&line);
        }
        self.0.push('\n');
    }

    /// A title, underlined.
    pub fn title(&mut self, title: &str) {
        self.line("");
        self.line(title);
        self.line(&"-".repeat(width(title).min(WIDTH)));
    }

    /// Words folded to the width; a word that is wider is broken, as are texts that put no blanks between words.
    pub fn paragraph(&mut self, text: &str) {
        let text: String = text.chars().take(PARAGRAPH_LETTERS_MAX).collect();
        let mut line = String::new();
        for word in safe(&text).split_whitespace() {
            let (used, wanted) = (width(&line), width(word));
            let blank = usize::from(!line.is_empty());
            if used + blank + wanted <= WIDTH {
                line.push_str(if line.is_empty() { "" } else { " " });
                line.push_str(word);
            } else if wanted <= WIDTH && word.chars().all(|letter| columns(letter) < 2) {
                self.line(&line);
                word.clone_into(&mut line);
            } else {
                line.push_str(if line.is_empty() { "" } else { " " });
                self.broken(word, &mut line);
            }
        }
        self.line(&line);
    }

    /// A word put on as many lines as it takes, the last of which stays open. Between wide letters a line may break anywhere,
    /// but no sign is torn from what it belongs to; narrow letters stay together unless they are a line by themselves.
    fn broken(&mut self, word: &str, line: &mut String) {
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let is_wide = columns(first) > 1;
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(_, letter)| columns(*letter) > 0 && (is_wide || columns(*letter) > 1))
                .map_or(rest.len(), |(at, _)| at);
            let (unit, after) = rest.split_at(end);
            rest = after;
            if width(line) + width(unit) <= WIDTH {
                line.push_str(unit);
                continue;
            }
            if width(unit) > WIDTH {
                self.torn(unit, line);
                continue;
            }
            let moved = if NEVER_FIRST.contains(first) || line.ends_with(|last| NEVER_LAST.contains(last)) {
                tail(line)
            } else {
                String::new()
            };
            self.line(line);
            *line = moved;
            line.push_str(unit);
        }
    }

    /// Letters without a place to break between them, on as many lines as they take.
    fn torn(&mut self, unit: &str, line: &mut String) {
        for letter in unit.chars() {
            if width(line) + columns(letter) > WIDTH {
                self.line(line);
                line.clear();
            }
            line.push(letter);
        }
    }

    /// A table of rows with the counts that every table has.
    pub fn table(&mut self, title: &str, rows: &[Row], empty: Empty) {
        self.title(title);
        let shown = rows.iter().filter(|row| empty == Empty::Shown || row.counts.attempts > 0);
        let rows: Vec<_> = shown
            .map(|row| {
                let counts = &row.counts;
                let numbers = [counts.attempts, counts.headline_attempts, counts.incidents].map(grouped);
                let [attempts, headline, incidents] = numbers;
                (named(&row.id, &row.title), [attempts, headline, incidents, known(row.sources)])
            })
            .collect();
        self.grid(["attempts", "headline", "incidents", "sources"], &rows);
    }

    /// Rows of a name and numbers below their heads.
    pub fn grid<const N: usize>(&mut self, heads: [&str; N], rows: &[(String, [String; N])]) {
        for line in grid(heads, rows) {
            self.line(&line);
        }
    }

    /// A name and a number at the right.
    pub fn count(&mut self, name: &str, count: &str) {
        self.line(&format!("{} {count:>20}", fit(&safe(name), NAME_WIDTH - 1)));
    }
}

/// Takes from the end of a line what must go with the sign that follows it; nothing where that would be the whole line.
fn tail(line: &mut String) -> String {
    let mut start = line.len();
    while let Some(last) = line.get(..start).and_then(|left| left.chars().next_back()) {
        start -= last.len_utf8();
        let before = line.get(..start).and_then(|left| left.chars().next_back());
        let is_torn = |before: char| {
            NEVER_LAST.contains(before) || columns(last) < 2 && columns(before) < 2 && before != ' '
        };
        if !NEVER_FIRST.contains(last) && columns(last) > 0 && !before.is_some_and(is_torn) {
            break;
        }
    }
    if start == 0 { String::new() } else { line.split_off(start) }
}

/// The lines of a table, the heads first. Each number takes the columns that the widest of its kind needs, and names have what
/// is left: numbers stay below their heads whatever a name is.
pub fn grid<const N: usize>(heads: [&str; N], rows: &[(String, [String; N])]) -> Vec<String> {
    let heads = (String::new(), heads.map(str::to_owned));
    let all = || std::iter::once(&heads).chain(rows);
    let mut widths = [0_usize; N];
    for (_, numbers) in all() {
        for (known, number) in widths.iter_mut().zip(numbers) {
            *known = width(number).max(*known);
        }
    }
    let numbers: usize = widths.iter().sum();
    let widest = rows.iter().map(|(name, _)| width(&safe(name))).max().unwrap_or(0);
    let gap = [3, 2].into_iter().find(|gap| widest + numbers + N * gap <= WIDTH).unwrap_or(1);
    let left = WIDTH.saturating_sub(numbers + N * gap).max(NAME_WIDTH_MIN);
    let line = |(name, numbers): &(String, [String; N])| {
        let mut line = fit(&safe(name), left);
        for (wide, number) in widths.iter().zip(numbers) {
            let blank = gap + wide.saturating_sub(width(number));
            line.extend(std::iter::repeat_n(' ', blank));
            line.push_str(number);
        }
        line
    };
    all().map(line).collect()
}

/// A title, with its id before it where that is what people know it by: a grade, the number of a network.
pub fn named(id: &str, title: &str) -> String {
    if title.is_empty() || id == title {
        return id.to_owned();
    }
    if id.starts_with(|first: char| first.is_ascii_uppercase()) {
        return format!("{id}  {title}");
    }
    title.to_owned()
}

/// A bar of a value beside the largest, of so many columns at most.
pub fn bar(value: u64, highest: u64, columns: usize) -> String {
    let halves = u128::from(value) * (columns as u128 * 2);
    let halves =
        halves.checked_div(u128::from(highest)).map_or(0, |halves| usize::try_from(halves).unwrap_or(0));
    let halves = if value > 0 { halves.max(1) } else { 0 };
    let half = if halves % 2 == 1 { "▌" } else { "" };
    "█".repeat(halves / 2) + half
}

/// Whether a row that counted nothing is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Empty {
    /// It is left out.
    Hidden,
    /// It is a row like others.
    Shown,
}

/// A number that may not be told.
pub fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), grouped)
}

/// One letter a value, as high as the value is beside the largest.
pub fn sparks(values: &[u64]) -> String {
    let highest = values.iter().copied().max().unwrap_or(0);
    let spark = |value: &u64| {
        let level = (u128::from(*value) * 7).checked_div(u128::from(highest)).unwrap_or(0);
        SPARKS.get(usize::try_from(level).unwrap_or(0)).copied().unwrap_or(' ')
    };
    values.iter().map(spark).collect()
}

/// Text that no terminal obeys: control and direction characters, and those that cannot be seen, are shown as `·`.
pub fn safe(text: &str) -> String {
    let mut marks = 0;
    text.chars()
        .map(|letter| {
            if is_unseen(letter) {
                marks = 0;
                return '·';
            }
            marks = if columns(letter) == 0 { marks + 1 } else { 0 };
            if marks > MARKS_MAX { '·' } else { letter }
        })
        .collect()
}

/// Control characters, and the format characters of Unicode (general category Cf, Zl, Zp) with variation selectors and tags,
/// which change the order, the shape or the place of others.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Columns that a letter takes: two for wide East Asian ones, none for marks that stand on others.
pub fn columns(letter: char) -> usize {
    letter.width().unwrap_or(0)
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Cut or padded to exactly so many columns.
pub fn fit(text: &str, wanted: usize) -> String {
    let total = width(text);
    let keep = if total > wanted { wanted.saturating_sub(1) } else { wanted };
    let mut used = 0;
    let mut fitted = String::new();
    for letter in text.chars() {
        if used + columns(letter) > keep {
            break;
        }
        used += columns(letter);
        fitted.push(letter);
    }
    if total > wanted && wanted > 0 {
        fitted.push('…');
        used += 1;
    }
    fitted.extend(std::iter::repeat_n(' ', wanted.saturating_sub(used)));
    fitted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: [&str; 7] = [
        "plain",
        "名前の長い日本語のサイトの名前がここにあります",
        "a\u{301}ccent",
        "evil\u{1b}[31m\u{202e}txet\u{2028}line\r\n\0",
        "👩\u{200d}👩\u{200d}👧\u{fe0f}🇩🇪",
        "<script>alert(1)</script> | a \\ `b`",
        "z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}",
    ];

    #[test]
    fn names_of_any_kind_keep_the_columns() {
        for name in HOSTILE.into_iter().chain([&*"x".repeat(65_536), &*"漢".repeat(20_000)]) {
            for wanted in [0, 1, 2, 20] {
                let fitted = fit(&safe(name), wanted);
                assert_eq!(width(&fitted), wanted, "{name:.40}");
                assert!(!fitted.chars().any(is_unseen), "{fitted}");
            }
        }
        assert_eq!(safe(HOSTILE[6]), "z\u{300}\u{301}·····", "marks do not pile up");
    }

    #[test]
    fn numbers_stand_in_their_columns_whatever_the_name() {
        let mut rows: Vec<_> = HOSTILE
            .map(|name| (name.to_owned(), ["1", "10,000,000", "-", "144,000"].map(str::to_owned)))
            .to_vec();
        for line in grid(["one", "two", "three", "four"], &rows).iter().skip(1) {
            assert_eq!(width(line), WIDTH, "{line}");
            assert!(line.ends_with("  1 10,000,000     - 144,000"), "{line}");
        }
        rows.push(("all".into(), [u64::MAX; 4].map(grouped)));
        let mut text = Lines::default();
        text.grid(["one", "two", "three", "four"], &rows);
        assert!(text.into_text().lines().all(|line| width(line) <= WIDTH));
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        assert_eq!([0, 1, 50, 100].map(|value| bar(value, 100, 5)), ["", "▌", "██▌", "█████"]);
        assert_eq!(bar(0, 0, 5), "");
        assert_eq!(bar(u64::MAX, u64::MAX, 3), "███");
    }

    #[test]
    fn a_text_without_blanks_is_folded_and_begins_no_line_with_a_sign() {
        let mut text = Lines::default();
        text.paragraph(&"其中百分之六十二点九来自美国（以address为准），见web.sqli。".repeat(9));
        let text = text.into_text();
        assert!(text.lines().count() > 4);
        for line in text.lines() {
            assert!(width(line) <= WIDTH && !line.starts_with(['，', '。', '）']), "{line}");
            assert!(!line.ends_with(['（', 'w', 'a', 'q']) && !line.starts_with(['d', 'e', '.']), "{line}");
        }
    }

    #[test]
    fn sparks_are_as_high_as_their_values() {
        assert_eq!(sparks(&[0, 1, 4, 7]), "▁▂▅█");
        assert_eq!(sparks(&[0, 0]), "▁▁");
        assert_eq!(sparks(&[u64::MAX, u64::MAX / 2]), "█▄");
        assert_eq!(sparks(&[]), "");
    }

    proptest! {
        #[test]
        fn no_text_is_wider_than_the_page(text in "\\PC{0,300}", word in "[a-z漢字\u{300}]{0,200}") {
            let mut lines = Lines::default();
            lines.paragraph(&format!("{text} {word}"));
            lines.line(&text);
            lines.title(&word);
            lines.grid(["a", "b", "c", "d"], &[(text.clone(), [word.clone(), text.clone(), String::new(), "1".into()])]);
            for line in lines.into_text().lines() {
                prop_assert!(width(line) <= WIDTH, "{line}");
            }
        }
    }
}
