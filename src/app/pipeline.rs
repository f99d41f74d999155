//! The threads of one run: capture → classify → report; started, asked and joined here.
//!
//! A thread ends because its sender is gone: capture stops and drops its end of the channel, classify drains it,
//! sends its last snapshot and drops its own end, report writes that and returns. Whoever spawns joins.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::app::journal::Herald;
use crate::app::shared::{Shared, Writing};
use crate::capture::live::clock;
use crate::classify::classifier::Classifier;
use crate::classify::geo::Geo;
use crate::classify::site::Fallback;
use crate::config::Settings;
use crate::handoff::{Parcel, Record};
use crate::report::ReportError;
use crate::report::provenance::Provenance;
use crate::report::store::Pulse;
use crate::report::writer::closing::Settled;
use crate::report::writer::{Mode, Writer};
use crate::tally::Snapshot;

/// The classifier looks so often whether a snapshot is due: every `state.sync_secs`th time.
const TICK_EVERY: Duration = Duration::from_millis(500);
/// Rows after which a snapshot is handed on at once, so that memory stays bounded: three are under way at most, and with the
/// event lines of some 1,000 attempts each takes about 3 MB.
const SNAPSHOT_ROWS: usize = 4_096;
/// How long the classifier waits for whoever ordered a reload to meet it.
const MEET_MAX: Duration = Duration::from_millis(50);
/// Pause before a write that failed is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Tries of the last write when the daemon is told to stop: it must end within 10 s.
const LAST_TRIES: u32 = 5;

/// What reports may take once the daemon is told to stop.
const LAST_REPORTS_MAX: Duration = Duration::from_secs(2);

/// What the control plane may ask of a running pipeline.
#[derive(Debug)]
pub enum Order {
    /// Use these settings and databases from now on.
    Reload(Box<Reload>),
    /// Start a new part of the events file now.
    Rotate,
}

/// What a reload brings.
#[derive(Debug)]
pub struct Reload {
    /// New settings.
    pub settings: Arc<Settings>,
    /// New databases.
    pub geo: Geo,
    /// What is a site where the settings name none.
    pub fallback: Fallback,
    /// What makes the numbers from now on.
    pub provenance: Provenance,
    /// Met when the classifier is about to count by them; where nobody waits there any more nothing is changed.
    pub taken: Sender<()>,
}

/// From one way of counting to the next.
struct Turn {
    /// What was counted in the old way.
    counted: Box<Snapshot>,
    settings: Arc<Settings>,
    provenance: Provenance,
}

/// To the report thread.
enum Message {
    Reload(Box<Turn>),
    Rotate,
    Snapshot(Box<Snapshot>),
}

/// Classify and report, running. Capture is started by live or replay, each in its own way.
pub struct Stages {
    classify: JoinHandle<()>,
    report: JoinHandle<Result<Writer, ReportError>>,
    orders: Sender<Order>,
}

fn spawn<T: Send + 'static>(
    name: &str,
    act: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(act)
}

impl Stages {
    /// Starts both threads. The classifier takes records from `records`; the herald tells of incidents, where one is wanted.
    pub fn start(
        classifier: Classifier,
        (writer, herald): (Writer, Option<Herald>),
        mode: Mode,
        records: Receiver<Parcel>,
        shared: &Arc<Shared>,
    ) -> std::io::Result<Self> {
        // One snapshot under way and one waiting; a third merges into what the classifier holds.
        let (to_report, messages) = bounded(1);
        let (orders, orders_in) = bounded(8);
        let ticks_each = writer.sync_secs();
        shared.note_repair(&writer);
        let report_shared = Arc::clone(shared);
        let report = spawn("report", move || report(writer, herald, &messages, &report_shared))?;
        let classify_shared = Arc::clone(shared);
        let classify = spawn("classify", move || {
            Classify { classifier, mode, to_report, shared: classify_shared, ticks_each }
                .run(&records, &orders_in);
        })?;
        Ok(Self { classify, report, orders })
    }

    /// Hands an order to the classifier, which passes on what concerns the reporter. False where it is busy.
    pub fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Names of both threads.
    pub const NAMES: [&'static str; 2] = ["classify", "report"];

    /// Those of them that are at work.
    pub fn unfinished(&self) -> impl Iterator<Item = &'static str> {
        let finished = [self.classify.is_finished(), self.report.is_finished()];
        Self::NAMES.into_iter().zip(finished).filter_map(|(name, finished)| (!finished).then_some(name))
    }

    /// Waits for both to end; capture must have dropped its end of the channel.
    pub fn join(self) -> Result<Writer, String> {
        self.classify.join().map_err(|_| "the classify thread panicked".to_owned())?;
        let written = self.report.join().map_err(|_| "the report thread panicked".to_owned())?;
        written.map_err(|error| error.to_string())
    }
}

struct Classify {
    classifier: Classifier,
    mode: Mode,
    to_report: Sender<Message>,
    shared: Arc<Shared>,
    /// Ticks from one snapshot to the next.
    ticks_each: u32,
}

impl Classify {
    fn run(mut self, records: &Receiver<Parcel>, orders: &Receiver<Order>) {
        let ticks = crossbeam_channel::tick(TICK_EVERY);
        let nothing = crossbeam_channel::never();
        let mut waited = 0;
        loop {
            // An order is passed on to the reporter. While that one has no room, as its disk hangs, orders wait, and counting goes on.
            let orders = if self.to_report.is_full() { &nothing } else { orders };
            crossbeam_channel::select! {
                recv(records) -> parcel => match parcel {
                    Ok(parcel) => self.take(parcel),
                    Err(_) => break,
                },
                recv(orders) -> order => if let Ok(order) = order { self.obey(order) },
                recv(ticks) -> _ => {
                    self.shared.beats.classify.beat();
                    waited += 1;
                    if self.mode == Mode::Live && waited >= self.ticks_each {
                        waited = 0;
                        self.hand_on();
                    }
                }
            }
        }
        self.classifier.finish();
        let last = Box::new(self.classifier.take_snapshot());
        // The reporter only goes after this sender is dropped.
        let _ = self.to_report.send(Message::Snapshot(last));
    }

    fn take(&mut self, (worker, record): Parcel) {
        match record {
            Record::Attempt(attempt) => {
                self.shared.told().attempts += 1;
                self.classifier.attempt(attempt);
            }
            Record::Contact(contact) => self.classifier.contact(&contact),
            Record::Surge(surge) => self.classifier.surge(&surge),
            Record::Progress(progress) => {
                self.shared.beats.passed(worker);
                self.shared.told().counters.merge(&progress.counters);
                self.classifier.progress(worker, &progress);
            }
        }
        if self.classifier.pending() >= SNAPSHOT_ROWS {
            match self.mode {
                Mode::Live => self.hand_on(),
                Mode::Replay => {
                    let snapshot = Box::new(self.classifier.take_snapshot());
                    let _ = self.to_report.send(Message::Snapshot(snapshot));
                }
            }
        }
    }

    /// Hands a snapshot on, if the reporter has room; else it merges into the next.
    fn hand_on(&mut self) {
        if !self.to_report.is_full() {
            let _ = self.to_report.try_send(Message::Snapshot(Box::new(self.classifier.take_snapshot())));
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Reload(reload) => {
                let Reload { settings, geo, fallback, provenance, taken } = *reload;
                if taken.send_timeout((), MEET_MAX).is_err() {
                    return;
                }
                let counted = Box::new(self.classifier.take_snapshot());
                let turn = Box::new(Turn { counted, settings: Arc::clone(&settings), provenance });
                let _ = self.to_report.send(Message::Reload(turn));
                self.classifier.take_fallback(fallback);
                self.classifier.reload(&settings, Some(geo));
            }
            Order::Rotate => {
                let _ = self.to_report.send(Message::Rotate);
            }
        }
    }
}

/// The report thread: nothing it was given is ever dropped; a write that fails is tried again.
fn report(
    mut writer: Writer,
    mut herald: Option<Herald>,
    messages: &Receiver<Message>,
    shared: &Arc<Shared>,
) -> Result<Writer, ReportError> {
    if let Err(error) = writer.set_pulse(pulse(shared)) {
        tracing::warn!(%error, "work of the store that takes long will be taken for a stall");
    }
    loop {
        let message = match messages.recv_timeout(RETRY_EVERY) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                shared.beats.report.beat();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        shared.beats.report.beat();
        match message {
            Message::Reload(turn) => {
                let Turn { counted, settings, provenance } = *turn;
                record(shared, &mut writer, herald.as_mut(), counted)?;
                if let Some(herald) = &mut herald {
                    herald.reload(&settings.report);
                }
                let reloaded = writer.reload(&settings, provenance);
                shared.note(Writing::Tallies, reloaded.err().map(|error| error.to_string()));
            }
            Message::Rotate => writer.rotate(),
            Message::Snapshot(snapshot) => {
                record(shared, &mut writer, herald.as_mut(), snapshot)?;
                // A report that cannot be written now is written the next time; the tallies are safe.
                let begun = steady();
                let settled = writer.settle();
                if !matches!(settled, Ok(Settled::Later)) {
                    writer.note_settling(begun.elapsed());
                }
                match settled {
                    Ok(Settled::Later) => {}
                    Err(error) if error.is_given_up() => {}
                    Ok(Settled::Done) => shared.note(Writing::Reports, None),
                    Err(error) if error.is_corrupt() => replace_store(shared, &mut writer, &error),
                    Err(error) => shared.note(Writing::Reports, Some(error.to_string())),
                }
            }
        }
    }
    insist(shared, &mut writer, Writer::finish)?;
    Ok(writer)
}

/// What is called while the store works: the report thread lives; and some time after the daemon was told to stop there is none left
/// for reports.
fn pulse(shared: &Arc<Shared>) -> Pulse {
    let (shared, stopping) = (Arc::clone(shared), OnceLock::new());
    Arc::new(move || {
        shared.beats.report.beat();
        shared.stop.load(Ordering::Acquire) && stopping.get_or_init(steady).elapsed() > LAST_REPORTS_MAX
    })
}

/// Tells and writes what was counted.
fn record(
    shared: &Shared,
    writer: &mut Writer,
    herald: Option<&mut Herald>,
    mut snapshot: Box<Snapshot>,
) -> Result<(), ReportError> {
    shared.told().activity.take(&snapshot);
    // Whoever hooks on should not wait for the disk.
    if let Some(herald) = herald {
        herald.tell(&snapshot);
    }
    let (reached, begun) = (snapshot.watermark, steady());
    insist(shared, writer, |writer| writer.record(&mut snapshot))?;
    shared.wrote(reached, clock(), begun.elapsed());
    shared.note(Writing::Events, writer.events_stopped().map(str::to_owned));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "app is one of the two rooms that read a clock")]
fn steady() -> Instant {
    Instant::now()
}

/// Goes on with a rebuilt store: to try the damaged one again would fail for ever.
fn replace_store(shared: &Shared, writer: &mut Writer, why: &ReportError) {
    tracing::error!(error = %why, "the store is damaged; it is moved aside and rebuilt");
    let replaced = writer.replace_store(why, &mut |said| {
        shared.beats.report.beat();
        tracing::info!("{said}");
    });
    match replaced {
        Ok(told) => {
            for told in told {
                tracing::warn!("{told}");
            }
            shared.note_repair(writer);
        }
        Err(error) => shared.note(Writing::Tallies, Some(error.to_string())),
    }
}

/// Tries until it works; once the daemon stops, only a few times more.
fn insist(
    shared: &Shared,
    writer: &mut Writer,
    mut act: impl FnMut(&mut Writer) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    let mut last_tries = 0;
    loop {
        let Err(error) = act(writer) else {
            shared.note(Writing::Tallies, None);
            return Ok(());
        };
        if error.is_corrupt() {
            replace_store(shared, writer, &error);
        }
        shared.note(Writing::Tallies, Some(error.to_string()));
        if shared.stop.load(Ordering::Acquire) {
            last_tries += 1;
            if last_tries >= LAST_TRIES {
                return Err(error);
            }
        }
        shared.beats.report.beat();
        std::thread::park_timeout(RETRY_EVERY);
    }
}
