//! From an act that was judged to the attempt it counts as.

use crate::model::attempt::{Attempt, Evidence, Judgement, Outcome, Transport};
use crate::model::class::{Class, ClassSet};
use crate::model::contact::{Act, Contact, Login, Touched};

/// Name of a protocol that was not recognised.
pub const UNKNOWN_PROTOCOL: &str = "unknown";
/// Place of the evidence that lists what a source is after; campaigns are told by it.
pub const TARGETS_PLACE: &str = "targets";
/// Certainty of a judgement over several acts: the tests are set for one honest client in 100,000.
pub const CERTAINTY: f32 = 0.99;
/// That of one over acts that were inferred from lengths and times.
const CERTAINTY_INFERRED: f32 = 0.9;

/// Why acts count: what is the same for all that are judged together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Id of the detector.
    pub rule: &'static str,
    /// What it saw, for people.
    pub excerpt: Box<str>,
    /// What the source is after, where several sources may be after the same.
    pub targets: Option<Box<str>>,
}

/// The attempt that an act counts as. `opens_session` is left to the caller: logins share conversations.
pub fn attempt(act: &Contact, class: Class, reason: &Reason) -> Box<Attempt> {
    let place = match act.transport {
        Transport::Tcp => format!("tcp/{}", act.server.port()),
        Transport::Udp => format!("udp/{}", act.server.port()),
        Transport::Icmp => "icmp".to_owned(),
    };
    let mut evidence =
        vec![Evidence { rule: reason.rule.into(), place: place.into(), excerpt: reason.excerpt.clone() }];
    if let Some(targets) = &reason.targets {
        let place = TARGETS_PLACE.into();
        evidence.push(Evidence { rule: reason.rule.into(), place, excerpt: targets.clone() });
    }
    let (outcome, score) = match act.act {
        Act::Login(login) if login.inferred => (Outcome::Refused, CERTAINTY_INFERRED),
        Act::Unmet(unmet) if unmet.topic.is_inferred() => (Outcome::Refused, CERTAINTY_INFERRED),
        Act::Login(_)
        | Act::Unmet(_)
        | Act::Touched(Touched::Refused | Touched::Unreachable | Touched::Unrouted) => {
            (Outcome::Refused, CERTAINTY)
        }
        Act::Touched(_) => (Outcome::Attempted, CERTAINTY),
    };
    Box::new(Attempt {
        id: act.id,
        time: act.time,
        client: act.client,
        server: act.server,
        transport: act.transport,
        app_proto: act.app_proto.unwrap_or(UNKNOWN_PROTOCOL),
        flow_id: act.flow_id,
        opens_session: true,
        grade: act.grade,
        one_sided: false,
        inferred: match act.act {
            Act::Login(Login { inferred, .. }) => inferred,
            Act::Touched(_) => false,
            Act::Unmet(unmet) => unmet.topic.is_inferred(),
        },
        frames: act.frames.max(1),
        judgement: Judgement { class, labels: ClassSet::default(), score, evidence },
        outcome,
        marks: act.marks.clone(),
        http: act.http.as_deref().cloned(),
    })
}

/// The text of a span, as short as it is for people: `12 s`, `7 min`, `3 h`.
pub fn span_text(micros: i64) -> String {
    let secs = micros.div_euclid(1_000_000);
    match secs {
        ..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        _ => format!("{} h", secs / 3_600),
    }
}
