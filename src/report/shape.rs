//! The shape of a report: what `report-<period>.json` holds, member by member.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::grade::Grade;
use crate::model::place::Sector;
use crate::report::by_site::SitePart;
use crate::report::campaigns::CampaignRow;
use crate::report::dominance::{Agreement, Dominance};
use crate::report::incidents::IncidentRow;
use crate::report::merge::Merged;
use crate::report::reading::ReadingRow;
use crate::report::rebuild::repair::Repair;
use crate::report::regimes::RegimeRow;
use crate::report::rhythm::Rhythm;
use crate::report::trend::Trend;
use crate::report::units::UnitPart;
use crate::report::zone::Zone;

/// Version of the JSON's shape.
pub const SCHEMA_VERSION: u32 = 1;

/// Coverage of a span.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// Seconds in the span.
    pub seconds: i64,
    /// Seconds observed.
    pub seconds_observed: i64,
    /// Observed part, 0 to 1.
    pub share: f64,
}

/// `period`
#[derive(Clone, Debug, Serialize)]
pub struct PeriodPart {
    /// Its name, as in the file's name.
    pub name: String,
    /// `hour`, `day`, `month`, `year` or `range`.
    pub kind: &'static str,
    /// First moment, RFC 3339.
    pub from: String,
    /// First moment after, RFC 3339.
    pub to: String,
    /// How much of it was watched.
    pub coverage: Coverage,
}

/// What the numbers mean.
#[derive(Clone, Debug, Serialize)]
pub struct Definition {
    /// Version of these definitions.
    pub version: u32,
    /// An attempt.
    pub attempt: &'static str,
    /// A session.
    pub session: &'static str,
    /// An incident.
    pub incident: &'static str,
    /// A campaign.
    pub campaign: &'static str,
    /// A source.
    pub source: &'static str,
    /// Overseas.
    pub overseas: &'static str,
}

/// The words of definition version 1.
pub const DEFINITION: Definition = Definition {
    version: 1,
    attempt: "one application request judged an attack, however many rules agree, one failed login, one probed port or one second of a flood; retransmissions and copies are not counted again",
    session: "one transport conversation that holds at least one attempt",
    incident: "attempts of one source, class and site with gaps no longer than the setting (30 minutes by default)",
    campaign: "incidents whose first attempts share class, rule, client program and skeleton of the payload: a likeness, not a proof of one hand",
    source: "one IPv4 address, or one IPv6 /64",
    overseas: "located by the database in a country that is not declared home, with a completed handshake at least (grade E1 or better)",
};

/// The ladder of units.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Frames captured.
    pub packets: u64,
    /// Attempts, headline or not.
    pub attempts: u64,
    /// The least and the most they can be, given what was lost; `null` where the store is too old to tell.
    pub interval: Option<[u64; 2]>,
    /// Sessions.
    pub sessions: u64,
    /// Incidents.
    pub incidents: u64,
    /// Campaigns: distinct fingerprints of incidents; `null` for ranges that cut days apart.
    pub campaigns: Option<u64>,
    /// Distinct sources; `null` for ranges that cut days apart, and for hours whose addresses are gone.
    pub sources: Option<u64>,
    /// Units whose number is a lower bound, whatever was lost on the wire.
    pub lower_bounds: Vec<&'static str>,
    /// Units whose number is an estimate (standard error 1.6 per cent).
    pub estimates: Vec<&'static str>,
}

/// The country with the largest share.
#[derive(Clone, Debug, Serialize)]
pub struct TopCountry {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its attempts in the headline.
    pub attempts: u64,
    /// Its part of the base, 0 to 1.
    pub share: f64,
    /// 95 per cent interval of the share, bootstrapped over sources; `null` where fewer than two sources are known.
    pub interval: Option<[f64; 2]>,
    /// Its part of the IPv4 addresses that the database locates, 0 to 1.
    pub base_rate: Option<f64>,
}

/// The headline.
#[derive(Clone, Debug, Serialize)]
pub struct Headline {
    /// The sentence.
    pub text: String,
    /// What is counted in it.
    pub unit: &'static str,
    /// Which classes, by family.
    pub classes: [&'static str; 3],
    /// Sites with attempts in it, or configured.
    pub sites: Vec<String>,
    /// Attempts in it, whatever their origin.
    pub attempts: u64,
    /// Those from overseas; `null` where no home is declared.
    pub overseas_attempts: Option<u64>,
    /// The least and the most that the headline's number can be, given what was lost.
    pub interval: Option<[u64; 2]>,
    /// How much it rests on a few.
    pub dominance: Dominance,
    /// The share of the top country by other units.
    pub agreement: Option<Agreement>,
    /// Days from the build of the deciding database to the last hour that it counted; negative if it was built later.
    pub database_age_days: Option<i64>,
    /// What a second database makes of it; `null` where there is none.
    pub second_opinion: Option<SecondOpinion>,
    /// By calendar months of the period; `null` under a month.
    pub overseas_monthly_mean: Option<f64>,
    /// The same by observed time.
    pub overseas_monthly_mean_normalised: Option<f64>,
    /// The country with the largest share of the overseas attempts (of all located ones where no home is declared).
    pub top_country: Option<TopCountry>,
    /// Whether losses make the counts a lower bound.
    pub lower_bound: bool,
}

/// What a second database makes of the attempts in the headline.
#[derive(Clone, Debug, Serialize)]
pub struct SecondOpinion {
    /// Attempts that both databases know.
    pub compared: u64,
    /// Of these, those they put into different countries. An "of which": they stay in the rows of the first.
    pub disputed: u64,
    /// The part that they agree on, 0 to 1.
    pub agreement: f64,
}

/// A row of counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Attempts.
    pub attempts: u64,
    /// Of these, in the headline.
    pub headline_attempts: u64,
    /// Of these, from overseas.
    pub overseas_attempts: u64,
    /// Sessions.
    pub sessions: u64,
    /// Incidents.
    pub incidents: u64,
}

impl Counts {
    /// Adds `other`.
    pub const fn add(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.headline_attempts += other.headline_attempts;
        self.overseas_attempts += other.overseas_attempts;
        self.sessions += other.sessions;
        self.incidents += other.incidents;
    }
}

/// Adds counts to a row of a table; its name is copied but once.
pub fn add_to(table: &mut BTreeMap<String, Counts>, key: &str, counts: Counts) {
    match table.get_mut(key) {
        Some(sum) => sum.add(counts),
        None => {
            table.insert(key.to_owned(), counts);
        }
    }
}

/// A row with a name.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Id: site name, class id, grade, sector, label.
    pub id: String,
    /// Title for people.
    pub title: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Distinct campaigns, where they are told.
    pub campaigns: Option<u64>,
    /// Distinct sources, where they are told.
    pub sources: Option<u64>,
}

/// A row of origins.
#[derive(Clone, Debug, Serialize)]
pub struct OriginRow {
    /// What the row is of: `country`, `as`, `prefix`, `infrastructure`, `registered`. The rows of each kind sum to the total;
    /// of hours and ranges that cut days apart only countries are told.
    pub kind: &'static str,
    /// Country code, or `private`, `unknown`, `proxy`, `EU`, `AP`; `AS64500`; `192.0.2.0/24`; a class of infrastructure;
    /// `not_determined`, `others`.
    pub code: String,
    /// Name.
    pub name: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Its part of the overseas attempts (of all located ones where no home is declared); `null` for a row outside the base.
    pub share: Option<f64>,
    /// 95 per cent interval of the share, bootstrapped over sources; told of the largest countries.
    pub interval: Option<[f64; 2]>,
    /// The country's part of the IPv4 addresses that the database locates, 0 to 1.
    pub base_rate: Option<f64>,
    /// Distinct campaigns.
    pub campaigns: Option<u64>,
    /// Distinct sources.
    pub sources: Option<u64>,
    /// Of the attempts, those that a second database puts elsewhere.
    pub disputed: Option<u64>,
}

/// A step of the series.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Hour, day or month.
    pub period: String,
    /// Seconds observed in it.
    pub seconds_observed: i64,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Distinct campaigns, where they are told.
    pub campaigns: Option<u64>,
    /// Distinct sources, where they are told.
    pub sources: Option<u64>,
    /// What changed in it of how is counted: `database`, `detectors`, `settings`, `version`; `coverage` where less than nine
    /// tenths of it were observed.
    pub breaks: Vec<&'static str>,
}

/// `detectors`
#[derive(Clone, Debug, Serialize)]
pub struct Detectors {
    /// Hash of the detection set.
    pub set_hash: String,
}

/// One report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this shape.
    pub schema_version: u32,
    /// Version of gatewatch.
    pub gatewatch_version: String,
    /// The period.
    pub period: PeriodPart,
    /// Whether the period can still change.
    pub open: bool,
    /// The site it is restricted to.
    pub site: Option<String>,
    /// What the numbers mean.
    pub definition: Definition,
    /// The ladder.
    pub totals: Totals,
    /// The headline.
    pub headline: Headline,
    /// By site.
    pub sites: Vec<Row>,
    /// By site, its classes and its largest origins.
    pub by_site: Vec<SitePart>,
    /// By origin.
    pub origins: Vec<OriginRow>,
    /// By row of the statement.
    pub sectors: Vec<Row>,
    /// By the operator's labels; attempts without one are not in it.
    pub labels: Vec<Row>,
    /// By class.
    pub classes: Vec<Row>,
    /// By grade.
    pub grades: Vec<Row>,
    /// By what one attempt is, each unit with tables of its own.
    pub units: Vec<UnitPart>,
    /// By site, how much of its conversations could be read, and what encryption hides.
    pub readings: Vec<ReadingRow>,
    /// Over time.
    pub series: Vec<Step>,
    /// When in the week; `null` under a week, and where hours are no longer kept.
    pub rhythm: Option<Rhythm>,
    /// Whether it is getting worse; `null` but for months and years.
    pub trend: Option<Trend>,
    /// The largest incidents that touch the period, those in the headline first.
    pub incidents: Vec<IncidentRow>,
    /// Campaigns with most attempts.
    pub campaigns: Vec<CampaignRow>,
    /// The stretches that were counted in one way each: databases, detectors, settings.
    pub regimes: Vec<RegimeRow>,
    /// What was lost, by counter; every loss that the counters know, zeros included.
    pub losses: BTreeMap<String, u64>,
    /// Acts that were watched and never made an attack: first contacts without an answer, refused logins, seconds of much
    /// traffic. They are in no total.
    pub not_judged: BTreeMap<String, u64>,
    /// The other counters of the packet path.
    pub counters: BTreeMap<String, u64>,
    /// Endpoints where a rule hits many clients that do nothing else: to be looked at, and excepted if they are honest.
    pub likely_false_alarms: Vec<crate::report::doubtful::Doubtful>,
    /// Declared home.
    pub home: Vec<String>,
    /// Databases in use.
    pub databases: Vec<crate::report::provenance::Database>,
    /// Detection set in use.
    pub detectors: Detectors,
    /// Hash of the settings.
    pub config_hash: String,
    /// What is written of addresses: `full`, `truncate`, `pseudonym`. Sources are told apart by that.
    pub addresses: String,
    /// Where the report is for the public: the fewest sources that a row of its own rests on.
    pub public_sources_min: Option<u64>,
    /// Where it is put together from several sensors: what it rests on.
    pub merged: Option<Merged>,
    /// What was counted again from event lines, because the store was damaged, missing or behind; left out where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
    /// The file that this one corrects.
    pub corrects: Option<String>,
    /// Hash of the closed period of this kind before this one.
    pub previous_sha256: Option<String>,
    /// The time zone that texts and pages show times in; no part of what is stored and hashed.
    #[serde(skip)]
    pub zone: Zone,
}

/// Title of a row of the statement.
pub const fn sector_title(sector: Sector) -> &'static str {
    match sector {
        Sector::Overseas => "Overseas",
        Sector::Domestic => "Domestic",
        Sector::Located => "Located (no home declared)",
        Sector::Region => "Region only",
        Sector::Unknown => "Unknown to the database",
        Sector::Private => "Private or unroutable",
        Sector::Proxy => "Behind a proxy, client unknown",
        Sector::Unprovable => "Origin not provable",
    }
}

/// Title of a grade.
pub const fn grade_title(grade: Grade) -> &'static str {
    match grade {
        Grade::E0 => "Source could be forged",
        Grade::E1 => "Handshake completed",
        Grade::E2 => "Two-way exchange",
        Grade::E3 => "Named by a trusted proxy",
        Grade::X => "Trusted proxy without a client",
    }
}
