//! What the view knows: the last answers, what is filtered and how it is sorted. Time is an argument.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::app::activity::{ActivityRow, IncidentNow};
use crate::app::state::Status;
use crate::report::zone::Zone;

/// Answers that rates are told over: ten seconds.
const WINDOW: usize = 10;
/// Rates remembered for the spark line, one an answer.
const RATES_MAX: usize = 120;

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// No filter.
    All,
    /// The next class alone.
    NextClass,
    /// The next site alone.
    NextSite,
    /// Hold what is shown, or go on.
    Pause,
    /// End.
    Quit,
    /// Another order.
    Sort,
}

/// In which order rows stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Most attempts first.
    Attempts,
    /// By name.
    Name,
    /// Most attempts a second first.
    Rate,
}

impl Order {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Name => "name",
            Self::Rate => "rate",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Attempts => Self::Rate,
            Self::Rate => Self::Name,
            Self::Name => Self::Attempts,
        }
    }
}

/// Site, class, country.
type Key = (String, String, String);

/// The numbers of one answer.
#[derive(Debug)]
struct Counted {
    at: Duration,
    frames: u64,
    attempts: u64,
    rows: BTreeMap<Key, u64>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Class, country or site.
    pub name: String,
    /// Attempts since the daemon's start.
    pub attempts: u64,
    /// Attempts a second, over the last ten seconds.
    pub rate: f64,
}

/// The view.
pub struct View {
    /// The last answer; none before the first.
    pub status: Option<Status>,
    /// Why the daemon does not answer.
    pub trouble: Option<String>,
    /// Whether what is shown stands still.
    pub paused: bool,
    /// Order of the rows.
    pub order: Order,
    /// The only site that is shown.
    pub site: Option<String>,
    /// The only class that is shown.
    pub class: Option<String>,
    /// Zone of the times.
    pub zone: Zone,
    /// Attempts between answers, oldest first.
    pub rates: VecDeque<u64>,
    window: VecDeque<Counted>,
}

impl View {
    /// Knows nothing yet.
    pub const fn new(zone: Zone) -> Self {
        Self {
            status: None,
            trouble: None,
            paused: false,
            order: Order::Attempts,
            site: None,
            class: None,
            zone,
            rates: VecDeque::new(),
            window: VecDeque::new(),
        }
    }

    /// Takes an answer, or why there is none. A paused view takes none, so that it stands still; it goes on with the next.
    pub fn take(&mut self, at: Duration, answer: Result<Status, String>) {
        if self.paused {
            return;
        }
        let status = match answer {
            Ok(status) => status,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return;
            }
        };
        self.trouble = None;
        // Another start counts from nothing.
        if self.status.as_ref().is_some_and(|known| known.started != status.started) {
            self.window.clear();
            self.rates.clear();
        }
        let counted = Counted {
            at,
            frames: status.counters.get("frames_received").copied().unwrap_or(0),
            attempts: status.activity.rows.iter().map(|row| row.attempts).sum(),
            rows: status.activity.rows.iter().map(|row| (key(row), row.attempts)).collect(),
        };
        if let Some(last) = self.window.back() {
            self.rates.push_back(counted.attempts.saturating_sub(last.attempts));
        }
        self.window.push_back(counted);
        while self.window.len() > WINDOW + 1 {
            self.window.pop_front();
        }
        while self.rates.len() > RATES_MAX {
            self.rates.pop_front();
        }
        self.status = Some(status);
    }

    /// Does what a key asks for.
    pub fn obey(&mut self, act: Act) {
        match act {
            Act::All => (self.site, self.class) = (None, None),
            Act::NextClass => self.class = following(self.class.as_deref(), &self.names(|row| &row.class)),
            Act::NextSite => self.site = following(self.site.as_deref(), &self.names(|row| &row.site)),
            Act::Pause => self.paused = !self.paused,
            Act::Quit => {}
            Act::Sort => self.order = self.order.next(),
        }
    }

    fn rows(&self) -> &[ActivityRow] {
        self.status.as_ref().map_or(&[], |status| &status.activity.rows)
    }

    fn names(&self, of: fn(&ActivityRow) -> &String) -> BTreeSet<String> {
        self.rows().iter().map(|row| of(row).clone()).collect()
    }

    fn is_shown(&self, site: &str, class: &str) -> bool {
        self.site.as_deref().is_none_or(|wanted| wanted == site)
            && self.class.as_deref().is_none_or(|wanted| wanted == class)
    }

    /// Frames and attempts a second, over the last ten seconds.
    pub fn per_second(&self) -> [f64; 2] {
        let (Some(first), Some(last)) = (self.window.front(), self.window.back()) else { return [0.0; 2] };
        let elapsed = last.at.saturating_sub(first.at);
        [
            rate(last.frames.saturating_sub(first.frames), elapsed),
            rate(last.attempts.saturating_sub(first.attempts), elapsed),
        ]
    }

    /// The rows that are shown, added up by one of their names and sorted.
    pub fn lines(&self, by: fn(&ActivityRow) -> &String) -> Vec<Line> {
        let elapsed = match (self.window.front(), self.window.back()) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at),
            _ => Duration::ZERO,
        };
        let before = |row: &ActivityRow| {
            self.window.front().and_then(|counted| counted.rows.get(&key(row))).copied().unwrap_or(0)
        };
        let mut sums: BTreeMap<&String, (u64, u64)> = BTreeMap::new();
        for row in self.rows().iter().filter(|row| self.is_shown(&row.site, &row.class)) {
            let sum = sums.entry(by(row)).or_default();
            sum.0 += row.attempts;
            sum.1 += row.attempts.saturating_sub(before(row));
        }
        let line = |(name, (attempts, new)): (&String, (u64, u64))| Line {
            name: name.clone(),
            attempts,
            rate: rate(new, elapsed),
        };
        let mut lines: Vec<Line> = sums.into_iter().map(line).collect();
        match self.order {
            Order::Attempts => lines.sort_by_key(|line| std::cmp::Reverse(line.attempts)),
            Order::Name => {}
            Order::Rate => lines.sort_by(|a, b| b.rate.total_cmp(&a.rate)),
        }
        lines
    }

    /// The incidents that are shown.
    pub fn incidents(&self) -> impl Iterator<Item = &IncidentNow> {
        let all = self.status.iter().flat_map(|status| &status.activity.incidents);
        all.filter(|incident| self.is_shown(&incident.site, &incident.class))
    }

    /// What was lost since the start, by counter.
    pub fn losses(&self) -> Vec<(&str, u64)> {
        let counters = self.status.iter().flat_map(|status| &status.counters);
        let lost = counters.filter(|(name, count)| **count > 0 && crate::report::store::is_loss(name));
        lost.map(|(name, count)| (name.as_str(), *count)).collect()
    }
}

fn key(row: &ActivityRow) -> Key {
    (row.site.clone(), row.class.clone(), row.country.clone())
}

/// The name after `current`; none after the last.
fn following(current: Option<&str>, names: &BTreeSet<String>) -> Option<String> {
    match current {
        None => names.first().cloned(),
        Some(current) => names.iter().find(|name| name.as_str() > current).cloned(),
    }
}

fn rate(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::app::activity::Activity;

    /// An answer with so many attempts of each of these rows.
    pub fn answer(started: &str, rows: &[(&str, &str, &str, u64)]) -> Status {
        let row = |(site, class, country, attempts): &(&str, &str, &str, u64)| ActivityRow {
            site: (*site).into(),
            class: (*class).into(),
            country: (*country).into(),
            attempts: *attempts,
        };
        let incident = |(site, class, country, attempts): &(&str, &str, &str, u64)| IncidentNow {
            source: "192.0.2.7".into(),
            country: (*country).into(),
            class: (*class).into(),
            site: (*site).into(),
            attempts: *attempts,
            first: "2012-06-30T14:00:00Z".into(),
            last: "2012-06-30T14:01:02Z".into(),
        };
        Status {
            state: "capturing".into(),
            version: "0.1.0".into(),
            started: started.into(),
            counters: [
                ("frames_received".to_owned(), rows.len() as u64 * 1_000),
                ("kernel_drops".to_owned(), 3),
            ]
            .into(),
            activity: Activity {
                rows: rows.iter().map(row).collect(),
                incidents: rows.iter().map(incident).collect(),
            },
            ..Status::default()
        }
    }

    const NOON: &str = "2012-06-30T12:00:00Z";

    fn seconds(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn rates_are_told_over_ten_seconds_and_begin_anew_with_the_daemon() {
        let mut view = View::new(Zone::default());
        for second in 0..30 {
            view.take(seconds(second), Ok(answer(NOON, &[("a", "web.sqli", "US", second * 4)])));
        }
        assert_eq!(view.per_second()[1].to_bits(), 4.0_f64.to_bits());
        assert_eq!(view.lines(|row| &row.class)[0].rate.to_bits(), 4.0_f64.to_bits());
        view.take(seconds(31), Ok(answer("2012-06-30T13:00:00Z", &[("a", "web.sqli", "US", 1)])));
        assert_eq!((view.per_second()[1].to_bits(), view.rates.len()), (0.0_f64.to_bits(), 0));
    }

    #[test]
    fn filters_and_orders_go_round_and_a_pause_holds() {
        let mut view = View::new(Zone::default());
        let rows = [("a", "web.sqli", "US", 5), ("b", "web.xss", "DE", 9), ("b", "auth.ssh", "US", 1)];
        view.take(seconds(0), Ok(answer(NOON, &rows)));
        let names = |view: &View| {
            view.lines(|row| &row.country).into_iter().map(|line| line.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&view), ["DE", "US"]);
        view.obey(Act::Sort);
        view.obey(Act::Sort);
        assert_eq!((view.order, names(&view)), (Order::Name, vec!["DE".into(), "US".into()]));
        view.obey(Act::NextSite);
        assert_eq!((view.site.as_deref(), names(&view)), (Some("a"), vec!["US".to_owned()]));
        view.obey(Act::NextSite);
        view.obey(Act::NextClass);
        assert_eq!((view.class.as_deref(), names(&view)), (Some("auth.ssh"), vec!["US".to_owned()]));
        assert_eq!(view.incidents().count(), 1);
        view.obey(Act::NextSite);
        assert_eq!(view.site, None, "after the last come all");
        view.obey(Act::All);
        view.obey(Act::Pause);
        view.take(seconds(1), Ok(answer(NOON, &[])));
        assert_eq!(names(&view).len(), 2, "it stands still");
        view.obey(Act::Pause);
        view.take(seconds(2), Err("gone".into()));
        assert_eq!((view.trouble.as_deref(), names(&view).len()), (Some("gone"), 2), "the last answer stays");
        assert_eq!(view.losses(), [("kernel_drops", 3)]);
    }
}
