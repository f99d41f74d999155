//! Which time was observed already, so that a second interface or a clock that was set back counts none of it twice.

use std::collections::BTreeMap;

use crate::model::time::Timestamp;

/// Spans told apart. One grows by the hour; a new one takes a restart, an interface that was down or a clock that was set,
/// and of more than so many the earliest is forgotten.
const SPANS_MAX: usize = 4_096;

/// Spans of time, from their first microsecond to the first one after, without overlap.
#[derive(Debug, Default)]
pub struct Observed(BTreeMap<Timestamp, Timestamp>);

impl Observed {
    /// Adds a span. Gives the parts of it that are new.
    pub fn add(&mut self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let mut new = Vec::new();
        if from >= to {
            return new;
        }
        let first =
            self.0.range(..=from).next_back().filter(|(_, end)| **end >= from).map(|(start, _)| *start);
        let mut start = from;
        let mut at = from;
        let touched: Vec<_> = self.0.range(first.unwrap_or(from)..=to).map(|(a, b)| (*a, *b)).collect();
        for (known_from, known_to) in touched {
            self.0.remove(&known_from);
            start = start.min(known_from);
            if at < known_from {
                new.push((at, known_from));
            }
            at = at.max(known_to);
        }
        if at < to {
            new.push((at, to));
        }
        self.0.insert(start, at.max(to));
        if self.0.len() > SPANS_MAX {
            self.0.pop_first();
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(observed: &mut Observed, from: i64, to: i64) -> Vec<(i64, i64)> {
        observed.add(Timestamp(from), Timestamp(to)).into_iter().map(|(a, b)| (a.0, b.0)).collect()
    }

    #[test]
    fn only_what_is_new_is_given() {
        let mut observed = Observed::default();
        assert_eq!(add(&mut observed, 10, 20), [(10, 20)]);
        assert_eq!(add(&mut observed, 20, 30), [(20, 30)]);
        assert_eq!(add(&mut observed, 12, 28), []);
        assert_eq!(add(&mut observed, 1_000, 1_010), [(1_000, 1_010)], "a clock set forward");
        assert_eq!(add(&mut observed, 25, 40), [(30, 40)], "and back");
        assert_eq!(add(&mut observed, 5, 1_020), [(5, 10), (40, 1_000), (1_010, 1_020)]);
        assert_eq!(observed.0.len(), 1);
        assert_eq!(add(&mut observed, 7, 7), []);
    }

    proptest::proptest! {
        #[test]
        fn every_moment_is_given_once(spans in proptest::collection::vec((0_i64..300, 1_i64..40), 1..200)) {
            let mut observed = Observed::default();
            let mut seen = std::collections::BTreeSet::new();
            for (from, length) in spans {
                let mut wanted: Vec<i64> = (from..from + length).filter(|at| !seen.contains(at)).collect();
                let given: Vec<i64> =
                    add(&mut observed, from, from + length).into_iter().flat_map(|(a, b)| a..b).collect();
                proptest::prop_assert_eq!(&given, &wanted);
                seen.extend(wanted.drain(..));
                proptest::prop_assert!(observed.0.len() <= SPANS_MAX);
            }
        }
    }
}
