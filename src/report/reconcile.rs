//! The identities that hold in every report: rows of every table sum to the total.

use std::collections::BTreeSet;

use crate::report::shape::{Report, Row};

impl Report {
    /// The identities that hold in every report; `Err` names the first that does not.
    pub fn reconcile(&self) -> Result<(), String> {
        let sum = |rows: &[Row]| rows.iter().map(|row| row.counts.attempts).sum::<u64>();
        let of_kind = |kind: &str| {
            self.origins.iter().filter(|row| row.kind == kind).map(|row| row.counts.attempts).sum::<u64>()
        };
        let series = self.series.iter().map(|step| step.counts.attempts).sum::<u64>();
        if let Some(rhythm) = &self.rhythm {
            let sum = rhythm.cells().map(|cell| cell.attempts).sum::<u64>();
            if sum != self.headline.attempts {
                return Err(format!(
                    "rhythm adds up to {sum} attempts, the headline has {}",
                    self.headline.attempts
                ));
            }
        }
        let mut parts = vec![
            ("sites", sum(&self.sites)),
            ("classes", sum(&self.classes)),
            ("grades", sum(&self.grades)),
            ("sectors", sum(&self.sectors)),
            ("origins", of_kind("country")),
            ("series", series),
        ];
        let kinds: BTreeSet<&'static str> = self.origins.iter().map(|row| row.kind).collect();
        parts.extend(kinds.into_iter().map(|kind| (kind, of_kind(kind))));
        parts.push(("units", self.units.iter().map(|unit| unit.counts.attempts).sum()));
        if let Some((unit, (table, sum))) =
            self.units.iter().find_map(|unit| Some((unit, unit.unreconciled()?)))
        {
            let total = unit.counts.attempts;
            return Err(format!("{table} of {} add up to {sum} attempts, its total is {total}", unit.id));
        }
        for site in &self.by_site {
            let total =
                self.sites.iter().find(|row| row.id == site.site).map_or(0, |row| row.counts.attempts);
            if let Some((table, sum)) = site.unreconciled(total) {
                return Err(format!(
                    "{table} of {} add up to {sum} attempts, its total is {total}",
                    site.site
                ));
            }
        }
        match parts.iter().find(|(_, part)| *part != self.totals.attempts) {
            Some((name, part)) => {
                Err(format!("{name} add up to {part} attempts, the total is {}", self.totals.attempts))
            }
            None => Ok(()),
        }
    }
}
