//! Endpoints where a rule hits many clients that do nothing else: likely false alarms, for the operator to look at.
//!
//! Not part of any count. A client is otherwise clean while all of its attempts of a day hit one rule at one endpoint.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::attempt::Attempt;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::SourceKey;
use crate::tally::{Endpoint, EndpointSums, Snapshot};

/// Endpoints followed in one day.
const ENDPOINTS_MAX: usize = 4_096;
/// Clients followed in one day.
const SOURCES_MAX: usize = 65_536;
/// Clean clients told apart at one endpoint: more change nothing.
const CLEAN_MAX: usize = 64;
/// Clean clients from which on an endpoint is worth a row in the store.
const CLEAN_MIN: usize = 3;
/// Bytes of a path that tell an endpoint.
const PATH_MAX_BYTES: usize = 160;

#[derive(Debug, Default)]
struct Seen {
    /// Not told yet.
    attempts: u64,
    answered: u64,
    clean: HashSet<SourceKey, ahash::RandomState>,
}

/// What is followed of the current day.
#[derive(Debug, Default)]
pub struct Doubts {
    day: Option<Period>,
    endpoints: HashMap<Arc<Endpoint>, Seen, ahash::RandomState>,
    /// The one endpoint of each client; none once it hit a second.
    sources: HashMap<SourceKey, Option<Arc<Endpoint>>, ahash::RandomState>,
}

impl Doubts {
    /// Takes an attempt in, and adds what is worth telling to the snapshot.
    pub fn note(&mut self, attempt: &Attempt, source: SourceKey, site: &Arc<str>, snapshot: &mut Snapshot) {
        let Some(endpoint) = endpoint(attempt, site) else { return };
        if self.day != Some(endpoint.day) {
            *self = Self { day: Some(endpoint.day), ..Self::default() };
        }
        let known = self.endpoints.get_key_value(&endpoint).map(|(known, _)| Arc::clone(known));
        let is_full = self.endpoints.len() >= ENDPOINTS_MAX && known.is_none();
        if is_full || self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            return;
        }
        let endpoint = known.unwrap_or_else(|| Arc::new(endpoint));
        let is_clean = match self.sources.get_mut(&source) {
            None => {
                self.sources.insert(source, Some(Arc::clone(&endpoint)));
                true
            }
            Some(Some(known)) if *known == endpoint => true,
            Some(known) => {
                // A second kind of attack: this client is none of the clean ones after all.
                if let Some(first) = known.take()
                    && let Some(seen) = self.endpoints.get_mut(&first)
                    && seen.clean.remove(&source)
                    && seen.clean.len() + 1 >= CLEAN_MIN
                {
                    let clean_sources = seen.clean.len() as u64;
                    let first = Endpoint::clone(&first);
                    snapshot.add_endpoint(first, EndpointSums { clean_sources, ..EndpointSums::default() });
                }
                false
            }
        };
        let status = attempt.http.as_ref().and_then(|http| http.status);
        let seen = self.endpoints.entry(Arc::clone(&endpoint)).or_default();
        seen.attempts += 1;
        seen.answered += u64::from(status.is_some_and(|status| (200..300).contains(&status)));
        if is_clean && seen.clean.len() < CLEAN_MAX {
            seen.clean.insert(source);
        }
        if seen.clean.len() >= CLEAN_MIN {
            let sums = EndpointSums {
                attempts: std::mem::take(&mut seen.attempts),
                answered: std::mem::take(&mut seen.answered),
                clean_sources: seen.clean.len() as u64,
            };
            snapshot.add_endpoint(Endpoint::clone(&endpoint), sums);
        }
    }
}

/// The endpoint an attempt hit, by its heaviest evidence.
fn endpoint(attempt: &Attempt, site: &Arc<str>) -> Option<Endpoint> {
    let http = attempt.http.as_ref()?;
    let evidence = attempt.judgement.evidence.first()?;
    let path = http.url.split('?').next().unwrap_or_default();
    let end = (0..=path.len().min(PATH_MAX_BYTES)).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
    Some(Endpoint {
        day: Period::containing(PeriodKind::Day, attempt.time),
        site: Arc::clone(site),
        path: path.get(..end).unwrap_or_default().into(),
        place: evidence.place.clone(),
        rule: Arc::clone(&evidence.rule),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn hit(doubts: &mut Doubts, snapshot: &mut Snapshot, source: u8, url: &str, rule: &str) {
        let mut attempt = testing::attempt();
        attempt.judgement.evidence[0].rule = rule.into();
        if let Some(http) = &mut attempt.http {
            http.url = url.into();
            http.status = Some(200);
        }
        let source = SourceKey::of(format!("198.51.100.{source}").parse().unwrap());
        doubts.note(&attempt, source, &"site".into(), snapshot);
    }

    #[test]
    fn an_endpoint_with_many_clean_clients_is_told_and_attackers_are_none() {
        let (mut doubts, mut snapshot) = (Doubts::default(), Snapshot::default());
        for source in 1..=9 {
            hit(&mut doubts, &mut snapshot, source, "/wiki/save?x=1", "sqli.select");
        }
        // A scanner that tries everything is clean nowhere, and takes its first hit back.
        hit(&mut doubts, &mut snapshot, 50, "/wiki/save", "sqli.select");
        hit(&mut doubts, &mut snapshot, 50, "/other", "xss.script");
        hit(&mut doubts, &mut snapshot, 10, "/wiki/save?y=2", "sqli.select");
        assert_eq!(snapshot.endpoints.len(), 1);
        let (endpoint, sums) = snapshot.endpoints.iter().next().unwrap();
        assert_eq!((&*endpoint.path, &*endpoint.rule), ("/wiki/save", "sqli.select"));
        assert_eq!(*sums, EndpointSums { attempts: 11, answered: 11, clean_sources: 10 });
    }

    #[test]
    fn its_memory_is_bounded() {
        let (mut doubts, mut snapshot) = (Doubts::default(), Snapshot::default());
        for number in 0..10_000_u32 {
            hit(
                &mut doubts,
                &mut snapshot,
                u8::try_from(number % 250).unwrap(),
                &format!("/p{number}"),
                "sqli.select",
            );
        }
        assert!(doubts.endpoints.len() <= ENDPOINTS_MAX);
    }
}
