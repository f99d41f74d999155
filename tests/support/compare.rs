//! A report beside the plain recount of its period: every row of every table, to the unit.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::generator::recount::{Attempt, Counts, Recount, named, sources, sum, table};

const DAY_MICROS: u64 = 24 * 3_600 * 1_000_000;

/// Microseconds from the first to the last packet of each capture file.
pub type Watched = [(u64, u64)];

/// Every figure of a report in which it differs from the recount; one line each.
pub fn differences(recount: &Recount, watched: &Watched, report: &Value) -> Vec<String> {
    let mut list = Differences::default();
    let (from, to) = (micros(&report["period"]["from"]), micros(&report["period"]["to"]));
    let attempts = recount.within(from, to);
    let whole = sum(attempts.iter().copied());
    let totals = &report["totals"];
    list.same("totals.packets", &totals["packets"], recount.packets_within(from, to));
    list.same("totals.attempts", &totals["attempts"], whole.attempts);
    list.same("totals.sessions", &totals["sessions"], whole.sessions);
    list.same("totals.incidents", &totals["incidents"], whole.incidents);
    list.same("totals.sources", &totals["sources"], sources(attempts.iter().copied()));
    list.same("totals.interval[0]", &totals["interval"][0], whole.attempts);
    list.same("totals.interval[1]", &totals["interval"][1], whole.attempts);
    let coverage = &report["period"]["coverage"];
    list.same("coverage.seconds", &coverage["seconds"], (to - from) / 1_000_000);
    list.same("coverage.seconds_observed", &coverage["seconds_observed"], observed(watched, from, to));
    for (name, loss) in report["losses"].as_object().into_iter().flatten() {
        list.same(name, loss, 0);
    }
    list.headline(&report["headline"], &attempts, &whole);
    list.rows("sites", &report["sites"], "id", &table(&attempts, |attempt| attempt.site.clone()));
    list.rows("classes", &report["classes"], "id", &table(&attempts, |attempt| attempt.class.to_owned()));
    list.rows("grades", &report["grades"], "id", &table(&attempts, |attempt| attempt.grade.to_owned()));
    list.rows("sectors", &report["sectors"], "id", &table(&attempts, |attempt| attempt.sector.to_owned()));
    list.rows("origins", &report["origins"], "code", &table(&attempts, |attempt| attempt.country.clone()));
    let step = match (report["period"]["kind"].as_str(), (to - from) / DAY_MICROS) {
        (Some("year"), _) | (Some("range"), 94..) => "%Y-%m",
        (Some("month"), _) | (Some("range"), 3..) => "%Y-%m-%d",
        _ => "%Y-%m-%dT%H",
    };
    list.rows("series", &report["series"], "period", &table(&attempts, |attempt| named(attempt.time, step)));
    list.0
}

/// The moment that a field of a report names, in microseconds since 1970.
pub fn micros(value: &Value) -> u64 {
    let time: jiff::Timestamp = value.as_str().unwrap_or_default().parse().expect("an RFC 3339 time");
    time.as_microsecond().cast_unsigned()
}

/// Whole seconds of a span that lie between the first and the last packet of a capture file.
pub fn observed(watched: &Watched, from: u64, to: u64) -> u64 {
    let overlap =
        |(first, last): &(u64, u64)| (*last).clamp(from, to).saturating_sub((*first).clamp(from, to));
    watched.iter().map(overlap).sum::<u64>() / 1_000_000
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn same(&mut self, name: &str, found: &Value, wanted: u64) {
        if found.as_u64() != Some(wanted) {
            self.0.push(format!("{name}: {found}, should be {wanted}"));
        }
    }

    fn headline(&mut self, headline: &Value, attempts: &[&Attempt], whole: &Counts) {
        self.same("headline.attempts", &headline["attempts"], whole.headline_attempts);
        self.same("headline.overseas_attempts", &headline["overseas_attempts"], whole.overseas_attempts);
        let proven: Vec<&Attempt> = attempts
            .iter()
            .copied()
            .filter(|attempt| attempt.grade != "E0" && attempt.grade != "X")
            .collect();
        let most = |rows: BTreeMap<String, Vec<&Attempt>>| {
            // Of equals the first by name.
            let count = |rows: &[&Attempt]| rows.len() as u64;
            rows.into_iter().map(|(key, rows)| (count(&rows), key)).rev().max_by_key(|(count, _)| *count)
        };
        if let Some((count, source)) = most(table(&proven, |attempt| attempt.source.clone())) {
            let found = &headline["dominance"]["source"];
            self.same("headline.dominance.source.attempts", &found["attempts"], count);
            if found["id"] != source.as_str() {
                self.0.push(format!("headline.dominance.source: {found}, should be {source}"));
            }
        }
        let abroad: Vec<&Attempt> =
            proven.iter().copied().filter(|attempt| attempt.sector == "overseas").collect();
        if let Some((count, country)) = most(table(&abroad, |attempt| attempt.country.clone())) {
            self.same("headline.top_country.attempts", &headline["top_country"]["attempts"], count);
            let (code, share) = (&headline["top_country"]["code"], &headline["top_country"]["share"]);
            let wanted = count as f64 / abroad.len() as f64;
            if *code != country.as_str()
                || share.as_f64().is_none_or(|share| (share - wanted).abs() > 5.01e-7)
            {
                self.0.push(format!("headline.top_country: {code} {share}, should be {country} {wanted}"));
            }
        }
    }

    /// Compares a table: rows that count nothing may be left out.
    fn rows(&mut self, name: &str, found: &Value, key: &str, wanted: &BTreeMap<String, Vec<&Attempt>>) {
        let rows: BTreeMap<&str, &Map<String, Value>> = found
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| Some((row[key].as_str()?, row.as_object()?)))
            // Later versions have further kinds of origins in the same table.
            .filter(|(_, row)| row.get("kind").is_none_or(|kind| kind == "country"))
            .collect();
        let keys: BTreeSet<&str> = rows.keys().copied().chain(wanted.keys().map(String::as_str)).collect();
        for id in keys {
            let attempts = wanted.get(id).map(Vec::as_slice).unwrap_or_default();
            let Some(row) = rows.get(id) else {
                self.0.push(format!("{name}: no row {id}, should have {} attempts", attempts.len()));
                continue;
            };
            let Counts { attempts: all, headline_attempts, overseas_attempts, sessions, incidents } =
                sum(attempts.iter().copied());
            for (field, wanted) in [
                ("attempts", all),
                ("headline_attempts", headline_attempts),
                ("overseas_attempts", overseas_attempts),
                ("sessions", sessions),
                ("incidents", incidents),
            ] {
                self.same(&format!("{name} {id} {field}"), row.get(field).unwrap_or(&Value::Null), wanted);
            }
            // Sources are told in some tables only.
            if let Some(told) = row.get("sources").filter(|told| !told.is_null()) {
                self.same(&format!("{name} {id} sources"), told, sources(attempts.iter().copied()));
            }
        }
    }
}
