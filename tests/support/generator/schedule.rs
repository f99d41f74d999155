//! A plan, hour by hour: which conversations begin when. Only one hour is ever held in memory.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::conversation::{Conversation, Course, DURATION_MAX_MICROS, Exchange, Sender, Timed};
use super::countries::SPACES;
use super::payloads::{self, Kind};
use super::plan::{Plan, Stream, apportion};
use super::proxied;
use super::random::Random;

/// Where a request of a stream stands in time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Slot {
    /// Month of the plan, from 0.
    pub month: usize,
    /// Hour of the month, from 0.
    pub hour: u64,
}

/// A packet as the tap captured it.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Time and packet.
    pub timed: Timed,
    /// Whether it is the second sight of a packet, from the other port of a mirror.
    pub again: bool,
}

/// A month of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Month {
    /// Its first day.
    pub first: Date,
    /// Seconds since 1970 of its beginning.
    pub start: u64,
    /// Its length.
    pub hours: u64,
}

/// The plan laid out.
#[derive(Debug)]
pub struct Schedule<'p> {
    plan: &'p Plan,
    months: Vec<Month>,
    streams: Vec<(Stream, Vec<u64>)>,
    port: u16,
}

/// Requests of one conversation at most.
const EXCHANGES_MAX: usize = 8;
const HOUR_MICROS: u64 = 3_600_000_000;
/// Requests of one kind in a row.
const RUN_REQUESTS: u64 = 8;
/// A burst of one source lasts so long; it divides a day.
const BURST_HOURS: u64 = 6;
/// A second sight may come after the packet that follows the first.
const SECOND_SIGHT_MAX_MICROS: u64 = 120;

impl<'p> Schedule<'p> {
    /// Lays a plan out.
    pub fn of(plan: &'p Plan) -> Self {
        let streams = plan
            .streams()
            .into_iter()
            .map(|(stream, total)| (stream, apportion(total, &plan.trend)))
            .collect();
        Self { plan, months: months_of(plan), streams, port: 0 }
    }

    /// The months of the plan.
    pub fn months(&self) -> &[Month] {
        &self.months
    }

    /// Every hour in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let hours: Vec<u64> = self.months.iter().map(|month| month.hours).collect();
        hours
            .into_iter()
            .enumerate()
            .flat_map(|(month, hours)| (0..hours).map(move |hour| Slot { month, hour }))
    }

    /// The packets of one hour in order of time.
    pub fn packets(&mut self, slot: Slot) -> Vec<Timed> {
        self.captured(slot).into_iter().map(|captured| captured.timed).collect()
    }

    /// The same, with what is known of their capture.
    pub fn captured(&mut self, slot: Slot) -> Vec<Captured> {
        let mut packets = Vec::new();
        for conversation in self.conversations(slot) {
            let mut random = Random::keyed(&[conversation.random.clone().next(), 5]);
            let twice = random.chance(self.plan.shape.duplicated_percent);
            for timed in conversation.packets(&self.plan.shape) {
                if twice {
                    let copy = (timed.0 + random.between(1, SECOND_SIGHT_MAX_MICROS), timed.1.clone());
                    packets.push(Captured { timed: copy, again: true });
                }
                packets.push(Captured { timed, again: false });
            }
        }
        packets.sort_by_key(|captured| captured.timed.0);
        packets
    }

    /// The conversations that begin in an hour. Each ends within it, so counts by hour are exact.
    pub fn conversations(&mut self, slot: Slot) -> Vec<Conversation> {
        let mut all = Vec::new();
        for number in 0..self.streams.len() {
            let Some((stream, range)) = self.range(number, slot) else { continue };
            let mut at = range.start;
            while at < range.end {
                let conversation = self.conversation(stream, number, at..range.end, slot);
                at += conversation.exchanges.len().max(1) as u64;
                all.push(conversation);
            }
        }
        all
    }

    /// Which requests of stream `number` fall into an hour: an even spread, each stream from an hour of its own.
    pub fn range(&self, number: usize, slot: Slot) -> Option<(Stream, Range<u64>)> {
        let (stream, by_month) = self.streams.get(number)?;
        let count = *by_month.get(slot.month)?;
        let hours = self.months.get(slot.month)?.hours;
        let phase = Random::keyed(&[self.plan.seed, number as u64, slot.month as u64]).below(hours);
        let hour = (slot.hour + hours - phase) % hours;
        let before: u64 = by_month.iter().take(slot.month).sum();
        Some((*stream, before + count * hour / hours..before + count * (hour + 1) / hours))
    }

    /// The conversation that begins with the first request of `range`; it takes as many of them as it likes.
    fn conversation(&mut self, stream: Stream, number: usize, range: Range<u64>, slot: Slot) -> Conversation {
        let plan = self.plan;
        let at = range.start;
        let mut random = Random::keyed(&[plan.seed, number as u64, at, 1]);
        let course = match stream {
            Stream::Attack(_) | Stream::Benign | Stream::Nameless => Course::Full,
            Stream::ForgedRequest => Course::Blind,
            Stream::ForgedSyn => Course::LoneSyn,
        };
        let mut length = 1;
        while course == Course::Full
            && length < EXCHANGES_MAX.min((range.end - at) as usize)
            && random.chance(plan.shape.keep_alive_percent)
        {
            length += 1;
        }
        let site = random.weighted(plan.site.iter().map(|site| site.weight));
        let six = random.chance(plan.shape.ipv6_percent);
        let (client, server) = self.ends(stream, site, six, &mut random);
        let start = self.months.get(slot.month).map_or(0, |month| month.start) * 1_000_000
            + slot.hour * HOUR_MICROS
            + random.below(HOUR_MICROS - DURATION_MAX_MICROS);
        let exchanges = match stream {
            Stream::ForgedSyn => Vec::new(),
            _ => (at..at + length as u64).map(|index| self.exchange(stream, number, index, site)).collect(),
        };
        let pipelined = length > 1 && random.chance(plan.shape.pipelined_percent);
        let mut conversation = Conversation { start, client, server, course, pipelined, exchanges, random };
        let mut random = Random::keyed(&[plan.seed, number as u64, at, 6]);
        if let Stream::Attack(space) = stream
            && random.chance(plan.shape.burst_percent)
        {
            let busy = &mut Random::keyed(&[
                plan.seed,
                number as u64,
                slot.month as u64,
                slot.hour / BURST_HOURS,
                7,
            ]);
            conversation.client.set_ip(space.source(heavy_tailed(busy), six));
        }
        if let Some(settings) = &plan.proxied {
            proxied::dress(
                &mut conversation,
                settings,
                stream,
                &mut Random::keyed(&[plan.seed, number as u64, at, 4]),
            );
        }
        conversation
    }

    fn ends(
        &mut self,
        stream: Stream,
        site: usize,
        six: bool,
        random: &mut Random,
    ) -> (SocketAddr, SocketAddr) {
        let space = match stream {
            Stream::Attack(space) => space,
            Stream::Benign | Stream::ForgedRequest | Stream::ForgedSyn | Stream::Nameless => {
                random.pick(SPACES)
            }
        };
        let client = match stream {
            // Forged sources are as many as there are packets.
            Stream::ForgedRequest | Stream::ForgedSyn => space.source(random.next(), six),
            Stream::Attack(_) | Stream::Nameless => space.source(heavy_tailed(random), six),
            Stream::Benign => space.source(1_000_000 + random.below(100_000), six),
        };
        // Ports go round: a five-tuple comes back only after 60,000 conversations, with other sequence numbers.
        self.port = (self.port + 1) % 60_000;
        let site = self.plan.site.get(site).expect("weighted choice among the sites");
        let server = if six { IpAddr::V6(site.v6) } else { IpAddr::V4(site.v4) };
        (SocketAddr::new(client, 2_048 + self.port), SocketAddr::new(server, 80))
    }

    fn exchange(&self, stream: Stream, number: usize, index: u64, site: usize) -> Exchange {
        let mut random = Random::keyed(&[self.plan.seed, number as u64, index, 2]);
        let host = self.plan.site.get(site).map_or("", |site| site.name.as_str());
        match stream {
            Stream::Benign | Stream::ForgedSyn => Exchange {
                request: payloads::benign(host, &mut random),
                reply: payloads::reply(false, &mut random),
                attack: None,
                class: "",
                sender: Sender::Peer,
            },
            Stream::Attack(_) | Stream::ForgedRequest | Stream::Nameless => {
                let kind = kind_of(self.plan, number, index);
                Exchange {
                    class: payloads::class(kind, &random),
                    sender: Sender::Peer,
                    request: payloads::attack(kind, host, &mut random),
                    reply: payloads::reply(true, &mut random),
                    attack: Some(kind),
                }
            }
        }
    }
}

/// The kind of a stream's attack request number `index`. Where sources come in bursts, kinds come in runs.
pub fn kind_of(plan: &Plan, stream: usize, index: u64) -> Kind {
    let index = if plan.shape.burst_percent > 0 { index / RUN_REQUESTS } else { index };
    let chosen = Random::keyed(&[plan.seed, stream as u64, index, 3]).weighted(plan.kinds.values().copied());
    plan.kinds.keys().nth(chosen).copied().unwrap_or(Kind::Sqli)
}

/// Rank of a source: few sources send most, many send little (a discrete Pareto law of exponent 1).
pub fn heavy_tailed(random: &mut Random) -> u64 {
    let draw = random.between(1, 1 << 20);
    ((1_u64 << 20) / draw).min(50_000) + random.below(3)
}

fn months_of(plan: &Plan) -> Vec<Month> {
    let (year, month) = plan.from;
    (0..plan.trend.len())
        .scan(jiff::civil::date(year, month, 1), |first, _| {
            let this = *first;
            *first = this.last_of_month().tomorrow().ok()?;
            let start = this.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().as_second().cast_unsigned();
            Some(Month { first: this, start, hours: u64::from(this.days_in_month().unsigned_abs()) * 24 })
        })
        .collect()
}
