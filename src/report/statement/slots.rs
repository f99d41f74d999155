//! What a statement owes its reader: one table of clauses, with what each must name and which strength must hold it.

use crate::report::statement::facts;
use crate::report::statement::wording::{Fact, Told};

/// How much is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strength {
    /// What fits into a news item, with the qualifiers without which the number is another one.
    Press,
    /// Every qualifier, as running text.
    Full,
    /// The sentence with every qualifier in a note.
    Footnoted,
}

impl Strength {
    /// Every strength, shortest first.
    pub const ALL: [Self; 3] = [Self::Press, Self::Full, Self::Footnoted];

    /// Its name in templates.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Press => "press",
            Self::Full => "full",
            Self::Footnoted => "footnoted",
        }
    }
}

/// Which strengths a template must have a clause in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owed {
    /// In each.
    Always,
    /// In the full and the footnoted one.
    AtLength,
}

/// A wording of a clause: its name, the placeholders it must hold, and those it may hold beside.
pub struct Variant {
    /// `share` of `origin.share`
    pub name: &'static str,
    /// Placeholders without which the clause would say too much.
    pub needs: &'static [&'static str],
    /// Further placeholders.
    pub may: &'static [&'static str],
}

/// A clause.
pub struct Slot {
    /// Its name in a template.
    pub name: &'static str,
    /// Where it must stand.
    pub owed: Owed,
    /// Its wordings, one of which is taken.
    pub variants: &'static [Variant],
    /// Which wording has an occasion, and with what.
    pub speak: fn(&Told) -> Option<Fact>,
}

const fn only(name: &'static str, needs: &'static [&'static str]) -> Variant {
    Variant { name, needs, may: &[] }
}

const BESIDE: &[&str] = &["attempts", "domestic", "region", "unknown", "private", "proxy", "unprovable"];
const BESIDE_NO_HOME: &[&str] = &["attempts", "region", "unknown", "private", "proxy", "unprovable"];
const TREND: &[&str] = &["months", "change", "low", "high", "p"];
const LEAD: &[&str] = &["period", "sites", "at_least", "times"];

/// The clauses.
pub const SLOTS: &[Slot] = &[
    Slot {
        name: "lead",
        owed: Owed::Always,
        variants: &[
            only("attacked", LEAD),
            only("mean", LEAD),
            only("not_attacked", &["period", "sites"]),
            only("not_overseas", &["period", "sites"]),
            only("overseas", LEAD),
        ],
        speak: facts::lead,
    },
    Slot {
        name: "origin",
        owed: Owed::Always,
        variants: &[only("share", &["share", "country", "according"]), only("untold", &[])],
        speak: facts::origin,
    },
    Slot {
        name: "counted",
        owed: Owed::Always,
        variants: &[only("unit", &["classes", "grade"])],
        speak: facts::counted,
    },
    Slot {
        name: "open",
        owed: Owed::Always,
        variants: &[Variant { name: "open", needs: &[], may: &["period"] }],
        speak: facts::open,
    },
    Slot {
        name: "lower",
        owed: Owed::Always,
        variants: &[Variant { name: "lost", needs: &[], may: &["losses"] }],
        speak: facts::lower,
    },
    Slot {
        name: "gaps",
        owed: Owed::Always,
        variants: &[Variant { name: "some", needs: &["share"], may: &["observed", "seconds"] }],
        speak: facts::gaps,
    },
    Slot {
        name: "scaled",
        owed: Owed::AtLength,
        variants: &[only("mean", &["times"]), only("number", &["times"])],
        speak: facts::scaled,
    },
    Slot { name: "whole", owed: Owed::AtLength, variants: &[only("whole", &[])], speak: facts::whole },
    Slot {
        name: "interval",
        owed: Owed::AtLength,
        variants: &[only("count", &["low", "high"])],
        speak: facts::interval,
    },
    Slot {
        name: "unseen",
        owed: Owed::AtLength,
        variants: &[only("encrypted", &["share"])],
        speak: facts::unseen,
    },
    Slot {
        name: "share_of",
        owed: Owed::AtLength,
        variants: &[only("located", &[]), only("overseas", &["home"])],
        speak: facts::share_of,
    },
    Slot {
        name: "share_interval",
        owed: Owed::AtLength,
        variants: &[only("share", &["country", "low", "high"])],
        speak: facts::share_interval,
    },
    Slot {
        name: "base_rate",
        owed: Owed::AtLength,
        variants: &[only("rate", &["share", "country"])],
        speak: facts::base_rate,
    },
    Slot {
        name: "beside",
        owed: Owed::AtLength,
        variants: &[only("home", BESIDE), only("no_home", BESIDE_NO_HOME)],
        speak: facts::beside,
    },
    Slot {
        name: "top_source",
        owed: Owed::AtLength,
        variants: &[only("top", &["source", "share"])],
        speak: facts::top_source,
    },
    Slot {
        name: "top_system",
        owed: Owed::AtLength,
        variants: &[only("top", &["system", "share"])],
        speak: facts::top_system,
    },
    Slot {
        name: "top_campaign",
        owed: Owed::AtLength,
        variants: &[
            only("top", &["campaign", "share"]),
            only("without", &["campaign", "share", "country", "without"]),
        ],
        speak: facts::top_campaign,
    },
    Slot {
        name: "disagreement",
        owed: Owed::AtLength,
        variants: &[only("units", &["country", "incidents", "sources"])],
        speak: facts::disagreement,
    },
    Slot {
        name: "ladder",
        owed: Owed::AtLength,
        variants: &[only("units", &["packets", "attempts", "sessions", "incidents", "campaigns", "sources"])],
        speak: facts::ladder,
    },
    Slot {
        name: "second",
        owed: Owed::AtLength,
        variants: &[only("database", &["disputed", "agreement"])],
        speak: facts::second,
    },
    Slot {
        name: "database",
        owed: Owed::AtLength,
        variants: &[only("names", &["databases"]), only("none", &[])],
        speak: facts::database,
    },
    Slot {
        name: "database_age",
        owed: Owed::AtLength,
        variants: &[only("newer", &["days"]), only("old", &["days"])],
        speak: facts::database_age,
    },
    Slot {
        name: "changed",
        owed: Owed::AtLength,
        variants: &[only("changed", &["changed"])],
        speak: facts::changed,
    },
    Slot {
        name: "trend",
        owed: Owed::AtLength,
        variants: &[
            only("fell", TREND),
            only("grew", TREND),
            only("none", TREND),
            only("untold", &["months"]),
        ],
        speak: facts::trend,
    },
    Slot {
        name: "made",
        owed: Owed::AtLength,
        variants: &[only("by", &["version", "from", "to", "detectors", "settings", "sha256"])],
        speak: facts::made,
    },
];

/// The clause of that name.
pub fn slot(name: &str) -> Option<&'static Slot> {
    SLOTS.iter().find(|slot| slot.name == name)
}

/// Words and phrases that clauses are filled with, and the placeholders that each must hold.
pub const WORDS: &[(&str, &[&str])] = &[
    ("according", &[]),
    ("at_least", &[]),
    ("changed_database", &[]),
    ("changed_detectors", &[]),
    ("changed_settings", &[]),
    ("changed_version", &[]),
    ("date", &["day", "month", "year"]),
    ("list", &[]),
    ("not_told", &[]),
    ("p_small", &["p"]),
    ("p_value", &["p"]),
    ("period_day", &["day", "month", "year"]),
    ("period_hour", &["day", "month", "year", "hour"]),
    ("period_month", &["month", "year"]),
    ("period_range", &["from", "to"]),
    ("period_year", &["year"]),
    ("sites_many", &["number"]),
    ("sites_named", &["name"]),
    ("sites_one", &[]),
    ("sites_some", &[]),
    ("times_many", &["count"]),
    ("times_one", &[]),
    ("times_two", &[]),
];
