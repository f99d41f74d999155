//! The seam between the engine and the semantic detectors: a value in, findings out.

use crate::model::class::Class;

/// Findings kept for one request; more would only repeat the reason.
pub const FINDINGS_MAX: usize = 32;

/// Where in the request a value stood. The engine weighs a finding by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValueKind {
    /// The whole body, or a part of it that has no structure.
    Body,
    /// Value of a cookie.
    Cookie,
    /// Value of a form field (urlencoded or multipart).
    Form,
    /// Value of a header field other than the cookies.
    Header,
    /// A string or number inside JSON.
    Json,
    /// The name of a parameter, field or cookie itself.
    Name,
    /// The path of the target.
    Path,
    /// Value of a query parameter, or a query without any.
    Query,
    /// A text or attribute inside XML.
    Xml,
}

/// One value in one decoded view.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The bytes of this view, at most `VALUE_MAX_BYTES` of the engine.
    pub bytes: &'a [u8],
    /// Where it stood.
    pub kind: ValueKind,
    /// Name of the parameter, header or cookie, lower case not guaranteed; empty where there is none.
    pub name: &'a [u8],
}

/// One reason to call a value an attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Stable id: `sqli.tautology`.
    pub rule: &'static str,
    /// The class it speaks for.
    pub class: Class,
    /// Certainty by itself, 0 to 1. From 0.90 on it makes an attack alone (normal sensitivity, full location weight).
    pub weight: f32,
    /// First byte of the match in the view.
    pub at: usize,
    /// Length of the match.
    pub len: usize,
}

/// A bounded list of findings.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding; beyond [`FINDINGS_MAX`] a stronger one takes the weakest one's place.
    pub fn push(&mut self, finding: Finding) {
        if self.0.len() < FINDINGS_MAX {
            self.0.push(finding);
        } else if let Some(weakest) = self.0.iter_mut().min_by(|a, b| a.weight.total_cmp(&b.weight))
            && weakest.weight < finding.weight
        {
            *weakest = finding;
        }
    }

    /// What was found.
    pub fn as_slice(&self) -> &[Finding] {
        &self.0
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A semantic detector: looks at one value in one view. Linear in `value.bytes`, allocates nothing.
pub type Inspect = fn(&Value<'_>, &mut Findings);
