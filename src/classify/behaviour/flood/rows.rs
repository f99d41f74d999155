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
    /// So many times what the shortest flood has altogether is one in however short a time; none: only what lasts is a flood.
    pub bulk: Option<u64>,
    /// Seconds that look honest at first and count, too, if the flood shows within them.
    pub patience_secs: usize,
}

/// Until clients are known to go on and on they look like visitors, and as long again for all to have come.
const SITE_PATIENCE_SECS: usize = 40;
/// A short blow of forged packets. A second in which everybody comes back after an outage has fewer, and most are answered.
const BLOW: Option<u64> = Some(3);

/// The detectors, what tells most of a flood first: of several that find the same second the first one names it.
pub const FLOODS: &[FloodRow] = &[
    FloodRow {
        id: "flood.reflector",
        title: "A service here that is made to send many times what it is asked",
        class: Class::DosReflect,
        sections: &["flood.reflector"],
        takes: |kind| matches!(kind, SurgeKind::Reflector(_)),
        bounds: |flood| flood.reflector.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.asked",
        title: "Queries as they are forged to make a service here reflect",
        class: Class::DosReflect,
        sections: &["flood.asked"],
        takes: |kind| matches!(kind, SurgeKind::Asked(_)),
        bounds: |flood| flood.asked.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.reflection",
        title: "Answers of reflectors that nobody here asked for",
        class: Class::DosReflect,
        sections: &["flood.reflection"],
        takes: |kind| matches!(kind, SurgeKind::Reflect(_) | SurgeKind::ReflectUnknown | SurgeKind::SynAck),
        bounds: |flood| flood.reflection.bounds(),
        bulk: Some(1),
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.http",
        title: "HTTP requests of one source",
        class: Class::DosApp,
        sections: &["flood.http"],
        takes: |kind| kind == SurgeKind::Http,
        bounds: |flood| flood.http.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.tls",
        title: "TLS handshakes of one source",
        class: Class::DosApp,
        sections: &["flood.tls"],
        takes: |kind| kind == SurgeKind::Tls,
        bounds: |flood| flood.tls.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.slow",
        title: "Conversations that one source holds open and does not go on with",
        class: Class::DosApp,
        sections: &["flood.slow"],
        takes: |kind| kind.is_held() && kind != SurgeKind::SlowNetwork,
        bounds: |flood| Bounds {
            enabled: flood.slow.enabled,
            per_second_min: flood.slow.of_source_min,
            factor: 1,
            sustained_secs: flood.slow.sustained_secs,
            sources_min: 0,
        },
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.slow_network",
        title: "Conversations that a network holds open, each of its sources too few",
        class: Class::DosApp,
        sections: &["flood.slow_network"],
        takes: |kind| kind == SurgeKind::SlowNetwork,
        bounds: |flood| flood.slow_network.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.http_site",
        title: "HTTP requests of many sources that go on and on, to one server",
        class: Class::DosApp,
        sections: &["flood.http_site"],
        takes: |kind| kind == SurgeKind::HttpSite,
        bounds: |flood| flood.http_site.bounds(),
        bulk: None,
        patience_secs: SITE_PATIENCE_SECS,
    },
    FloodRow {
        id: "flood.connect",
        title: "Connections of one source",
        class: Class::DosApp,
        sections: &["flood.connect"],
        takes: |kind| kind == SurgeKind::Connect,
        bounds: |flood| flood.connect.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.syn",
        title: "Connections begun and not completed",
        class: Class::DosVolume,
        sections: &["flood.syn"],
        takes: |kind| kind == SurgeKind::Syn,
        bounds: |flood| flood.syn.bounds(),
        bulk: BLOW,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.fragment",
        title: "IP fragments",
        class: Class::DosVolume,
        sections: &["flood.fragment"],
        takes: |kind| kind == SurgeKind::Fragment,
        bounds: |flood| flood.fragment.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.ack",
        title: "Segments of no conversation (ACK, RST, FIN)",
        class: Class::DosVolume,
        sections: &["flood.ack"],
        takes: |kind| matches!(kind, SurgeKind::Ack | SurgeKind::Rst),
        bounds: |flood| flood.ack.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.icmp",
        title: "ICMP messages",
        class: Class::DosVolume,
        sections: &["flood.icmp"],
        takes: |kind| kind == SurgeKind::Icmp,
        bounds: |flood| flood.icmp.bounds(),
        bulk: None,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.udp",
        title: "UDP datagrams",
        class: Class::DosVolume,
        sections: &["flood.udp"],
        takes: |kind| kind == SurgeKind::Udp,
        bounds: |flood| flood.udp.bounds(),
        bulk: BLOW,
        patience_secs: 0,
    },
];
