//! Whether somebody looks on: colours and moving things are for a terminal only.

use std::ffi::OsStr;
use std::io::IsTerminal;

/// Whether standard output is a terminal that shows colours, and its user wants them (<https://no-color.org>).
pub fn shows_colours() -> bool {
    let set = |name: &str| std::env::var_os(name);
    std::io::stdout().is_terminal() && wanted(set("NO_COLOR").as_deref(), set("TERM").as_deref())
}

fn wanted(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb" && !term.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_shown_unless_they_are_not_wanted_or_cannot_be() {
        let wanted = |no_color: Option<&'static str>, term: Option<&'static str>| {
            wanted(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(wanted(None, Some("xterm-256color")));
        assert!(wanted(Some(""), Some("xterm")), "an empty value asks for nothing");
        assert!(!wanted(Some("1"), Some("xterm")));
        assert!(!wanted(None, Some("dumb")) && !wanted(None, None));
    }
}
