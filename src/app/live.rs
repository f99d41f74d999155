//! The live pipeline: one capture thread an interface, classify, report.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;
use ipnet::IpNet;

use crate::app::pipeline::{InterfaceStatus, Order, Reload, Shared, Stages, Status};
use crate::app::prepare;
use crate::capture::live::{Live, clock};
use crate::capture::{CaptureError, interfaces};
use crate::classify::classifier::Classifier;
use crate::classify::geo::Geo;
use crate::classify::site::Fallback;
use crate::config::Settings;
use crate::detect::Detector;
use crate::exit::Fatal;
use crate::handoff::{CHANNEL_RECORDS, Outbox, WhenFull, channel};
use crate::inspect::{DetectorCell, Inspector, limits};
use crate::model::time::Timestamp;
use crate::report::shape::Report;
use crate::report::writer::{Mode, Setup, Writer};

/// How long a reload waits for the classifier to count by the new settings.
const RELOAD_MAX: Duration = Duration::from_secs(5);

/// A capture thread and the name of its interface.
type CaptureThread = (String, JoinHandle<Result<(), CaptureError>>);

/// A running live pipeline.
pub struct Pipeline {
    captures: Mutex<Vec<CaptureThread>>,
    stages: Mutex<Option<Stages>>,
    shared: Arc<Shared>,
    detectors: Arc<DetectorCell>,
    started: Timestamp,
    /// Databases, told by name and date; changed by a reload.
    databases: Mutex<Vec<String>>,
    /// Beats as of the last look, and how often all stages had moved.
    moved: Mutex<([u64; 3], u64)>,
}

impl Pipeline {
    /// Opens the interfaces first (the one thing that needs a privilege), then everything else, then starts.
    pub fn start(settings: &Arc<Settings>, config_hash: &str) -> Result<Self, Fatal> {
        let names = interface_names(settings)?;
        let opened = names
            .iter()
            .map(|name| Live::open(name, &settings.capture))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refusal(&error))?;
        let detector = prepare::detector(settings)?;
        let geo = prepare::geo(settings)?;
        let setup = Setup {
            state: settings.state.directory.clone(),
            settings: settings.report.clone(),
            keep_years: settings.state.keep_years,
            mode: Mode::Live,
            provenance: prepare::provenance(settings, config_hash, &detector, &geo),
        };
        let (writer, repaired) = Writer::open(setup).map_err(|error| prepare::unwritable(&error))?;
        for told in repaired {
            tracing::warn!("{told}");
        }
        let databases = described(&geo);
        let mut classifier = Classifier::new(settings, geo, own_sites(&names, settings), opened.len(), false);
        let known =
            writer.identities(classifier.identities_max()).map_err(|error| prepare::unwritable(&error))?;
        classifier.preload(known);
        let (sender, records) = channel(CHANNEL_RECORDS);
        let shared = Arc::new(Shared::default());
        let os = |error: std::io::Error| Fatal::Os(format!("cannot start a thread: {error}"));
        let stages = Stages::start(classifier, writer, Mode::Live, records, &shared).map_err(os)?;
        let detectors = Arc::new(DetectorCell::new(detector));
        let memory = usize::try_from(settings.memory.limit.0).unwrap_or(usize::MAX) / opened.len().max(1);
        let mut captures = Vec::new();
        for (worker, live) in opened.into_iter().enumerate() {
            let outbox = Outbox::new(sender.clone(), worker, WhenFull::DropNewest);
            let mut inspector = Inspector::new(limits(memory), Arc::clone(&detectors), outbox);
            let shared = Arc::clone(&shared);
            let name = live.interface().to_owned();
            let thread = std::thread::Builder::new().name(format!("capture-{name}")).spawn(move || {
                let ended = live.run(&mut inspector, &shared.stop);
                inspector.finish();
                ended
            });
            captures.push((name, thread.map_err(os)?));
        }
        let moved = Mutex::new((shared.beats(), 0));
        Ok(Self {
            captures: Mutex::new(captures),
            stages: Mutex::new(Some(stages)),
            shared,
            detectors,
            started: clock(),
            databases: Mutex::new(databases),
            moved,
        })
    }

    /// Takes new settings, rules and databases into use. What needs a restart keeps its value.
    pub fn reload(&self, settings: &Arc<Settings>, config_hash: &str) -> Result<(), String> {
        let detector: Arc<Detector> = prepare::detector(settings).map_err(|error| error.to_string())?;
        let geo = prepare::geo(settings).map_err(|error| error.to_string())?;
        let provenance = prepare::provenance(settings, config_hash, &detector, &geo);
        let databases = described(&geo);
        let (taken, answer) = bounded(1);
        let order =
            Order::Reload(Box::new(Reload { settings: Arc::clone(settings), geo, provenance, taken }));
        if !self.order(order) || answer.recv_timeout(RELOAD_MAX).is_err() {
            return Err("the classifier is too busy to take new settings; try again".into());
        }
        self.detectors.replace(detector);
        *lock(&self.databases) = databases;
        Ok(())
    }

    fn order(&self, order: Order) -> bool {
        lock(&self.stages).as_ref().is_some_and(|stages| stages.order(order))
    }

    /// Starts a new part of the events file.
    pub fn rotate(&self) {
        if !self.order(Order::Rotate) {
            tracing::warn!("too busy to rotate");
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

    /// Its state.
    pub fn status(&self) -> Status {
        let interfaces: Vec<InterfaceStatus> = lock(&self.captures)
            .iter()
            .map(|(name, thread)| InterfaceStatus { name: name.clone(), capturing: !thread.is_finished() })
            .collect();
        let mut told = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.to_string(),
            detector_set: self.detectors.current().set_hash().to_owned(),
            databases: lock(&self.databases).clone(),
            ..Status::default()
        };
        self.shared.fill(&mut told);
        let word = if self.shared.stop.load(Ordering::Acquire) {
            "stopping"
        } else if !interfaces.iter().any(|interface| interface.capturing) {
            "starting"
        } else if told.troubles.is_empty() && self.is_running() {
            "capturing"
        } else {
            "degraded"
        };
        word.clone_into(&mut told.state);
        told.interfaces = interfaces;
        told
    }

    /// Tells capture to stop; the other stages follow.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }

    /// Waits for every thread, in the order in which they end. Gives the last word, and what ended capture.
    pub fn join(&self) -> Result<Option<(PathBuf, Report)>, Fatal> {
        let mut ended = None;
        let captures = std::mem::take(&mut *lock(&self.captures));
        for (name, thread) in captures {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    // One interface is gone: the others must not count on without saying so.
                    self.shared.stop.store(true, Ordering::Release);
                    tracing::error!(%error, "capture ended");
                    ended = ended.or(Some(Fatal::DeviceLost(error.to_string())));
                }
                Err(_) => {
                    ended = ended.or(Some(Fatal::Bug(format!("the capture thread of {name} panicked"))));
                }
            }
        }
        let Some(stages) = lock(&self.stages).take() else { return Ok(None) };
        let writer = stages.join().map_err(Fatal::Io)?;
        let last = writer.last_word().map_err(|error| prepare::unwritable(&error))?;
        ended.map_or(Ok(last), Err)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn interface_names(settings: &Settings) -> Result<Vec<String>, Fatal> {
    if settings.capture.interfaces.is_empty() {
        return interfaces::default_route().map(|name| vec![name]).map_err(|error| refusal(&error));
    }
    let mut names = settings.capture.interfaces.clone();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Where no site is named: the interfaces' own addresses and the home networks.
fn own_sites(names: &[String], settings: &Settings) -> Fallback {
    let own = names.iter().flat_map(|name| interfaces::addresses(name)).map(IpNet::from);
    Fallback::Own(own.chain(settings.origin.home_networks.iter().map(|network| network.0)).collect())
}

fn described(geo: &Geo) -> Vec<String> {
    geo.infos().into_iter().map(|info| format!("{} {}", info.kind, info.build_date)).collect()
}

fn refusal(error: &CaptureError) -> Fatal {
    let text = error.to_string();
    match error {
        CaptureError::Filter { .. } => Fatal::Configuration(text),
        CaptureError::Lost { .. } | CaptureError::Open { .. } => Fatal::DeviceLost(text),
        CaptureError::NoDefault { .. } | CaptureError::NoInterface { .. } => Fatal::NoInput(text),
        CaptureError::Permission { .. } => Fatal::Permission(text),
    }
}
