//! Pattern rules: TOML in, compiled matchers out.
//!
//! A rule names literals of which one must occur, so that one pass of a literal automaton over a value finds the few
//! candidates, and each of these is verified by one bounded regular expression. There is no union of regular expressions:
//! over bytes that an attacker chooses it costs milliseconds a request.

mod expression;

use std::path::Path;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex_automata::meta::Regex;
use serde::Deserialize;

use crate::detect::DetectError;
use crate::detect::rules::expression::WORD_MARK;
use crate::detect::value::ValueKind;
use crate::model::class::Class;

/// The built-in packs.
const BUILT_IN: &[(&str, &str)] = &[
    ("injection.toml", include_str!("../../config/rules/injection.toml")),
    ("files.toml", include_str!("../../config/rules/files.toml")),
    ("code.toml", include_str!("../../config/rules/code.toml")),
    ("short.toml", include_str!("../../config/rules/short.toml")),
    ("probes.toml", include_str!("../../config/rules/probes.toml")),
    ("exploits.toml", include_str!("../../config/rules/exploits.toml")),
    ("products.toml", include_str!("../../config/rules/products.toml")),
    ("services.toml", include_str!("../../config/rules/services.toml")),
];

/// Rules in all files together.
const RULES_MAX: usize = 20_000;
/// Shortest literal. One byte is for the few marks that are rare by themselves, such as `~`.
const LITERAL_MIN_BYTES: usize = 1;

/// Where a rule looks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// Values of parameters: query, form, JSON, XML.
    Arg,
    /// A body without structure, and the content of uploads.
    Body,
    /// Values of cookies.
    Cookie,
    /// Header fields, `User-Agent` and `Referer` included.
    Header,
    /// Names of parameters, keys of JSON.
    Name,
    /// The path.
    Path,
    /// Values of the query alone, where no page asks for markup or code.
    Query,
    /// The `Referer`.
    Referer,
    /// The `User-Agent`.
    UserAgent,
}

impl On {
    /// Whether a value of that kind and name is looked at.
    pub fn covers(self, kind: ValueKind, name: &[u8]) -> bool {
        match self {
            Self::Arg => {
                matches!(kind, ValueKind::Form | ValueKind::Json | ValueKind::Query | ValueKind::Xml)
            }
            Self::Body => kind == ValueKind::Body,
            Self::Cookie => kind == ValueKind::Cookie,
            Self::Header => kind == ValueKind::Header,
            Self::Name => kind == ValueKind::Name,
            Self::Path => kind == ValueKind::Path,
            Self::Query => kind == ValueKind::Query,
            Self::Referer => kind == ValueKind::Header && name.eq_ignore_ascii_case(b"referer"),
            Self::UserAgent => kind == ValueKind::Header && name.eq_ignore_ascii_case(b"user-agent"),
        }
    }
}

/// A rule as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: String,
    class: String,
    weight: f32,
    title: String,
    on: Vec<On>,
    /// Literals of which one must occur for the expression to be tried.
    #[serde(default)]
    lits: Vec<String>,
    /// Words that `<word>` in the expression stands for; each is a literal, too.
    #[serde(default)]
    words: Vec<String>,
    regex: String,
    #[serde(default)]
    method: Vec<String>,
    /// Names of parameters, fields or headers that the rule is limited to; `*` at the end takes any ending.
    #[serde(default)]
    names: Vec<String>,
    /// Characters of which one must occur: spares the expression most values that hold the literals.
    #[serde(default)]
    need: String,
    /// Longest value that the rule is tried on: what is a payload by itself may be a word in a text.
    #[serde(default)]
    max: Option<usize>,
    #[serde(default)]
    cve: Vec<String>,
    /// Requests that must fire; tests run them.
    #[serde(default)]
    fires: Vec<String>,
    /// Requests that must stay quiet.
    #[serde(default)]
    quiet: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    rule: Vec<RawRule>,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    /// Stable id.
    pub id: Arc<str>,
    /// Class it speaks for.
    pub class: Class,
    /// Certainty by itself.
    pub weight: f32,
    /// Title.
    pub title: String,
    /// Where it looks.
    pub on: Vec<On>,
    /// Methods it is limited to; empty: all.
    pub methods: Vec<String>,
    /// CVE numbers.
    pub cve: Vec<String>,
    /// Requests that must fire, and that must stay quiet.
    pub examples: (Vec<String>, Vec<String>),
    /// Names it is limited to, in lower case; empty: all.
    names: Vec<Box<[u8]>>,
    /// Characters of which one must occur.
    need: Characters,
    /// Longest value it is tried on.
    max: usize,
    regex: Regex,
    /// What the hash of the set is taken over.
    pub source: String,
}

impl Rule {
    /// Whether the rule looks at values of that name.
    fn takes_name(&self, name: &[u8]) -> bool {
        self.names.is_empty()
            || self.names.iter().any(|wanted| match wanted.strip_suffix(b"*") {
                Some(start) => name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
                None => name.eq_ignore_ascii_case(wanted),
            })
    }
}

/// A set of ASCII characters; all others are one member.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Characters(u128);

impl Characters {
    fn of(bytes: &[u8]) -> Self {
        // Non-ASCII bytes share the place of DEL.
        Self(bytes.iter().fold(0, |set, byte| set | 1 << (*byte).min(127)))
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// All rules with their literal automaton.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    literals: AhoCorasick,
    /// Rules of each literal.
    owners: Vec<Vec<u32>>,
}

/// One match.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    /// Index of the rule.
    pub rule: usize,
    /// First byte of the match in the view.
    pub at: usize,
    /// Length of the match.
    pub len: usize,
}

fn wrong(file: &str, complaint: String) -> DetectError {
    DetectError::Rules { file: file.to_owned(), complaint }
}

impl RuleSet {
    /// Compiles the built-in packs and further files.
    pub fn load(files: &[impl AsRef<Path>]) -> Result<Self, DetectError> {
        let read = |file: &_| {
            let name = AsRef::<Path>::as_ref(file).display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|error| wrong(&name, format!("cannot be read: {error}")))?;
            Ok((name, text))
        };
        let read = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let own = read.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        Self::of(&BUILT_IN.iter().copied().chain(own).collect::<Vec<_>>())
    }

    /// Compiles texts, each under the name that a complaint calls it by.
    pub fn of(texts: &[(&str, &str)]) -> Result<Self, DetectError> {
        let mut rules = Vec::new();
        let mut literals: Vec<(String, u32)> = Vec::new();
        for (name, text) in texts {
            add_file(name, text, &mut rules, &mut literals)?;
        }
        literals.sort();
        let mut texts: Vec<String> = Vec::new();
        let mut owners: Vec<Vec<u32>> = Vec::new();
        for (literal, rule) in literals {
            if texts.last() == Some(&literal) {
                if let Some(last) = owners.last_mut() {
                    last.push(rule);
                }
            } else {
                texts.push(literal);
                owners.push(vec![rule]);
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(&texts)
            .map_err(|error| wrong("rules", format!("literals: {error}")))?;
        Ok(Self { rules, literals: automaton, owners })
    }

    /// Every rule.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Finds the rules that match a value in one view.
    pub fn find(
        &self,
        view: &[u8],
        (kind, name): (ValueKind, &[u8]),
        candidates: &mut Vec<u32>,
        mut take: impl FnMut(Match),
    ) {
        candidates.clear();
        for hit in self.literals.find_overlapping_iter(view) {
            let owners = self.owners.get(hit.pattern().as_usize()).map(Vec::as_slice).unwrap_or_default();
            for owner in owners {
                if !candidates.contains(owner) {
                    candidates.push(*owner);
                }
            }
        }
        if candidates.is_empty() {
            return;
        }
        let characters = Characters::of(view);
        for index in candidates.iter().map(|index| *index as usize) {
            let Some(rule) = self.rules.get(index) else { continue };
            if rule.need.meets(characters)
                && view.len() <= rule.max
                && rule.on.iter().any(|on| on.covers(kind, name))
                && rule.takes_name(name)
                && let Some(found) = rule.regex.find(view)
            {
                take(Match { rule: index, at: found.start(), len: found.len() });
            }
        }
    }
}

fn add_file(
    name: &str,
    text: &str,
    rules: &mut Vec<Rule>,
    literals: &mut Vec<(String, u32)>,
) -> Result<(), DetectError> {
    let file: RawFile = toml::from_str(text).map_err(|error| {
        let (place, message) = crate::config::load::explain(text, &error);
        wrong(name, format!("{place}: {message}"))
    })?;
    for raw in file.rule {
        let rule = compile(name, raw, rules, literals)?;
        rules.push(rule);
    }
    Ok(())
}

fn compile(
    file: &str,
    raw: RawRule,
    known: &[Rule],
    literals: &mut Vec<(String, u32)>,
) -> Result<Rule, DetectError> {
    let complain = |text: String| wrong(file, format!("rule {:?}: {text}", raw.id));
    let class = Class::from_id(&raw.class)
        .ok_or_else(|| complain(format!("class {:?} is not in the class table", raw.class)))?;
    if !(0.0..=1.0).contains(&raw.weight) {
        return Err(complain(format!("weight {}: 0 to 1 is allowed", raw.weight)));
    }
    if known.len() >= RULES_MAX {
        return Err(complain(format!("is one more than the {RULES_MAX} rules that are allowed")));
    }
    if known.iter().any(|other| *other.id == *raw.id) {
        return Err(complain("the id is taken by an earlier rule".into()));
    }
    if raw.on.is_empty() || raw.lits.is_empty() && raw.words.is_empty() {
        return Err(complain("\"on\" and \"lits\" or \"words\" need one entry at least".into()));
    }
    if raw.words.is_empty() == raw.regex.contains(WORD_MARK) {
        return Err(complain(format!("\"words\" and {WORD_MARK} in \"regex\" need each other")));
    }
    for literal in raw.lits.iter().chain(&raw.words) {
        if literal.len() < LITERAL_MIN_BYTES {
            return Err(complain(format!("literal {literal:?} is empty")));
        }
        literals.push((literal.to_ascii_lowercase(), known.len() as u32));
    }
    let regex =
        expression::of_rule(&raw.regex, &raw.words).map_err(|told| complain(format!("regex: {told}")))?;
    let source = format!(
        "{}\n{}\n{}\n{:?}\n{:?}\n{:?}\n{}\n{:?}\n{:?}\n{:?}\n{:?}\n",
        raw.id,
        raw.class,
        raw.weight,
        raw.on,
        raw.lits,
        raw.words,
        raw.regex,
        raw.method,
        raw.names,
        raw.max,
        raw.need
    );
    Ok(Rule {
        id: raw.id.as_str().into(),
        class,
        weight: raw.weight,
        title: raw.title,
        on: raw.on,
        methods: raw.method,
        cve: raw.cve,
        examples: (raw.fires, raw.quiet),
        names: raw.names.iter().map(|name| name.to_ascii_lowercase().into_bytes().into()).collect(),
        need: if raw.need.is_empty() { Characters(u128::MAX) } else { Characters::of(raw.need.as_bytes()) },
        max: raw.max.unwrap_or(usize::MAX),
        regex,
        source,
    })
}
