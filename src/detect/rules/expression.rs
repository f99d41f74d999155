//! The expression of a rule: its marks filled in, compiled within its limits.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// Memory of one compiled expression at most.
const REGEX_MAX_BYTES: usize = 4 << 20;
/// Memory that one expression may use while it runs.
const REGEX_CACHE_BYTES: usize = 256 << 10;
/// Where white space goes.
const WS_MARK: &str = "<ws>";
/// Where the words of a rule go.
pub const WORD_MARK: &str = "<word>";

/// What `<ws>` in an expression stands for: what a database takes for white space, comments included.
const WHITE_SPACE: &str = r"(?:[\s\x00\x0b\xa0+]|/\*[^*]{0,64}\*/)";

/// Compiles the expression of a rule with these words.
pub fn of_rule(pattern: &str, words: &[String]) -> Result<Regex, String> {
    let words: Vec<String> = words.iter().map(|word| escaped(word)).collect();
    let words = format!("(?:{})", words.join("|"));
    compiled(&pattern.replace(WORD_MARK, &words).replace(WS_MARK, WHITE_SPACE))
}

/// A word as an expression that matches it and nothing else.
fn escaped(word: &str) -> String {
    let mut text = String::with_capacity(word.len() + 4);
    for letter in word.chars() {
        if letter.is_ascii_punctuation() && letter != '_' {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// Compiles an expression over bytes, any case, within its memory limits.
fn compiled(pattern: &str) -> Result<Regex, String> {
    Regex::builder()
        .configure(
            Regex::config()
                .nfa_size_limit(Some(REGEX_MAX_BYTES))
                .hybrid_cache_capacity(REGEX_CACHE_BYTES)
                .utf8_empty(false),
        )
        .syntax(
            syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .case_insensitive(true)
                .dot_matches_new_line(true),
        )
        .build(pattern)
        .map_err(|error| error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string))
}
