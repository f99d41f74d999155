//! The live pipeline: one capture thread an interface, classify, report.

mod renewal;
mod status;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Receiver;
use ipnet::IpNet;
use sd_notify::NotifyState;

use crate::app::bounds;
use crate::app::daemon;
use crate::app::journal::Herald;
use crate::app::live::renewal::Used;
use crate::app::live::status::{Troubles, Watched};
use crate::app::pipeline::{Order, Stages};
use crate::app::prepare;
use crate::app::resident::Resident;
use crate::app::shared::Shared;
use crate::capture::live::{Live, clock};
use crate::capture::{CaptureError, interfaces};
use crate::classify::classifier::Classifier;
use crate::classify::site::Fallback;
use crate::config::Settings;
use crate::config::capture::Capture;
use crate::confine::Bounds;
use crate::exit::Fatal;
use crate::handoff::{CHANNEL_RECORDS, Outbox, Parcel, WhenFull, channel};
use crate::inspect::Inspector;
use crate::inspect::detector_cell::DetectorCell;
use crate::inspect::limits::limits;
use crate::model::time::Timestamp;
use crate::report::ReportError;
use crate::report::provenance::Provenance;
use crate::report::shape::Report;
use crate::report::writer::{Mode, Setup, Writer};

/// One step of rebuilding a store, the event lines of a day, takes no longer: ten minutes are some gigabytes of them.
const WORK_MAX_MICROS: u32 = 600_000_000;

/// A capture thread and the name of its interface.
type CaptureThread = (String, JoinHandle<Result<(), CaptureError>>);

/// A running live pipeline.
pub struct Pipeline {
    captures: Mutex<Vec<CaptureThread>>,
    watched: Mutex<Vec<Watched>>,
    /// `[capture]` as it was at the start.
    capture: Capture,
    /// Bytes of `memory.limit` at the start.
    memory_limit: u64,
    /// The other end of the channel, to see how much is in it.
    waiting: Receiver<Parcel>,
    resident: Resident,
    /// Addresses of the interfaces at the start: one that is gone at a reload still has its sites.
    own: Vec<IpNet>,
    stages: Mutex<Option<Stages>>,
    shared: Arc<Shared>,
    detectors: Arc<DetectorCell>,
    started: Timestamp,
    /// A thread without a sign of life for so long is stalled.
    stalled_after: Duration,
    /// What is counted by; changed by a reload.
    used: Mutex<Used>,
    /// Held while something else is taken into use, so that one change follows the other.
    changing: Mutex<()>,
    /// What the process has given up, a line a part.
    confinement: Vec<String>,
    /// What is wrong with the databases.
    troubles: Mutex<Troubles>,
    /// Beats as of the last look, and how often all stages had moved.
    moved: Mutex<(Vec<u64>, u64)>,
}

impl Pipeline {
    /// Opens the interfaces first (the one thing that needs a privilege), gives up what is not needed any more, then
    /// reads everything else, then starts. To be called while there is one thread.
    pub fn start(settings: &Arc<Settings>, config_hash: &str, bounds: &Bounds) -> Result<Self, Fatal> {
        let names = interface_names(settings)?;
        let opened = names
            .iter()
            .map(|name| Live::open(name, &settings.capture))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refusal(&error))?;
        // Files that are read again and again while none of their folder may be.
        let resident = Resident::open();
        let mut herald = Herald::open(&settings.report, clock());
        let confinement = bounds::confine(bounds);
        let detector = prepare::detector(settings)?;
        let geo = prepare::geo(settings)?;
        let setup = setup(settings, prepare::provenance(settings, config_hash, &detector, &geo));
        let used = Used::new(settings, config_hash, &setup.provenance, &geo);
        let (writer, repaired) =
            Writer::open_watched(setup, &mut working).map_err(|error| prepare::unwritable(&error))?;
        for told in repaired {
            tracing::warn!("{told}");
        }
        let own = own_addresses(&names);
        let mut classifier = Classifier::new(settings, geo, own_sites(&own, settings), opened.len(), false);
        go_on(&writer, &mut classifier, &mut herald).map_err(|error| prepare::unwritable(&error))?;
        let (sender, records) = channel(CHANNEL_RECORDS);
        let waiting = records.clone();
        let shared = Arc::new(Shared::of_workers(opened.len()));
        let os = |error: std::io::Error| Fatal::Os(format!("cannot start a thread: {error}"));
        let stages =
            Stages::start(classifier, (writer, Some(herald)), Mode::Live, records, &shared).map_err(os)?;
        let detectors = Arc::new(DetectorCell::new(detector));
        let memory = usize::try_from(settings.memory.limit.0).unwrap_or(usize::MAX) / opened.len().max(1);
        let mut captures = Vec::new();
        let watched = opened.iter().map(|live| Watched::new(live.interface(), live.health()));
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
        let moved = Mutex::new((shared.beats.counted(), 0));
        Ok(Self {
            captures: Mutex::new(captures),
            watched,
            capture: settings.capture.clone(),
            memory_limit: settings.memory.limit.0,
            waiting,
            resident,
            own,
            stages: Mutex::new(Some(stages)),
            shared,
            detectors,
            started: clock(),
            stalled_after: status::stalled_after(),
            used: Mutex::new(used),
            changing: Mutex::new(()),
            troubles: Mutex::default(),
            moved,
            confinement,
        })
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

/// Takes over what an earlier run left: what was counted and observed, and the incidents that may go on.
fn go_on(writer: &Writer, classifier: &mut Classifier, herald: &mut Herald) -> Result<(), ReportError> {
    classifier.preload(writer.identities(classifier.identities_max())?);
    classifier.set_month_key(writer.month_key()?);
    classifier.preload_observed(writer.spans()?);
    let open = writer.open_incidents()?;
    herald.preload(&open);
    classifier.preload_incidents(open);
    Ok(())
}

/// What the writer needs to know.
fn setup(settings: &Settings, provenance: Provenance) -> Setup {
    Setup {
        state: settings.state.clone(),
        settings: settings.report.clone(),
        privacy: settings.privacy.clone(),
        mode: Mode::Live,
        provenance,
        prefixes: settings.origin.prefixes(),
    }
}

/// Work at the start that takes time: the service manager must wait for it.
fn working(said: &str) {
    tracing::info!("{said}");
    daemon::notify(&[NotifyState::ExtendTimeoutUsec(WORK_MAX_MICROS), NotifyState::Status(said)]);
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

/// The interfaces' own addresses.
fn own_addresses(names: &[String]) -> Vec<IpNet> {
    names.iter().flat_map(|name| interfaces::addresses(name)).map(IpNet::from).collect()
}

/// Where no site is named: the interfaces' own addresses and the home networks.
fn own_sites(own: &[IpNet], settings: &Settings) -> Fallback {
    let home = settings.origin.home_networks.iter().map(|network| network.0);
    Fallback::Own(own.iter().copied().chain(home).collect())
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
