//! The detectors of floods: each is a row, for all are judged alike.

use crate::config::flood::{Bounds, Flood as Settings};
use crate::model::surge::SurgeKind;

/// A detector of this family.
#[derive(Debug)]
pub struct FloodRow {
    /// Stable id of the rule.
    pub id: &'static str,
    /// Table of the settings.
    pub section: &'static str,
    /// The kinds that it counts together.
    pub takes: fn(SurgeKind) -> bool,
    /// Its limits.
    pub bounds: fn(&Settings) -> Bounds,
}

/// The detectors.
pub const FLOODS: &[FloodRow] = &[
    FloodRow {
        id: "flood.syn",
        section: "flood.syn",
        takes: |kind| kind == SurgeKind::Syn,
        bounds: |flood| flood.syn.bounds(),
    },
    FloodRow {
        id: "flood.ack",
        section: "flood.ack",
        takes: |kind| matches!(kind, SurgeKind::Ack | SurgeKind::Rst),
        bounds: |flood| flood.ack.bounds(),
    },
    FloodRow {
        id: "flood.udp",
        section: "flood.udp",
        takes: |kind| kind == SurgeKind::Udp,
        bounds: |flood| flood.udp.bounds(),
    },
    FloodRow {
        id: "flood.icmp",
        section: "flood.icmp",
        takes: |kind| kind == SurgeKind::Icmp,
        bounds: |flood| flood.icmp.bounds(),
    },
    FloodRow {
        id: "flood.fragment",
        section: "flood.fragment",
        takes: |kind| kind == SurgeKind::Fragment,
        bounds: |flood| flood.fragment.bounds(),
    },
    FloodRow {
        id: "flood.reflection",
        section: "flood.reflection",
        takes: |kind| matches!(kind, SurgeKind::Reflect(_) | SurgeKind::SynAck),
        bounds: |flood| flood.reflection.bounds(),
    },
    FloodRow {
        id: "flood.reflector",
        section: "flood.reflector",
        takes: |kind| matches!(kind, SurgeKind::Reflector(_)),
        bounds: |flood| flood.reflector.bounds(),
    },
    FloodRow {
        id: "flood.http",
        section: "flood.http",
        takes: |kind| kind == SurgeKind::Http,
        bounds: |flood| flood.http.bounds(),
    },
    FloodRow {
        id: "flood.tls",
        section: "flood.tls",
        takes: |kind| kind == SurgeKind::Tls,
        bounds: |flood| flood.tls.bounds(),
    },
    FloodRow {
        id: "flood.connect",
        section: "flood.connect",
        takes: |kind| kind == SurgeKind::Connect,
        bounds: |flood| flood.connect.bounds(),
    },
    FloodRow {
        id: "flood.slow",
        section: "flood.slow",
        takes: SurgeKind::is_held,
        bounds: |flood| Bounds {
            enabled: flood.slow.enabled,
            per_second_min: flood.slow.of_source_min,
            factor: 1,
            sustained_secs: flood.slow.sustained_secs,
        },
    },
];
