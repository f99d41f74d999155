//! Many sources after the same thing, each of which does too little to be judged by itself.

use std::collections::VecDeque;

use crate::classify::behaviour::table::Held;
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_SEC, Timestamp};

/// Acts that are kept of a crowd: the largest thresholds are a thousand, and some sources act more than once. 80 KB.
const MEMBERS_MAX: usize = 2_048;
/// Weight of the newest window in the moving average of windows: a habit of some ten windows.
const AVERAGE_WEIGHT: f64 = 0.1;
/// Acts after which a small crowd is looked at again.
const EVERY: usize = 4;
/// Windows that must have passed before the average tells anything.
pub const WINDOWS_TOLD_MIN: u32 = 3;

/// One act of a crowd.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub source: SourceKey,
    /// What it was after: a hash.
    pub target: u64,
}

/// Acts that may belong together.
#[derive(Debug, Default)]
pub struct Crowd {
    members: VecDeque<Member>,
    /// Number of the window that is being counted, and its acts so far.
    window: Option<(i64, u64)>,
    average: f64,
    windows_told: u32,
    /// Acts ever noted.
    noted: usize,
    /// Until when it counts as judged, and why it was.
    judged: Option<(Timestamp, String)>,
}

impl Held for Crowd {
    fn held(&self) -> usize {
        let excerpt = self.judged.as_ref().map_or(0, |(_, excerpt)| excerpt.capacity());
        self.members.capacity() * size_of::<Member>() + excerpt
    }
}

impl Crowd {
    /// Takes an act. The members are those of the last `window_secs`; of too many the oldest go.
    pub fn note(&mut self, member: Member, window_secs: u32) {
        let window_micros = i64::from(window_secs) * MICROS_PER_SEC;
        self.count(member.time.0.div_euclid(window_micros.max(1)));
        while self.members.len() >= MEMBERS_MAX
            || self.members.front().is_some_and(|first| member.time.micros_since(first.time) > window_micros)
        {
            self.members.pop_front();
        }
        self.members.push_back(member);
        self.noted = self.noted.wrapping_add(1);
    }

    /// Counts an act in its window, and closes the ones before it.
    fn count(&mut self, number: i64) {
        match &mut self.window {
            Some((current, acts)) if *current == number => *acts += 1,
            Some((current, acts)) if *current < number => {
                let passed = u32::try_from(number - *current).unwrap_or(u32::MAX);
                let kept = 1.0 - AVERAGE_WEIGHT;
                self.average = self.average * kept + *acts as f64 * AVERAGE_WEIGHT;
                self.average *= kept.powf(f64::from(passed - 1));
                self.windows_told = self.windows_told.saturating_add(passed);
                self.window = Some((number, 1));
            }
            // One that comes late counts in the current window.
            Some((_, acts)) => *acts += 1,
            None => self.window = Some((number, 1)),
        }
    }

    /// Distinct sources and distinct targets.
    pub fn distinct(&self) -> (usize, usize) {
        let mut targets: Vec<u64> = self.members.iter().map(|member| member.target).collect();
        targets.sort_unstable();
        targets.dedup();
        (self.sources().len(), targets.len())
    }

    /// Acts.
    pub fn acts(&self) -> usize {
        self.members.len()
    }

    /// Whether what is distinct is worth counting again: that takes the time of two sorts, so the larger the crowd the more
    /// acts must have come.
    pub fn is_due(&self) -> bool {
        self.noted.is_multiple_of((self.members.len() / 64).max(EVERY))
    }

    /// The average of the windows before this one; none while there are too few.
    pub fn average(&self) -> Option<f64> {
        (self.windows_told >= WINDOWS_TOLD_MIN).then_some(self.average)
    }

    /// Notes that it was judged: who joins it within its window belongs to it, however few they are.
    pub fn convict(&mut self, now: Timestamp, window_secs: u32, excerpt: String) {
        self.judged = Some((now.plus_micros(i64::from(window_secs) * MICROS_PER_SEC), excerpt));
    }

    /// Notes that it is too small by now.
    pub fn acquit(&mut self) {
        self.judged = None;
    }

    /// Why it was judged, where that holds still.
    pub fn judged(&self, now: Timestamp) -> Option<&str> {
        self.judged.as_ref().filter(|(until, _)| now <= *until).map(|(_, excerpt)| excerpt.as_str())
    }

    /// The sources, each once.
    pub fn sources(&self) -> Vec<SourceKey> {
        let mut sources: Vec<_> = self.members.iter().map(|member| member.source).collect();
        sources.sort_unstable_by_key(|source| source.address());
        sources.dedup();
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(secs: i64, source: u32, target: u64) -> Member {
        let source = SourceKey::of(std::net::Ipv4Addr::from_bits(source).into());
        Member { time: Timestamp::from_parts(secs, 0), source, target }
    }

    #[test]
    fn a_crowd_is_who_came_within_the_window() {
        let mut crowd = Crowd::default();
        for secs in 0..100_u32 {
            crowd.note(member(i64::from(secs), secs % 7, u64::from(secs)), 9);
        }
        assert_eq!((crowd.acts(), crowd.distinct()), (10, (7, 10)));
        assert_eq!(crowd.sources().len(), 7);
        for number in 0..10_000 {
            crowd.note(member(200, number, 0), 9);
        }
        assert_eq!(crowd.acts(), MEMBERS_MAX);
    }

    #[test]
    fn the_average_is_that_of_the_windows_before() {
        let mut crowd = Crowd::default();
        for window in 0..50 {
            assert_eq!(crowd.average().is_some(), window >= 4, "{window}");
            for number in 0..8 {
                crowd.note(member(window * 10 + number, 1, 1), 10);
            }
        }
        let average = crowd.average().unwrap();
        assert!((7.0..8.1).contains(&average), "{average}");
    }
}
