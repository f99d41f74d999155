//! What a capture shall hold, as a TOML file: who attacks whom, how often, with what, among what else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use serde::Deserialize;

use super::countries::Space;
use super::payloads::Kind;
use super::schedule::Slot;

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
    /// Reverse proxies of the operator, and clients that pretend to be one.
    pub proxied: Option<Proxied>,
    /// When the tap captured nothing.
    pub outage: Option<Outage>,
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
    /// Percentage of conversations of which every packet is captured twice, as by a mirror of both directions.
    #[serde(default)]
    pub duplicated_percent: u64,
    /// Percentage of attack conversations that come from the one source of their country which is busy for six hours.
    #[serde(default)]
    pub burst_percent: u64,
}

/// Clients behind reverse proxies, and clients that lie about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxied {
    /// The operator's proxies over IPv4, which gatewatch is told to trust; two at least, for chains.
    pub v4: Vec<Ipv4Addr>,
    /// Those over IPv6.
    pub v6: Vec<Ipv6Addr>,
    /// Percentage of attack conversations that come through one of them, which names the client.
    pub named_percent: u64,
    /// Percentage of the other attack conversations whose client forges what only a proxy may say.
    pub forged_percent: u64,
    /// Attack requests that come through one of them, which names no usable client.
    pub nameless: u64,
}

/// A stretch within one month in which nothing was captured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Month of the plan, from 0.
    pub month: usize,
    /// Day of the month, from 1.
    pub day: u64,
    /// Hour of the day at which it begins.
    #[serde(default)]
    pub hour: u64,
    /// Its length.
    pub hours: u64,
}

impl Outage {
    /// First hour of it, and first hour after.
    pub fn slots(&self) -> Range<Slot> {
        let first = (self.day - 1) * 24 + self.hour;
        let at = |hour| Slot { month: self.month, hour };
        at(first)..at(first + self.hours)
    }
}

const FULL_YEAR: &str = include_str!("../plans/2012.toml");
const HARD_YEAR: &str = include_str!("../plans/2012-hard.toml");
const DEMO: &str = include_str!("../plans/demo.toml");
const SMALL: &str = include_str!("../plans/small.toml");
/// The names of the built-in plans.
pub const NAMES: &str = "2012, 2012-small, 2012-hard, 2012-hard-small, demo, small";

impl Plan {
    /// The built-in plan of that name, or a file.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "2012" => Self::parse(FULL_YEAR),
            "2012-small" => Ok(Self::parse(FULL_YEAR)?.divided_by(48)),
            "2012-hard" => Self::parse(HARD_YEAR),
            "2012-hard-small" => Ok(Self::parse(HARD_YEAR)?.divided_by(96)),
            "demo" => Self::parse(DEMO),
            "small" => Self::parse(SMALL),
            file => Self::parse(
                &std::fs::read_to_string(file)
                    .map_err(|error| format!("{file}: {error}; a plan is {NAMES} or a TOML file"))?,
            ),
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
        if plan.proxied.as_ref().is_some_and(|proxied| proxied.v4.len() < 2 || proxied.v6.is_empty()) {
            return Err("[proxied] needs two addresses in v4 and one in v6 at least".to_owned());
        }
        if plan.outage.as_ref().is_some_and(|outage| outage.month >= plan.trend.len() || outage.day == 0) {
            return Err("[outage] needs a month of the plan, from 0, and a day, from 1".to_owned());
        }
        Ok(plan)
    }

    fn divided_by(mut self, divisor: u64) -> Self {
        let noise = &mut self.noise;
        let numbers = [&mut noise.benign, &mut noise.forged_syns, &mut noise.forged_requests];
        let nameless = self.proxied.as_mut().map(|proxied| &mut proxied.nameless);
        for number in self.attempts.values_mut().chain(numbers).chain(nameless) {
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
            (Stream::Nameless, self.proxied.as_ref().map_or(0, |proxied| proxied.nameless)),
        ];
        attacks.chain(noise).collect()
    }

    /// The captured stretches: one, or those before and after the outage. Each is a capture file of its own.
    pub fn parts(&self) -> Vec<Range<Slot>> {
        let (first, end) = (Slot { month: 0, hour: 0 }, Slot { month: self.trend.len(), hour: 0 });
        match &self.outage {
            Some(outage) => vec![first..outage.slots().start, outage.slots().end..end],
            None => vec![first..end],
        }
    }

    /// The settings under which gatewatch sees the plan's sites, home and proxies.
    pub fn settings(&self) -> String {
        let sites = self.site.iter().map(|site| {
            let Site { name, v4, v6, .. } = site;
            format!("\n[[site]]\nname = {name:?}\naddresses = [\"{v4}\", \"{v6}\"]\nports = [80]\n")
        });
        let proxies: String = self.proxied.iter().fold(String::new(), |text, proxied| {
            let v4 = proxied.v4.iter().map(|address| format!("\"{address}\""));
            let v6 = proxied.v6.iter().map(|address| format!("\"{address}\""));
            let list: Vec<String> = v4.chain(v6).collect();
            format!("{text}trusted_proxies = [{}]\n", list.join(", "))
        });
        std::iter::once(format!("[origin]\nhome = [{:?}]\n{proxies}", self.home)).chain(sites).collect()
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
    /// Attacks through a trusted proxy that names no usable client.
    Nameless,
}

impl Stream {
    /// Whether its requests are attacks.
    pub const fn is_attack(self) -> bool {
        matches!(self, Self::Attack(_) | Self::ForgedRequest | Self::Nameless)
    }
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
