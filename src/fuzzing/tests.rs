use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::fuzzing::input::{Act, Input, cut_of};
use crate::model::stream::Side;
use crate::protocol::datagram::Message;
use crate::protocol::found::At;
use crate::protocol::{Opening, Recognition};

/// Numbers that repeat with their seed: what fails fails again.
struct Dice(u64);

impl Dice {
    /// Of an entry's name.
    fn of(name: &str) -> Self {
        Self(
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            }),
        )
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    /// One harm: flipped, cut, doubled, with other bytes inside, with a large or small number in it.
    fn harm(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 => bytes.truncate(at),
            2 => {
                let end = (at + self.below(64)).min(bytes.len());
                let part = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let inserted = self.bytes(16);
                bytes.splice(at..at, inserted);
            }
            4 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b' '][self.below(8)],
            _ => {
                let end = (at + self.below(32)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
        }
    }
}

/// Inputs of each kind that an entry is given; `GATEWATCH_FUZZ_RUNS` makes it so many times more.
fn runs(cost: Cost) -> usize {
    let times = std::env::var("GATEWATCH_FUZZ_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    times
        * match cost {
            Cost::Cheap => 300,
            Cost::Dear => 25,
            Cost::Dearest => 4,
        }
}

/// Runs an entry; what it does not survive is printed, to be made a test of its own.
fn survives(entry: &Entry, bytes: &[u8]) {
    let ended = catch_unwind(AssertUnwindSafe(|| entry.run(bytes)));
    assert!(ended.is_ok(), "{} does not survive b\"{}\"", entry.name, bytes.escape_ascii());
}

#[test]
fn every_entry_survives_any_bytes() {
    for entry in entries() {
        let mut dice = Dice::of(&entry.name);
        survives(&entry, b"");
        for _ in 0..runs(entry.cost) {
            survives(&entry, &dice.bytes(600));
        }
    }
}

#[test]
fn every_entry_survives_its_seeds_and_these_harmed() {
    for entry in entries() {
        let mut dice = Dice::of(&entry.name);
        let seeds = seeds::of(&entry.name);
        assert!(!seeds.is_empty(), "{} has no seed in src/fuzzing/seeds.rs", entry.name);
        for seed in &seeds {
            survives(&entry, seed);
        }
        for _ in 0..runs(entry.cost) {
            let mut bytes = seeds[dice.below(seeds.len())].clone();
            for _ in 0..=dice.below(6) {
                dice.harm(&mut bytes);
            }
            survives(&entry, &bytes);
        }
    }
}

/// What a seed says, by sides.
fn said(seed: &[u8]) -> [Vec<u8>; 2] {
    let mut input = Input(&seed[1..]);
    input.word();
    let mut said = [Vec::new(), Vec::new()];
    while let Some(act) = input.act() {
        if let Act::Said(side, bytes, _) = act {
            said[side as usize].extend_from_slice(bytes);
        }
    }
    said
}

#[test]
fn the_seeds_of_a_protocol_are_of_that_protocol() {
    for row in PROTOCOLS.iter().filter(|row| row.name != "websocket") {
        let is_known = |seed: &Vec<u8>| {
            let [client, server] = said(seed);
            (row.recognise)(&Opening { client: &client, server: &server, port: 4_711 }) == Recognition::Yes
        };
        assert!(seeds::of(&format!("tcp.{}", row.name)).iter().any(is_known), "{}", row.name);
    }
    for row in DATAGRAMS {
        for seed in seeds::of(&format!("udp.{}", row.name)) {
            let mut input = Input(&seed);
            let port = input.word().unwrap();
            let Some(Act::Said(from, bytes, _)) = input.act() else { panic!("a datagram") };
            assert!((row.recognise)(&Message { from, bytes, port, at: At::default() }), "{}", row.name);
        }
    }
}

#[test]
fn seeds_are_left_where_they_are_asked_for() {
    for entry in entries() {
        for seed in seeds::of(&entry.name) {
            seeds::keep(&entry.name, &seed);
        }
    }
}

#[test]
fn entries_have_names_of_their_own_and_every_input_means_something() {
    let mut names: Vec<String> = entries().into_iter().map(|entry| entry.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!((cut_of(0), cut_of(3)), (usize::MAX, 3));
    let mut input = Input(b"\x01\0\x05ab");
    let Some(Act::Said(Side::Server, b"ab", false)) = input.act() else { panic!("what is there is said") };
    assert!(input.act().is_none());
}
