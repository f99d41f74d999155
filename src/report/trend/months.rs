//! The months of a trend and what was counted in each.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rusqlite::params;

use crate::model::period::{Period, PeriodKind};
use crate::model::place::Sector;
use crate::model::time::Hour;
use crate::report::ReportError;
use crate::report::span::Span;
use crate::report::store::Store;

/// Months side by side at most: three years, so that each calendar month is there thrice.
const MONTHS_MAX: usize = 36;

/// Attempts, those of the headline, those from overseas.
pub type Sums = [u64; 3];

/// What was added up of months before: the reports of open periods are written anew every minute, and three years of tally
/// need not be read each time. Invariant: a month that was added to is not in it.
#[derive(Debug, Default)]
pub struct Known(RefCell<BTreeMap<Period, Sums>>);

impl Known {
    /// Forgets the months of hours that are added to.
    pub fn forget(&self, hours: impl Iterator<Item = Hour>) {
        let mut known = self.0.borrow_mut();
        for hour in hours {
            known.remove(&Period::containing(PeriodKind::Month, hour.start()));
        }
    }

    fn get(&self, month: Period) -> Option<Sums> {
        self.0.borrow().get(&month).copied()
    }

    fn remember(&self, month: Period, sums: Sums) {
        let mut known = self.0.borrow_mut();
        known.insert(month, sums);
        // Two windows: that of the month and that of the year.
        while known.len() > 2 * MONTHS_MAX {
            known.pop_first();
        }
    }
}

/// The months: up to the last of the span, or of the store where it ends before; from the first of the store.
pub fn periods(store: &Store, span: &Span) -> Result<Vec<Period>, ReportError> {
    let ends = store.connection().query_row(
        "SELECT min(hour), max(hour) FROM (SELECT min(hour) AS hour FROM tally UNION ALL SELECT max(hour) FROM tally
             UNION ALL SELECT min(hour) FROM watch UNION ALL SELECT max(hour) FROM watch)",
        [],
        |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
    );
    let (Some(first), Some(last)) = ends.map_err(store.wrap())? else { return Ok(Vec::new()) };
    let last = Hour(last.min(span.to.0 - 1));
    let mut month = Period::containing(PeriodKind::Month, last.start());
    let mut months = Vec::new();
    while months.len() < MONTHS_MAX && month.end_hour().0 > first {
        months.push(month);
        month = Period::containing(PeriodKind::Month, month.start().plus_micros(-1));
    }
    months.reverse();
    Ok(months)
}

/// What was counted in a month.
pub fn sums(store: &Store, month: Period, site: Option<&str>) -> Result<Sums, ReportError> {
    if site.is_none()
        && let Some(known) = store.months().get(month)
    {
        return Ok(known);
    }
    let read = || -> rusqlite::Result<Sums> {
        let mut statement = store.connection().prepare_cached(
            "SELECT coalesce(sum(attempts), 0), coalesce(sum(CASE WHEN headline THEN attempts END), 0),
                 coalesce(sum(CASE WHEN headline AND sector = ?4 THEN attempts END), 0)
             FROM tally WHERE hour >= ?1 AND hour < ?2 AND (?3 IS NULL OR site = ?3)",
        )?;
        let asked = params![month.first_hour().0, month.end_hour().0, site, Sector::Overseas.name()];
        statement.query_row(asked, |row| {
            let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            Ok([count(0)?, count(1)?, count(2)?])
        })
    };
    let sums = read().map_err(store.wrap())?;
    if site.is_none() {
        store.months().remember(month, sums);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::Class;
    use crate::model::grade::Grade;
    use crate::model::place::Place;
    use crate::report::writer::Mode;
    use crate::tally::{Snapshot, TallyKey};

    #[test]
    fn a_month_that_is_added_to_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let month: Period = "2012-06".parse().unwrap();
        let add = |store: &mut Store, hour: Hour| {
            let key = TallyKey {
                hour,
                site: "a".into(),
                class: Class::from_id("web.sqli").unwrap(),
                grade: Grade::E2,
                place: Place::from_code("US"),
                sector: Sector::Overseas,
                label: None,
                headline: true,
            };
            let sums = crate::tally::Sums { attempts: 7, ..crate::tally::Sums::default() };
            let rows = [(key, sums)].into_iter().collect();
            store.add(&Snapshot { rows, ..Snapshot::default() }, &[], &[], Mode::Live).unwrap();
        };
        add(&mut store, month.first_hour());
        assert_eq!(sums(&store, month, None).unwrap(), [7; 3]);
        assert_eq!(store.months().get(month), Some([7; 3]));
        add(&mut store, Hour(month.end_hour().0 - 1));
        assert_eq!(sums(&store, month, None).unwrap(), [14; 3]);
        add(&mut store, month.end_hour());
        assert_eq!(store.months().get(month), Some([14; 3]), "another month changes nothing");
        assert_eq!(sums(&store, month, Some("b")).unwrap(), [0; 3]);
    }
}
