//! Seconds of much traffic: what is a flood. By victim and kind, and by source where a handshake proves it.
//!
//! One second of one victim and kind is one act, however many workers and interfaces saw a part of it: their counts add up.

pub mod rows;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sha2::{Digest, Sha256};

use crate::classify::behaviour::Judged;
use crate::classify::behaviour::act::{self, Reason};
use crate::classify::behaviour::flood::rows::{FLOODS, FloodRow};
use crate::classify::behaviour::order::HOLD_MICROS;
use crate::classify::behaviour::table::{Held, Table};
use crate::config::flood::{Bounds, Flood as Settings};
use crate::model::attempt::{AttemptId, Outcome};
use crate::model::contact::{Act, Contact, Surge, Touched, is_bare};
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::place::SourceKey;
use crate::model::surge::SurgeKind;
use crate::model::time::{MICROS_PER_DAY, MICROS_PER_SEC, Timestamp};

/// Seconds of victims that are held until all workers have passed them: some 1 MB.
const HELD_MAX: usize = 4_096;
/// Mean bytes of a frame from which on reflected answers are large: honest answers of DNS have 100 to 200.
const LARGE_BYTES_MIN: u64 = 300;
/// Packets of one sender in a second, on average, up to which the senders are many.
const OF_MANY_MAX: u64 = 4;
/// What the shortest flood has altogether is divided by this where nothing honest explains it.
const BARE_SHARE: u64 = 2;
/// Part of a second's packets that speak for honest traffic, in hundredths, from which on it is none of a flood.
const HONEST_PERCENT: u64 = 30;
/// Weight of a second in the moving average: a habit of some two minutes.
const AVERAGE_WEIGHT: f64 = 1.0 / 120.0;
/// Seconds that must have been watched before an average tells anything of a server whose clients are proven: a daemon that starts
/// on a busy site must not take its load for an attack.
const KNOWN_AFTER_SECS: i64 = 120;
/// Seconds below the limit after which a flood is over.
const PAUSE_SECS: i64 = 5;

/// What floods whom: number of the row, the victim, and the source where it is proven.
type Key = (usize, IpAddr, Option<SourceKey>);

/// One second, as all workers saw it together.
#[derive(Clone, Copy, Debug)]
pub struct Second {
    begin: i64,
    victim: SocketAddr,
    kind: SurgeKind,
    packets: u64,
    bytes: u64,
    completed: u64,
    sources: u32,
    source: Option<IpAddr>,
}

impl Second {
    /// Whether hardly anything speaks for honest traffic.
    pub const fn is_bare(&self) -> bool {
        is_bare(self.packets, self.completed)
    }

    /// Whether its senders are many.
    pub fn is_of_many(&self) -> bool {
        self.packets <= u64::from(self.sources) * OF_MANY_MAX
    }

    /// Whether its packets are large answers.
    pub const fn is_large(&self) -> bool {
        self.bytes >= self.packets.saturating_mul(LARGE_BYTES_MIN)
    }

    /// Whether so much of it speaks for honest traffic that it is none of a flood. What a reflector was asked does not, where
    /// honest clients do not fetch by many questions.
    const fn is_honest(&self) -> bool {
        let is_forged = match self.kind {
            SurgeKind::Reflector(protocol) => !protocol.is_fetched_from(),
            _ => false,
        };
        self.completed > 0
            && !is_forged
            && self.completed.saturating_mul(100) >= self.packets.saturating_mul(HONEST_PERCENT)
    }
}

/// What is known of a victim and a kind.
#[derive(Debug, Default)]
struct State {
    average: f64,
    /// The last second that was told.
    last: Option<i64>,
    /// The last second above the limits.
    above: Option<i64>,
    /// Seconds above the limits in a row, while that is no flood yet.
    run: Vec<Second>,
    /// How many of them nothing explains.
    telling: u32,
    /// The last second below the limits that nothing explains, and its packets: that in which a flood begins is not whole.
    edge: Option<(i64, u64)>,
    is_flood: bool,
}

impl Held for State {
    fn held(&self) -> usize {
        self.run.capacity() * size_of::<Second>()
    }
}

/// The state machines of all floods.
#[derive(Debug)]
pub struct Floods {
    held: BTreeMap<(i64, Key), Second>,
    states: Table<Key, State>,
    /// The second that was judged last, and the slow conversations in it of sources that are told by themselves.
    slow: (i64, BTreeMap<IpAddr, u64>),
    /// Since when anything is known.
    since: Option<i64>,
    settings: Settings,
}

impl Floods {
    /// Uses up to `memory_bytes`.
    pub fn new(memory_bytes: usize, settings: &Settings) -> Self {
        Self {
            held: BTreeMap::new(),
            states: Table::new(memory_bytes, MICROS_PER_DAY),
            slow: (i64::MIN, BTreeMap::new()),
            since: None,
            settings: settings.clone(),
        }
    }

    /// Takes new settings; windows and what was judged stay.
    pub fn reload(&mut self, settings: &Settings) {
        self.settings = settings.clone();
    }

    /// Takes what one worker saw of a second.
    pub fn surge(&mut self, surge: &Surge, out: &mut Judged) {
        let Some(row) = FLOODS.iter().position(|row| (row.takes)(surge.kind)) else { return };
        let second = surge.time.secs();
        let key = (row, surge.victim, surge.source.map(SourceKey::of));
        let seen = Second {
            begin: second,
            victim: SocketAddr::new(surge.victim, surge.port),
            kind: surge.kind,
            packets: 0,
            bytes: 0,
            completed: 0,
            sources: 0,
            source: surge.source,
        };
        self.since.get_or_insert(second);
        let sum = self.held.entry((second, key)).or_insert(seen);
        sum.packets = sum.packets.saturating_add(surge.packets);
        sum.bytes = sum.bytes.saturating_add(surge.bytes);
        sum.completed = sum.completed.saturating_add(surge.completed);
        // Workers share conversations, not sources: each sees most of those that send a lot.
        sum.sources = sum.sources.max(surge.sources);
        if self.held.len() > HELD_MAX {
            self.judge_first(out);
        }
    }

    /// Judges the seconds that all workers have passed.
    pub fn progress(&mut self, now: Timestamp, out: &mut Judged) {
        if now > Timestamp(0) {
            self.since.get_or_insert(now.secs());
        }
        let passed = now.plus_micros(-HOLD_MICROS).secs();
        while self.held.first_key_value().is_some_and(|((second, _), _)| *second < passed) {
            self.judge_first(out);
        }
    }

    /// The end: judges what is held; what was no flood until now is none.
    pub fn finish(&mut self, out: &mut Judged) {
        while !self.held.is_empty() {
            self.judge_first(out);
        }
        for (_, state) in self.states.take().into_iter().flatten() {
            out.sums.flood_seconds += state.run.len() as u64;
        }
    }

    fn judge_first(&mut self, out: &mut Judged) {
        let Some(((_, key), mut second)) = self.held.pop_first() else { return };
        let Some(row) = FLOODS.get(key.0) else { return };
        let now = Timestamp::from_parts(second.begin, 0);
        if let Some((gone, is_full)) = self.states.turn(now) {
            out.sums.windows_forgotten += if is_full { gone.len() as u64 } else { 0 };
            out.sums.flood_seconds += gone.values().map(|state| state.run.len() as u64).sum::<u64>();
        }
        let bounds = self.bounds(row, &mut second);
        self.states.entry(&key, State::default, |state| state.take(row, second, bounds, out));
    }

    /// The limits of a second. Of a network what its sources are told for themselves is left out of it, and of a site nothing is
    /// above them while its average is not known.
    fn bounds(&mut self, row: &FloodRow, second: &mut Second) -> Bounds {
        let bounds = (row.bounds)(&self.settings, second);
        if self.slow.0 != second.begin {
            self.slow = (second.begin, BTreeMap::new());
        }
        match (second.kind, second.source) {
            (SurgeKind::SlowNetwork, Some(network)) => {
                let told = self.slow.1.get(&network).copied().unwrap_or_default();
                second.packets = second.packets.saturating_sub(told);
            }
            (kind, Some(source)) if kind.is_held() && second.packets >= bounds.per_second_min => {
                *self.slow.1.entry(network_of(source)).or_default() += second.packets;
            }
            (SurgeKind::HttpSite, _) => {
                let known = self.since.is_some_and(|since| second.begin - since >= KNOWN_AFTER_SECS);
                return Bounds { enabled: bounds.enabled && known, ..bounds };
            }
            _ => {}
        }
        bounds
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.states.bytes() + self.held.len() * size_of::<((i64, Key), Second)>() * 2
    }
}

impl State {
    fn take(&mut self, row: &FloodRow, second: Second, bounds: Bounds, out: &mut Judged) {
        self.pass(second.begin, out);
        let is_above = bounds.enabled
            && second.packets >= bounds.per_second_min
            && second.packets as f64 > self.average * f64::from(bounds.factor)
            && second.sources >= bounds.sources_min;
        let is_telling = !second.is_honest();
        if !is_above || !is_telling && (self.is_flood || row.patience_secs == 0) {
            self.pass_below(row, &second, bounds, out);
            return;
        }
        self.run.push(second);
        self.telling += u32::from(is_telling);
        let lasts = self.telling >= bounds.sustained_secs;
        if !(self.is_flood || lasts || self.is_blow(row, bounds, 0)) {
            self.lose_patience(row, out);
            return;
        }
        self.convict(row, second.begin, out);
    }

    /// A second that is none of a flood: the end of one, or what is usual.
    fn pass_below(&mut self, row: &FloodRow, second: &Second, bounds: Bounds, out: &mut Judged) {
        let is_edge = bounds.enabled && (row.bare)(second);
        if is_edge && !self.is_flood && self.is_blow(row, bounds, second.packets) {
            self.convict(row, second.begin, out);
        }
        // What floods must not become the habit, so only other seconds are averaged.
        self.average += (second.packets as f64 - self.average) * AVERAGE_WEIGHT;
        self.edge = is_edge.then_some((second.begin, second.packets));
        self.give_up(out);
    }

    /// Whether the seconds in a row have as much as a flood, however few they are; `after` came in the one behind them.
    fn is_blow(&self, row: &FloodRow, bounds: Bounds, after: u64) -> bool {
        let Some(first) = self.run.first() else { return false };
        let shortest = bounds.per_second_min.saturating_mul(u64::from(bounds.sustained_secs));
        let packets: u64 = self.run.iter().map(|second| second.packets).sum();
        let before =
            self.edge.filter(|(begin, _)| begin + 1 == first.begin).map_or(0, |(_, packets)| packets);
        let is_bare = self.run.iter().all(row.bare);
        row.bulk.is_some_and(|times| packets >= shortest.saturating_mul(times))
            || is_bare && before + packets + after >= shortest / BARE_SHARE
    }

    /// It is a flood: the seconds in a row count.
    fn convict(&mut self, row: &FloodRow, second: i64, out: &mut Judged) {
        self.above = Some(second);
        self.is_flood = true;
        self.telling = 0;
        for second in std::mem::take(&mut self.run) {
            out.attempts.push(attempt(row, &second, self.average));
        }
    }

    /// The seconds above the limits were no flood.
    fn give_up(&mut self, out: &mut Judged) {
        self.telling = 0;
        out.sums.flood_seconds += self.run.drain(..).len() as u64;
    }

    /// A crowd that came for long enough without a telling second is the new habit.
    fn lose_patience(&mut self, row: &FloodRow, out: &mut Judged) {
        if row.patience_secs == 0 || self.run.len() < row.patience_secs {
            return;
        }
        for second in &self.run {
            self.average += (second.packets as f64 - self.average) * AVERAGE_WEIGHT;
        }
        self.give_up(out);
    }

    /// The seconds in which nothing was told, up to `now`: nothing worth telling came.
    fn pass(&mut self, now: i64, out: &mut Judged) {
        let quiet = self.last.map_or(0, |last| now.saturating_sub(last).saturating_sub(1).max(0));
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
        if quiet > 0 {
            self.average *= (1.0 - AVERAGE_WEIGHT).powf(quiet as f64);
            self.give_up(out);
        }
        if self.above.is_some_and(|above| now.saturating_sub(above).saturating_abs() > PAUSE_SECS) {
            self.is_flood = false;
        }
    }
}

/// The network in which a source is counted beside itself where it holds conversations open.
fn network_of(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// The attempt that one second of a flood is.
fn attempt(row: &FloodRow, second: &Second, average: f64) -> Box<crate::model::attempt::Attempt> {
    let time = Timestamp(second.begin.saturating_mul(MICROS_PER_SEC));
    let client = second.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let grade = if second.source.is_some() { Grade::E1 } else { Grade::E0 };
    let unit = if second.kind.is_held() { "held open" } else { "a second" };
    let excerpt =
        format!("{} of {} {unit}, {average:.0} on average before", second.packets, second.kind.name());
    let reason = Reason { rule: row.id, excerpt: excerpt.into(), targets: Some(second.kind.name().into()) };
    let id = identity(second);
    let contact = Contact {
        id,
        time,
        client: SocketAddr::new(client, 0),
        server: second.victim,
        transport: second.kind.transport(),
        app_proto: None,
        flow_id: id.0 >> 11,
        grade,
        // Losses make it smaller, not unseen.
        frames: 1,
        act: Act::Touched(Touched::Silent),
        http: None,
        marks: Marks::default(),
    };
    let mut attempt = act::attempt(&contact, second.kind.class(), &reason);
    attempt.opens_session = false;
    (attempt.outcome, attempt.inferred) = (Outcome::Attempted, second.kind.is_inferred());
    attempt
}

/// Identity of a second of a flood: whom, when, and by whom where that is proven; not who saw it, nor what it was. A second in
/// which one victim is flooded in several ways is one (contract, reading "One flood second"): the first row of the table that
/// finds it names it.
fn identity(second: &Second) -> AttemptId {
    let mut hash = Sha256::new();
    hash.update(b"flood");
    hash.update(second.begin.to_be_bytes());
    for address in [Some(second.victim.ip()), second.source.map(|source| SourceKey::of(source).address())] {
        let bits = match address {
            Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(v6)) => v6.to_bits(),
            None => 0,
        };
        hash.update(bits.to_be_bytes());
    }
    let digest = hash.finalize();
    AttemptId(digest.first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word)))
}

#[cfg(test)]
mod tests;
