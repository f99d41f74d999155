//! The detectors of what was asked for and not given.

use crate::classify::behaviour::unmet::{Limits, UnmetRow};
use crate::config::scan::Targets;
use crate::model::contact::{NameHash, Topic, Unmet};

/// The table, asked in this order.
pub const UNMETS: &[UnmetRow] = &[
    UnmetRow {
        id: "scan.tls_names",
        title: "Many names in TLS hellos that the server refuses",
        sections: &["scan.tls_names"],
        topic: Topic::TlsHandshake,
        target: name,
        limits: |settings| limits(&settings.tls_names),
        what: "names in TLS hellos that were refused",
    },
    UnmetRow {
        id: "scan.tls_handshakes",
        title: "TLS handshakes in many forms, none completed: versions and ciphers tried out",
        sections: &["scan.tls_handshakes"],
        topic: Topic::TlsHandshake,
        // Whoever repeats one hello has a fault, or is a monitor: only a program that tries out changes it.
        target: |unmet| Some(unmet.form.into()).filter(|form| *form != 0),
        limits: |settings| limits(&settings.tls_handshakes),
        what: "forms of TLS handshakes that were not completed",
    },
    UnmetRow {
        id: "scan.dns_names",
        title: "Many names that do not exist, asked of the zone's own server",
        sections: &["scan.dns_names"],
        topic: Topic::DnsName,
        target: name,
        limits: |settings| limits(&settings.dns_names),
        what: "names asked for that do not exist",
    },
];

fn name(unmet: &Unmet) -> Option<u64> {
    unmet.name.map(NameHash::number)
}

const fn limits<const WINDOW_SECS: u32, const TARGETS_MIN: u32>(
    targets: &Targets<WINDOW_SECS, TARGETS_MIN>,
) -> Limits {
    Limits { enabled: targets.enabled, window_secs: targets.window_secs, targets_min: targets.targets_min }
}
