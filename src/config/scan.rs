//! `[scan]`: when first contacts are a scan. One table a detector.
//!
//! The test is sequential, as Jung, Paxson, Berger and Balakrishnan proposed in 2004: every new target that does not answer
//! speaks for a scan, every one that answers against it, and enough of the former in a row decide.

use serde::{Deserialize, Serialize};

/// `[scan]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scan {
    /// New targets without an answer, less those that answer, from which on a source scans, 3 to 40. 9 let one honest client
    /// in 100,000 pass for a scanner.
    pub net_failures_min: u32,
    /// Many ports of one host (TCP).
    pub vertical: Vertical,
    /// One port of many hosts (TCP).
    pub horizontal: Targets<900, 7>,
    /// Few targets an hour (TCP and UDP).
    pub slow: Slow,
    /// Segments that no honest host sends first.
    pub stealth: Targets<60, 3>,
    /// Many ports of one host, or one of many (UDP).
    pub udp: Targets<900, 10>,
    /// Echo requests to many hosts.
    pub icmp_sweep: Targets<60, 20>,
    /// Many names of one site in TLS hellos that the server refuses.
    pub tls_names: Targets<600, 15>,
    /// TLS handshakes in many forms, none of them completed.
    pub tls_handshakes: Targets<300, 8>,
    /// Many names of a zone that do not exist, asked of its own server.
    pub dns_names: Targets<60, 40>,
    /// Many sources, each below the limits of the others, upon one site.
    pub distributed: Distributed,
}

/// `[scan.vertical]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vertical {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Seconds that acts are seen together, 1 to 86400.
    pub window_secs: u32,
    /// Ports without an answer, 3 to 48, that are a scan together with `net_failures_min`.
    pub targets_min: u32,
    /// Ports without an answer within `burst_secs` that are a scan by themselves, 3 to 48.
    pub burst_min: u32,
    /// Seconds of a burst, 1 to 3600.
    pub burst_secs: u32,
}

/// A detector that counts targets, and its defaults.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Targets<const WINDOW_SECS: u32, const TARGETS_MIN: u32> {
    /// Whether it is looked for.
    #[serde(default = "super::yes")]
    pub enabled: bool,
    /// Seconds that acts are seen together, 1 to 86400.
    #[serde(default = "super::number::<WINDOW_SECS>")]
    pub window_secs: u32,
    /// Targets, 2 to 48.
    #[serde(default = "super::number::<TARGETS_MIN>")]
    pub targets_min: u32,
}

/// `[scan.slow]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slow {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Seconds that acts are seen together, 1 to 86400.
    pub window_secs: u32,
    /// Targets without an answer, 5 to 48.
    pub targets_min: u32,
    /// Targets that answer, of all, 0 to 1, below which it is a scan.
    pub answered_max: f64,
}

/// `[scan.distributed]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distributed {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Seconds that acts are seen together, 1 to 86400.
    pub window_secs: u32,
    /// Sources, 5 to 1000.
    pub sources_min: u32,
    /// Targets without an answer, 5 to 1000.
    pub targets_min: u32,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            net_failures_min: 9,
            vertical: Vertical::default(),
            horizontal: Targets::default(),
            slow: Slow::default(),
            stealth: Targets::default(),
            udp: Targets::default(),
            icmp_sweep: Targets::default(),
            tls_names: Targets::default(),
            tls_handshakes: Targets::default(),
            dns_names: Targets::default(),
            distributed: Distributed::default(),
        }
    }
}

impl<const WINDOW_SECS: u32, const TARGETS_MIN: u32> Default for Targets<WINDOW_SECS, TARGETS_MIN> {
    fn default() -> Self {
        Self { enabled: true, window_secs: WINDOW_SECS, targets_min: TARGETS_MIN }
    }
}

impl Default for Vertical {
    fn default() -> Self {
        Self { enabled: true, window_secs: 900, targets_min: 10, burst_min: 15, burst_secs: 60 }
    }
}

impl Default for Slow {
    fn default() -> Self {
        Self { enabled: true, window_secs: 86_400, targets_min: 25, answered_max: 0.2 }
    }
}

impl Default for Distributed {
    fn default() -> Self {
        Self { enabled: true, window_secs: 600, sources_min: 25, targets_min: 50 }
    }
}
