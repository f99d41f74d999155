//! Which interfaces there are, what addresses they have, which one carries the default route.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::capture::CaptureError;
use crate::capture::health::Device;
use crate::capture::watch::Link;

/// libpcap's pseudo interface: all at once.
pub const ANY: &str = "any";
/// The flag of an interface that was switched on (netdevice(7)).
const IFF_UP: u32 = 1;

/// The names that exist, joined for a message.
pub fn existing() -> String {
    let mut names: Vec<String> =
        pnet::datalink::interfaces().into_iter().map(|interface| interface.name).collect();
    names.push(ANY.to_owned());
    names.join(", ")
}

/// The addresses of an interface; of all of them for `any`.
pub fn addresses(name: &str) -> Vec<IpAddr> {
    pnet::datalink::interfaces()
        .into_iter()
        .filter(|interface| name == ANY || interface.name == name)
        .flat_map(|interface| interface.ips.into_iter().map(|network| network.ip()))
        .collect()
}

/// Checks that an interface exists.
pub fn check(name: &str) -> Result<(), CaptureError> {
    if name == ANY || pnet::datalink::interfaces().iter().any(|interface| interface.name == name) {
        return Ok(());
    }
    Err(CaptureError::NoInterface { interface: name.chars().take(64).collect(), existing: existing() })
}

/// Where the kernel tells of an interface's link.
#[derive(Debug)]
pub struct LinkFiles(Option<(PathBuf, u32)>);

impl LinkFiles {
    /// Of an interface. `any` has none, and neither has one that another network namespace shows under the same name.
    pub fn of(name: &str) -> Self {
        let index = pnet::datalink::interfaces()
            .into_iter()
            .find_map(|interface| (interface.name == name).then_some(interface.index));
        let folder = PathBuf::from("/sys/class/net").join(name);
        Self(index.filter(|index| index_in(&folder) == Some(*index)).map(|index| (folder, index)))
    }

    /// Whether the name is no longer that of the interface it was: it was renamed, and another may have the name now.
    pub fn are_of_another(&self) -> bool {
        self.0.as_ref().is_some_and(|(folder, index)| index_in(folder) != Some(*index))
    }

    /// What they say. Where they say nothing the link is taken for up: not every interface has one.
    pub fn look(&self) -> Link {
        link(|file| self.read(file))
    }

    /// What they say of its frames.
    pub fn device(&self) -> Device {
        // A speed that is not known is told as -1, or not at all.
        let number = |file: &str| self.read(file).and_then(|text| text.parse().ok()).unwrap_or(0);
        Device { mtu: number("mtu"), speed_mbits: number("speed") }
    }

    fn read(&self, file: &str) -> Option<String> {
        let (folder, _) = self.0.as_ref()?;
        let text = fs::read_to_string(folder.join(file)).ok()?;
        Some(text.trim().to_owned())
    }
}

fn index_in(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join("ifindex")).ok().and_then(|text| text.trim().parse().ok())
}

/// Up by its flags, with a carrier, in an operational state that carries frames. A tunnel's state is "unknown".
fn link(read: impl Fn(&str) -> Option<String>) -> Link {
    let flags = read("flags").and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    let is_up = flags.is_none_or(|flags| flags & IFF_UP != 0);
    let carries = read("carrier").is_none_or(|text| text != "0");
    let state = read("operstate").unwrap_or_default();
    let works = !["down", "lowerlayerdown", "notpresent"].contains(&state.as_str());
    let changes = read("carrier_changes").and_then(|text| text.parse().ok()).unwrap_or(0);
    Link { up: is_up && carries && works, changes }
}

/// The interface of the default route; where there is no such route, the only one that is up.
pub fn default_route() -> Result<String, CaptureError> {
    // Under /proc/self, so that it stays readable where the unit hides the rest of /proc.
    let routes = std::fs::read_to_string("/proc/self/net/route").unwrap_or_default();
    let routes6 = std::fs::read_to_string("/proc/self/net/ipv6_route").unwrap_or_default();
    if let Some(name) = default_of_ipv4(&routes).or_else(|| default_of_ipv6(&routes6)) {
        return Ok(name.to_owned());
    }
    let up: Vec<_> = pnet::datalink::interfaces()
        .into_iter()
        .filter(|interface| interface.is_up() && !interface.is_loopback() && !interface.ips.is_empty())
        .collect();
    match up.as_slice() {
        [only] => Ok(only.name.clone()),
        _ => Err(CaptureError::NoDefault { existing: existing() }),
    }
}

/// `Iface Destination Gateway Flags … Mask …`: the default route has destination and mask zero.
fn default_of_ipv4(routes: &str) -> Option<&str> {
    routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields.as_slice() {
                [name, "00000000", _, _, _, _, metric, "00000000", ..] => {
                    Some((metric.parse::<u32>().unwrap_or(u32::MAX), *name))
                }
                _ => None,
            }
        })
        .min()
        .map(|(_, name)| name)
}

/// `destination length … name`: the default route has length zero; `lo` holds the reject route.
fn default_of_ipv6(routes: &str) -> Option<&str> {
    routes.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [destination, "00", .., name]
                if destination.bytes().all(|byte| byte == b'0') && *name != "lo" =>
            {
                Some(*name)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_least_metric_is_chosen() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                      lan0\t007100CB\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n\
                      wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\n\
                      wan0\t00000000\t016433C6\t0003\t0\t0\t100\t00000000\t0\n";
        assert_eq!(default_of_ipv4(routes), Some("wan0"));
        assert_eq!(default_of_ipv4("Iface\n"), None);
    }

    #[test]
    fn a_link_is_up_unless_the_kernel_says_otherwise() {
        let told = |flags: &str, carrier: &str, state: &str| {
            let answer = |file: &str| {
                let text = match file {
                    "flags" => flags,
                    "carrier" => carrier,
                    "operstate" => state,
                    _ => "4",
                };
                // The carrier of an interface that is down cannot be read at all.
                (!text.is_empty()).then(|| text.to_owned())
            };
            link(answer).up
        };
        assert!(told("0x1003", "1", "up"));
        assert!(told("0x49", "1", "unknown"), "loopback");
        assert!(!told("0x1002", "", "down"));
        assert!(!told("0x1003", "0", "lowerlayerdown"));
        assert!(!told("0x1003", "0", "unknown"));
        assert_eq!(link(|_| None), Link { up: true, changes: 0 }, "\"any\" has no files");
    }

    #[test]
    fn the_ipv6_default_route_is_not_the_reject_route_of_loopback() {
        let zeros = "0".repeat(32);
        let routes = format!(
            "{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             {zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     wan0\n"
        );
        assert_eq!(default_of_ipv6(&routes), Some("wan0"));
    }
}
