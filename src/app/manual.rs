//! `gatewatch man`: the manual pages. Those of the commands come from the command line's own shape, the one of the settings from
//! the shipped file, which a test holds to the defaults: there is no second text to fall behind.
//!
//! All commands are in section 8: most are an administrator's, and one program in two sections would have to be looked for.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::Cli;
use crate::exit;

/// The settings as they are shipped: each key with its default, described by the comment before it.
const SETTINGS: &str = include_str!("../../config/gatewatch.toml");
/// Title of the manual that the pages are part of.
const MANUAL: &str = "gatewatch";
/// An empty argument as roff writes it: nothing at all would move those after it.
const NO_DATE: &str = "\"\"";

/// Files and folders, for the page of the daemon.
const FILES: [(&str, &str); 8] = [
    ("/etc/gatewatch/gatewatch.toml", "The settings, gatewatch.toml(5)."),
    ("/etc/gatewatch/conf.d/*.toml", "Drop-ins, read after it in the order of their names."),
    ("/etc/gatewatch/rules/*.toml", "Rules of your own."),
    ("/var/lib/gatewatch", "The store of tallies (SQLite)."),
    ("/var/log/gatewatch", "Events, sources, tally files and reports."),
    (
        "/var/lib/GeoIP, /usr/share/GeoIP, /var/lib/gatewatch/geo",
        "Geolocation databases; without one, the embedded DB-IP Country Lite.",
    ),
    ("/run/gatewatch/gatewatch.sock", "The status socket, for root and the group gatewatch."),
    ("/usr/share/doc/gatewatch", "Operating, counting, detection, files for programs, examples of settings."),
];
/// Signals, for the same page.
const SIGNALS: [(&str, &str); 3] = [
    ("SIGHUP", "Reads settings, rules and databases anew; keeps the old ones where the new are not usable."),
    ("SIGUSR1", "Begins a new part of the events file."),
    ("SIGTERM, SIGINT", "Writes what was captured and ends, within 10 s."),
];

/// Writes every page into a folder.
pub fn write(folder: &Path) -> io::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    commands(&command, folder)?;
    std::fs::write(folder.join("gatewatch.toml.5"), settings(SETTINGS))
}

fn commands(command: &Command, folder: &Path) -> io::Result<()> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| commands(sub, folder))?;
    let is_main = command.get_name() == "gatewatch";
    // What `--version` adds in brackets is the builder's, not the page's.
    let man = Man::new(command.clone()).section("8").date(NO_DATE).source(source()).manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    ending(is_main).to_writer(&mut page)?;
    std::fs::write(folder.join(man.get_filename()), page)
}

fn source() -> String {
    format!("gatewatch {}", env!("CARGO_PKG_VERSION"))
}

/// What stands below the options: of the daemon all that an administrator looks for, of a command where that is.
fn ending(is_main: bool) -> Roff {
    let mut page = Roff::new();
    if is_main {
        listed(&mut page, "FILES", FILES.map(|(name, text)| (name.to_owned(), text)));
        listed(&mut page, "SIGNALS", SIGNALS.map(|(name, text)| (name.to_owned(), text)));
    }
    listed(&mut page, "EXIT STATUS", exit::CODES.map(|(code, text)| (code.to_string(), text)));
    page.control("SH", ["SEE ALSO"]);
    let beside = if is_main {
        "gatewatch.toml(5), gatewatch-run(8), gatewatch-status(8), gatewatch-report(8), pcap-filter(7), systemd.service(5)"
    } else {
        "gatewatch(8), gatewatch.toml(5)"
    };
    page.text([roman(beside)]);
    page
}

fn listed(page: &mut Roff, title: &str, rows: impl IntoIterator<Item = (String, &'static str)>) {
    page.control("SH", [title]);
    for (name, text) in rows {
        page.control("TP", []);
        page.text([bold(name)]);
        page.text([roman(text)]);
    }
}

/// A comment of the settings file: sentences, then an example, which begins with a table in a list.
#[derive(Default)]
struct Comment<'t> {
    sentences: Vec<&'t str>,
    example: Vec<&'t str>,
}

impl<'t> Comment<'t> {
    fn take(&mut self, line: &'t str) {
        if line.starts_with("[[") || !self.example.is_empty() {
            self.example.push(line);
        } else {
            self.sentences.push(line);
        }
    }

    /// Writes it down and is empty.
    fn tell(&mut self, page: &mut Roff) {
        if !self.sentences.is_empty() {
            page.text([roman(self.sentences.join(" "))]);
        }
        if !self.example.is_empty() {
            page.control("RS", []);
            page.control("nf", []);
            self.example.iter().for_each(|line| _ = page.text([roman(*line)]));
            page.control("fi", []);
            page.control("RE", []);
        }
        *self = Self::default();
    }
}

/// gatewatch.toml(5), of the shipped file: a section for each table, an item for each key.
fn settings(shipped: &str) -> String {
    let mut page = Roff::new();
    page.control("TH", ["gatewatch.toml", "5", NO_DATE, &source(), MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman("gatewatch.toml - settings of gatewatch(8)")]);
    page.control("SH", ["DESCRIPTION"]);
    let mut comment = Comment::default();
    // Whether nothing but the description was written: its paragraphs stand for themselves.
    let mut before_tables = true;
    for line in shipped.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.take(text.strip_prefix(' ').unwrap_or(text));
        } else if line.starts_with('[') {
            before_tables = false;
            page.control("SH", [line]);
            comment.tell(&mut page);
        } else if let Some((key, default)) = line.split_once(" = ") {
            page.control("TP", []);
            page.text([bold(key), roman(" = "), roman(default)]);
            comment.tell(&mut page);
        } else if before_tables {
            comment.tell(&mut page);
        }
    }
    page.control("SH", ["[[site]]"]);
    comment.tell(&mut page);
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("gatewatch(8), gatewatch-check(8), pcap-filter(7)")]);
    page.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_page_of_the_settings_has_every_key_with_its_default() {
        let page = settings(SETTINGS);
        let all = toml::Value::try_from(Settings::default()).unwrap();
        for (section, keys) in all.as_table().unwrap() {
            has_every_key(&page, section, keys);
        }
        assert!(page.contains("addresses"), "and those of a site");
    }

    fn has_every_key(page: &str, place: &str, keys: &toml::Value) {
        for (key, value) in keys.as_table().into_iter().flatten() {
            if value.is_table() {
                has_every_key(page, &format!("{place}.{key}"), value);
                continue;
            }
            let heading = format!("\n.SH [{place}]\n");
            let (_, after) = page.split_once(&heading).unwrap_or_else(|| panic!("[{place}] is no section"));
            let of_section = after.split("\n.SH").next().unwrap();
            assert!(of_section.contains(&format!("\\fB{key}\\fR = ")), "{place}.{key} in {of_section}");
        }
    }

    #[test]
    fn a_comment_becomes_a_paragraph_and_an_example_stays_as_it_is() {
        let page = settings(
            "# Settings.\n\n[a]\n# One\n# thing.\nkey = 1\n# Many.\n# [[a.b]]\n# c = 2\nlist = []\n",
        );
        for part in [".SH [a]\n", ".TP\n\\fBkey\\fR = 1\nOne thing.\n", ".nf\n[[a.b]]\nc = 2\n.fi\n"] {
            assert!(page.contains(part), "{part:?} in {page}");
        }
    }
}
