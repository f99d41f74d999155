//! Every attack of a plan is judged an attack of its class, and no honest request is.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use gatewatch::capture::Sink;
use gatewatch::config::Settings;
use gatewatch::detect::Detector;
use gatewatch::handoff::{Outbox, Parcel, Record, WhenFull, channel};
use gatewatch::inspect::Inspector;
use gatewatch::inspect::detector_cell::DetectorCell;
use gatewatch::inspect::limits::limits;
use gatewatch::model::attempt::Attempt;
use gatewatch::model::frame::{Frame, Link};
use gatewatch::model::grade::Grade;
use gatewatch::model::time::Timestamp;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::conversation::{Conversation, Course};
use support::generator::plan::Plan;
use support::generator::schedule::Schedule;

/// One conversation at a time through the packet path.
struct Path {
    inspector: Inspector,
    receiver: crossbeam_channel::Receiver<Parcel>,
}

impl Path {
    fn new(detector: Arc<DetectorCell>) -> Self {
        let (sender, receiver) = channel(65_536);
        let inspector =
            Inspector::new(limits(32 << 20), detector, Outbox::new(sender, 0, WhenFull::DropNewest));
        Self { inspector, receiver }
    }

    fn attempts(mut self, conversation: &Conversation, plan: &Plan) -> Vec<Attempt> {
        for (time, bytes) in conversation.packets(&plan.shape) {
            let (time, length) = (Timestamp(time.cast_signed()), bytes.len() as u32);
            self.inspector.frame(&Frame { time, bytes: &bytes, length, link: Link::RawIp });
        }
        self.inspector.finish();
        let records = self.receiver.try_iter().map(|(_, record)| record);
        let mut attempts: Vec<Attempt> = records
            .filter_map(|record| match record {
                Record::Attempt(attempt) => Some(*attempt),
                _ => None,
            })
            .collect();
        attempts.sort_by_key(|attempt| attempt.time);
        attempts
    }
}

fn say(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(600).collect()
}

/// What is wrong with the verdicts on one conversation.
fn surprise(conversation: &Conversation, attempts: &[Attempt]) -> Option<String> {
    let planned: Vec<_> =
        conversation.exchanges.iter().filter(|exchange| exchange.attack.is_some()).collect();
    if planned.len() != attempts.len() {
        let requests: Vec<String> =
            conversation.exchanges.iter().map(|exchange| say(&exchange.request)).collect();
        let judged: Vec<_> = attempts.iter().map(|attempt| &attempt.judgement).collect();
        return Some(format!(
            "{} attacks were planned, {} judged\n{}\n{judged:?}",
            planned.len(),
            attempts.len(),
            requests.join("\n---\n")
        ));
    }
    let wanted = if conversation.course == Course::Blind { Grade::E0 } else { Grade::E2 };
    for (exchange, attempt) in planned.iter().zip(attempts) {
        let kind = exchange.attack.expect("planned");
        if !kind.classes().contains(&attempt.judgement.class.id()) {
            let class = attempt.judgement.class;
            let evidence = &attempt.judgement.evidence;
            return Some(format!("{kind:?} was judged {class}\n{}\n{evidence:?}", say(&exchange.request)));
        }
        if attempt.grade != wanted {
            return Some(format!(
                "{:?} has grade {:?}, should be {wanted:?}",
                conversation.course, attempt.grade
            ));
        }
        if attempt.client != conversation.client || attempt.server != conversation.server {
            return Some(format!("the ends of {attempt:?} are not those of the conversation"));
        }
    }
    let sessions = attempts.iter().filter(|attempt| attempt.opens_session).count();
    (sessions > 1 || (sessions == 0 && !attempts.is_empty()))
        .then(|| format!("{sessions} sessions in one conversation"))
}

#[test]
fn every_planned_attack_is_judged_as_its_kind_and_nothing_else_is() {
    let plan = Plan::named("demo").expect("a built-in plan");
    let detector = Detector::new(&Settings::default()).expect("the built-in rules compile");
    let detector = Arc::new(DetectorCell::new(Arc::new(detector)));
    let mut schedule = Schedule::of(&plan);
    let mut surprises = Vec::new();
    let (mut attacks, mut benign) = (0, 0);
    for slot in schedule.slots() {
        for conversation in schedule.conversations(slot) {
            let planned = conversation.exchanges.iter().filter(|exchange| exchange.attack.is_some()).count();
            attacks += planned;
            benign += conversation.exchanges.len() - planned;
            let attempts = Path::new(detector.clone()).attempts(&conversation, &plan);
            if let Some(text) = surprise(&conversation, &attempts) {
                let request =
                    conversation.exchanges.first().map(|exchange| say(&exchange.request)).unwrap_or_default();
                let sort: String =
                    request.chars().filter(|letter| !letter.is_ascii_digit()).take(32).collect();
                surprises.push((sort, text));
            }
        }
    }
    assert!(attacks > 5_000 && benign > 5_000, "{attacks} attacks and {benign} honest requests were tried");
    // One example of each sort: the rest of a long list would only repeat it.
    let sorts: BTreeMap<String, &String> =
        surprises.iter().map(|(sort, text)| (sort.clone(), text)).collect();
    let shown: Vec<_> = sorts.values().take(40).collect();
    assert!(surprises.is_empty(), "{} of {attacks} + {benign}:\n{shown:#?}", surprises.len());
}
