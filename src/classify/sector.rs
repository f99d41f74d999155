//! Which row of the statement an attempt falls in: overseas, domestic, unknown, …

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::origin::OriginSettings;
use crate::model::grade::Grade;
use crate::model::place::{Country, Place, Sector};

/// What is home, and the operator's labels.
#[derive(Clone, Debug, Default)]
pub struct Home {
    countries: Vec<Country>,
    networks: Vec<IpNet>,
    /// Longest prefix first, so that the first match is the most specific.
    labels: Vec<(IpNet, Arc<str>, bool)>,
}

impl Home {
    /// From `[origin]`. Codes were checked when the settings were read.
    pub fn new(settings: &OriginSettings) -> Self {
        let mut labels: Vec<_> = settings
            .label
            .iter()
            .flat_map(|label| {
                let name: Arc<str> = label.name.as_str().into();
                label.networks.iter().map(move |network| (network.0, Arc::clone(&name), label.headline))
            })
            .collect();
        labels.sort_by_key(|(network, ..)| std::cmp::Reverse(network.prefix_len()));
        Self {
            countries: settings.home.iter().filter_map(|code| code.parse().ok()).collect(),
            networks: settings.home_networks.iter().map(|network| network.0).collect(),
            labels,
        }
    }

    /// Whether a home is declared, so that there is an overseas.
    pub fn is_declared(&self) -> bool {
        !self.countries.is_empty() || !self.networks.is_empty()
    }

    /// Whether an address is in a home network.
    pub fn has(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether a whole network is in a home network.
    pub fn holds(&self, network: IpNet) -> bool {
        self.networks.iter().any(|home| home.contains(&network))
    }

    /// Whether a place is a home country.
    pub fn is_home(&self, place: Place) -> bool {
        matches!(place, Place::Country(country) if self.countries.contains(&country))
    }

    /// The sector of a client at `place`, proven to `grade`.
    pub fn sector(&self, client: IpAddr, place: Place, grade: Grade) -> Sector {
        let by_place = self.sector_of_place(place, grade);
        match grade {
            Grade::E0 | Grade::X => by_place,
            _ if self.has(client) => Sector::Domestic,
            _ => by_place,
        }
    }

    /// The same without a look at the home networks.
    pub fn sector_of_place(&self, place: Place, grade: Grade) -> Sector {
        match (grade, place) {
            (Grade::X, _) | (Grade::E1 | Grade::E2 | Grade::E3, Place::Proxy) => Sector::Proxy,
            (Grade::E0, _) => Sector::Unprovable,
            (_, Place::Private) => Sector::Private,
            (_, Place::Region(_)) => Sector::Region,
            (_, Place::Unknown) => Sector::Unknown,
            (_, Place::Country(_)) if self.is_home(place) => Sector::Domestic,
            (_, Place::Country(_)) if self.is_declared() => Sector::Overseas,
            (_, Place::Country(_)) => Sector::Located,
        }
    }

    /// The label of an address, and whether its attempts count in the headline.
    pub fn label(&self, address: IpAddr) -> (Option<Arc<str>>, bool) {
        self.labels
            .iter()
            .find(|(network, ..)| network.contains(&address))
            .map_or((None, true), |(_, name, headline)| (Some(Arc::clone(name)), *headline))
    }
}

/// Networks that no route on the Internet leads to (RFC 6890 and its registry).
#[expect(clippy::ip_constant, reason = "a table of networks reads best in one form")]
const UNROUTABLE_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
#[expect(clippy::ip_constant, reason = "a table of networks reads best in one form")]
const UNROUTABLE_V6: [(Ipv6Addr, u8); 9] = [
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Whether an address cannot be a source on the Internet: private, loopback, documentation, multicast, …
pub fn is_unroutable(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            UNROUTABLE_V4.iter().any(|(network, length)| (bits ^ network.to_bits()) >> (32 - length) == 0)
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            UNROUTABLE_V6.iter().any(|(network, length)| (bits ^ network.to_bits()) >> (128 - length) == 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(toml: &str) -> Home {
        Home::new(&toml::from_str(toml).unwrap())
    }

    #[test]
    fn every_attempt_falls_in_one_row() {
        let home = home("home = [\"CN\"]\nhome_networks = [\"10.1.0.0/16\", \"8.8.4.0/24\"]");
        let sector = |client: &str, place: &str, grade| {
            home.sector(client.parse().unwrap(), Place::from_code(place), grade)
        };
        assert_eq!(sector("8.8.8.8", "US", Grade::E1), Sector::Overseas);
        assert_eq!(sector("8.8.8.8", "US", Grade::E0), Sector::Unprovable);
        assert_eq!(sector("8.8.8.8", "US", Grade::X), Sector::Proxy);
        assert_eq!(sector("1.2.4.8", "CN", Grade::E2), Sector::Domestic);
        assert_eq!(sector("8.8.4.4", "US", Grade::E2), Sector::Domestic);
        assert_eq!(sector("10.1.2.3", "private", Grade::E2), Sector::Domestic);
        assert_eq!(sector("10.2.2.3", "private", Grade::E2), Sector::Private);
        assert_eq!(sector("5.5.5.5", "EU", Grade::E2), Sector::Region);
        assert_eq!(sector("5.5.5.5", "unknown", Grade::E3), Sector::Unknown);
        let undeclared = Home::default();
        assert_eq!(
            undeclared.sector("8.8.8.8".parse().unwrap(), Place::from_code("US"), Grade::E2),
            Sector::Located
        );
    }

    #[test]
    fn the_most_specific_label_wins() {
        let home = home(
            "[[label]]\nname = \"wide\"\nnetworks = [\"8.0.0.0/8\"]\n[[label]]\nname = \"own\"\nnetworks = [\"8.8.8.8\"]\nheadline = false",
        );
        assert_eq!(home.label("8.8.8.8".parse().unwrap()), (Some("own".into()), false));
        assert_eq!(home.label("8.1.1.1".parse().unwrap()), (Some("wide".into()), true));
        assert_eq!(home.label("9.1.1.1".parse().unwrap()), (None, true));
    }

    #[test]
    fn special_addresses_are_no_sources_on_the_internet() {
        for address in [
            "100.64.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "3fff::1",
        ] {
            assert!(is_unroutable(address.parse().unwrap()), "{address}");
        }
        for address in
            ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2001:4860::1", "64:ff9b::808:808", "223.255.255.255"]
        {
            assert!(!is_unroutable(address.parse().unwrap()), "{address}");
        }
    }
}
