//! Texts that cannot become markup.

use crate::report::text::lines::safe;

/// Letters of a cell: a name of 64 KiB from the wire must not be the page.
const CELL_LETTERS_MAX: usize = 200;
/// Letters of a paragraph.
const PARAGRAPH_LETTERS_MAX: usize = 4_000;

/// A text that cannot leave its cell or become markup, and is cut where it would be the page.
pub fn cell(text: &str) -> String {
    escaped(text, CELL_LETTERS_MAX)
}

/// A sentence that does not become markup.
pub fn paragraph(text: &str) -> String {
    escaped(text, PARAGRAPH_LETTERS_MAX)
}

/// With every sign of `CommonMark` and of the tables escaped, and addresses that GitHub's dialect makes links of by themselves.
fn escaped(text: &str, letters_max: usize) -> String {
    let mut letters = text.chars();
    let mut cut: String = letters.by_ref().take(letters_max).collect();
    if letters.next().is_some() {
        cut.push('…');
    }
    let clean = safe(&cut).chars().fold(String::new(), |mut clean, letter| {
        if matches!(letter, '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' | '&' | '~' | '#' | '@') {
            clean.push('\\');
        }
        clean.push(letter);
        clean
    });
    clean.replace("://", "\\://").replace("www.", "www\\.")
}
