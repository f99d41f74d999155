//! `[[site]]`: what is protected.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::config::origin::Network;

/// `[[site]]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Name in reports; unique.
    pub name: String,
    /// Addresses or networks of the site, as seen on the captured interface. Empty: any.
    #[serde(default)]
    pub addresses: Vec<Network>,
    /// TCP and UDP ports. Empty: all.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Host names (`Host` of HTTP), any case, without port. Empty: all.
    #[serde(default)]
    pub hosts: Vec<String>,
}

impl Site {
    /// Whether the site has that address and port.
    pub fn has_endpoint(&self, address: std::net::IpAddr, port: u16) -> bool {
        (self.ports.is_empty() || self.ports.contains(&port))
            && (self.addresses.is_empty()
                || self.addresses.iter().any(|net| IpNet::contains(&net.0, &address)))
    }

    /// Whether it answers to that host name. Names compare without case.
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}
