//! What a capture shall hold, as a TOML file: who attacks whom, how often, with what, among what else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use super::countries::Space;
use super::payloads::Kind;

/// A plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Key of all its randomness.
    pub seed: u64,
    /// Year and month of the first day.
    pub from: (i16, i8),
    /// One weight a month; their number is the number of months.
    pub trend: Vec<u64>,
    /// The home country.
    pub home: String,
    /// The protected sites.
    pub site: Vec<Site>,
    /// Attack requests by country, home included.
    pub attempts: BTreeMap<String, u64>,
    /// Weights of the kinds of attack.
    pub kinds: BTreeMap<Kind, u64>,
    /// Everything beside the provable attacks.
    pub noise: Noise,
    /// How conversations look.
    pub shape: Shape,
}

/// A protected site.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Host name.
    pub name: String,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// Share of the requests, as a weight.
    pub weight: u64,
}

/// What is no provable attack.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Requests of honest visitors.
    pub benign: u64,
    /// SYN segments from forged sources; nothing follows.
    pub forged_syns: u64,
    /// Attack requests sent blindly from forged sources: no handshake, no reply.
    pub forged_requests: u64,
}

/// How conversations look.
#[derive(Clone, Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the unit stands last")]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Percentage of requests that follow another one in the same conversation.
    pub keep_alive_percent: u64,
    /// Percentage of such conversations that do not wait for the replies.
    pub pipelined_percent: u64,
    /// Percentage of conversations over IPv6.
    pub ipv6_percent: u64,
    /// Percentage of data segments that are sent twice.
    pub retransmitted_percent: u64,
    /// Percentage of requests of several segments whose segments arrive out of order.
    pub reordered_percent: u64,
}

const FULL_YEAR: &str = include_str!("../plans/2012.toml");
const DEMO: &str = include_str!("../plans/demo.toml");

impl Plan {
    /// The plan of that name: `2012`, `2012-small`, `demo`, or a file.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "2012" => Self::parse(FULL_YEAR),
            "2012-small" => Ok(Self::parse(FULL_YEAR)?.divided_by(48)),
            "demo" => Self::parse(DEMO),
            file => Self::parse(&std::fs::read_to_string(file).map_err(|error| {
                format!("{file}: {error}; a plan is 2012, 2012-small, demo or a TOML file")
            })?),
        }
    }

    /// Reads a plan and checks it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plan: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if plan.trend.is_empty() || plan.site.is_empty() || plan.kinds.is_empty() {
            return Err("a plan needs at least one month in trend, one [[site]] and one kind".to_owned());
        }
        if let Some(country) = plan.attempts.keys().chain([&plan.home]).find(|code| Space::of(code).is_none())
        {
            return Err(format!("no address space is known for country {country:?}; see countries.rs"));
        }
        Ok(plan)
    }

    fn divided_by(mut self, divisor: u64) -> Self {
        let noise = &mut self.noise;
        let numbers = [&mut noise.benign, &mut noise.forged_syns, &mut noise.forged_requests];
        for number in self.attempts.values_mut().chain(numbers) {
            assert_eq!(*number % divisor, 0, "the plan of the year divides without remainder");
            *number /= divisor;
        }
        self
    }

    /// Every stream of the plan: what it is and how many requests it holds.
    pub fn streams(&self) -> Vec<(Stream, u64)> {
        let attacks =
            self.attempts.iter().filter_map(|(code, count)| Some((Stream::Attack(Space::of(code)?), *count)));
        let noise = [
            (Stream::Benign, self.noise.benign),
            (Stream::ForgedSyn, self.noise.forged_syns),
            (Stream::ForgedRequest, self.noise.forged_requests),
        ];
        attacks.chain(noise).collect()
    }

    /// The settings under which gatewatch sees the plan's sites and home.
    pub fn settings(&self) -> String {
        let sites = self.site.iter().map(|site| {
            let Site { name, v4, v6, .. } = site;
            format!("\n[[site]]\nname = {name:?}\naddresses = [\"{v4}\", \"{v6}\"]\nports = [80]\n")
        });
        std::iter::once(format!("[origin]\nhome = [{:?}]\n", self.home)).chain(sites).collect()
    }
}

/// A sequence of like requests.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Attacks with a full conversation from one country.
    Attack(&'static Space),
    /// Honest visitors from everywhere.
    Benign,
    /// Lone SYN segments.
    ForgedSyn,
    /// Blind requests without a handshake.
    ForgedRequest,
}

/// `total` cut into parts by weight; the parts sum to `total` exactly.
pub fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum = u128::from(weights.iter().sum::<u64>().max(1));
    let mut weight_so_far = 0;
    let mut given = 0;
    weights
        .iter()
        .map(|weight| {
            weight_so_far += u128::from(*weight);
            let up_to = (u128::from(total) * weight_so_far / sum) as u64;
            let part = up_to - given;
            given = up_to;
            part
        })
        .collect()
}
