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
use crate::capture::watch::{Health, State};
use crate::capture::{CaptureError, interfaces};
use crate::classify::classifier::Classifier;
use crate::classify::database::DatabaseInfo;
use crate::classify::geo::Geo;
use crate::classify::site::Fallback;
use crate::config::Settings;
use crate::detect::Detector;
use crate::exit::Fatal;
use crate::handoff::{CHANNEL_RECORDS, Outbox, WhenFull, channel};
use crate::inspect::detector_cell::DetectorCell;
use crate::inspect::{Inspector, limits};
use crate::model::time::Timestamp;
use crate::report::provenance::Provenance;
use crate::report::shape::Report;
use crate::report::writer::{Mode, Setup, Writer};

/// How long a reload waits for the classifier to count by the new settings.
const RELOAD_MAX: Duration = Duration::from_secs(5);

/// A capture thread and the name of its interface.
type CaptureThread = (String, JoinHandle<Result<(), CaptureError>>);

/// A captured interface: its name, its state as told by its thread, and the state that was last logged.
struct Watched {
    name: String,
    health: Arc<Health>,
    logged: State,
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

/// What the classifier counts by.
#[derive(Clone)]
struct Used {
    settings: Arc<Settings>,
    config_hash: String,
    provenance: Provenance,
    databases: Vec<DatabaseInfo>,
    lists_hash: String,
}

impl Used {
    fn new(settings: &Arc<Settings>, config_hash: &str, provenance: &Provenance, geo: &Geo) -> Self {
        Self {
            settings: Arc::clone(settings),
            config_hash: config_hash.to_owned(),
            provenance: provenance.clone(),
            databases: geo.infos(),
            lists_hash: geo.lists().hash(),
        }
    }

    /// Databases by name and date.
    fn described(&self) -> Vec<String> {
        self.databases.iter().map(|info| format!("{} {}", info.kind, info.build_date)).collect()
    }
}

/// What is wrong with the databases.
#[derive(Default)]
struct Troubles {
    /// A file that was not taken.
    refused: Option<String>,
    /// Age of the one that decides; its whole days change, its being too old does not.
    age: Option<String>,
}

/// A running live pipeline.
pub struct Pipeline {
    captures: Mutex<Vec<CaptureThread>>,
    watched: Mutex<Vec<Watched>>,
    silence_mins: u32,
    stages: Mutex<Option<Stages>>,
    shared: Arc<Shared>,
    detectors: Arc<DetectorCell>,
    started: Timestamp,
    /// What is counted by; changed by a reload.
    used: Mutex<Used>,
    /// Held while something else is taken into use, so that one change follows the other.
    changing: Mutex<()>,
    /// What is wrong with the databases.
    troubles: Mutex<Troubles>,
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
            state: settings.state.clone(),
            settings: settings.report.clone(),
            privacy: settings.privacy.clone(),
            mode: Mode::Live,
            provenance: prepare::provenance(settings, config_hash, &detector, &geo),
        };
        let used = Used::new(settings, config_hash, &setup.provenance, &geo);
        let (writer, repaired) = Writer::open(setup).map_err(|error| prepare::unwritable(&error))?;
        for told in repaired {
            tracing::warn!("{told}");
        }
        let mut classifier = Classifier::new(settings, geo, own_sites(&names, settings), opened.len(), false);
        let known =
            writer.identities(classifier.identities_max()).map_err(|error| prepare::unwritable(&error))?;
        classifier.preload(known);
        classifier.set_month_key(writer.month_key().map_err(|error| prepare::unwritable(&error))?);
        classifier.preload_observed(writer.spans().map_err(|error| prepare::unwritable(&error))?);
        classifier.preload_incidents(writer.open_incidents().map_err(|error| prepare::unwritable(&error))?);
        let (sender, records) = channel(CHANNEL_RECORDS);
        let shared = Arc::new(Shared::default());
        let os = |error: std::io::Error| Fatal::Os(format!("cannot start a thread: {error}"));
        let stages = Stages::start(classifier, writer, Mode::Live, records, &shared).map_err(os)?;
        let detectors = Arc::new(DetectorCell::new(detector));
        let memory = usize::try_from(settings.memory.limit.0).unwrap_or(usize::MAX) / opened.len().max(1);
        let mut captures = Vec::new();
        let watched = opened.iter().map(|live| Watched {
            name: live.interface().to_owned(),
            health: live.health(),
            logged: State::default(),
        });
        let watched = Mutex::new(watched.collect());
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
            watched,
            silence_mins: settings.capture.silence_mins,
            stages: Mutex::new(Some(stages)),
            shared,
            detectors,
            started: clock(),
            used: Mutex::new(used),
            changing: Mutex::new(()),
            troubles: Mutex::default(),
            moved,
        })
    }

    /// Takes new settings, rules and databases into use. What needs a restart keeps its value.
    pub fn reload(&self, settings: &Arc<Settings>, config_hash: &str) -> Result<(), String> {
        let _changing = lock(&self.changing);
        let detector: Arc<Detector> = prepare::detector(settings).map_err(|error| error.to_string())?;
        let geo = prepare::geo(settings).map_err(|error| error.to_string())?;
        let provenance = prepare::provenance(settings, config_hash, &detector, &geo);
        self.take(Used::new(settings, config_hash, &provenance, &geo), geo)?;
        self.detectors.replace(detector);
        lock(&self.troubles).refused = None;
        Ok(())
    }

    /// Lets the classifier count by something else.
    fn take(&self, used: Used, geo: Geo) -> Result<(), String> {
        let (taken, answer) = bounded(1);
        let (settings, provenance) = (Arc::clone(&used.settings), used.provenance.clone());
        let order = Order::Reload(Box::new(Reload { settings, geo, provenance, taken }));
        if !self.order(order) || answer.recv_timeout(RELOAD_MAX).is_err() {
            return Err("the classifier is too busy to take new settings; try again".into());
        }
        *lock(&self.used) = used;
        Ok(())
    }

    /// The settings in effect.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.used).settings)
    }

    /// Takes the databases and lists that `read` gives into use, if they are others than before. Where it gives none the
    /// ones in use stay; that is said once. False where the classifier was too busy: to be tried again.
    pub fn renew(&self, read: impl FnOnce(&Settings, &[DatabaseInfo]) -> Result<Geo, String>) -> bool {
        let _changing = lock(&self.changing);
        let old = lock(&self.used).clone();
        let geo = match read(&old.settings, &old.databases) {
            Ok(geo) => geo,
            Err(error) => {
                self.note_refused(Some(format!("{error}; what was read before stays in use")));
                return true;
            }
        };
        let detector = self.detectors.current();
        let provenance = prepare::provenance(&old.settings, &old.config_hash, &detector, &geo);
        let new = Used::new(&old.settings, &old.config_hash, &provenance, &geo);
        if (&new.databases, &new.lists_hash) != (&old.databases, &old.lists_hash) {
            let databases = new.described().join(", ");
            if let Err(error) = self.take(new, geo) {
                tracing::warn!(error, "databases are not renewed yet");
                return false;
            }
            tracing::info!(databases, "databases and lists are renewed");
        }
        self.note_refused(None);
        true
    }

    fn note_refused(&self, now: Option<String>) {
        let mut troubles = lock(&self.troubles);
        if troubles.refused != now {
            if let Some(error) = &now {
                tracing::error!(error, "database or list not taken");
            } else {
                tracing::info!("databases and lists are good again");
            }
            troubles.refused = now;
        }
    }

    /// Looks at the age of the database that decides; one that is too old is said once.
    pub fn note_age(&self, at: Timestamp) {
        let now = {
            let used = lock(&self.used);
            used.provenance.too_old(at, used.settings.origin.database_age_max_days)
        };
        let mut troubles = lock(&self.troubles);
        if let (Some(old), None) = (&now, &troubles.age) {
            tracing::warn!("{old}");
        }
        troubles.age = now;
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

fn refusal(error: &CaptureError) -> Fatal {
    let text = error.to_string();
    match error {
        CaptureError::Filter { .. } => Fatal::Configuration(text),
        CaptureError::Lost { .. } | CaptureError::Open { .. } => Fatal::DeviceLost(text),
        CaptureError::NoDefault { .. } | CaptureError::NoInterface { .. } => Fatal::NoInput(text),
        CaptureError::Permission { .. } => Fatal::Permission(text),
    }
}
