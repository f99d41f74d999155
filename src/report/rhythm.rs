//! When in the week it happens: the headline's attempts by weekday and hour of the day, with how long each was observed.

use serde::Serialize;

use crate::model::time::{Hour, MICROS_PER_SEC};

/// Hours of a period from which on a week can be told.
pub const HOURS_MIN: i64 = 7 * 24;

/// The days of a week in the order of the rows.
pub const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `rhythm`
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rhythm {
    /// Attempts in the headline, by weekday from Monday on and by hour of the day, UTC.
    pub headline_attempts: [[u64; 24]; 7],
    /// Seconds observed of each.
    pub seconds_observed: [[i64; 24]; 7],
}

/// One hour of the week.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// From Monday on.
    pub weekday: usize,
    /// Hour of the day, UTC.
    pub hour: usize,
    /// Attempts in the headline.
    pub attempts: u64,
    /// Seconds observed.
    pub seconds: i64,
}

impl Cell {
    /// Its name: `Monday 14:00`.
    pub fn name(self) -> String {
        format!("{} {:02}:00", WEEKDAYS.get(self.weekday).copied().unwrap_or_default(), self.hour)
    }
}

impl Rhythm {
    /// Adds attempts of an hour.
    pub fn add(&mut self, hour: Hour, attempts: u64) {
        if let Some(sum) = at(&mut self.headline_attempts, hour) {
            *sum += attempts;
        }
    }

    /// Adds observed time of an hour.
    pub fn add_observed(&mut self, hour: Hour, micros: i64) {
        if let Some(sum) = at(&mut self.seconds_observed, hour) {
            *sum += micros / MICROS_PER_SEC;
        }
    }

    /// Every hour of the week, Monday first.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        self.headline_attempts.iter().zip(&self.seconds_observed).enumerate().flat_map(
            |(weekday, (attempts, seconds))| {
                attempts.iter().zip(seconds).enumerate().map(move |(hour, (attempts, seconds))| Cell {
                    weekday,
                    hour,
                    attempts: *attempts,
                    seconds: *seconds,
                })
            },
        )
    }

    /// Every hour with its attempts by observed hour; none where it was observed for less than a tenth of what others were:
    /// a few minutes of attacks would look like the worst of hours.
    pub fn rates(&self) -> impl Iterator<Item = (Cell, Option<f64>)> {
        let longest = self.cells().map(|cell| cell.seconds).max().unwrap_or(0);
        self.cells().map(move |cell| {
            let is_enough = cell.seconds > 0 && cell.seconds >= longest / 10;
            (cell, is_enough.then(|| cell.attempts as f64 * 3_600.0 / cell.seconds as f64))
        })
    }

    /// The hour with most attempts by observed time, and these; none without attempts.
    pub fn busiest(&self) -> Option<(Cell, f64)> {
        self.rates()
            .filter_map(|(cell, rate)| Some((cell, rate.filter(|rate| *rate > 0.0)?)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
    }
}

/// The place of an hour. 1 January 1970 was a Thursday.
fn at<T>(table: &mut [[T; 24]; 7], hour: Hour) -> Option<&mut T> {
    let (day, of_day) = (hour.0.div_euclid(24), hour.0.rem_euclid(24));
    let weekday = usize::try_from((day + 3).rem_euclid(7)).ok()?;
    table.get_mut(weekday)?.get_mut(usize::try_from(of_day).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::period::Period;

    #[test]
    fn hours_are_told_by_weekday_and_the_busiest_by_what_was_observed_of_it() {
        let mut rhythm = Rhythm::default();
        let hour = |name: &str| name.parse::<Period>().unwrap().first_hour();
        // 3 September 2026 was a Thursday.
        rhythm.add(hour("2026-09-03T04"), 5);
        rhythm.add(hour("2026-09-10T04"), 5);
        rhythm.add(hour("2026-09-06T23"), 7);
        for name in ["2026-09-03T04", "2026-09-10T04", "2026-09-06T23"] {
            rhythm.add_observed(hour(name), 3_600_000_000);
        }
        let found: Vec<(String, u64, i64)> = rhythm
            .cells()
            .filter(|cell| cell.attempts > 0)
            .map(|cell| (cell.name(), cell.attempts, cell.seconds))
            .collect();
        assert_eq!(found, [("Thursday 04:00".into(), 10, 7_200), ("Sunday 23:00".into(), 7, 3_600)]);
        assert_eq!(rhythm.busiest().unwrap().0.name(), "Sunday 23:00", "seven in one hour, ten in two");
        // A minute of attacks is no hour of them.
        rhythm.add(hour("2026-09-07T00"), 5);
        rhythm.add_observed(hour("2026-09-07T00"), 60_000_000);
        assert_eq!(rhythm.busiest().unwrap().1.to_bits(), 7.0_f64.to_bits());
        // The last hour of 1969 was one of a Wednesday.
        rhythm.add(Hour(-1), 1);
        let last = rhythm.cells().find(|cell| cell.attempts == 1).unwrap();
        assert_eq!((last.name().as_str(), rhythm.cells().count()), ("Wednesday 23:00", 168));
        assert_eq!(rhythm.cells().map(|cell| cell.attempts).sum::<u64>(), 23);
        assert_eq!(Rhythm::default().busiest(), None);
    }
}
