//! `[origin]`: how the origin of a source is determined, and what "home" is.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[origin]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OriginSettings {
    /// Home countries, ISO 3166-1 alpha-2. Empty: no overseas clause in the reports.
    pub home: Vec<String>,
    /// Networks that are home wherever a database puts them.
    pub home_networks: Vec<Network>,
    /// Geolocation databases (.mmdb), the first decides. Empty: /var/lib/GeoIP, /usr/share/GeoIP,
    /// /var/lib/gatewatch/geo are searched, then the embedded DB-IP Country Lite is used.
    pub databases: Vec<PathBuf>,
    /// Proxies whose forwarding headers are believed. From anybody else they are plain input.
    pub trusted_proxies: Vec<Network>,
    /// Labels for networks. In the file: [[origin.label]].
    pub label: Vec<Label>,
}

/// `[[origin.label]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Name of the row in reports.
    pub name: String,
    /// Its networks.
    pub networks: Vec<Network>,
    /// Whether its attempts count in the headline; false for one's own monitoring.
    #[serde(default = "yes")]
    pub headline: bool,
}

const fn yes() -> bool {
    true
}

/// A network in CIDR form; a lone address is a network of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|net| Self(net.trunc()))
            .map_err(|_| format!("{text:?} is neither an address nor a network such as \"192.0.2.0/24\" or \"2001:db8::/32\""))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
