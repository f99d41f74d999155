//! The wording, read from a file and refused where it says less than a statement owes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::report::countries;
use crate::report::statement::slots::{Owed, SLOTS, Strength, WORDS, slot};

/// Bytes of a template: the shipped ones take 15 KiB with every country.
pub const TEMPLATE_MAX_BYTES: u64 = 256 << 10;

/// The templates that are built in: language, text.
pub const LANGUAGES: &[(&str, &str)] = &[
    ("en", include_str!("../../../config/statement/en.toml")),
    ("zh", include_str!("../../../config/statement/zh.toml")),
];

/// Why a template is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("statement template {name}: {reason}")]
pub struct TemplateError {
    name: String,
    reason: String,
}

/// A file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    language: String,
    sentence_gap: String,
    titles: BTreeMap<String, String>,
    numbers: Numbers,
    words: BTreeMap<String, String>,
    strengths: BTreeMap<String, Vec<String>>,
    clauses: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    countries: BTreeMap<String, String>,
}

/// How numbers and months are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    /// Between groups of three digits.
    pub thousands: String,
    /// Before the decimals.
    pub decimal: String,
    /// Small numbers in words, from zero on.
    pub spelled: Vec<String>,
    /// The twelve months.
    pub months: Vec<String>,
}

/// A piece of a text with placeholders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part {
    /// `{note:name}`
    Note(String),
    /// As it stands.
    Text(String),
    /// `{name}`
    Value(String),
}

/// A wording that owes nothing.
#[derive(Debug)]
pub struct Template {
    language: String,
    sentence_gap: String,
    titles: BTreeMap<String, String>,
    numbers: Numbers,
    words: BTreeMap<String, Vec<Part>>,
    strengths: BTreeMap<String, Vec<Vec<Part>>>,
    clauses: BTreeMap<String, BTreeMap<String, Vec<Part>>>,
    countries: BTreeMap<String, String>,
}

impl Template {
    /// The built-in one of a language; none where there is none.
    pub fn built_in(language: &str) -> Option<Result<Self, TemplateError>> {
        let (name, text) = LANGUAGES.iter().find(|(name, _)| *name == language)?;
        Some(Self::read(name, text))
    }

    /// Reads and checks a template; `name` is what a complaint calls it.
    pub fn read(name: &str, text: &str) -> Result<Self, TemplateError> {
        let refused = |reason: String| TemplateError { name: name.to_owned(), reason };
        let file: File = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        let template = Self::parsed(file).map_err(refused)?;
        template.check().map_err(refused)?;
        Ok(template)
    }

    fn parsed(file: File) -> Result<Self, String> {
        let map = |texts: BTreeMap<String, String>, place: &str| {
            let parsed = texts.into_iter().map(|(name, text)| {
                let parts = parts(&text).map_err(|error| format!("{place}.{name}: {error}"))?;
                Ok((name, parts))
            });
            parsed.collect::<Result<BTreeMap<_, _>, String>>()
        };
        let clauses = file.clauses.into_iter().map(|(slot, variants)| {
            let variants = map(variants, &format!("clauses.{slot}"))?;
            Ok((slot, variants))
        });
        let strengths = file.strengths.into_iter().map(|(name, sentences)| {
            let parsed = sentences.iter().map(|sentence| parts(sentence));
            let parsed = parsed.collect::<Result<Vec<_>, _>>();
            parsed.map_err(|error| format!("strengths.{name}: {error}")).map(|parsed| (name, parsed))
        });
        Ok(Self {
            language: file.language,
            sentence_gap: file.sentence_gap,
            titles: file.titles,
            numbers: file.numbers,
            words: map(file.words, "words")?,
            strengths: strengths.collect::<Result<_, String>>()?,
            clauses: clauses.collect::<Result<_, String>>()?,
            countries: file.countries,
        })
    }

    /// The first thing that is missing or not known.
    fn check(&self) -> Result<(), String> {
        if self.numbers.months.len() != 12 {
            return Err(format!("numbers.months: {} are named, 12 are needed", self.numbers.months.len()));
        }
        if let Some(code) = self.countries.keys().find(|code| countries::name(code) == code.as_str()) {
            return Err(format!("countries.{code}: is no code of a country"));
        }
        self.check_words()?;
        for strength in Strength::ALL {
            self.check_strength(strength)?;
        }
        let known = |name: &str| Strength::ALL.iter().any(|strength| strength.name() == name);
        if let Some(name) = self.strengths.keys().chain(self.titles.keys()).find(|name| !known(name)) {
            return Err(format!("{name}: is no strength; press, full and footnoted are"));
        }
        self.check_clauses()
    }

    fn check_words(&self) -> Result<(), String> {
        for (name, needs) in WORDS {
            let parts = self.words.get(*name).ok_or_else(|| format!("words.{name}: is missing"))?;
            check_parts(&format!("words.{name}"), parts, (needs, &[]))?;
            if parts.is_empty() {
                return Err(format!("words.{name}: is empty"));
            }
        }
        match self.words.keys().find(|name| !WORDS.iter().any(|(word, _)| word == name)) {
            Some(name) => Err(format!("words.{name}: is not known")),
            None => Ok(()),
        }
    }

    fn check_strength(&self, strength: Strength) -> Result<(), String> {
        let name = strength.name();
        if !self.titles.contains_key(name) {
            return Err(format!("titles.{name}: is missing"));
        }
        let parts = || self.sentences(strength).iter().flatten();
        for part in parts() {
            match part {
                Part::Note(_) if strength != Strength::Footnoted => {
                    return Err(format!("strengths.{name}: has a note; only footnoted has notes"));
                }
                Part::Note(clause) | Part::Value(clause) if slot(clause).is_none() => {
                    return Err(format!("strengths.{name}: placeholder {{{clause}}} is not known"));
                }
                _ => {}
            }
        }
        let held = |wanted: &str| {
            parts().any(|part| matches!(part, Part::Note(name) | Part::Value(name) if name == wanted))
        };
        let owed = |owed: Owed| owed == Owed::Always || strength != Strength::Press;
        match SLOTS.iter().find(|slot| owed(slot.owed) && !held(slot.name)) {
            Some(slot) => Err(format!("strengths.{name}: misses the qualifier {{{}}}", slot.name)),
            None => Ok(()),
        }
    }

    fn check_clauses(&self) -> Result<(), String> {
        for slot in SLOTS {
            for variant in slot.variants {
                let place = format!("clauses.{}.{}", slot.name, variant.name);
                let parts = self.clauses.get(slot.name).and_then(|variants| variants.get(variant.name));
                let parts = parts.ok_or_else(|| format!("{place}: is missing"))?;
                if parts.is_empty() {
                    return Err(format!("{place}: is empty"));
                }
                check_parts(&place, parts, (variant.needs, variant.may))?;
            }
        }
        for (name, variants) in &self.clauses {
            let slot = slot(name).ok_or_else(|| format!("clauses.{name}: is not known"))?;
            let known = |name: &String| slot.variants.iter().any(|variant| variant.name == name);
            if let Some(variant) = variants.keys().find(|name| !known(name)) {
                return Err(format!("clauses.{name}.{variant}: is not known"));
            }
        }
        Ok(())
    }

    /// Its language.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// What it puts between sentences.
    pub fn sentence_gap(&self) -> &str {
        &self.sentence_gap
    }

    /// How it writes numbers.
    pub const fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The title of a strength.
    pub fn title(&self, strength: Strength) -> &str {
        self.titles.get(strength.name()).map_or("", String::as_str)
    }

    /// The sentences of a strength.
    pub fn sentences(&self, strength: Strength) -> &[Vec<Part>] {
        self.strengths.get(strength.name()).map_or(&[], Vec::as_slice)
    }

    /// A word with its values put in.
    pub fn word(&self, name: &str, values: &[(&str, String)]) -> String {
        self.words.get(name).map(|parts| filled(parts, values)).unwrap_or_default()
    }

    /// A clause with its values put in.
    pub fn clause(&self, slot: &str, variant: &str, values: &[(&str, String)]) -> Option<String> {
        Some(filled(self.clauses.get(slot)?.get(variant)?, values))
    }

    /// A country, as this language has it in a sentence.
    pub fn country(&self, code: &str) -> String {
        self.countries.get(code).cloned().unwrap_or_else(|| countries::in_sentence(code))
    }
}

fn check_parts(place: &str, parts: &[Part], (needs, may): (&[&str], &[&str])) -> Result<(), String> {
    let held = |wanted: &str| parts.iter().any(|part| matches!(part, Part::Value(name) if name == wanted));
    if let Some(missing) = needs.iter().find(|need| !held(need)) {
        return Err(format!("{place}: misses the placeholder {{{missing}}}"));
    }
    for part in parts {
        match part {
            Part::Note(name) => return Err(format!("{place}: {{note:{name}}} stands in a clause")),
            Part::Value(name) if !needs.contains(&name.as_str()) && !may.contains(&name.as_str()) => {
                return Err(format!("{place}: placeholder {{{name}}} is not known here"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A text in pieces; `{{` and `}}` are braces.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut letters = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        letters.push_str(before);
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            letters.push_str(brace.get(..1).unwrap_or_default());
            rest = after;
            continue;
        }
        let named = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = named.ok_or_else(|| "a brace stands alone; write {{ or }} for one".to_owned())?;
        if !letters.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut letters)));
        }
        parts.push(match name.strip_prefix("note:") {
            Some(noted) => Part::Note(noted.to_owned()),
            None => Part::Value(name.to_owned()),
        });
        rest = after;
    }
    letters.push_str(rest);
    if !letters.is_empty() {
        parts.push(Part::Text(letters));
    }
    Ok(parts)
}

fn filled(parts: &[Part], values: &[(&str, String)]) -> String {
    parts.iter().fold(String::new(), |mut text, part| {
        match part {
            Part::Text(letters) => text.push_str(letters),
            Part::Note(name) | Part::Value(name) => {
                let value = values.iter().find(|(known, _)| known == name);
                text.push_str(value.map_or("", |(_, value)| value));
            }
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn english() -> &'static str {
        LANGUAGES[0].1
    }

    fn refused(text: &str) -> String {
        Template::read("x", text).unwrap_err().to_string()
    }

    #[test]
    fn every_shipped_language_holds_what_is_owed() {
        for (language, _) in LANGUAGES {
            let template = Template::built_in(language).unwrap().unwrap();
            assert_eq!(template.language(), *language);
        }
        assert!(Template::built_in("tlh").is_none());
        assert_eq!(Template::built_in("zh").unwrap().unwrap().countries.len(), 250);
    }

    #[test]
    fn a_template_without_a_qualifier_is_refused_whichever_it_is() {
        for slot in SLOTS {
            let name = slot.name;
            let text = english().replace(&format!("{{{name}}}"), "").replace(&format!("{{note:{name}}}"), "");
            let wanted = format!("misses the qualifier {{{name}}}");
            assert!(refused(&text).contains(&wanted), "{name}: {}", refused(&text));
            for variant in slot.variants {
                for need in variant.needs {
                    let (head, clauses) = english().split_once("[clauses]").unwrap();
                    let place = format!("{name}.{} = ", variant.name);
                    let lines = clauses.lines().map(|line| {
                        let need =
                            if line.starts_with(&place) { format!("{{{need}}}") } else { "\0".to_owned() };
                        line.replace(&need, "many")
                    });
                    let text = format!("{head}[clauses]{}", lines.collect::<Vec<_>>().join("\n"));
                    let wanted =
                        format!("clauses.{name}.{}: misses the placeholder {{{need}}}", variant.name);
                    assert!(refused(&text).contains(&wanted), "{wanted}: {}", refused(&text));
                }
            }
        }
        for (word, _) in WORDS {
            let text: Vec<&str> =
                english().lines().filter(|line| !line.starts_with(&format!("{word} = "))).collect();
            assert!(refused(&text.join("\n")).contains(&format!("words.{word}: is missing")), "{word}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (old, new, told) in [
            ("{gaps}", "{gaps}{luck}", "strengths.press: placeholder {luck} is not known"),
            (
                "{period} {sites} attacked {at",
                "{moon} {period} {sites} attacked {at",
                "clauses.lead.attacked: placeholder {moon}",
            ),
            ("    \"{gaps}\",", "    \"{gaps}{note:whole}\",", "strengths.press: has a note"),
            ("\"December\"", "\"December\", \"Smarch\"", "13 are named, 12 are needed"),
            ("[countries]", "[countries]\nQQ = \"Nowhere\"", "countries.QQ"),
            ("at least ", "at { least", "a brace stands alone"),
            ("language = \"en\"", "language = \"en\"\nmood = 1", "unknown field `mood`"),
            ("press = \"For", "tabloid = \"x\"\npress = \"For", "tabloid: is no strength"),
            ("whole.whole =", "whole.half = \"x\"\nwhole.whole =", "clauses.whole.half: is not known"),
            ("list =", "lust = \"x\"\nlist =", "words.lust: is not known"),
            (
                "according = \"according to the IP addresses\"",
                "according = \"\"",
                "words.according: is empty",
            ),
        ] {
            let text = english().replacen(old, new, 1);
            assert_ne!(text, english(), "{old}");
            assert!(refused(&text).starts_with("statement template x: "), "{}", refused(&text));
            assert!(refused(&text).contains(told), "{told}: {}", refused(&text));
        }
    }

    #[test]
    fn braces_are_doubled_and_values_are_not_read_again() {
        let parts = parts("a {{b}} {c}{note:d}").unwrap();
        let wanted = [Part::Text("a {b} ".into()), Part::Value("c".into()), Part::Note("d".into())];
        assert_eq!(parts, wanted);
        assert_eq!(filled(&parts, &[("c", "{note:d}".to_owned())]), "a {b} {note:d}");
    }
}
