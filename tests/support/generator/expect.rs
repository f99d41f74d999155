//! What must come out, worked out from the plan's own numbers and without a packet or any of gatewatch.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use super::payloads::Kind;
use super::plan::{Plan, Stream};
use super::schedule::{Schedule, Slot, kind_of};

/// The counts that a plan stands for.
#[derive(Debug, Default, Serialize)]
pub struct Expected {
    /// Months of the plan: `2012-06`.
    pub months: Vec<String>,
    /// Attempts from outside the home country.
    pub overseas: u64,
    /// Those from within.
    pub domestic: u64,
    /// Those whose source could be forged.
    pub not_provable: u64,
    /// Those through a trusted proxy that named no client.
    pub behind_proxies: u64,
    /// Attack requests that no built-in rule knows.
    pub unjudged: u64,
    /// Attempts that the tap missed in an outage.
    pub attempts_lost: u64,
    /// Hours in which the tap captured nothing.
    pub hours_lost: u64,
    /// Honest requests.
    pub benign: u64,
    /// Lone SYN segments.
    pub forged_syns: u64,
    /// Overseas attempts divided by months.
    pub overseas_monthly_mean: f64,
    /// The country with the most overseas attempts and its share of them.
    pub top: (String, f64),
    /// Provable attempts by country.
    pub countries: BTreeMap<String, u64>,
    /// Overseas attempts by month.
    pub overseas_by_month: Vec<u64>,
    /// Attempts by the plain class of their kind, unprovable ones included.
    pub classes: BTreeMap<String, u64>,
}

impl Expected {
    /// Of a plan, as the built-in rules and the database that the plan's addresses were chosen by see it.
    pub fn of(plan: &Plan) -> Self {
        let schedule = Schedule::of(plan);
        let mut expected = Self {
            months: schedule.months().iter().map(|month| month.first.strftime("%Y-%m").to_string()).collect(),
            countries: plan.attempts.keys().map(|code| (code.clone(), 0)).collect(),
            overseas_by_month: vec![0; plan.trend.len()],
            ..Self::default()
        };
        let parts = plan.parts();
        for slot in schedule.slots() {
            let is_captured = parts.iter().any(|part| part.contains(&slot));
            expected.hours_lost += u64::from(!is_captured);
            for number in 0..plan.streams().len() {
                let Some((stream, range)) = schedule.range(number, slot) else { continue };
                if is_captured {
                    expected.add(plan, (stream, number), (slot, range));
                } else if stream.is_attack() {
                    expected.attempts_lost +=
                        range.filter(|index| kind_of(plan, number, *index).is_built_in()).count() as u64;
                }
            }
        }
        expected.overseas_monthly_mean = expected.overseas as f64 / plan.trend.len() as f64;
        let abroad = expected.countries.iter().filter(|(code, _)| **code != plan.home);
        if let Some((code, most)) = abroad.max_by_key(|(_, count)| **count) {
            expected.top = (code.clone(), *most as f64 / expected.overseas as f64);
        }
        expected
    }

    fn add(&mut self, plan: &Plan, (stream, number): (Stream, usize), (slot, range): (Slot, Range<u64>)) {
        match stream {
            Stream::Benign => self.benign += range.end - range.start,
            Stream::ForgedSyn => self.forged_syns += range.end - range.start,
            Stream::Attack(_) | Stream::ForgedRequest | Stream::Nameless => {
                for kind in range.map(|index| kind_of(plan, number, index)) {
                    if kind.is_built_in() {
                        self.add_attempt(plan, stream, (slot, kind));
                    } else {
                        self.unjudged += 1;
                    }
                }
            }
        }
    }

    fn add_attempt(&mut self, plan: &Plan, stream: Stream, (slot, kind): (Slot, Kind)) {
        let class = kind.classes().first().copied().unwrap_or_default();
        *self.classes.entry(class.to_owned()).or_default() += 1;
        match stream {
            Stream::Attack(space) => {
                *self.countries.entry(space.country.to_owned()).or_default() += 1;
                if space.country == plan.home {
                    self.domestic += 1;
                    return;
                }
                self.overseas += 1;
                if let Some(sum) = self.overseas_by_month.get_mut(slot.month) {
                    *sum += 1;
                }
            }
            Stream::Nameless => self.behind_proxies += 1,
            _ => self.not_provable += 1,
        }
    }
}
