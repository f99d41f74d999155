//! How far a number may be off: what losses hid of a count, and how much a share rests on a few sources.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Poisson};
use rusqlite::params;
use sha2::{Digest, Sha256};

use crate::report::ReportError;
use crate::report::dominance::IN_BASE;
use crate::report::span::Span;
use crate::report::store::Store;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1_000;
/// Part of the resamples on each side of the interval: 95 per cent lie within.
const TAIL: f64 = 0.025;
/// A loss above this says that nothing was seen, not how much: an interval would pretend to know.
const LOSS_MAX: f64 = 0.5;
/// Acknowledgements from which on an hour tells its own share of losses. With fewer, the attempts that were lost are
/// themselves a good part of what tells the share, and an hour whose attempts came through would seem to have lost nothing.
const ACKS_MIN: u64 = 2_000;
/// Standard deviations on one side that hold 97.5 per cent of a normal distribution.
const NORMAL_95: f64 = 1.96;

/// The most that a count can be, given the losses of its hours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct High {
    /// Of all attempts.
    pub attempts: u64,
    /// Of those in the headline.
    pub headline: u64,
    /// Of those from overseas.
    pub overseas: u64,
}

/// Σ 1 / (1 − p)^k over the attempts of a span, k being the frames an attempt came in and p the larger of two shares of
/// its hour: frames dropped of all frames, and acknowledgements of bytes never captured of all acknowledgements. Added is
/// what chance may hide beyond that, in 95 of 100 cases: how many were lost is drawn, and so is what p is told by.
pub fn high(store: &Store, span: &Span, site: Option<&str>) -> Result<Option<High>, ReportError> {
    if !store.has_table("frames_hour") {
        return Ok(None);
    }
    let read = || -> rusqlite::Result<High> {
        let losses = Losses::read(store, span)?;
        let mut statement = store.connection().prepare_cached(
            "SELECT hour, frames, sum(attempts), sum(headline), sum(overseas) FROM frames_hour
             WHERE hour >= ?1 AND hour < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY hour, frames",
        )?;
        let mut rows = statement.query(params![span.from.0, span.to.0, site])?;
        let mut sums = [Sum::default(), Sum::default(), Sum::default()];
        while let Some(row) = rows.next()? {
            let hour = row.get(0)?;
            let (loss, frames) = (losses.of(hour), row.get::<_, u16>(1)?);
            for (sum, at) in sums.iter_mut().zip(2..) {
                sum.add(row.get::<_, i64>(at)? as f64, f64::from(frames), &loss);
            }
        }
        let [attempts, headline, overseas] = sums.map(|sum| sum.high());
        Ok(High { attempts, headline, overseas })
    };
    read().map(Some).map_err(store.wrap())
}

/// What was lost of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Loss {
    share: f64,
    /// Acknowledgements that tell it; 0 where it was counted and not estimated.
    told_by: u64,
    /// What is estimated together: the hour, or none for those that are taken together.
    group: Option<i64>,
}

/// Sum of a count as it may have been.
#[derive(Debug, Default)]
struct Sum {
    mean: f64,
    variance: f64,
    /// For each group of hours: how much the sum grows with its share, and the variance of that share.
    slopes: BTreeMap<Option<i64>, (f64, f64)>,
}

impl Sum {
    fn add(&mut self, count: f64, frames: f64, loss: &Loss) {
        let survival = (1.0 - loss.share).powf(frames);
        self.mean += count / survival;
        self.variance += count * (1.0 - survival) / (survival * survival);
        if loss.told_by > 0 {
            let slope = self.slopes.entry(loss.group).or_default();
            slope.0 += count * frames / (survival * (1.0 - loss.share));
            slope.1 = loss.share * (1.0 - loss.share) / loss.told_by as f64;
        }
    }

    fn high(&self) -> u64 {
        let slopes: f64 = self.slopes.values().map(|(slope, variance)| slope * slope * variance).sum();
        let margin = NORMAL_95 * (self.variance + slopes).sqrt();
        // What came through whole is whole: no rounding up of a sum that floating point left a hair above.
        #[expect(clippy::cast_sign_loss, reason = "not below zero")]
        let high = (self.mean + margin - 1e-6).max(0.0).ceil() as u64;
        high
    }
}

/// Shares of what was lost, by hour.
#[derive(Debug, Default)]
struct Losses {
    hours: BTreeMap<i64, Loss>,
    /// Of hours with too few acknowledgements to tell anything alone, taken together.
    together: Loss,
}

impl Losses {
    fn read(store: &Store, span: &Span) -> rusqlite::Result<Self> {
        let mut statement = store.connection().prepare_cached(
            "SELECT hour, name, value FROM counter WHERE hour >= ?1 AND hour < ?2
             AND name IN ('frames_received', 'kernel_drops', 'interface_drops', 'acks_seen', 'acks_of_gaps')",
        )?;
        let mut hours: BTreeMap<i64, [u64; 4]> = BTreeMap::new();
        let mut rows = statement.query([span.from.0, span.to.0])?;
        while let Some(row) = rows.next()? {
            let value = row.get::<_, i64>(2)?.unsigned_abs();
            let at = match row.get::<_, String>(1)?.as_str() {
                "frames_received" => 0,
                "acks_seen" => 2,
                "acks_of_gaps" => 3,
                _ => 1,
            };
            if let Some(sum) = hours.entry(row.get(0)?).or_default().get_mut(at) {
                *sum += value;
            }
        }
        Ok(Self::of_counters(&hours))
    }

    /// From frames received, frames dropped, acknowledgements, and those of bytes never captured.
    fn of_counters(hours: &BTreeMap<i64, [u64; 4]>) -> Self {
        let part = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let few = hours.values().filter(|[_, _, acks, _]| *acks < ACKS_MIN);
        let (acks, gaps) = few.fold((0, 0), |(all, lost), [_, _, acks, gaps]| (all + acks, lost + gaps));
        let together = Loss { share: part(gaps, acks).min(LOSS_MAX), told_by: acks, group: None };
        let each = hours.iter().map(|(hour, [received, dropped, acks, gaps])| {
            let alone = Loss { share: part(*gaps, *acks), told_by: *acks, group: Some(*hour) };
            let mut loss = if *acks < ACKS_MIN { together } else { alone };
            let dropped = part(*dropped, received + dropped);
            if dropped > loss.share {
                loss = Loss { share: dropped, told_by: 0, group: Some(*hour) };
            }
            loss.share = loss.share.min(LOSS_MAX);
            (*hour, loss)
        });
        Self { hours: each.collect(), together }
    }

    fn of(&self, hour: i64) -> Loss {
        self.hours.get(&hour).copied().unwrap_or(self.together)
    }
}

/// Attempts of one country and of all, for sources that have the same numbers: how many such sources there are.
type Groups = BTreeMap<(u64, u64), u64>;

/// The base of the shares of countries by its sources, which are what is independent: attempts of one source are not. Where
/// addresses are gone, by prefixes. Read once for all countries: a year of sources is a long way to go.
#[derive(Debug)]
pub struct Shares {
    /// Place, attempts of a source there, and how many such sources there are.
    rows: Vec<(String, u64, u64)>,
    /// What the draws begin with, so that they can be repeated.
    seed: String,
}

impl Shares {
    /// Reads the sources of a span.
    pub fn read(store: &Store, span: &Span, site: Option<&str>, declared: bool) -> Result<Self, ReportError> {
        let read = || -> rusqlite::Result<Vec<(String, u64, u64)>> {
            let mut statement = store.connection().prepare_cached(&format!(
                "SELECT place, attempts, count(*) FROM (
                     SELECT place, sum(attempts) AS attempts FROM source_day
                     WHERE {IN_BASE} AND prefix <> '' AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3)
                     GROUP BY source, CASE WHEN source = '' THEN prefix END, place)
                 GROUP BY place, attempts"
            ))?;
            let rows = statement.query_map(params![span.from.0, span.to.0, site, declared], |row| {
                let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
                Ok((row.get(0)?, count(1)?, count(2)?))
            })?;
            rows.collect()
        };
        Ok(Self { rows: read().map_err(store.wrap())?, seed: span.name.clone() })
    }

    /// Interval of the share of `country` among the attempts of the base, by a bootstrap over its sources.
    pub fn interval(&self, country: &str) -> Option<[f64; 2]> {
        let mut groups = Groups::new();
        for (place, attempts, sources) in &self.rows {
            let part = if place == country { *attempts } else { 0 };
            *groups.entry((part, *attempts)).or_default() += sources;
        }
        bootstrap(&groups, &self.seed)
    }
}

/// Poisson bootstrap: each source is drawn Poisson(1) times, so sources that are alike Poisson(their number) times.
fn bootstrap(groups: &Groups, seed: &str) -> Option<[f64; 2]> {
    // Two sources at least, else there is nothing to vary.
    if groups.values().sum::<u64>() < 2 {
        return None;
    }
    let mut random = ChaCha8Rng::from_seed(Sha256::digest(seed.as_bytes()).into());
    let drawn: Vec<(f64, f64, Poisson<f64>)> = groups
        .iter()
        .filter_map(|((part, all), sources)| {
            Some((*part as f64, *all as f64, Poisson::new(*sources as f64).ok()?))
        })
        .collect();
    let mut shares: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let (mut part, mut all) = (0.0, 0.0);
            for (of_country, of_source, sources) in &drawn {
                let times = sources.sample(&mut random);
                part += of_country * times;
                all += of_source * times;
            }
            (all > 0.0).then(|| part / all)
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        #[expect(clippy::cast_sign_loss, reason = "not below zero")]
        let place = (quantile * (shares.len().saturating_sub(1)) as f64).round() as usize;
        shares.get(place).map(|share| (share * 1e6).round() / 1e6)
    };
    Some([at(TAIL)?, at(1.0 - TAIL)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::progress::{Counter, Counters};
    use crate::model::time::Hour;
    use crate::report::writer::Mode;
    use crate::tally::{FrameKey, Snapshot};

    #[test]
    fn a_count_is_widened_by_the_losses_of_its_hour() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let mut snapshot = Snapshot::default();
        let (lossy, clean) = (Hour(100), Hour(101));
        for hour in [lossy, clean] {
            for _ in 0..100 {
                snapshot.add_frames(FrameKey { hour, site: "a".into(), frames: 2 }, true, hour == lossy);
            }
        }
        let mut counters = Counters::default();
        counters.add(Counter::FramesReceived, 90);
        counters.add(Counter::KernelDrops, 10);
        snapshot.add_counters(lossy, &counters);
        store.add(&snapshot, &[], &[], Mode::Live).unwrap();
        let span = Span { from: Hour(0), to: Hour(200), ..Span::of("1970".parse().unwrap()) };
        let found = high(&store, &span, None).unwrap().unwrap();
        // 100 / 0.9² = 123.5, and 10.5 by chance; the hour without a loss stays as it is.
        assert_eq!(found, High { attempts: 235, headline: 235, overseas: 135 });
        assert_eq!(high(&store, &span, Some("b")).unwrap().unwrap(), High::default());
    }

    #[test]
    fn hours_with_few_acknowledgements_are_taken_together_and_drops_are_believed() {
        let hours = BTreeMap::from([
            (1, [900, 0, 100, 0]),
            (2, [900, 0, 100, 10]),
            (3, [90_000, 0, 10_000, 100]),
            (4, [600, 400, 100, 0]),
        ]);
        let losses = Losses::of_counters(&hours);
        let together = Loss { share: 10.0 / 300.0, told_by: 300, group: None };
        assert_eq!([losses.of(1), losses.of(2), losses.of(99)], [together; 3]);
        assert_eq!(losses.of(3), Loss { share: 0.01, told_by: 10_000, group: Some(3) });
        assert_eq!(losses.of(4), Loss { share: 0.4, told_by: 0, group: Some(4) });
        assert_eq!(Losses::of_counters(&BTreeMap::new()).of(0), Loss::default());
    }

    #[test]
    fn sources_are_read_once_for_all_countries() {
        let row = |place: &str, attempts, sources| (place.to_owned(), attempts, sources);
        let rows = vec![row("US", 1, 629), row("DE", 1, 300), row("FR", 1, 71)];
        let shares = Shares { rows, seed: "2012".into() };
        assert_eq!(shares.interval("US"), bootstrap(&Groups::from([((1, 1), 629), ((0, 1), 371)]), "2012"));
        assert_eq!(shares.interval("AQ"), Some([0.0, 0.0]));
    }

    #[test]
    fn many_small_sources_give_a_narrow_interval_and_one_large_one_a_wide_one() {
        let many = Groups::from([((1, 1), 629), ((0, 1), 371)]);
        let [low, high] = bootstrap(&many, "2012").unwrap();
        assert!(low > 0.59 && low < 0.629 && high > 0.629 && high < 0.67, "{low} {high}");
        // The same share, all of the country's part from one source.
        let one = Groups::from([((629, 629), 1), ((0, 1), 371)]);
        let [low, high] = bootstrap(&one, "2012").unwrap();
        assert!(low == 0.0 && high > 0.75, "{low} {high}");
        assert_eq!(bootstrap(&many, "2012"), bootstrap(&many, "2012"), "seeded");
        assert_eq!(bootstrap(&Groups::from([((1, 1), 1)]), "2012"), None);
    }
}
