//! Two periods side by side: what was counted, by observed hour, and whether a difference can be told from chance, or why the
//! two cannot be compared.

mod numbers;
pub mod print;
mod sides;

use serde::Serialize;

use crate::report::ReportError;
use crate::report::compare::numbers::Numbers;
use crate::report::compare::sides::{Obstacle, Side};
use crate::report::provenance::Provenance;
use crate::report::span::Span;
use crate::report::store::Store;

/// Version of the JSON's shape.
const SCHEMA_VERSION: u32 = 1;

const METHOD: &str = "Counts by days of a month, months of a year or hours of a day, each with its observed seconds, fitted by quasi-Poisson \
     log-linear regression with one step between the two periods; errors from Pearson's chi-squared and widened by the \
     lag-1 autocorrelation; Student's t. Each row is tested by itself: of twenty rows in which nothing changed one looks changed.";

/// A comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Version of this shape.
    pub schema_version: u32,
    /// Version of gatewatch.
    pub gatewatch_version: &'static str,
    /// The site it is restricted to.
    pub site: Option<String>,
    /// The earlier or first named period, and the other.
    pub periods: [Side; 2],
    /// What differs of how the two were counted; empty where they can be compared.
    pub obstacles: Vec<Obstacle>,
    /// The headline's numbers.
    pub totals: Vec<Compared>,
    /// By site: attempts in the headline.
    pub sites: Vec<Compared>,
    /// By class: attempts.
    pub classes: Vec<Compared>,
    /// By site and class: attempts.
    pub cells: Vec<Compared>,
    /// How it was tested.
    pub method: &'static str,
}

/// A number in both periods.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Site; empty where it is of all.
    pub site: String,
    /// Class id; empty where it is of all.
    pub class: String,
    /// What is counted: `headline_attempts`, `overseas_attempts`, `attempts`.
    pub of: &'static str,
    /// In each period.
    pub counts: [u64; 2],
    /// The same by observed hour; `null` where nothing was observed.
    pub per_hour: [Option<f64>; 2],
    /// The second rate by the first; `null` where `reason` says why.
    pub ratio: Option<f64>,
    /// Its 95 per cent interval; `null` where `reason` says why.
    pub interval: Option<[f64; 2]>,
    /// How likely a difference as large would be by chance; `null` where the periods cannot be compared.
    pub p_value: Option<f64>,
    /// Why no ratio or interval is told.
    pub reason: Option<&'static str>,
    /// What keeps this number from being compared: names of `obstacles`.
    pub not_comparable: Vec<&'static str>,
}

/// Puts two spans of one store side by side. `fallback` is what made the numbers where the store does not tell.
pub fn compare(
    store: &Store,
    spans: [&Span; 2],
    site: Option<&str>,
    fallback: &Provenance,
) -> Result<Comparison, ReportError> {
    let [first, second] = spans.map(|span| Side::read(store, span, fallback));
    let sides = [first?, second?];
    let obstacles = sides::obstacles(&sides);
    let numbers = Numbers::read(store, spans, site)?;
    let declared = sides.iter().all(|side| side.home_declared);
    Ok(Comparison {
        schema_version: SCHEMA_VERSION,
        gatewatch_version: env!("CARGO_PKG_VERSION"),
        site: site.map(str::to_owned),
        totals: numbers.totals(declared, &obstacles),
        sites: numbers.sites(&obstacles),
        classes: numbers.classes(&obstacles),
        cells: numbers.cells(&obstacles),
        periods: sides,
        obstacles,
        method: METHOD,
    })
}

impl Compared {
    /// The verdict: `more`, `fewer`, `no change`, or nothing where none can be told.
    pub fn verdict(&self) -> Option<&'static str> {
        let ([low, high], _) = self.interval.zip(self.p_value)?;
        Some(if low > 1.0 {
            "more"
        } else if high < 1.0 {
            "fewer"
        } else {
            "no change"
        })
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;
    use serde_json::Value;

    use super::*;
    use crate::model::period::Period;
    use crate::model::time::Hour;
    use crate::report::provenance::Database;
    use crate::report::regimes;
    use crate::report::text::lines::width;

    /// What makes the numbers of a month.
    #[derive(Clone, Copy)]
    struct Month {
        name: &'static str,
        /// Attempts from overseas of each class and site and day, on average.
        daily: i64,
        detectors: &'static str,
        database: &'static str,
        /// Days observed.
        days: i64,
    }

    const JUNE: Month = Month { name: "2011-06", daily: 100, detectors: "a", database: "x", days: 30 };

    fn compared(months: [Month; 2], sites: &[&str]) -> Comparison {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let connection = store.connection();
        connection.execute_batch("BEGIN").unwrap();
        for month in months {
            let database = Database {
                kind: "X".into(),
                build_date: "2011-01-01T00:00:00Z".into(),
                sha256: month.database.into(),
                path: "/x".into(),
                attribution: None,
            };
            let provenance = Provenance {
                databases: vec![database],
                detector_set: month.detectors.into(),
                home_declared: true,
                ..Provenance::default()
            };
            let regime = regimes::number(connection, &provenance).unwrap();
            let period: Period = month.name.parse().unwrap();
            for day in 0..month.days {
                let hour = period.first_hour().0 + day * 24;
                regimes::note(connection, Hour(hour), regime).unwrap();
                // Days scatter around their mean: by a tenth up, a tenth down.
                let attempts = month.daily * (10 + day % 3 - 1) / 10;
                for site in sites {
                    for (class, sector, headline) in [
                        ("web.sqli", "overseas", true),
                        ("web.sqli", "domestic", true),
                        ("scan.port", "overseas", false),
                    ] {
                        connection
                            .execute(
                                "INSERT INTO tally VALUES (?1, ?2, ?3, 'E2', 'US', ?4, '', ?5, ?6, ?7, 0, 0, 0, 0)",
                                params![hour, site, class, sector, headline, regime, attempts],
                            )
                            .unwrap();
                    }
                }
                for hour in hour..hour + 24 {
                    connection.execute("INSERT INTO watch VALUES (?1, 3600000000)", [hour]).unwrap();
                }
            }
        }
        connection.execute_batch("COMMIT").unwrap();
        let [first, second] = months.map(|month| Span::of(month.name.parse().unwrap()));
        compare(&store, [&first, &second], None, &Provenance::default()).unwrap()
    }

    #[test]
    fn twice_as_many_is_a_change_and_as_many_is_none() {
        let july = Month { name: "2011-07", daily: 200, days: 31, ..JUNE };
        let more = compared([JUNE, july], &["a", "b"]);
        let [headline, overseas] = &more.totals[..] else { panic!("{more:?}") };
        assert_eq!((overseas.of, overseas.counts), ("overseas_attempts", [6_000, 12_360]));
        assert_eq!(headline.counts, [12_000, 24_720], "scans are not in it");
        let ratio = overseas.ratio.unwrap();
        assert!((1.98..2.0).contains(&ratio), "{ratio}");
        let [low, high] = overseas.interval.unwrap();
        assert!(low < ratio && ratio < high && high - low < 0.3, "{overseas:?}");
        assert_eq!((overseas.verdict(), overseas.reason), (Some("more"), None));
        assert!(overseas.p_value.unwrap() < 0.001);
        assert_eq!(overseas.per_hour, [Some(8.333_333), Some(16.612_903)]);
        let told = more.told().join(" ");
        assert!(
            told.contains("Attempts from overseas: 8.33 an observed hour in 2011-06, 16.6 in 2011-07, 1.99 times as many (95 per cent"),
            "{told}"
        );
        assert!(told.ends_with("a change (p < 0.001)."), "{told}");
        let (sites, classes): (Vec<&str>, Vec<&str>) = (
            more.sites.iter().map(|row| row.site.as_str()).collect(),
            more.classes.iter().map(|row| row.class.as_str()).collect(),
        );
        assert_eq!((sites, classes, more.cells.len()), (vec!["a", "b"], vec!["web.sqli", "scan.port"], 4));
        let sum = |rows: &[Compared]| {
            rows.iter().fold([0, 0], |[a, b], row| [a + row.counts[0], b + row.counts[1]])
        };
        assert_eq!(sum(&more.classes), sum(&more.cells));
        assert_eq!(sum(&more.sites), headline.counts);

        let same = compared([JUNE, Month { name: "2011-07", ..JUNE }], &["a"]);
        assert_eq!(same.totals[1].verdict(), Some("no change"), "{same:?}");
        assert!(same.told()[1].contains("no change can be told from chance"));
        let apart = compared([Month { name: "2012-07", daily: 50, ..JUNE }, JUNE], &["a"]);
        assert_eq!(apart.totals[0].verdict(), Some("more"), "the order is the asker's");
    }

    #[test]
    fn what_differs_of_how_was_counted_is_named_and_no_change_is_claimed() {
        let july = Month { name: "2011-07", daily: 200, ..JUNE };
        for (month, id, of_origin) in [
            (Month { detectors: "b", ..july }, "detectors", false),
            (Month { database: "y", ..july }, "database", true),
            (Month { days: 20, ..july }, "coverage", false),
        ] {
            let found = compared([JUNE, month], &["a"]);
            let ids: Vec<(&str, bool)> =
                found.obstacles.iter().map(|obstacle| (obstacle.id, obstacle.of_origin)).collect();
            assert_eq!(ids, [(id, of_origin)]);
            let [headline, overseas] = &found.totals[..] else { panic!() };
            assert_eq!((overseas.verdict(), overseas.p_value), (None, None), "{id}");
            assert!(overseas.ratio.is_some() && overseas.interval.is_some());
            assert_eq!(overseas.not_comparable, [id]);
            assert_eq!(headline.not_comparable.is_empty(), of_origin, "{id}");
            assert!(
                found.told()[1].ends_with(&format!("not comparable, because of {id}.")),
                "{:?}",
                found.told()
            );
            for format in ["text", "md"] {
                let text = found.write(format).unwrap().content;
                assert!(text.contains("Not comparable"), "{text}");
            }
        }
    }

    #[test]
    fn nothing_and_little_have_a_reason_and_no_number_is_wild() {
        let of = |first: Month, second: Month| compared([first, second], &["a"]).totals[0].clone();
        let july = Month { name: "2011-07", ..JUNE };
        let none = of(JUNE, Month { daily: 0, ..july });
        assert_eq!((none.ratio, none.interval, none.p_value), (None, None, None));
        assert_eq!(none.reason, Some("nothing was counted in one of the periods"));
        assert_eq!(
            of(JUNE, Month { days: 0, ..july }).reason,
            Some("nothing was observed in one of the periods")
        );
        let few = of(JUNE, Month { days: 5, ..july });
        assert!(few.ratio.is_some() && few.interval.is_none(), "{few:?}");
        let many = of(Month { daily: 10_000_000, ..JUNE }, Month { daily: 10_000_000, ..july });
        assert_eq!(many.verdict(), Some("no change"), "{many:?}");
    }

    #[test]
    fn every_form_keeps_its_columns_and_obeys_no_name() {
        let hostile = [
            "| <b>*x*</b>\n\u{1b}[31m\u{202e}",
            "名前の長い日本語のサイトの名前がここにあります",
            &"x".repeat(65_536),
            "a\"b,c",
        ];
        let july = Month { name: "2011-07", daily: 200, days: 20, ..JUNE };
        let found = compared([JUNE, july], &hostile);
        let text = found.write("text").unwrap().content;
        let end = |line: &str| line.ends_with("2.95*") || line.contains(" to ");
        for line in text.lines() {
            assert!(width(line) <= 72 && !line.contains(['\u{1b}', '\u{202e}']), "{line}");
        }
        assert!(
            text.lines().filter(|line| end(line) && width(line) == 72).count() >= hostile.len(),
            "{text}"
        );
        let markdown = found.write("md").unwrap().content;
        for line in markdown.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 9, "{line:.200}");
        }
        let json: Value = serde_json::from_str(&found.write("json").unwrap().content).unwrap();
        assert_eq!(json["sites"].as_array().unwrap().len(), hostile.len());
        let csv = found.write("csv").unwrap().content;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows = reader.records().map(|row| row.unwrap().len()).collect::<Vec<_>>();
        assert_eq!(rows, vec![15; 2 + 4 + 2 + 8]);
        assert!(found.write("html").is_none());
    }
}
