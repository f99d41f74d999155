//! `[capture]`: where packets come from.

use serde::{Deserialize, Serialize};

use crate::config::origin::Network;
use crate::config::size::Size;

/// `[capture]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Interfaces to listen on. Empty: the interface of the default route. "any" works.
    pub interfaces: Vec<String>,
    /// Bytes kept of a frame, 96 to 262144. Below the interface's MTU requests are cut, which is counted.
    pub snaplen: u32,
    /// Size of the kernel's capture ring, 1MiB to 1GiB; not part of memory.limit.
    pub buffer: Size,
    /// Whether to ask the interface for frames that are not addressed to it (mirror ports need it).
    pub promiscuous: bool,
    /// Capture filter in pcap-filter(7) syntax. Empty: everything.
    pub filter: String,
    /// Senders of GRE, IPIP, 6in4 and VXLAN packets whose inside is believed. Anybody can send such packets with any conversation
    /// inside; what others send is counted as not provable (E0).
    pub trusted_tunnels: Vec<Network>,
    /// Minutes without a single frame after which an interface that is up is reported as silent, 0 to 1440. 0: never.
    pub silence_mins: u32,
    /// Capture threads for each interface. Only 1 in this version.
    pub workers: u16,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            snaplen: 65_535,
            buffer: Size::mebibytes(16),
            promiscuous: false,
            filter: String::new(),
            trusted_tunnels: Vec::new(),
            silence_mins: 10,
            workers: 1,
        }
    }
}
