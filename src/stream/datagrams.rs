//! The table of UDP conversations: who asked, who answered, and what became of a first contact.
//!
//! A slot has a fixed size and no box behind it, so that forged datagrams cost no allocation each. What the bytes mean is the
//! [`Listener`]'s.

use std::net::SocketAddr;

use hashbrown::HashTable;

use crate::decode::icmp::{Message, Quoted, Unreachable};
use crate::decode::transport::Datagram;
use crate::model::contact::Touched;
use crate::model::progress::{Counter, Counters};
use crate::model::stream::Side;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::stream::flow::Key;
use crate::stream::list::{Linked, Links, List};

/// Conversations forgotten for one datagram at most, so that a silence is not paid for by one packet.
const EXPIRED_PER_DATAGRAM: usize = 64;
/// Slots that the table grows by at least.
const GROWTH_MIN: usize = 64;
/// Memory of one slot with its share of the index; for dividing the limit. A test holds it.
pub const SLOT_BYTES: usize = 224;

/// What is known of a conversation at the moment of a call.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Who asked.
    pub client: SocketAddr,
    /// Who was asked.
    pub server: SocketAddr,
    /// Time of its first datagram.
    pub began: Timestamp,
    /// Packet time of the call.
    pub now: Timestamp,
    /// What the client has sent so far, the datagram in hand included.
    pub asked: Volume,
    /// What the server has sent so far, the datagram in hand included.
    pub answered: Volume,
    /// Whether anybody can have written all of it: it came in a tunnel that is not known.
    pub forgeable: bool,
}

/// Datagrams of one direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Volume {
    /// How many.
    pub datagrams: u32,
    /// Bytes of their payload.
    pub bytes: u64,
}

/// Takes the datagrams.
pub trait Listener {
    /// What the listener keeps with each conversation.
    type State: Default;

    /// Whether the first datagram of a conversation is an answer, so that its sender is the server.
    fn is_answer(&self, datagram: &Datagram<'_>) -> bool;
    /// A datagram of one side.
    fn datagram(&mut self, exchange: &Exchange, state: &mut Self::State, from: Side, datagram: &Datagram<'_>);
    /// What became of the client's first datagram: told once a conversation, and never of one whose beginning was not seen.
    fn touched(&mut self, exchange: &Exchange, state: &mut Self::State, touched: Touched);
}

/// How far a conversation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// The client's first datagram waits for its answer. Its list is in the order of the beginnings, not of the last datagrams: a
    /// client that goes on and on must not put off the judgement of its first contact.
    Asked,
    /// Answered, refused, given up as silent, or picked up at an answer.
    Told,
}

impl Phase {
    const ALL: [Self; 2] = [Self::Asked, Self::Told];

    /// Packet time after which the phase is over.
    const fn timeout_micros(self) -> i64 {
        MICROS_PER_SEC
            * match self {
                // No later than attempts wait for a reply: what a worker tells is never older than that.
                Self::Asked => 30,
                // RFC 4787 §4.3: a mapping must last two minutes without a packet.
                Self::Told => 120,
            }
    }
}

#[derive(Debug)]
struct Slot<S> {
    key: Key,
    hash: u64,
    links: Links,
    client_is_low: bool,
    phase: Phase,
    began: Timestamp,
    last: Timestamp,
    asked: Volume,
    answered: Volume,
    state: S,
}

impl<S> Slot<S> {
    fn exchange(&self, now: Timestamp) -> Exchange {
        let (low, high) = self.key.ends();
        let (client, server) = if self.client_is_low { (low, high) } else { (high, low) };
        let Self { began, asked, answered, .. } = *self;
        Exchange { client, server, began, now, asked, answered, forgeable: self.key.is_forgeable() }
    }

    /// Since when its phase lasts.
    const fn since(&self) -> Timestamp {
        match self.phase {
            Phase::Asked => self.began,
            Phase::Told => self.last,
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.micros_since(self.since()) >= self.phase.timeout_micros()
    }

    fn count(&mut self, side: Side, datagram: &Datagram<'_>) {
        let volume = match side {
            Side::Client => &mut self.asked,
            Side::Server => &mut self.answered,
        };
        volume.datagrams = volume.datagrams.saturating_add(1);
        volume.bytes = volume.bytes.saturating_add(datagram.payload.len() as u64);
    }
}

struct Slots<S>(Vec<Option<Slot<S>>>);

impl<S> Slots<S> {
    fn slot(&mut self, at: u32) -> Option<&mut Slot<S>> {
        self.0.get_mut(at as usize)?.as_mut()
    }

    fn is(&self, at: u32, key: &Key) -> bool {
        self.0.get(at as usize).and_then(Option::as_ref).is_some_and(|slot| slot.key == *key)
    }

    fn hash(&self, at: u32) -> u64 {
        self.0.get(at as usize).and_then(Option::as_ref).map_or(0, |slot| slot.hash)
    }
}

impl<S> Linked for Slots<S> {
    fn links(&mut self, at: u32) -> Option<&mut Links> {
        self.slot(at).map(|slot| &mut slot.links)
    }
}

/// All UDP conversations of one worker.
pub struct Datagrams<L: Listener> {
    slots_max: usize,
    index: HashTable<u32>,
    hasher: ahash::RandomState,
    slots: Slots<L::State>,
    free: Vec<u32>,
    lists: [List; Phase::ALL.len()],
}

impl<L: Listener> Datagrams<L> {
    /// An empty table of at most so many conversations. The hash is keyed anew at each start.
    pub fn new(slots_max: usize) -> Self {
        Self {
            slots_max: slots_max.max(1),
            index: HashTable::new(),
            hasher: ahash::RandomState::default(),
            slots: Slots(Vec::new()),
            free: Vec::new(),
            lists: [List::default(); Phase::ALL.len()],
        }
    }

    /// Conversations in it.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes a datagram through its conversation. Gives back which side sent it, and what is known now.
    pub fn datagram(
        &mut self,
        now: Timestamp,
        datagram: &Datagram<'_>,
        listener: &mut L,
        counters: &mut Counters,
    ) -> Option<(Side, Exchange)> {
        self.expire(now, EXPIRED_PER_DATAGRAM, listener);
        let (key, sender_is_low) = Key::of_datagram(datagram);
        let at = self.slot_of(now, (datagram, key, sender_is_low), listener, counters)?;
        let slot = self.slots.slot(at)?;
        let side = if sender_is_low == slot.client_is_low { Side::Client } else { Side::Server };
        slot.count(side, datagram);
        slot.last = now;
        let exchange = slot.exchange(now);
        let was = slot.phase;
        if was == Phase::Asked && side == Side::Server {
            slot.phase = Phase::Told;
            listener.touched(&exchange, &mut slot.state, Touched::Answered);
        }
        listener.datagram(&exchange, &mut slot.state, side, datagram);
        if self.slots.slot(at)?.phase == Phase::Told {
            self.renew(at, was);
        }
        Some((side, exchange))
    }

    /// An ICMP error quotes a packet: where it is the first contact of a conversation, it was in vain.
    pub fn unreachable(&mut self, now: Timestamp, message: Message, quoted: &Quoted, listener: &mut L) {
        let Message::Unreachable(unreachable) = message else { return };
        let (key, sender_is_low) = Key::between(quoted.source, quoted.destination);
        let hash = self.hasher.hash_one(key);
        let Some(at) = self.index.find(hash, |at| self.slots.is(*at, &key)).copied() else { return };
        let Some(slot) = self.slots.slot(at) else { return };
        if slot.phase != Phase::Asked || slot.client_is_low != sender_is_low {
            return;
        }
        let touched = match unreachable {
            Unreachable::Port | Unreachable::Protocol => Touched::Refused,
            Unreachable::Host | Unreachable::Prohibited => Touched::Unreachable,
            Unreachable::Network => Touched::Unrouted,
        };
        let exchange = slot.exchange(now);
        listener.touched(&exchange, &mut slot.state, touched);
        slot.phase = Phase::Told;
        self.renew(at, Phase::Asked);
    }

    /// Ends phases that lasted for long enough, `limit` at most.
    pub fn expire(&mut self, now: Timestamp, limit: usize, listener: &mut L) {
        let mut left = limit;
        for phase in Phase::ALL {
            while left > 0
                && let Some(at) = self.lists.get(phase as usize).and_then(List::oldest)
                && self.slots.slot(at).is_some_and(|slot| slot.is_over(now))
            {
                self.end_phase(at, now, listener);
                left -= 1;
            }
        }
    }

    /// Forgets every conversation: the end of the input.
    pub fn finish(&mut self, now: Timestamp, listener: &mut L) {
        for phase in Phase::ALL {
            while let Some(at) = self.lists.get(phase as usize).and_then(List::oldest) {
                self.forget(at, now, listener);
            }
        }
    }

    /// A first contact that stays unanswered is told, and kept for as long as its client goes on; anything else is forgotten.
    fn end_phase(&mut self, at: u32, now: Timestamp, listener: &mut L) {
        let Some(slot) = self.slots.slot(at) else { return };
        let goes_on = now.micros_since(slot.last) < slot.phase.timeout_micros();
        if slot.phase == Phase::Asked && goes_on {
            let exchange = slot.exchange(now);
            listener.touched(&exchange, &mut slot.state, Touched::Silent);
            slot.phase = Phase::Told;
            self.renew(at, Phase::Asked);
        } else {
            self.forget(at, now, listener);
        }
    }

    /// Makes it the newest of its phase's list.
    fn renew(&mut self, at: u32, was: Phase) {
        let Some(phase) = self.slots.slot(at).map(|slot| slot.phase) else { return };
        if let Some(list) = self.lists.get_mut(was as usize) {
            list.remove(&mut self.slots, at);
        }
        if let Some(list) = self.lists.get_mut(phase as usize) {
            list.push(&mut self.slots, at);
        }
    }

    /// The slot of the datagram's conversation, opening one where there is none.
    fn slot_of(
        &mut self,
        now: Timestamp,
        (datagram, key, sender_is_low): (&Datagram<'_>, Key, bool),
        listener: &mut L,
        counters: &mut Counters,
    ) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        if let Some(at) = self.index.find(hash, |at| self.slots.is(*at, &key)).copied() {
            if !self.slots.slot(at)?.is_over(now) {
                return Some(at);
            }
            self.forget(at, now, listener);
        }
        if self.index.len() >= self.slots_max {
            self.evict(now, listener);
            counters.count(Counter::DatagramFlowsEvicted);
        }
        counters.count(Counter::DatagramFlowsOpened);
        let is_answer = listener.is_answer(datagram);
        let slot = Slot {
            key,
            hash,
            links: Links::default(),
            client_is_low: sender_is_low != is_answer,
            phase: if is_answer { Phase::Told } else { Phase::Asked },
            began: now,
            last: now,
            asked: Volume::default(),
            answered: Volume::default(),
            state: L::State::default(),
        };
        Some(self.keep(slot))
    }

    fn keep(&mut self, slot: Slot<L::State>) -> u32 {
        let (hash, phase) = (slot.hash, slot.phase);
        let at = if let Some(at) = self.free.pop() {
            if let Some(place) = self.slots.0.get_mut(at as usize) {
                *place = Some(slot);
            }
            at
        } else {
            let slots = &mut self.slots.0;
            if slots.len() == slots.capacity() {
                // Doubling past the limit would take memory that nothing may ever use.
                let growth = slots.len().max(GROWTH_MIN);
                slots.reserve_exact(growth.min(self.slots_max.saturating_sub(slots.len()).max(1)));
            }
            slots.push(Some(slot));
            slots.len() as u32 - 1
        };
        self.index.insert_unique(hash, at, |at| self.slots.hash(*at));
        if let Some(list) = self.lists.get_mut(phase as usize) {
            list.push(&mut self.slots, at);
        }
        at
    }

    /// Makes room: the conversation that waits longest for its first answer goes first, then the one silent for longest.
    fn evict(&mut self, now: Timestamp, listener: &mut L) {
        let victim =
            Phase::ALL.into_iter().find_map(|phase| self.lists.get(phase as usize).and_then(List::oldest));
        if let Some(at) = victim {
            self.forget(at, now, listener);
        }
    }

    fn forget(&mut self, at: u32, now: Timestamp, listener: &mut L) {
        let Some(phase) = self.slots.slot(at).map(|slot| slot.phase) else { return };
        if let Some(list) = self.lists.get_mut(phase as usize) {
            list.remove(&mut self.slots, at);
        }
        if let Some(mut slot) = self.slots.0.get_mut(at as usize).and_then(Option::take) {
            if slot.phase == Phase::Asked {
                let exchange = slot.exchange(now);
                listener.touched(&exchange, &mut slot.state, Touched::Silent);
            }
            if let Ok(entry) = self.index.find_entry(slot.hash, |other| *other == at) {
                entry.remove();
            }
            self.free.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CLIENT, SERVER};

    /// Writes down what it is told.
    #[derive(Default)]
    struct Diary {
        touched: Vec<(SocketAddr, SocketAddr, i64, Touched)>,
        heard: Vec<(Side, u32)>,
    }

    impl Listener for Diary {
        type State = u64;

        fn is_answer(&self, datagram: &Datagram<'_>) -> bool {
            datagram.source.port() == 53 && datagram.destination.port() >= 1_024
        }
        fn datagram(&mut self, _: &Exchange, state: &mut u64, from: Side, _: &Datagram<'_>) {
            *state += 1;
            self.heard.push((from, *state as u32));
        }
        fn touched(&mut self, exchange: &Exchange, _: &mut u64, touched: Touched) {
            self.touched.push((exchange.client, exchange.server, exchange.began.0, touched));
        }
    }

    struct Play {
        table: Datagrams<Diary>,
        diary: Diary,
        counters: Counters,
    }

    impl Play {
        fn new(slots_max: usize) -> Self {
            Self { table: Datagrams::new(slots_max), diary: Diary::default(), counters: Counters::default() }
        }

        fn send(&mut self, secs: i64, source: &str, destination: &str) -> Option<(Side, Exchange)> {
            let datagram = Datagram {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                identification: 0,
                payload: b"four",
                forgeable: false,
            };
            let now = Timestamp(secs * MICROS_PER_SEC);
            self.table.datagram(now, &datagram, &mut self.diary, &mut self.counters)
        }

        fn fates(&self) -> Vec<Touched> {
            self.diary.touched.iter().map(|(.., touched)| *touched).collect()
        }
    }

    #[test]
    fn an_answer_ends_the_wait_and_is_told_once_with_the_time_of_the_question() {
        for (client, server) in [(CLIENT, SERVER), (SERVER, CLIENT), ("[2001:db8::9]:7", "[2001:db8::1]:9")] {
            let mut play = Play::new(8);
            play.send(5, client, server);
            play.send(6, server, client);
            play.send(7, client, server);
            let (side, exchange) = play.send(8, server, client).unwrap();
            assert_eq!((side, exchange.client), (Side::Server, client.parse().unwrap()));
            assert_eq!(exchange.asked, Volume { datagrams: 2, bytes: 8 });
            assert_eq!(exchange.answered, Volume { datagrams: 2, bytes: 8 });
            play.table.finish(Timestamp(0), &mut play.diary);
            let told = (client.parse().unwrap(), server.parse().unwrap(), 5_000_000, Touched::Answered);
            assert_eq!(play.diary.touched, [told]);
            assert_eq!(play.diary.heard.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        }
    }

    #[test]
    fn silence_is_told_after_half_a_minute_however_often_the_client_repeats() {
        let mut play = Play::new(8);
        for second in 0..30 {
            play.send(second, CLIENT, SERVER);
        }
        assert!(play.diary.touched.is_empty());
        for second in 30..200 {
            play.send(second, CLIENT, SERVER);
        }
        play.send(200, SERVER, CLIENT);
        assert_eq!(
            (play.fates(), play.counters.value(Counter::DatagramFlowsOpened)),
            (vec![Touched::Silent], 1)
        );
        play.table.expire(Timestamp(320 * MICROS_PER_SEC), 9, &mut play.diary);
        assert!(play.table.is_empty());
        assert_eq!(play.diary.touched.len(), 1);
    }

    #[test]
    fn the_end_of_the_input_and_a_new_use_of_the_ports_tell_what_was_silent() {
        let mut play = Play::new(8);
        play.send(0, CLIENT, SERVER);
        play.send(31, SERVER, CLIENT);
        play.table.finish(Timestamp(0), &mut play.diary);
        assert_eq!(play.fates(), [Touched::Silent, Touched::Silent]);
        assert_eq!(play.diary.touched[1].0, SERVER.parse().unwrap(), "who speaks first later is the client");
    }

    #[test]
    fn a_stray_answer_touches_nobody() {
        let mut play = Play::new(8);
        let (side, exchange) = play.send(0, "192.0.2.1:53", CLIENT).unwrap();
        assert_eq!((side, exchange.client), (Side::Server, CLIENT.parse().unwrap()));
        play.send(1, CLIENT, "192.0.2.1:53");
        play.table.finish(Timestamp(0), &mut play.diary);
        assert!(play.diary.touched.is_empty());
        play.send(2, "192.0.2.1:53", "203.0.113.10:53");
        play.table.finish(Timestamp(0), &mut play.diary);
        assert_eq!(play.fates(), [Touched::Silent], "from one service to another is a question");
    }

    #[test]
    fn an_icmp_error_tells_of_the_question_it_quotes_and_of_no_other_packet() {
        let quoted = |source: &str, destination: &str| Quoted {
            protocol: 17,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            second_word: 0,
        };
        let port = Message::Unreachable(Unreachable::Port);
        let mut play = Play::new(8);
        play.send(0, CLIENT, SERVER);
        play.table.unreachable(Timestamp(1), port, &quoted(SERVER, CLIENT), &mut play.diary);
        play.table.unreachable(Timestamp(1), port, &quoted(CLIENT, "203.0.113.10:81"), &mut play.diary);
        let too_big = Message::Other { kind: 3, code: 4 };
        play.table.unreachable(Timestamp(1), too_big, &quoted(CLIENT, SERVER), &mut play.diary);
        assert!(play.diary.touched.is_empty());
        play.table.unreachable(Timestamp(1), port, &quoted(CLIENT, SERVER), &mut play.diary);
        play.table.unreachable(Timestamp(1), port, &quoted(CLIENT, SERVER), &mut play.diary);
        play.send(1, SERVER, CLIENT);
        assert_eq!(play.fates(), [Touched::Refused]);
        play.send(2, CLIENT, "203.0.113.11:7");
        let host = Message::Unreachable(Unreachable::Host);
        play.table.unreachable(Timestamp(2), host, &quoted(CLIENT, "203.0.113.11:7"), &mut play.diary);
        play.table.finish(Timestamp(0), &mut play.diary);
        assert_eq!(play.fates(), [Touched::Refused, Touched::Unreachable]);
    }

    #[test]
    fn a_full_table_forgets_the_longest_unanswered_first_and_stays_within_its_size() {
        let mut play = Play::new(100);
        play.send(0, CLIENT, SERVER);
        play.send(0, SERVER, CLIENT);
        for port in 0..1_000 {
            play.send(1, &format!("198.51.100.3:{port}"), SERVER);
        }
        assert_eq!(play.table.len(), 100);
        assert!(play.table.slots.0.capacity() <= 100, "{}", play.table.slots.0.capacity());
        assert_eq!(play.counters.value(Counter::DatagramFlowsEvicted), 901);
        assert_eq!(play.send(2, SERVER, CLIENT).unwrap().0, Side::Server, "the answered one is still known");
        assert_eq!(play.diary.touched.len(), 902);
    }

    #[test]
    fn a_slot_is_no_larger_than_said() {
        // A listener's memo, row and what it needs for identities: 72 bytes. The index takes 5 bytes at a load of a half or more.
        assert!(size_of::<Option<Slot<[u64; 9]>>>() + 16 <= SLOT_BYTES, "{}", size_of::<Slot<[u64; 9]>>());
    }

    proptest::proptest! {
        /// However datagrams, silences and errors follow each other: each first contact is told exactly once.
        #[test]
        fn every_question_has_one_fate(
            steps in proptest::collection::vec((0_u16..6, proptest::bool::ANY, 0_i64..50), 0..80),
        ) {
            let mut play = Play::new(4);
            let mut now = 0;
            for (port, reply, wait) in steps {
                now += wait;
                let (client, server) = (format!("198.51.100.3:{}", 5_000 + port), SERVER);
                if reply { play.send(now, server, &client) } else { play.send(now, &client, server) };
            }
            play.table.finish(Timestamp(now * MICROS_PER_SEC), &mut play.diary);
            let opened = play.counters.value(Counter::DatagramFlowsOpened);
            proptest::prop_assert_eq!(play.diary.touched.len() as u64, opened);
            proptest::prop_assert!(play.table.is_empty());
        }
    }
}
