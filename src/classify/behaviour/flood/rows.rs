//! The detectors of floods: each is a row, for all are judged alike.

use crate::classify::behaviour::flood::Second;
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
    pub bounds: fn(&Settings, &Second) -> Bounds,
    /// So many times what the shortest flood has altogether is one in however short a time; none: only what lasts is a flood.
    pub bulk: Option<u64>,
    /// Which seconds nothing honest explains: of those half of what the shortest flood has altogether is one in however short a
    /// time.
    pub bare: fn(&Second) -> bool,
    /// Seconds that look honest at first and count, too, if the flood shows within them.
    pub patience_secs: usize,
}

/// Until clients are known to go on and on they look like visitors, and as long again for all to have come.
const SITE_PATIENCE_SECS: usize = 40;
/// Of a kind that handshakes prove what is honest is not told apart.
const NEVER: fn(&Second) -> bool = |_| false;
/// Hardly anything speaks for honest traffic.
const UNEXPLAINED: fn(&Second) -> bool = Second::is_bare;
/// The same of many senders: the acknowledgements of one fast transfer, of which only that direction is seen, are as many.
const OF_MANY: fn(&Second) -> bool = |second| second.is_bare() && second.is_of_many();
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
        bounds: |flood, _| flood.reflector.bounds(),
        bulk: None,
        bare: NEVER,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.asked",
        title: "Queries as they are forged to make a service here reflect",
        class: Class::DosReflect,
        sections: &["flood.asked"],
        takes: |kind| matches!(kind, SurgeKind::Asked(_)),
        bounds: |flood, _| flood.asked.bounds(),
        bulk: None,
        bare: UNEXPLAINED,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.reflection",
        title: "Answers of reflectors that nobody here asked for",
        class: Class::DosReflect,
        sections: &["flood.reflection"],
        takes: |kind| matches!(kind, SurgeKind::Reflect(_) | SurgeKind::ReflectUnknown | SurgeKind::SynAck),
        bounds: |flood, second| flood.reflection.bounds(second.is_large()),
        bulk: Some(1),
        bare: UNEXPLAINED,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.http",
        title: "HTTP requests of one source",
        class: Class::DosApp,
        sections: &["flood.http"],
        takes: |kind| kind == SurgeKind::Http,
        bounds: |flood, _| flood.http.bounds(),
        bulk: None,
        bare: NEVER,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.tls",
        title: "TLS handshakes of one source",
        class: Class::DosApp,
        sections: &["flood.tls"],
        takes: |kind| kind == SurgeKind::Tls,
        bounds: |flood, _| flood.tls.bounds(),
        bulk: None,
        bare: NEVER,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.slow",
        title: "Conversations that one source holds open and does not go on with",
        class: Class::DosApp,
        sections: &["flood.slow"],
        takes: |kind| kind.is_held() && kind != SurgeKind::SlowNetwork,
        bounds: |flood, _| Bounds {
            enabled: flood.slow.enabled,
            per_second_min: flood.slow.of_source_min,
            factor: 1,
            sustained_secs: flood.slow.sustained_secs,
            sources_min: 0,
        },
        bulk: None,
        bare: NEVER,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.slow_network",
        title: "Conversations that a network holds open, each of its sources too few",
        class: Class::DosApp,
        sections: &["flood.slow_network"],
        takes: |kind| kind == SurgeKind::SlowNetwork,
        bounds: |flood, _| flood.slow_network.bounds(),
        bulk: None,
        bare: NEVER,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.http_site",
        title: "HTTP requests of many sources that go on and on, to one server",
        class: Class::DosApp,
        sections: &["flood.http_site"],
        takes: |kind| kind == SurgeKind::HttpSite,
        bounds: |flood, _| flood.http_site.bounds(),
        bulk: None,
        bare: NEVER,
        patience_secs: SITE_PATIENCE_SECS,
    },
    FloodRow {
        id: "flood.connect",
        title: "Connections of one source",
        class: Class::DosApp,
        sections: &["flood.connect"],
        takes: |kind| kind == SurgeKind::Connect,
        bounds: |flood, _| flood.connect.bounds(),
        bulk: None,
        bare: NEVER,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.syn",
        title: "Connections begun and not completed",
        class: Class::DosVolume,
        sections: &["flood.syn"],
        takes: |kind| kind == SurgeKind::Syn,
        bounds: |flood, _| flood.syn.bounds(),
        bulk: BLOW,
        bare: UNEXPLAINED,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.fragment",
        title: "IP fragments",
        class: Class::DosVolume,
        sections: &["flood.fragment"],
        takes: |kind| kind == SurgeKind::Fragment,
        bounds: |flood, _| flood.fragment.bounds(),
        bulk: None,
        bare: UNEXPLAINED,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.ack",
        title: "Segments of no conversation (ACK, RST, FIN)",
        class: Class::DosVolume,
        sections: &["flood.ack"],
        takes: |kind| matches!(kind, SurgeKind::Ack | SurgeKind::Rst),
        bounds: |flood, _| flood.ack.bounds(),
        bulk: None,
        bare: OF_MANY,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.icmp",
        title: "ICMP messages",
        class: Class::DosVolume,
        sections: &["flood.icmp"],
        takes: |kind| kind == SurgeKind::Icmp,
        bounds: |flood, _| flood.icmp.bounds(),
        bulk: None,
        bare: UNEXPLAINED,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.udp_forged",
        title: "UDP datagrams of ever new senders, to which the victim says nothing",
        class: Class::DosVolume,
        sections: &["flood.udp_forged"],
        takes: |kind| kind == SurgeKind::UdpForged,
        bounds: |flood, _| flood.udp_forged.bounds(),
        bulk: None,
        bare: UNEXPLAINED,
        patience_secs: 0,
    },
    FloodRow {
        id: "flood.udp",
        title: "UDP datagrams",
        class: Class::DosVolume,
        sections: &["flood.udp"],
        takes: |kind| kind == SurgeKind::Udp,
        bounds: |flood, _| flood.udp.bounds(),
        bulk: BLOW,
        bare: UNEXPLAINED,
        patience_secs: 0,
    },
];
