//! Frames with time stamps, from an interface or from files.
//!
//! Owns the pcap handles, the waiting and the merging of files; reads the clock. Hands each frame to a [`Sink`].
//! Must not know: what a frame holds, any later stage.

pub mod file;
pub mod health;
pub mod interfaces;
pub mod live;
pub mod replay;
pub mod watch;

use crate::model::frame::Frame;
use crate::model::time::Timestamp;

/// Takes what capture finds.
pub trait Sink {
    /// One frame. Borrowed: it is gone after the call.
    fn frame(&mut self, frame: &Frame<'_>);
    /// The span was watched without a break.
    fn observed(&mut self, from: Timestamp, to: Timestamp);
    /// For so long nothing could be watched, because the interface was down.
    fn down(&mut self, micros: i64);
    /// What was lost since the last call.
    fn lost(&mut self, lost: Lost);
    /// The clock was set while live: what follows is stamped from about `to` on, earlier or later than what came before.
    fn stepped(&mut self, to: Timestamp);
    /// Called about twice a second while live, frames or not. No time: the clock was never set.
    fn tick(&mut self, now: Option<Timestamp>);
}

/// Frames that were lost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lost {
    /// In the kernel's ring.
    pub kernel: u64,
    /// At the interface or in its driver.
    pub interface: u64,
    /// Read, but stamped by a clock that was never set.
    pub undated: u64,
}

/// Why capture cannot begin, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The filter is not in pcap-filter(7) syntax.
    #[error(
        "capture.filter {filter:?} is no capture filter: {complaint}; see pcap-filter(7), for example \"tcp port 80\""
    )]
    Filter {
        /// As set.
        filter: String,
        /// What libpcap says.
        complaint: String,
    },
    /// The interface vanished while it was captured.
    #[error("interface {interface} is gone: {complaint}")]
    Lost {
        /// Name.
        interface: String,
        /// What libpcap says.
        complaint: String,
    },
    /// There is no interface to choose.
    #[error(
        "no interface carries the default route; name one with -i or capture.interfaces (there are: {existing})"
    )]
    NoDefault {
        /// Names of the interfaces.
        existing: String,
    },
    /// There is no such interface.
    #[error("there is no interface {interface:?}; there are: {existing}")]
    NoInterface {
        /// As asked for.
        interface: String,
        /// Names of the interfaces.
        existing: String,
    },
    /// Anything else libpcap refuses.
    #[error("cannot capture on {interface}: {complaint}")]
    Open {
        /// Name.
        interface: String,
        /// What libpcap says.
        complaint: String,
    },
    /// The process may not capture.
    #[error(
        "no permission to capture on {interface}: the CAP_NET_RAW capability is missing; run as root, use the \
         systemd unit, or give it once with: setcap cap_net_raw+ep $(command -v gatewatch)"
    )]
    Permission {
        /// Name.
        interface: String,
    },
}
