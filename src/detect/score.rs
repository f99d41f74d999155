//! Findings → one score and one judgement.
//!
//! Within a family (what stands before the first dot of a rule's id) the strongest finding counts: its rules see the same
//! thing. Between families certainties add up as independent ones do: 1 − Π(1 − w).

use std::sync::Arc;

use crate::detect::rules::Rule;
use crate::detect::value::ValueKind;
use crate::model::attempt::{EVIDENCE_MAX, Evidence, Judgement};
use crate::model::class::{Class, ClassSet};

/// Findings kept of one request.
pub const FOUND_MAX: usize = 32;
/// Families told apart in one score.
const FAMILIES_MAX: usize = 16;
/// What a rule for a known product adds when classes are compared: it knows better than a generic one.
const CVE_BONUS: f32 = 0.05;

/// One finding, where it stood and how it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Rule.
    pub rule: Arc<str>,
    /// Class it speaks for.
    pub class: Class,
    /// Certainty, weighed by location.
    pub weight: f32,
    /// Kind of the value; `None` for the form of the request.
    pub kind: Option<ValueKind>,
    /// Name of the parameter, header or cookie.
    pub name: Box<[u8]>,
    /// The text around the match, masked.
    pub excerpt: Box<str>,
}

impl Found {
    /// A match of a rule.
    pub fn new(rule: &Rule, weight: f32, (kind, name): (ValueKind, &[u8]), excerpt: Box<str>) -> Self {
        let name = name.get(..name.len().min(64)).unwrap_or(name).into();
        Self { rule: Arc::clone(&rule.id), class: rule.class, weight, kind: Some(kind), name, excerpt }
    }

    /// Something in the form of the request.
    pub fn of_form(rule: &str, class: Class, weight: f32, excerpt: Box<str>) -> Self {
        Self { rule: rule.into(), class, weight, kind: None, name: Box::default(), excerpt }
    }

    /// Whether it stood at that value.
    pub fn is_at(&self, kind: ValueKind, name: &[u8]) -> bool {
        self.kind == Some(kind) && *self.name == *name.get(..name.len().min(64)).unwrap_or(name)
    }

    fn family(&self) -> &str {
        self.rule.split('.').next().unwrap_or_default()
    }

    fn place(&self) -> String {
        self.kind.map_or_else(|| "request".to_owned(), |kind| kind.place(&self.name))
    }
}

/// Adds findings up.
#[derive(Debug, Default)]
pub struct Scorer {
    families: Vec<(Box<str>, f32)>,
}

impl Scorer {
    /// Takes a finding.
    pub fn add(&mut self, found: &Found) {
        if let Some((_, weight)) = self.families.iter_mut().find(|(family, _)| **family == *found.family()) {
            *weight = weight.max(found.weight);
        } else if self.families.len() < FAMILIES_MAX {
            self.families.push((found.family().into(), found.weight));
        }
    }

    /// The certainty that it is an attack.
    pub fn score(&self) -> f32 {
        1.0 - self.families.iter().map(|(_, weight)| 1.0 - weight).product::<f32>()
    }

    /// The judgement over the findings that `counts` picks.
    pub fn judgement(&self, found: &[Found], counts: impl Fn(&Found) -> bool) -> Judgement {
        let mut findings: Vec<&Found> = found.iter().filter(|finding| counts(finding)).collect();
        let rank =
            |finding: &Found| finding.weight + if finding.class == Class::WebCve { CVE_BONUS } else { 0.0 };
        findings.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then_with(|| a.class.cmp(&b.class)));
        let class = findings.first().map_or(Class::WebProtocol, |finding| finding.class);
        let mut labels = ClassSet::default();
        for finding in &findings {
            labels.insert(finding.class);
        }
        labels.remove(class);
        let evidence = findings
            .iter()
            .take(EVIDENCE_MAX)
            .map(|finding| Evidence {
                rule: Arc::clone(&finding.rule),
                place: finding.place().into(),
                excerpt: finding.excerpt.clone(),
            })
            .collect();
        Judgement { class, labels, score: self.score(), evidence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: &str, class: Class, weight: f32) -> Found {
        Found::of_form(rule, class, weight, "".into())
    }

    #[test]
    fn one_family_counts_once_and_families_add_up() {
        let mut scorer = Scorer::default();
        scorer.add(&found("sqli.a", Class::WebSqli, 0.5));
        scorer.add(&found("sqli.b", Class::WebSqli, 0.6));
        assert!((scorer.score() - 0.6).abs() < 1e-6);
        scorer.add(&found("xss.a", Class::WebXss, 0.5));
        assert!((scorer.score() - 0.8).abs() < 1e-6);
    }

    #[test]
    fn the_primary_class_is_the_heaviest_and_ties_go_by_the_table() {
        let findings = [
            found("xss.a", Class::WebXss, 0.95),
            found("sqli.a", Class::WebSqli, 0.95),
            found("lfi.a", Class::WebLfi, 0.7),
        ];
        let judgement = Scorer::default().judgement(&findings, |_| true);
        assert_eq!(judgement.class, Class::WebSqli);
        assert_eq!(judgement.labels.iter().collect::<Vec<_>>(), [Class::WebXss, Class::WebLfi]);
        assert_eq!(&*judgement.evidence[0].rule, "sqli.a");
    }
}
