//! What the conversations of TCP tell: bytes go to their protocol, what it finds is judged, and what is ready is handed on.

use crate::decode::transport::Segment;
use crate::inspect::attempts::Judge;
use crate::inspect::{FlowState, Path};
use crate::model::attempt::Attempt;
use crate::model::contact::Touched;
use crate::model::grade::Grade;
use crate::model::stream::{Chunk, Side};
use crate::model::surge::SurgeKind;
use crate::model::time::Timestamp;
use crate::protocol::{self, Conversation};
use crate::stream::{Consumer, Stall, View};

impl Consumer for Path {
    type State = FlowState;

    fn touched(&mut self, view: &View, _: &mut FlowState, how: Touched) {
        self.opened(view, how);
    }

    fn stray(&mut self, now: Timestamp, segment: &Segment<'_>) {
        self.stray_segment(now, segment);
    }

    fn stalled(&mut self, view: &View, state: &mut FlowState, stall: Stall) {
        match stall {
            Stall::Begins => self.holds(view, state, SurgeKind::SlowRead),
            Stall::Ends => self.goes_on(view, state),
        }
    }

    fn sender_of(&self, bytes: &[u8]) -> Option<Side> {
        protocol::sender_of(bytes)
    }

    fn data(&mut self, view: &View, state: &mut FlowState, from: Side, chunk: Chunk<'_>) {
        self.with_judge(view, state, |conversation, judge| {
            conversation.data(from, &chunk, view.server.port(), judge);
        });
        if from == Side::Client {
            self.pace(view, state, chunk.bytes.len());
        }
        if view.grade >= Grade::E2 && !state.awaited.is_empty() {
            self.release(view, state, |awaited| awaited.replied);
        }
    }

    fn gap(&mut self, view: &View, state: &mut FlowState, from: Side, missing: u64) {
        self.with_judge(view, state, |conversation, judge| conversation.gap(from, missing, judge));
    }

    fn acknowledged(&mut self, view: &View, state: &mut FlowState) {
        // The reply's head tells the outcome, its acknowledgement by the client the grade.
        if view.grade >= Grade::E2 && !state.awaited.is_empty() {
            self.release(view, state, |awaited| awaited.replied);
        }
    }

    fn closed(&mut self, view: &View, state: &mut FlowState, from: Side) {
        self.with_judge(view, state, |conversation, judge| conversation.closed(from, judge));
    }

    fn ended(&mut self, view: &View, state: &mut FlowState) {
        self.with_judge(view, state, |conversation, judge| {
            conversation.closed(Side::Client, judge);
            conversation.closed(Side::Server, judge);
        });
        self.release(view, state, |_| true);
        if view.grade >= Grade::E1
            && let Some(reading) = state.conversation.reading()
        {
            self.serve(view.server, reading);
        }
        self.goes_on(view, state);
    }

    fn held(state: &FlowState) -> usize {
        state.conversation.held() + state.awaited.len() * size_of::<Attempt>() + state.marks.held()
    }
}

impl Path {
    /// Runs `act` with a judge of this conversation's requests, then hands on what is ready.
    pub fn with_judge(
        &mut self,
        view: &View,
        state: &mut FlowState,
        act: impl FnOnce(&mut Conversation, &mut Judge<'_>),
    ) {
        let FlowState { conversation, awaited, attacked, marks, .. } = state;
        let mut judge = Judge { path: self, view, awaited, attacked, marks };
        act(conversation, &mut judge);
    }
}
