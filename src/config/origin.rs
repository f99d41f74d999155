//! `[origin]`: how the origin of a source is determined, and what "home" is.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::place::PrefixLengths;

/// A database drifts by one to four points of the addresses in a year, and its makers build a new one every month: after
/// three months three were missed.
const DATABASE_AGE_MAX_DAYS: u32 = 90;

/// `[origin]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
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
    /// Bits of the IPv4 prefix that tallies are kept by when addresses are gone, 8 to 32.
    pub prefix_v4: u8,
    /// Bits of the IPv6 prefix, 16 to 64.
    pub prefix_v6: u8,
    /// Days after which the database that decides is called too old, 1 to 36500.
    pub database_age_max_days: u32,
    /// Lists of networks of one kind. In the file: [[origin.infrastructure]].
    pub infrastructure: Vec<InfrastructureList>,
    /// Proxies that name the client in a field of their own. In the file: [[origin.proxy]].
    pub proxy: Vec<NamingProxy>,
    /// Labels for networks. In the file: [[origin.label]].
    pub label: Vec<Label>,
}

impl Default for OriginSettings {
    fn default() -> Self {
        Self {
            home: Vec::new(),
            home_networks: Vec::new(),
            databases: Vec::new(),
            trusted_proxies: Vec::new(),
            prefix_v4: 24,
            prefix_v6: 48,
            database_age_max_days: DATABASE_AGE_MAX_DAYS,
            infrastructure: Vec::new(),
            proxy: Vec::new(),
            label: Vec::new(),
        }
    }
}

impl OriginSettings {
    /// Bits of the prefixes that tallies are kept by: IPv4, IPv6.
    pub const fn prefixes(&self) -> PrefixLengths {
        (self.prefix_v4, self.prefix_v6)
    }
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

/// `[[origin.infrastructure]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InfrastructureList {
    /// `cdn`, `eyeball`, `hosting`, `scanner`, `tor` or `vpn`.
    pub class: String,
    /// A text file: an address or network a line, `#` begins a comment.
    pub file: PathBuf,
}

/// `[[origin.proxy]]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NamingProxy {
    /// Its networks; they count as trusted.
    pub networks: Vec<Network>,
    /// The field that holds the client's address and nothing else, such as `CF-Connecting-IP`.
    pub header: String,
}

/// Different header fields that clients may be named in: each is looked for in every attempt.
pub const NAMING_HEADERS_MAX: usize = 8;

impl OriginSettings {
    /// All proxies that are trusted, whatever they name their clients in.
    pub fn proxies(&self) -> Vec<Network> {
        let naming = self.proxy.iter().flat_map(|proxy| &proxy.networks);
        self.trusted_proxies.iter().chain(naming).copied().collect()
    }

    /// The header fields of all naming proxies in lower case, each once.
    pub fn naming_headers(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.proxy.iter().map(|proxy| proxy.header.to_ascii_lowercase()).collect();
        names.sort();
        names.dedup();
        names
    }
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
