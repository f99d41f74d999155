//! Live capture on one interface.
//!
//! libpcap's blocking read returns neither on its time-out nor for a stop on an idle interface, so the handle is
//! non-blocking and the waiting is done here, with a time-out of our own.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use pcap::{Active, Capture, Stat};

use crate::capture::health::Health;
use crate::capture::interfaces::{self, ANY, LinkFiles};
use crate::capture::watch::{Link as LinkState, Look, State, Watch};
use crate::capture::{CaptureError, Lost, Sink};
use crate::config::capture::Capture as Settings;
use crate::confine::capability;
use crate::model::frame::{Frame, Link};
use crate::model::time::{MICROS_PER_SEC, Timestamp};

/// After this long the kernel hands over a block that is not full; the longest wait for a frame.
const BLOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// Frames read before the clock and the stop flag are looked at again.
const BATCH_FRAMES: usize = 256;
/// How far behind the clock packet time is kept, so that frames not handed over yet are not late.
const LATE_MICROS: i64 = MICROS_PER_SEC / 2;
/// How often statistics are read and the sink is ticked.
const TICK: Duration = Duration::from_millis(500);
/// Ticks after which MTU and speed are asked for again: some drivers ask the device, which takes its time.
const DEVICE_TICKS: u32 = 10;

/// What libpcap has counted on a handle that was just opened.
const NOTHING_YET: Stat = Stat { received: 0, dropped: 0, if_dropped: 0 };

/// An open interface.
pub struct Live {
    interface: String,
    settings: Settings,
    handle: Capture<Active>,
    link: Link,
    /// Whether the interface vanished; the handle is of no use then.
    gone: bool,
    known: Stat,
    files: LinkFiles,
    health: Arc<Health>,
    started: Instant,
    watch: Watch,
    /// Frames read since the last tick.
    heard: u64,
    /// Of these, those stamped by a clock that was never set.
    undated: u64,
    ticks: u32,
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "capture is one of the two rooms that read a clock")]
pub fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_parts(
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        i64::from(since.subsec_micros()),
    )
}

#[expect(clippy::disallowed_methods, reason = "capture is one of the two rooms that read a clock")]
fn steady() -> Instant {
    Instant::now()
}

impl Live {
    /// Opens an interface with the settings of `[capture]`.
    pub fn open(interface: &str, settings: &Settings) -> Result<Self, CaptureError> {
        let (handle, link) = open(interface, settings)?;
        let files = LinkFiles::of(interface);
        let health = Health::default();
        health.set_device(files.device());
        let first = Look { wall: clock(), steady: Duration::ZERO, link: files.look(), heard: false };
        Ok(Self {
            interface: interface.to_owned(),
            settings: settings.clone(),
            handle,
            link,
            gone: false,
            known: NOTHING_YET,
            files,
            health: Arc::new(health),
            started: steady(),
            watch: Watch::new(first, Duration::from_secs(u64::from(settings.silence_mins) * 60)),
            heard: 0,
            undated: 0,
            ticks: 0,
        })
    }

    /// Where its state is told while it runs.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Its name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Reads frames until `stop` is set, then what the kernel still holds. An interface that vanishes is waited for.
    pub fn run(mut self, sink: &mut impl Sink, stop: &AtomicBool) -> Result<(), CaptureError> {
        let mut poll = Poll::new().map_err(|error| self.failed(&error))?;
        self.register(&poll)?;
        let mut events = Events::with_capacity(4);
        let mut ticked = steady();
        while !stop.load(Ordering::Acquire) {
            let read = self.batch_or_gone((&mut poll, &mut events), sink);
            let now = steady();
            if now.duration_since(ticked) >= TICK {
                ticked = now;
                self.tick(read < BATCH_FRAMES, sink);
                self.leave_if_renamed((&mut poll, &mut events), sink);
                self.return_if_back(&poll)?;
            }
            // Readiness is edge-triggered; the time-out makes up for an edge that was missed.
            if read < BATCH_FRAMES
                && let Err(error) = poll.poll(&mut events, Some(BLOCK_TIMEOUT))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(self.failed(&error));
            }
        }
        if !self.gone {
            self.drain((&mut poll, &mut events), sink);
        }
        self.tick(true, sink);
        Ok(())
    }

    /// Has the handle's descriptor watched. One that is closed is watched no more.
    fn register(&self, poll: &Poll) -> Result<(), CaptureError> {
        let descriptor = self.handle.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)
            .map_err(|error| self.failed(&error))
    }

    /// Reads a batch; nothing while the interface is gone. What came before it went is still in the ring.
    fn batch_or_gone(&mut self, waiting: (&mut Poll, &mut Events), sink: &mut impl Sink) -> usize {
        if self.gone {
            return 0;
        }
        self.batch(sink).unwrap_or_else(|_| {
            self.drain(waiting, sink);
            self.gone = true;
            0
        })
    }

    /// Reads what the kernel still holds. The last block may not be handed over yet: its time-out is waited for.
    fn drain(&mut self, (poll, events): (&mut Poll, &mut Events), sink: &mut impl Sink) {
        let until = steady() + BLOCK_TIMEOUT * 2;
        while steady() < until {
            // That the interface is gone is known by now; the frames are what counts.
            if self.batch(sink).unwrap_or(0) == 0 {
                let _ = poll.poll(events, Some(BLOCK_TIMEOUT / 4));
            }
        }
    }

    /// Lets go of an interface that has another name now. The settings name what is captured: what has that name is opened,
    /// at once if there is one.
    fn leave_if_renamed(&mut self, waiting: (&mut Poll, &mut Events), sink: &mut impl Sink) {
        if !self.gone && self.files.are_of_another() {
            self.drain(waiting, sink);
            self.gone = true;
        }
    }

    /// Opens the interface again if it is back, for which alone the privilege is raised. One that may not be opened again
    /// ends the capture: the service manager starts it anew.
    fn return_if_back(&mut self, poll: &Poll) -> Result<(), CaptureError> {
        if !self.gone {
            return Ok(());
        }
        match capability::with_net_raw(|| open(&self.interface, &self.settings)) {
            Ok((handle, link)) => {
                (self.handle, self.link) = (handle, link);
                self.known = NOTHING_YET;
                self.files = LinkFiles::of(&self.interface);
                self.health.set_device(self.files.device());
                self.gone = false;
                self.register(poll)
            }
            Err(error @ CaptureError::Permission { .. }) => Err(error),
            Err(_) => Ok(()),
        }
    }

    /// The link now.
    fn look(&self) -> LinkState {
        if self.gone { LinkState { up: false, changes: 0 } } else { self.files.look() }
    }

    /// Reads frames until there are none or the batch is full.
    fn batch(&mut self, sink: &mut impl Sink) -> Result<usize, CaptureError> {
        self.watch.reach(self.started.elapsed());
        for read in 0..BATCH_FRAMES {
            let frame = match self.handle.next_packet() {
                Ok(packet) => frame(&packet, self.link),
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => return Ok(read),
                Err(error) => {
                    let complaint = error.to_string();
                    return Err(CaptureError::Lost { interface: self.interface.clone(), complaint });
                }
            };
            self.heard += 1;
            if !self.watch.hand_on(&frame, || self.started.elapsed(), sink) {
                self.undated += 1;
            }
        }
        Ok(BATCH_FRAMES)
    }

    /// Tells the sink what was watched and lost since the last time. `drained`: the ring was seen empty.
    fn tick(&mut self, drained: bool, sink: &mut impl Sink) {
        let (wall, steady) = (clock(), self.started.elapsed());
        let heard = std::mem::take(&mut self.heard) > 0;
        let seen = self.watch.look(Look { wall, steady, link: self.look(), heard });
        self.health.set(if self.gone { State::Gone } else { seen.state });
        self.health.heartbeat.beat();
        self.ticks = self.ticks.wrapping_add(1);
        // While it is down or gone, what was known of it stays.
        if self.ticks.is_multiple_of(DEVICE_TICKS) && !self.gone && seen.state.is_observing() {
            self.health.set_device(self.files.device());
        }
        if let Some((from, to)) = seen.observed {
            sink.observed(from, to);
        }
        if seen.down_micros > 0 {
            sink.down(seen.down_micros);
        }
        let mut lost = Lost { undated: std::mem::take(&mut self.undated), ..Lost::default() };
        if !self.gone
            && let Ok(stat) = self.handle.stats()
        {
            lost.kernel = since(stat.dropped, self.known.dropped);
            lost.interface = since(stat.if_dropped, self.known.if_dropped);
            self.known = stat;
        }
        if lost != Lost::default() {
            sink.lost(lost);
        }
        // Frames stamped before now may still lie in the ring's open block.
        let reached = self.watch.reached(wall.plus_micros(-LATE_MICROS), (drained, seen.stepped), sink);
        sink.tick(reached);
    }

    fn failed(&self, error: &std::io::Error) -> CaptureError {
        CaptureError::Lost { interface: self.interface.clone(), complaint: error.to_string() }
    }
}

/// Opens an interface, non-blocking.
fn open(interface: &str, settings: &Settings) -> Result<(Capture<Active>, Link), CaptureError> {
    interfaces::check(interface)?;
    let refused = |error: pcap::Error| refusal(interface, &error);
    let mut handle = Capture::from_device(interface)
        .map_err(refused)?
        // "any" cannot be promiscuous; libpcap would refuse.
        .promisc(settings.promiscuous && interface != ANY)
        .snaplen(i32::try_from(settings.snaplen).unwrap_or(i32::MAX))
        .buffer_size(i32::try_from(settings.buffer.0).unwrap_or(i32::MAX))
        .timeout(i32::try_from(BLOCK_TIMEOUT.as_millis()).unwrap_or(i32::MAX))
        .open()
        .map_err(refused)?;
    set_filter(&mut handle, &settings.filter)?;
    let link = Link::from_number(handle.get_datalink().0);
    Ok((handle.setnonblock().map_err(refused)?, link))
}

/// What a counter of libpcap grew by. It is 32 bits wide and wraps; one that was set back to zero, as some drivers do with
/// the interface, shows as a growth by most of its width, and then only what it counted since is known.
fn since(now: u32, known: u32) -> u64 {
    let grown = now.wrapping_sub(known);
    u64::from(if grown > u32::MAX / 2 { now } else { grown })
}

/// A packet of libpcap as a frame.
pub(crate) fn frame<'a>(packet: &pcap::Packet<'a>, link: Link) -> Frame<'a> {
    let micros = packet.header.ts.tv_usec.clamp(0, MICROS_PER_SEC - 1);
    Frame {
        time: Timestamp::from_parts(packet.header.ts.tv_sec, micros),
        bytes: packet.data,
        length: packet.header.len,
        link,
    }
}

/// Sets a capture filter, if there is one.
pub(crate) fn set_filter<T: pcap::Activated>(
    handle: &mut Capture<T>,
    filter: &str,
) -> Result<(), CaptureError> {
    if filter.is_empty() {
        return Ok(());
    }
    handle
        .filter(filter, true)
        .map_err(|error| CaptureError::Filter { filter: filter.to_owned(), complaint: complaint(&error) })
}

fn refusal(interface: &str, error: &pcap::Error) -> CaptureError {
    let complaint = complaint(error);
    let lower = complaint.to_ascii_lowercase();
    if lower.contains("permi") {
        CaptureError::Permission { interface: interface.to_owned() }
    } else {
        CaptureError::Open { interface: interface.to_owned(), complaint }
    }
}

/// libpcap's words without the crate's prefix.
pub(crate) fn complaint(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_wrap_and_may_be_set_back() {
        assert_eq!(since(7, 3), 4);
        assert_eq!(since(2, u32::MAX - 2), 5, "wrapped");
        assert_eq!(since(5, 1_000), 5, "set back to zero");
        assert_eq!(since(9, 9), 0);
    }
}
