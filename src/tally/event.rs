//! Event lines as they are handed to the reporter: one of an attempt, or one of an incident for many.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::attempt::Attempt;
use crate::model::grade::Grade;
use crate::model::origin::Origin;
use crate::model::place::Sector;
use crate::model::time::Timestamp;
use crate::tally::CampaignId;

/// One event line, already classified. Formatting is left to the report room.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The attempt as it crossed the channel.
    pub attempt: Box<Attempt>,
    /// Its attributed client (the peer, unless a trusted proxy named another), as it is written.
    pub client: IpAddr,
    /// Whether it is not its address that is written.
    pub hidden: bool,
    /// Grade after the proxy headers were weighed.
    pub grade: Grade,
    /// Site name.
    pub site: Arc<str>,
    /// Origin.
    pub origin: Origin,
    /// Attempts that the line stands for: those of its incident since the line before.
    pub represented: u64,
    /// What it adds to the tally beside its attempts.
    pub contribution: Contribution,
    /// The incident so far; none for web requests, which have a line each.
    pub incident: Option<Incident>,
}

/// What the attempts of a line add to the tally, and in which row: who puts the reports of several sensors together takes an
/// attempt that two of them saw out of one again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contribution {
    /// Row of the statement.
    pub sector: Sector,
    /// The operator's label.
    pub label: Option<Arc<str>>,
    /// Whether they count in the headline.
    pub headline: bool,
    /// Campaign of the incident.
    pub campaign: CampaignId,
    /// Conversations that they opened.
    pub sessions: u64,
    /// Incidents that they began.
    pub incidents: u64,
}

/// Where in its incident a line stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The first line.
    Begin,
    /// One of those a minute.
    Continues,
    /// The last line; it may stand for no attempt.
    End,
}

impl Stage {
    /// The name in event lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Continues => "continues",
            Self::End => "end",
        }
    }
}

/// An incident, as far as it has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Incident {
    /// Where in it this is.
    pub stage: Stage,
    /// Time of its first attempt.
    pub first: Timestamp,
    /// Time of its last attempt.
    pub last: Timestamp,
    /// Attempts so far.
    pub attempts: u64,
    /// Attempts of its busiest minute.
    pub peak_per_minute: u64,
}
