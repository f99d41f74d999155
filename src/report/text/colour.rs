//! Colours for a terminal, put on a finished text: whatever the text holds has been made safe before, so the only sequences in
//! it are these.

use crate::report::text::lines::SPARKS;

const BOLD: &str = "\u{1b}[1m";
const CYAN: &str = "\u{1b}[36m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// The text with titles in bold, rules dimmed and spark lines coloured.
pub fn coloured(text: &str) -> String {
    let mut found = String::with_capacity(text.len() + text.len() / 8);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let colour = match lines.peek() {
            _ if is_rule(line) => DIM,
            Some(next) if is_rule(next) => BOLD,
            _ if !line.is_empty() && line.chars().all(|letter| SPARKS.contains(&letter)) => CYAN,
            _ => "",
        };
        let end = if colour.is_empty() { "" } else { PLAIN };
        found.extend([colour, line, end, "\n"]);
    }
    found
}

fn is_rule(line: &str) -> bool {
    line.len() > 2 && (line.bytes().all(|byte| byte == b'-') || line.bytes().all(|byte| byte == b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_sparks_are_coloured_and_nothing_is_lost() {
        let text = "Losses\n------\nnone was seen\n\n▁▂█\n";
        let coloured = coloured(text);
        assert!(
            coloured.starts_with("\u{1b}[1mLosses\u{1b}[0m\n\u{1b}[2m------\u{1b}[0m\nnone was seen\n\n")
        );
        assert!(coloured.contains("\u{1b}[36m▁▂█\u{1b}[0m\n"));
        let plain = [BOLD, CYAN, DIM, PLAIN].into_iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, text);
    }
}
