//! Request → verdict.
//!
//! Owns the rules, the decoded views and the score. A verdict depends on the request and its reply alone: no history, no
//! order, no clock. Must not know: packets, flows, origins, files other than rule files.

pub mod clean;
pub mod exception;
pub mod excerpt;
pub mod fields;
pub mod form;
pub mod login;
pub mod rules;
pub mod score;
pub mod service;
pub mod split;
pub mod value;
pub mod views;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::config::Settings;
use crate::config::detect::Detect;
use crate::config::origin::Network;
use crate::detect::clean::Clean;
use crate::detect::exception::Exceptions;
use crate::detect::fields::Fields;
use crate::detect::form::{FORM_RULES, Form};
use crate::detect::rules::RuleSet;
use crate::detect::score::{Found, Scorer};
use crate::detect::value::{ValueKind, location_factor};
use crate::detect::views::Views;
use crate::model::attempt::{Judgement, Outcome};
use crate::model::class::Class;
use crate::protocol::request::Request;

/// Folder of the operator's rule files; it need not exist.
pub const RULES_FOLDER: &str = "/etc/gatewatch/rules";
/// Field of the header that names a client's program.
const AGENT: &[u8] = b"user-agent";
/// Beginning and end of a long value that are judged, so that padding does not hide a payload.
const VALUE_HEAD_BYTES: usize = 6 << 10;
const VALUE_TAIL_BYTES: usize = 2 << 10;
/// Least score of a suspicious request.
const SUSPICIOUS: f32 = 0.60;
/// Version of what is judged outside the rule files; part of the set's hash.
const ENGINE_VERSION: &str = "engine 3";
/// Sets compiled so far, so that what one found clean is not taken for what another would find.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// What a request was judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// An attack.
    Attack(Judgement),
    /// No attack.
    Clean,
    /// Only excepted rules call it an attack.
    Excepted,
    /// Scored, but below the threshold.
    Suspicious,
}

/// Buffers that one worker reuses from request to request.
#[derive(Debug, Default)]
pub struct Scratch {
    views: Views,
    clean: Clean,
    candidates: Vec<u32>,
    found: Vec<Found>,
}

/// One rule, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleInfo {
    /// Stable id.
    pub id: String,
    /// Class it speaks for.
    pub class: Class,
    /// Certainty by itself, 0 to 1.
    pub weight: f32,
    /// First half of the SHA-256 of all that makes it.
    pub hash: String,
    /// Title.
    pub title: String,
    /// Whether it is in use.
    pub enabled: bool,
}

/// Why a detection set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// A rule file cannot be read or is wrong.
    #[error("rules {file}: {complaint}")]
    Rules {
        /// The file, or the name of a built-in pack.
        file: String,
        /// What was found and what would be right.
        complaint: String,
    },
    /// A setting names a rule that does not exist.
    #[error("{key}: {rule:?} is no rule; \"gatewatch rules list\" prints them")]
    UnknownRule {
        /// The setting.
        key: &'static str,
        /// What it names.
        rule: String,
    },
}

/// The compiled detection set; shared by all workers.
#[derive(Debug)]
pub struct Detector {
    rules: RuleSet,
    disabled: Vec<String>,
    exceptions: Exceptions,
    threshold: f32,
    set_hash: String,
    /// Header fields in which proxies of the operator's name clients. Noted with an attempt, never judged: they are here so
    /// that they change together with everything else that a worker goes by.
    naming_headers: Vec<Arc<str>>,
    /// Senders of tunnels whose inside is believed; here for the same reason.
    trusted_tunnels: Vec<Network>,
    /// Proxies of the operator; here for the same reason.
    proxies: Vec<Network>,
    /// Number of this set in this process.
    generation: u64,
}

impl Detector {
    /// Compiles the built-in rules and those of the operator.
    pub fn new(settings: &Settings) -> Result<Self, DetectError> {
        let rules = RuleSet::load(&rule_files(&settings.detect))?;
        let detector = Self {
            set_hash: set_hash(&rules, &settings.detect.disable),
            rules,
            disabled: settings.detect.disable.clone(),
            exceptions: Exceptions::new(&settings.detect.exception, &settings.site),
            naming_headers: settings.origin.naming_headers().into_iter().map(Arc::from).collect(),
            trusted_tunnels: settings.capture.trusted_tunnels.clone(),
            proxies: settings.origin.proxies(),
            threshold: settings.detect.sensitivity.threshold(),
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
        };
        let known = |id: &String| detector.rules().any(|rule| rule.id == *id);
        let excepted = settings.detect.exception.iter().filter_map(|exception| exception.rule.as_ref());
        let named = settings.detect.disable.iter().map(|id| ("detect.disable", id));
        if let Some((key, rule)) =
            named.chain(excepted.map(|id| ("detect.exception", id))).find(|(_, id)| !known(id))
        {
            return Err(DetectError::UnknownRule { key, rule: rule.clone() });
        }
        Ok(detector)
    }

    /// Header fields to note with an attempt, in lower case.
    pub fn naming_headers(&self) -> &[Arc<str>] {
        &self.naming_headers
    }

    /// Whether what a tunnel of this sender carries is believed.
    pub fn trusts_tunnel(&self, sender: IpAddr) -> bool {
        self.trusted_tunnels.iter().any(|network| network.0.contains(&sender))
    }

    /// Whether it is a trusted proxy, behind which many clients stand.
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.0.contains(&peer))
    }

    /// Judges a request that was sent to `server`.
    pub fn judge(&self, request: &Request<'_>, server: SocketAddr, scratch: &mut Scratch) -> Verdict {
        let Scratch { views, clean, candidates, found } = scratch;
        found.clear();
        clean.begin(self.generation);
        let fields = Fields::of(request.headers);
        split::values(request, &fields, &mut |kind, name, sent| {
            for sent in head_and_tail(sent) {
                let place = clean.place(kind, name, sent);
                if place.is_some_and(|place| clean.holds(place, sent)) {
                    continue;
                }
                let mut has_match = false;
                views.each(kind, sent, |view| {
                    has_match |= self.look(view, (kind, name), request, (candidates, found));
                });
                if let Some(place) = place.filter(|_| !has_match) {
                    clean.remember(place, sent);
                }
            }
        });
        self.judge_form(request, &fields, found);
        name_guess(request, found);
        if found.is_empty() {
            return Verdict::Clean;
        }
        self.verdict(request, server, found)
    }

    fn verdict(&self, request: &Request<'_>, server: SocketAddr, found: &[Found]) -> Verdict {
        let mut scorer = Scorer::default();
        let mut without = Scorer::default();
        for finding in found {
            scorer.add(finding);
            if !self.exceptions.cover(finding, request, server) {
                without.add(finding);
            }
        }
        if without.score() >= self.threshold {
            return Verdict::Attack(
                without.judgement(found, |finding| !self.exceptions.cover(finding, request, server)),
            );
        }
        if scorer.score() >= self.threshold {
            Verdict::Excepted
        } else if scorer.score() >= SUSPICIOUS {
            Verdict::Suspicious
        } else {
            Verdict::Clean
        }
    }

    /// Looks at one view of one value; tells whether any rule matched, in use for this request or not.
    fn look(
        &self,
        view: &[u8],
        (kind, name): (ValueKind, &[u8]),
        request: &Request<'_>,
        (candidates, found): (&mut Vec<u32>, &mut Vec<Found>),
    ) -> bool {
        let mut has_match = false;
        self.rules.find(view, (kind, name), candidates, |hit| {
            has_match = true;
            let Some(rule) = self.rules.rules().get(hit.rule) else { return };
            let wrong_method = !rule.methods.is_empty()
                && !rule.methods.iter().any(|method| method.as_bytes() == request.method);
            if wrong_method
                || self.disabled.iter().any(|id| **id == *rule.id)
                || found.len() >= score::FOUND_MAX
            {
                return;
            }
            let weight = rule.weight * location_factor(kind, name, rule.weight, view);
            // The same rule in another view of the same value says nothing new.
            if let Some(known) =
                found.iter_mut().find(|known| known.rule == rule.id && known.is_at(kind, name))
            {
                known.weight = known.weight.max(weight);
                return;
            }
            found.push(Found::new(rule, weight, (kind, name), excerpt::around(view, hit.at, hit.len, name)));
        });
        has_match
    }

    fn judge_form(&self, request: &Request<'_>, fields: &Fields<'_>, found: &mut Vec<Found>) {
        for (id, class, weight, _, form) in FORM_RULES {
            let fires = match form {
                Form::Defect(defect) => request.defects.contains(*defect),
                Form::Holds(holds) => holds(request, fields),
            };
            if fires && !self.disabled.iter().any(|disabled| disabled == id) {
                found.push(Found::of_form(id, *class, *weight, excerpt::head_of(request)));
            }
        }
    }

    /// What became of an attempt, as far as the reply shows it.
    pub fn outcome(&self, _class: Class, status: Option<u16>, body_start: &[u8]) -> Outcome {
        const MARKERS: [&[u8]; 7] = [
            b"root:x:0:",
            b"uid=0(",
            b"You have an error in your SQL syntax",
            b"[boot loader]",
            b"; for 16-bit app support",
            b"ORA-01756",
            b"unclosed quotation mark",
        ];
        match status {
            Some(400..=599) => Outcome::Refused,
            Some(200..=299)
                if MARKERS.iter().any(|marker| memchr::memmem::find(body_start, marker).is_some()) =>
            {
                Outcome::LikelySuccess
            }
            _ => Outcome::Attempted,
        }
    }

    /// Every rule.
    pub fn rules(&self) -> impl Iterator<Item = RuleInfo> + '_ {
        let enabled = |id: &str| !self.disabled.iter().any(|disabled| disabled == id);
        let patterns = self.rules.rules().iter().map(move |rule| RuleInfo {
            id: rule.id.to_string(),
            class: rule.class,
            weight: rule.weight,
            hash: short_hash(Sha256::new().chain_update(&rule.source)),
            title: if rule.cve.is_empty() {
                rule.title.clone()
            } else {
                format!("{} ({})", rule.title, rule.cve.join(", "))
            },
            enabled: enabled(&rule.id),
        });
        let forms = FORM_RULES.iter().map(move |(id, class, weight, title, _)| RuleInfo {
            id: (*id).to_owned(),
            class: *class,
            weight: *weight,
            hash: short_hash(
                Sha256::new()
                    .chain_update(ENGINE_VERSION)
                    .chain_update(id)
                    .chain_update(weight.to_be_bytes()),
            ),
            title: (*title).to_owned(),
            enabled: enabled(id),
        });
        patterns
            .chain(forms)
            .chain(service::oddities().map(move |oddity| service::info(oddity, enabled(oddity.id))))
    }

    /// Hash of the whole set (rules, weights, engine): a change is a break in the series.
    pub fn set_hash(&self) -> &str {
        &self.set_hash
    }
}

/// A request whose only fault is that its program is an attack tool, and that presents a credential, is a guess: the tool asks for
/// the form as well, and only the guesses must count as guesses.
fn name_guess(request: &Request<'_>, found: &mut [Found]) {
    let by_agent = |found: &Found| found.class == Class::WebScan && found.is_at(ValueKind::Header, AGENT);
    if !found.is_empty() && found.iter().all(by_agent) && login::credential(request).is_some() {
        for finding in found {
            finding.class = Class::AuthWeb;
        }
    }
}

/// A value whole, or its head and its tail.
fn head_and_tail(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = value.len() <= VALUE_HEAD_BYTES + VALUE_TAIL_BYTES;
    let head = if whole { value } else { value.get(..VALUE_HEAD_BYTES).unwrap_or(value) };
    let tail = if whole { None } else { value.get(value.len() - VALUE_TAIL_BYTES..) };
    std::iter::once(head).chain(tail).filter(|part| !part.is_empty())
}

fn rule_files(settings: &Detect) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(RULES_FOLDER)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    files.extend(settings.rules.iter().cloned());
    files
}

fn set_hash(rules: &RuleSet, disabled: &[String]) -> String {
    let mut hash = Sha256::new();
    hash.update(ENGINE_VERSION);
    for (id, _, weight, ..) in FORM_RULES {
        hash.update(id);
        hash.update(weight.to_be_bytes());
    }
    for oddity in service::oddities() {
        hash = service::hash(hash, oddity);
    }
    for rule in rules.rules() {
        hash.update(&rule.source);
    }
    for id in disabled {
        hash.update(id);
    }
    short_hash(hash)
}

/// Sixteen digits of a hash.
fn short_hash(hash: Sha256) -> String {
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
