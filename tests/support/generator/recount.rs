//! The other counter: plain and slow, from the schedule of a plan alone and without any of gatewatch.
//!
//! Everything is held in memory and gone through again for every table, so that there is nothing to get wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use super::conversation::{Conversation, Course, Sender};
use super::payloads::Kind;
use super::plan::Plan;
use super::schedule::{Schedule, Slot};

/// Minutes without an attempt after which an incident has ended.
const INCIDENT_GAP_MICROS: u64 = 30 * 60 * 1_000_000;
const HOUR_MICROS: u64 = 3_600_000_000;

/// How the plan's traffic is looked at; both may change by the hour.
pub struct View<'v> {
    /// The country of an address.
    pub country: &'v dyn Fn(IpAddr, Slot) -> String,
    /// Whether a kind of attack is known.
    pub knows: &'v dyn Fn(Kind, Slot) -> bool,
}

/// One attempt.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Attempt {
    /// Microseconds since 1970 of the request's first byte.
    pub time: u64,
    /// The address it is attributed to.
    pub client: IpAddr,
    /// IPv4 address, or IPv6 /64.
    pub source: String,
    /// Country, or `proxy`.
    pub country: String,
    /// Row of the statement.
    pub sector: &'static str,
    /// Grade of the evidence of its origin.
    pub grade: &'static str,
    /// Class.
    pub class: &'static str,
    /// Site.
    pub site: String,
    /// Whether it is the first of its conversation.
    pub opens_session: bool,
    /// Whether it is the first of its incident.
    pub begins_incident: bool,
}

/// What a row of a report counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Attempts.
    pub attempts: u64,
    /// Of these, in the headline.
    pub headline_attempts: u64,
    /// Of these, from overseas.
    pub overseas_attempts: u64,
    /// Sessions.
    pub sessions: u64,
    /// Incidents.
    pub incidents: u64,
}

/// Every attempt of a plan that was captured, in order of time, and how many packets were captured in each hour.
#[derive(Clone, Debug, Default)]
pub struct Recount {
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// Packets by the first microsecond of their hour.
    pub packets: BTreeMap<u64, u64>,
}

impl Recount {
    /// Of a plan.
    pub fn of(plan: &Plan, view: &View<'_>) -> Self {
        let mut recount = Self::default();
        let mut schedule = Schedule::of(plan);
        let mut counting = Schedule::of(plan);
        let parts = plan.parts();
        for slot in schedule.slots() {
            let conversations = schedule.conversations(slot);
            let packets = counting.packets(slot).len() as u64;
            if !parts.iter().any(|part| part.contains(&slot)) {
                continue;
            }
            let start = schedule.months().get(slot.month).map_or(0, |month| month.start);
            recount.packets.insert(start * 1_000_000 + slot.hour * HOUR_MICROS, packets);
            for conversation in &conversations {
                recount.attempts.extend(attempts(plan, view, slot, conversation));
            }
        }
        recount.attempts.sort();
        recount.mark_incidents();
        recount
    }

    /// Source × class × site with gaps of at most 30 minutes.
    fn mark_incidents(&mut self) {
        let mut last: HashMap<(String, &str, String), u64> = HashMap::new();
        for attempt in &mut self.attempts {
            let key = (attempt.source.clone(), attempt.class, attempt.site.clone());
            let before = last.insert(key, attempt.time);
            attempt.begins_incident = before.is_none_or(|before| attempt.time - before > INCIDENT_GAP_MICROS);
        }
    }

    /// Those of a span, from its first microsecond to before its last.
    pub fn within(&self, from: u64, to: u64) -> Vec<&Attempt> {
        self.attempts.iter().filter(|attempt| (from..to).contains(&attempt.time)).collect()
    }

    /// Lines of day, source, country, grade, class, site, attempts and incidents.
    pub fn source_days(&self) -> BTreeSet<String> {
        let mut rows: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for attempt in &self.attempts {
            let Attempt { time, source, country, grade, class, site, .. } = attempt;
            let day = named(*time, "%Y-%m-%d");
            let counts =
                rows.entry([day.as_str(), source, country, grade, class, site].join(" ")).or_default();
            counts.0 += 1;
            counts.1 += u64::from(attempt.begins_incident);
        }
        rows.into_iter().map(|(row, (attempts, incidents))| format!("{row} {attempts} {incidents}")).collect()
    }

    /// Packets captured in a span of whole hours.
    pub fn packets_within(&self, from: u64, to: u64) -> u64 {
        self.packets.range(from..to).map(|(_, count)| *count).sum()
    }
}

/// The attempts of one conversation.
fn attempts(plan: &Plan, view: &View<'_>, slot: Slot, conversation: &Conversation) -> Vec<Attempt> {
    let times = conversation.request_times(&plan.shape);
    let server = conversation.server.ip();
    let site = plan.site.iter().find(|site| server == site.v4 || server == site.v6);
    let mut list: Vec<Attempt> = Vec::new();
    for (exchange, time) in conversation.exchanges.iter().zip(times) {
        if !exchange.attack.is_some_and(|kind| (view.knows)(kind, slot)) {
            continue;
        }
        let peer = conversation.client.ip();
        let (client, grade) = match (exchange.sender, conversation.course) {
            (Sender::Named(client), _) => (client, "E3"),
            (Sender::Nameless, _) => (peer, "X"),
            (Sender::Peer, Course::Full) => (peer, "E2"),
            (Sender::Peer, Course::Blind | Course::LoneSyn) => (peer, "E0"),
        };
        let country =
            if grade == "X" { "proxy".to_owned() } else { (view.country)(lookup_key(client), slot) };
        let sector = match grade {
            "X" => "proxy",
            "E0" => "not_provable",
            _ if country == plan.home => "domestic",
            _ => "overseas",
        };
        list.push(Attempt {
            time,
            client,
            source: source(client),
            country,
            sector,
            grade,
            class: exchange.class,
            site: site.map(|site| site.name.clone()).unwrap_or_default(),
            opens_session: list.is_empty(),
            begins_incident: false,
        });
    }
    list
}

/// A source is looked up by its first address.
fn lookup_key(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

fn source(client: IpAddr) -> String {
    match lookup_key(client) {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{v6}/64"),
    }
}

/// The sums of some attempts.
pub fn sum<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Counts {
    let mut counts = Counts::default();
    for attempt in attempts {
        let is_proven = ["E1", "E2", "E3"].contains(&attempt.grade);
        counts.attempts += 1;
        counts.headline_attempts += u64::from(is_proven);
        counts.overseas_attempts += u64::from(is_proven && attempt.sector == "overseas");
        counts.sessions += u64::from(attempt.opens_session);
        counts.incidents += u64::from(attempt.begins_incident);
    }
    counts
}

/// The rows of a table: attempts put together by what `key` says of them.
pub fn table<'a, 'k>(
    attempts: &[&'a Attempt],
    key: impl Fn(&Attempt) -> String + 'k,
) -> BTreeMap<String, Vec<&'a Attempt>> {
    let mut rows: BTreeMap<String, Vec<&'a Attempt>> = BTreeMap::new();
    for attempt in attempts {
        rows.entry(key(attempt)).or_default().push(attempt);
    }
    rows
}

/// How many sources some attempts came from.
pub fn sources<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> u64 {
    attempts.into_iter().map(|attempt| attempt.source.as_str()).collect::<BTreeSet<_>>().len() as u64
}

/// A time as the name of its period.
pub fn named(time: u64, format: &str) -> String {
    let time = jiff::Timestamp::from_microsecond(time.cast_signed()).expect("a time of this age");
    time.strftime(format).to_string()
}
