//! Echo requests to many hosts, of which many do not exist. Monitoring asks many hosts, too, but those answer.
//!
//! A few will do where the first and the last address of a network are among them: a monitor has a list of hosts, and nobody is
//! there.

use std::net::{IpAddr, Ipv4Addr};

use crate::classify::behaviour::scan::probe::Probe;
use crate::classify::behaviour::scan::walk::{failures, finding, only, within};
use crate::classify::behaviour::scan::{Finding, ScanRow};
use crate::config::scan::Scan as Settings;
use crate::model::attempt::Transport;
use crate::model::class::Class;

/// The row of the table.
pub const ROW: ScanRow = ScanRow {
    id: "scan.icmp_sweep",
    title: "Echo requests to many hosts, half of them not there",
    class: Some(Class::ScanSweep),
    sections: &["scan.icmp_sweep"],
    transport: Some(Transport::Icmp),
    judge,
};

/// Of `targets_min` so many, in hundredths: of hosts that answer no more than four are remembered while none fails.
const FEW_PERCENT: usize = 30;

fn judge(probes: &[Probe], newest: &Probe, settings: &Settings) -> Option<Finding> {
    let limits = &settings.icmp_sweep;
    let members = within(probes, newest.time, limits.window_secs);
    let pings = only(members, Transport::Icmp);
    let (hosts, failed) = (pings.clone().count(), failures(pings));
    let many = limits.targets_min as usize;
    let few = (many * FEW_PERCENT).div_ceil(100);
    let is_sweep = hosts >= many && failed * 2 >= hosts || is_whole_network(members, newest.server, few);
    if limits.enabled && is_sweep { finding(Class::ScanSweep, members) } else { None }
}

/// Whether so many hosts of one network (IPv4 /24) were asked, its first and its last address among them, which say nothing.
fn is_whole_network(members: &[Probe], asked: IpAddr, hosts_min: usize) -> bool {
    let IpAddr::V4(asked) = asked else { return false };
    let network = |address: Ipv4Addr| address.to_bits() >> 8;
    let (mut hosts, mut first, mut last) = (0, false, false);
    for probe in only(members, Transport::Icmp) {
        let IpAddr::V4(server) = probe.server else { continue };
        if network(server) == network(asked) {
            hosts += 1;
            first |= server.octets()[3] == 0 && !probe.is_answered();
            last |= server.octets()[3] == u8::MAX && !probe.is_answered();
        }
    }
    first && last && hosts >= hosts_min
}
