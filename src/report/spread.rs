//! How far a number may be off: what losses hid of a count, and how much a share rests on a few sources.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Poisson};
use rusqlite::params;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::report::ReportError;
use crate::report::store::Store;
use crate::report::summary::Span;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1_000;
/// Part of the resamples on each side of the interval: 95 per cent lie within.
const TAIL: f64 = 0.025;
/// A loss above this says that nothing was seen, not how much: an interval would pretend to know.
const LOSS_MAX: f64 = 0.5;

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
/// its hour: frames dropped of all frames, and acknowledgements of bytes never captured of all acknowledgements.
pub fn high(store: &Store, span: &Span, site: Option<&str>) -> Result<Option<High>, ReportError> {
    if !store.has_table("frames_hour") {
        return Ok(None);
    }
    let read = || -> rusqlite::Result<High> {
        let losses = losses(store, span)?;
        let mut statement = store.connection().prepare_cached(
            "SELECT hour, frames, sum(attempts), sum(headline), sum(overseas) FROM frames_hour
             WHERE hour >= ?1 AND hour < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY hour, frames",
        )?;
        let mut rows = statement.query(params![span.from.0, span.to.0, site])?;
        let mut sums = [0.0_f64; 3];
        while let Some(row) = rows.next()? {
            let loss = losses.get(&row.get::<_, i64>(0)?).copied().unwrap_or(0.0).min(LOSS_MAX);
            let factor = (1.0 - loss).powi(-row.get::<_, i32>(1)?);
            for (sum, at) in sums.iter_mut().zip(2..) {
                *sum += row.get::<_, i64>(at)? as f64 * factor;
            }
        }
        // What came through whole is whole: no rounding up of a sum that floating point left a hair above.
        #[expect(clippy::cast_sign_loss, reason = "not below zero")]
        let [attempts, headline, overseas] = sums.map(|sum| (sum - 1e-6).max(0.0).ceil() as u64);
        Ok(High { attempts, headline, overseas })
    };
    read().map(Some).map_err(store.wrap())
}

/// Share of what was lost, by hour; hours without a loss are left out.
fn losses(store: &Store, span: &Span) -> rusqlite::Result<BTreeMap<i64, f64>> {
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
    let part = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let shares = hours.into_iter().map(|(hour, [received, dropped, acks, gaps])| {
        (hour, part(dropped, received + dropped).max(part(gaps, acks)))
    });
    Ok(shares.filter(|(_, share)| *share > 0.0).collect())
}

/// The source with most attempts in the headline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopSource {
    /// The source key.
    pub source: String,
    /// Where it is.
    pub country: String,
    /// Its attempts in the headline.
    pub attempts: u64,
    /// Its part of all attempts in the headline, 0 to 1.
    pub share: f64,
}

/// Attempts of one country and of all, for sources that have the same numbers: how many such sources there are.
type Groups = BTreeMap<(u64, u64), u64>;

/// Interval of the share of `country` among the attempts in the headline of all countries in `base`, by a bootstrap over
/// sources, which are what is independent: attempts of one source are not. Seeded by the span, so that it can be repeated.
pub fn share_interval(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    (country, is_in_base): (&str, &dyn Fn(&str) -> bool),
) -> Result<Option<[f64; 2]>, ReportError> {
    let read = || -> rusqlite::Result<Groups> {
        let mut statement = store.connection().prepare_cached(
            "SELECT place, attempts, count(*) FROM (
                 SELECT source, place, sum(attempts) AS attempts FROM source_day
                 WHERE headline AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY source, place)
             GROUP BY place, attempts",
        )?;
        let mut rows = statement.query(params![span.from.0, span.to.0, site])?;
        let mut groups = Groups::new();
        while let Some(row) = rows.next()? {
            let place: String = row.get(0)?;
            let attempts = row.get::<_, i64>(1)?.unsigned_abs();
            if is_in_base(&place) {
                let part = if place == country { attempts } else { 0 };
                *groups.entry((part, attempts)).or_default() += row.get::<_, i64>(2)?.unsigned_abs();
            }
        }
        Ok(groups)
    };
    let groups = read().map_err(store.wrap())?;
    Ok(bootstrap(&groups, &span.name))
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

/// The source with most attempts in the headline, and its part of them.
pub fn top_source(store: &Store, span: &Span, site: Option<&str>) -> Result<Option<TopSource>, ReportError> {
    let read = || -> rusqlite::Result<Option<TopSource>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT source, place, sum(attempts) AS attempts, sum(sum(attempts)) OVER () FROM source_day
             WHERE headline AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY source
             ORDER BY attempts DESC, source LIMIT 1",
        )?;
        let mut rows = statement.query(params![span.from.0, span.to.0, site])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let attempts = row.get::<_, i64>(2)?.unsigned_abs();
        let all = row.get::<_, i64>(3)?.unsigned_abs();
        let share = crate::report::summary::share(attempts, all);
        Ok(Some(TopSource { source: row.get(0)?, country: row.get(1)?, attempts, share }))
    };
    read().map_err(store.wrap())
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
        let span = Span { name: "x".into(), kind: None, from: Hour(0), to: Hour(200), months: None };
        let found = high(&store, &span, None).unwrap().unwrap();
        // 100 / 0.9² = 123.5, and the hour without a loss stays as it is.
        assert_eq!(found, High { attempts: 224, headline: 224, overseas: 124 });
        assert_eq!(high(&store, &span, Some("b")).unwrap().unwrap(), High::default());
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
