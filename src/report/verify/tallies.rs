//! Tally files: they hold the attempts of the day's report, by hour and by network.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::model::period::Period;
use crate::report::verify::{Checked, Closed, lines, number};
use crate::report::{ReportError, tally_files};

/// The tally files of a day: of each store that counted it the last one, by hour and by network.
pub fn check(folder: &Path, day: Period, closed: &Closed, checked: &mut Checked) -> Result<(), ReportError> {
    // By all but the number at the end of the name, which sorts by it.
    let of_day = tally_files::all(folder).into_iter().filter(|(known, _)| *known == day);
    let last: BTreeMap<String, String> =
        of_day.filter_map(|(_, name)| Some((name.rsplit_once('-')?.0.to_owned(), name))).collect();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for name in last.values() {
        let path = folder.join(name);
        for line in lines(&path)? {
            let line = line.map_err(ReportError::file("read", &path))?;
            let Ok(row) = serde_json::from_str::<Value>(&line) else {
                checked.complain(format!("{name}: holds a line that is no row"));
                continue;
            };
            let kind = row.get("kind").and_then(Value::as_str).unwrap_or_default();
            *sums.entry(kind.to_owned()).or_default() += number(&row, "/attempts");
        }
    }
    let total = number(&closed.json, "/totals/attempts");
    for kind in ["header", "tally", "network"].into_iter().filter(|_| !last.is_empty()) {
        let found = sums.get(kind).copied().unwrap_or(0);
        if found != total {
            let told =
                format!("{}: counts {total} attempts, rows {kind} of the tally files {found}", closed.name);
            checked.complain(told);
        }
    }
    Ok(())
}
