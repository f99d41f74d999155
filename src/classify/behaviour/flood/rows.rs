//! The detectors of floods: each is a row, for all are judged alike.

use crate::config::flood::{Bounds, Flood as Settings};
use crate::model::class::Class;
use crate::model::surge::SurgeKind;

/// A detector of this family.
#[derive(Debug)]
pub struct FloodRow {
    /// Stable id of the rule.
    pub id: &'static str,
    /// For people: what floods.
    pub title: &'static str,
    /// Class of the kinds that it takes.
    pub class: Class,
    /// Tables of the settings.
    pub sections: &'static [&'static str],
    /// The kinds that it counts together.
    pub takes: fn(SurgeKind) -> bool,
    /// Its limits.
    pub bounds: fn(&Settings) -> Bounds,
}

/// The detectors, what tells most of a flood first: of several that find the same second the first one names it.
pub const FLOODS: &[FloodRow] = &[
    FloodRow {
        id: "flood.reflector",
        title: "A service here that is made to send many times what it is asked",
        class: Class::DosReflect,
        sections: &["flood.reflector"],
        takes: |kind| matches!(kind, SurgeKind::Reflector(_)),
        bounds: |flood| flood.reflector.bounds(),
    },
    FloodRow {
        id: "flood.reflection",
        title: "Answers of reflectors that nobody here asked for",
        class: Class::DosReflect,
        sections: &["flood.reflection"],
        takes: |kind| matches!(kind, SurgeKind::Reflect(_) | SurgeKind::SynAck),
        bounds: |flood| flood.reflection.bounds(),
    },
    FloodRow {
        id: "flood.http",
        title: "HTTP requests of one source",
        class: Class::DosApp,
        sections: &["flood.http"],
        takes: |kind| kind == SurgeKind::Http,
        bounds: |flood| flood.http.bounds(),
    },
    FloodRow {
        id: "flood.tls",
        title: "TLS handshakes of one source",
        class: Class::DosApp,
        sections: &["flood.tls"],
        takes: |kind| kind == SurgeKind::Tls,
        bounds: |flood| flood.tls.bounds(),
    },
    FloodRow {
        id: "flood.slow",
        title: "Conversations that one source holds open and does not go on with",
        class: Class::DosApp,
        sections: &["flood.slow"],
        takes: SurgeKind::is_held,
        bounds: |flood| Bounds {
            enabled: flood.slow.enabled,
            per_second_min: flood.slow.of_source_min,
            factor: 1,
            sustained_secs: flood.slow.sustained_secs,
        },
    },
    FloodRow {
        id: "flood.connect",
        title: "Connections of one source",
        class: Class::DosApp,
        sections: &["flood.connect"],
        takes: |kind| kind == SurgeKind::Connect,
        bounds: |flood| flood.connect.bounds(),
    },
    FloodRow {
        id: "flood.syn",
        title: "Connections begun and not completed",
        class: Class::DosVolume,
        sections: &["flood.syn"],
        takes: |kind| kind == SurgeKind::Syn,
        bounds: |flood| flood.syn.bounds(),
    },
    FloodRow {
        id: "flood.fragment",
        title: "IP fragments",
        class: Class::DosVolume,
        sections: &["flood.fragment"],
        takes: |kind| kind == SurgeKind::Fragment,
        bounds: |flood| flood.fragment.bounds(),
    },
    FloodRow {
        id: "flood.ack",
        title: "Segments of no conversation (ACK, RST, FIN)",
        class: Class::DosVolume,
        sections: &["flood.ack"],
        takes: |kind| matches!(kind, SurgeKind::Ack | SurgeKind::Rst),
        bounds: |flood| flood.ack.bounds(),
    },
    FloodRow {
        id: "flood.icmp",
        title: "ICMP messages",
        class: Class::DosVolume,
        sections: &["flood.icmp"],
        takes: |kind| kind == SurgeKind::Icmp,
        bounds: |flood| flood.icmp.bounds(),
    },
    FloodRow {
        id: "flood.udp",
        title: "UDP datagrams",
        class: Class::DosVolume,
        sections: &["flood.udp"],
        takes: |kind| kind == SurgeKind::Udp,
        bounds: |flood| flood.udp.bounds(),
    },
];
