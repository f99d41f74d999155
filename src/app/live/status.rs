//! How a running pipeline is: whether its threads move, what its interfaces show, what is wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::app::live::{Pipeline, lock};
use crate::app::pipeline::Stages;
use crate::app::shared::secs;
use crate::app::state::{InterfaceStatus, State, Status, ThreadStatus};
use crate::capture::health::{Device, Health};
use crate::capture::live::clock;
use crate::capture::watch::State as LinkState;
use crate::config::capture::Capture;
use crate::model::memory::Share;

/// A thread without a sign of life for so long is stalled, where no watchdog waits for it.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// Threads give one a second; a busy machine holds them up for longer than that.
const STALLED_MIN: Duration = Duration::from_secs(3);
/// Bytes before a packet in a frame: Ethernet with one VLAN tag.
const LINK_HEADER_BYTES: u32 = 18;
/// No IP packet is longer, whatever the MTU of a loopback.
const FRAME_MAX_BYTES: u32 = 65_535;

/// When a thread is said to be stalled: half of what the watchdog of the service gives it, so that it is said before it bites.
pub(super) fn stalled_after() -> Duration {
    sd_notify::watchdog_enabled().map_or(STALLED_AFTER, |given| (given / 2).max(STALLED_MIN))
}

/// A captured interface: its name, its state as told by its thread, and what was last logged of it.
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) health: Arc<Health>,
    logged: (LinkState, Device),
}

impl Watched {
    pub(super) fn new(name: &str, health: Arc<Health>) -> Self {
        let logged = (LinkState::default(), health.device());
        Self { name: name.to_owned(), health, logged }
    }

    /// What is wrong with it.
    fn trouble(&self, capture: &Capture) -> Option<String> {
        let (name, silence_mins) = (&self.name, capture.silence_mins);
        match self.health.state() {
            LinkState::Watching => self.cut(capture),
            LinkState::Down => {
                Some(format!("interface {name} is down or has no carrier: nothing is observed on it"))
            }
            LinkState::Silent => Some(format!(
                "interface {name} is up, and no frame came for {silence_mins} min or longer: is the cable, the mirror \
                 port or capture.filter the right one?"
            )),
            LinkState::Gone => {
                Some(format!("interface {name} is gone: nothing is observed on it until it is back"))
            }
            LinkState::ClockUnset => Some(format!(
                "the clock shows a time before gatewatch was built: frames of {name} cannot be dated and are not judged"
            )),
        }
    }

    /// Whether its frames can be longer than what is kept of one.
    fn cut(&self, capture: &Capture) -> Option<String> {
        let mtu = self.health.device().mtu;
        let longest = mtu.saturating_add(LINK_HEADER_BYTES).min(FRAME_MAX_BYTES);
        (mtu > 0 && longest > capture.snaplen).then(|| {
            format!(
                "interface {} has an MTU of {mtu}, and capture.snaplen = {} cuts its longest frames: requests are judged on a \
                 part",
                self.name, capture.snaplen
            )
        })
    }

    /// Logs what has changed since the last look.
    fn log_changes(&mut self, capture: &Capture) {
        let (state, device) = (self.health.state(), self.health.device());
        let before = std::mem::replace(&mut self.logged, (state, device));
        let iface = &self.name;
        if device != before.1 {
            let Device { mtu, speed_mbits } = device;
            tracing::info!(iface, mtu, speed_mbits, "the interface has another MTU or speed");
        }
        let has_changed = state != before.0;
        let is_other_cut = state == LinkState::Watching && device.mtu != before.1.mtu;
        match self.trouble(capture) {
            Some(trouble) if has_changed || is_other_cut => tracing::warn!("{trouble}"),
            None if has_changed => tracing::info!(iface, "the interface is watched again"),
            _ => {}
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
        let now = clock();
        let mut told = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.to_string(),
            detector_set: self.detectors.current().set_hash().to_owned(),
            confinement: self.confinement.clone(),
            databases: lock(&self.used).described(),
            interfaces: self.interfaces(),
            ..Status::default()
        };
        self.shared.fill(&mut told, now);
        self.fill_vitals(&mut told);
        told.troubles.extend(
            self.stalled()
                .map(|(name, age)| format!("thread {name} gives no sign of life for {} s", age.as_secs())),
        );
        told.troubles.extend(lock(&self.watched).iter().filter_map(|watched| watched.trouble(&self.capture)));
        let Troubles { refused, age } = &*lock(&self.troubles);
        told.troubles.extend(refused.iter().chain(age).cloned());
        let state = self.state(&told);
        told.vitals.healthy = state.is_healthy();
        state.name().clone_into(&mut told.state);
        told
    }

    /// The one word, which the status, its exit code, the metrics and the service manager are told alike.
    fn state(&self, told: &Status) -> State {
        let is_observing = lock(&self.watched).iter().any(|watched| watched.health.state().is_observing());
        if self.shared.stop.load(Ordering::Acquire) {
            State::Stopping
        } else if !told.interfaces.iter().any(|interface| interface.capturing) {
            State::Starting
        } else if self.stalled().next().is_some() {
            State::Stalled
        } else if !is_observing {
            State::Blind
        } else if !self.shared.is_writing() {
            State::NotWriting
        } else if told.troubles.is_empty() && self.is_running() {
            State::Capturing
        } else {
            State::Degraded
        }
    }

    fn interfaces(&self) -> Vec<InterfaceStatus> {
        let told = |(watched, (name, thread)): (&Watched, &super::CaptureThread)| {
            let Device { mtu, speed_mbits } = watched.health.device();
            InterfaceStatus {
                name: name.clone(),
                capturing: !thread.is_finished(),
                link: watched.health.state().name().to_owned(),
                mtu,
                speed_mbits,
            }
        };
        let watched = lock(&self.watched);
        watched.iter().zip(lock(&self.captures).iter()).map(told).collect()
    }

    /// How long ago each thread gave a sign of life.
    fn ages(&self) -> Vec<(String, Duration)> {
        let beats = &self.shared.beats;
        let captures = lock(&self.watched)
            .iter()
            .map(|watched| (format!("capture-{}", watched.name), watched.health.heartbeat.age()))
            .collect::<Vec<_>>();
        let others = [("classify", &beats.classify), ("report", &beats.report), ("control", &beats.control)];
        captures.into_iter().chain(others.map(|(name, beat)| (name.to_owned(), beat.age()))).collect()
    }

    fn stalled(&self) -> impl Iterator<Item = (String, Duration)> {
        self.ages().into_iter().filter(|(_, age)| *age >= self.stalled_after)
    }

    fn fill_vitals(&self, told: &mut Status) {
        let limit = usize::try_from(self.memory_limit).unwrap_or(usize::MAX);
        let vitals = &mut told.vitals;
        let age_ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        vitals.threads =
            self.ages().into_iter().map(|(name, age)| ThreadStatus { name, age_ms: age_ms(age) }).collect();
        vitals.channel = [self.waiting.len() as u64, self.waiting.capacity().unwrap_or(0) as u64];
        vitals.started_secs = secs(self.started);
        vitals.resident_bytes = self.resident.bytes();
        vitals.memory_limit_bytes = self.memory_limit;
        vitals.memory_shares =
            Share::all().map(|share| (share.name().to_owned(), share.of(limit) as u64)).collect();
        vitals.databases_built_secs = lock(&self.used).built();
    }

    /// The control plane's look at everything: it lives, and logs each interface that has changed since the last one.
    pub fn look(&self) {
        self.shared.beats.control.beat();
        for watched in lock(&self.watched).iter_mut() {
            watched.log_changes(&self.capture);
        }
    }

    /// Says at the start what of the interfaces' frames cannot be seen.
    pub fn log_cut(&self) {
        for trouble in lock(&self.watched).iter().filter_map(|watched| watched.cut(&self.capture)) {
            tracing::warn!("{trouble}");
        }
    }

    /// A number that moves only while every capture thread, classify and report move. One that cannot write moves as long as it
    /// tries: to start anew would lose what it holds.
    pub fn heartbeat(&self) -> u64 {
        let now = self.shared.beats.counted();
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
