//! What leaves a worker: records, and what a full channel refuses.

use std::net::SocketAddr;

use crate::handoff::Record;
use crate::inspect::attempts::{Awaited, Held};
use crate::inspect::{FlowState, Path};
use crate::model::attempt::AttemptId;
use crate::model::contact::Contact;
use crate::model::progress::{Counter, Reading};
use crate::stream::View;

/// Servers told apart between two reports of progress.
const SERVERS_MAX: usize = 1_024;

impl Path {
    /// Hands on the awaited attempts of a conversation that `is_ready` picks.
    pub(super) fn release(
        &mut self,
        view: &View,
        state: &mut FlowState,
        is_ready: impl Fn(&Awaited) -> bool,
    ) {
        for awaited in state.awaited.extract_if(.., |awaited| is_ready(awaited)) {
            self.emit(awaited.held, view);
        }
    }

    /// Hands on a record with what its conversation proves by now.
    pub(super) fn emit(&mut self, held: Held, view: &View) {
        match held {
            Held::Attempt(mut attempt) => {
                attempt.grade = view.grade;
                attempt.one_sided = view.one_sided;
                if view.one_sided {
                    self.counters.count(Counter::AttemptsOneSided);
                }
                self.send(Record::Attempt(attempt), Counter::ChannelDrops);
            }
            // Without a reply nothing became of it.
            Held::Credential(_) => {}
            Held::Contact(contact, times) => {
                for number in 0..u64::from(times) {
                    // Several credentials of one message differ by their number in it.
                    let id = AttemptId(contact.id.0.wrapping_add(number));
                    let contact = Contact { id, grade: view.grade, ..contact.clone() };
                    self.send(Record::Contact(contact), Counter::ContactDrops);
                }
            }
        }
    }

    /// Notes that a conversation with a server has ended.
    pub(super) fn serve(&mut self, server: SocketAddr, reading: Reading) {
        if self.served.len() >= SERVERS_MAX && !self.served.contains_key(&server) {
            return self.counters.count(Counter::ServersUnlisted);
        }
        if let Some(count) = self.served.entry(server).or_default().get_mut(reading as usize) {
            *count += 1;
        }
    }

    /// Sends a record; one that a full channel refuses is counted as lost.
    pub(super) fn send(&mut self, record: Record, lost: Counter) {
        if self.outbox.send(record).is_err() {
            self.counters.count(lost);
        }
    }
}
