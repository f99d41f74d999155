//! How a running pipeline is: whether its threads move, what its interfaces show, what is wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::app::live::{Pipeline, lock};
use crate::app::pipeline::{InterfaceStatus, Stages, Status};
use crate::capture::watch::{Health, State};

/// A captured interface: its name, its state as told by its thread, and the state that was last logged.
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) health: Arc<Health>,
    pub(super) logged: State,
}

impl Watched {
    /// What is wrong with it.
    fn trouble(&self, silence_mins: u32) -> Option<String> {
        let name = &self.name;
        match self.health.state() {
            State::Watching => None,
            State::Down => {
                Some(format!("interface {name} is down or has no carrier: nothing is observed on it"))
            }
            State::Silent => Some(format!(
                "interface {name} is up, and no frame came for {silence_mins} min or longer: is the cable, the mirror \
                 port or capture.filter the right one?"
            )),
            State::ClockUnset => Some(format!(
                "the clock shows a time before gatewatch was built: frames of {name} cannot be dated and are not judged"
            )),
        }
    }
}

/// What is wrong with the databases.
#[derive(Default)]
pub(super) struct Troubles {
    /// A file that was not taken.
    pub(super) refused: Option<String>,
    /// Age of the one that decides; its whole days change, its being too old does not.
    pub(super) age: Option<String>,
}

impl Pipeline {
    /// Its state.
    pub fn status(&self) -> Status {
        let states: Vec<State> = lock(&self.watched).iter().map(|watched| watched.health.state()).collect();
        let interfaces: Vec<InterfaceStatus> = lock(&self.captures)
            .iter()
            .zip(&states)
            .map(|((name, thread), state)| InterfaceStatus {
                name: name.clone(),
                capturing: !thread.is_finished(),
                link: state.name().to_owned(),
            })
            .collect();
        let mut told = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.to_string(),
            detector_set: self.detectors.current().set_hash().to_owned(),
            databases: lock(&self.used).described(),
            ..Status::default()
        };
        self.shared.fill(&mut told);
        told.troubles
            .extend(lock(&self.watched).iter().filter_map(|watched| watched.trouble(self.silence_mins)));
        let Troubles { refused, age } = &*lock(&self.troubles);
        told.troubles.extend(refused.iter().chain(age).cloned());
        let word = if self.shared.stop.load(Ordering::Acquire) {
            "stopping"
        } else if !interfaces.iter().any(|interface| interface.capturing) {
            "starting"
        } else if !states.iter().any(|state| state.is_observing()) {
            "blind"
        } else if told.troubles.is_empty() && self.is_running() {
            "capturing"
        } else {
            "degraded"
        };
        word.clone_into(&mut told.state);
        told.interfaces = interfaces;
        told
    }

    /// Logs each interface whose state has changed since the last look.
    pub fn log_changes(&self) {
        for watched in lock(&self.watched).iter_mut() {
            let now = watched.health.state();
            if now == std::mem::replace(&mut watched.logged, now) {
                continue;
            }
            if let Some(trouble) = watched.trouble(self.silence_mins) {
                tracing::warn!("{trouble}");
            } else {
                tracing::info!(iface = watched.name, "the interface is watched again");
            }
        }
    }

    /// A number that moves only while capture, classify and report all move.
    pub fn heartbeat(&self) -> u64 {
        let now = self.shared.beats();
        let mut moved = lock(&self.moved);
        if now.iter().zip(&moved.0).all(|(now, known)| now != known) {
            *moved = (now, moved.1 + 1);
        }
        moved.1
    }

    /// The threads that are at work, by name.
    pub fn unfinished(&self) -> Vec<String> {
        let captures = lock(&self.captures);
        let running = captures.iter().filter(|(_, thread)| !thread.is_finished());
        let mut names: Vec<String> = running.map(|(name, _)| format!("capture-{name}")).collect();
        names.extend(lock(&self.stages).iter().flat_map(Stages::unfinished).map(str::to_owned));
        names
    }

    /// Whether every thread is at work.
    pub fn is_running(&self) -> bool {
        self.unfinished().len() == lock(&self.captures).len() + Stages::NAMES.len()
    }
}
