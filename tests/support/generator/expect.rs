//! What must come out, worked out from the plan's own numbers and without a packet or any of gatewatch.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::{Plan, Stream, apportion};
use super::schedule::{Schedule, kind_of};

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
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut expected = Self {
            months: Schedule::of(plan)
                .months()
                .iter()
                .map(|month| month.first.strftime("%Y-%m").to_string())
                .collect(),
            benign: plan.noise.benign,
            forged_syns: plan.noise.forged_syns,
            not_provable: plan.noise.forged_requests,
            overseas_by_month: vec![0; plan.trend.len()],
            ..Self::default()
        };
        for (number, (stream, total)) in plan.streams().into_iter().enumerate() {
            match stream {
                Stream::Attack(space) => expected.add_country(plan, space.country, total),
                Stream::ForgedRequest => {}
                Stream::Benign | Stream::ForgedSyn => continue,
            }
            for index in 0..total {
                let class = kind_of(plan, number, index).classes().first().copied().unwrap_or_default();
                *expected.classes.entry(class.to_owned()).or_default() += 1;
            }
        }
        expected.overseas_monthly_mean = expected.overseas as f64 / plan.trend.len() as f64;
        expected
    }

    fn add_country(&mut self, plan: &Plan, country: &str, total: u64) {
        self.countries.insert(country.to_owned(), total);
        if country == plan.home {
            self.domestic += total;
            return;
        }
        self.overseas += total;
        for (sum, part) in self.overseas_by_month.iter_mut().zip(apportion(total, &plan.trend)) {
            *sum += part;
        }
        let abroad = plan.attempts.iter().filter(|(code, _)| **code != plan.home);
        if let Some((code, most)) = abroad.max_by_key(|(_, count)| **count) {
            self.top = (code.clone(), *most as f64 / self.overseas as f64);
        }
    }
}
