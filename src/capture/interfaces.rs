//! Which interfaces there are, what addresses they have, which one carries the default route.

use std::net::IpAddr;

use crate::capture::CaptureError;

/// libpcap's pseudo interface: all at once.
pub const ANY: &str = "any";

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
    fn the_ipv6_default_route_is_not_the_reject_route_of_loopback() {
        let zeros = "0".repeat(32);
        let routes = format!(
            "{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             {zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     wan0\n"
        );
        assert_eq!(default_of_ipv6(&routes), Some("wan0"));
    }
}
