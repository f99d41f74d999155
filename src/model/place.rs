//! Where a source is: country codes, and the sector a report puts it in.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// An ISO 3166-1 alpha-2 code (or `XK`), two upper-case ASCII letters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

/// Why a text is no country code.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a two-letter ISO 3166-1 country code such as \"CN\"")]
pub struct NotACountry(pub String);

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(NotACountry(text.chars().take(32).collect())),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a database says about the place of an address. Every attempt has exactly one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// Located in a country.
    Country(Country),
    /// Not a routable public address (RFC 6890): private, loopback, link-local, documentation, …
    Private,
    /// Not attributed: the peer is a trusted proxy that named no client (grade X).
    Proxy,
    /// The database gives a region that is no country (`EU`, `AP`).
    Region(Country),
    /// The database has no answer.
    Unknown,
}

impl Place {
    /// The code in files: a country's two letters, else a word that cannot be one.
    pub fn code(&self) -> &str {
        match self {
            Self::Country(country) | Self::Region(country) => country.code(),
            Self::Private => "private",
            Self::Proxy => "proxy",
            Self::Unknown => "unknown",
        }
    }

    /// The place of that code. Regions are told from countries by their code.
    pub fn from_code(code: &str) -> Self {
        match code {
            "private" => Self::Private,
            "proxy" => Self::Proxy,
            _ => code.parse().map_or(Self::Unknown, Self::from_database),
        }
    }

    /// What a database's code means: `EU` and `AP` are regions, `ZZ` and the like are nothing.
    pub fn from_database(code: Country) -> Self {
        match code.code() {
            "AP" | "EU" => Self::Region(code),
            "A1" | "A2" | "O1" | "XX" | "ZZ" => Self::Unknown,
            _ => Self::Country(code),
        }
    }
}

/// The row of the statement that an attempt falls in. The sectors are disjoint and sum to the total.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Sector {
    /// Located in a country that is not home.
    Overseas,
    /// Located in a home country, or inside a home network.
    Domestic,
    /// Located in a country, while no home is declared: neither overseas nor domestic.
    Located,
    /// A region only, never counted as overseas.
    Region,
    /// The database has no answer.
    Unknown,
    /// A private or otherwise unroutable address.
    Private,
    /// A trusted proxy that named no client.
    Proxy,
    /// Grade E0: the source address could be forged.
    Unprovable,
}

impl Sector {
    /// Every sector, in the order in which reports print them.
    pub const ALL: [Self; 8] = [
        Self::Overseas,
        Self::Domestic,
        Self::Located,
        Self::Region,
        Self::Unknown,
        Self::Private,
        Self::Proxy,
        Self::Unprovable,
    ];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overseas => "overseas",
            Self::Domestic => "domestic",
            Self::Located => "located",
            Self::Region => "region_only",
            Self::Unknown => "unknown",
            Self::Private => "private",
            Self::Proxy => "proxy",
            Self::Unprovable => "not_provable",
        }
    }

    /// The sector of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sector| sector.name() == name)
    }
}

/// What a place was looked up by, long after the attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// The address of the source.
    Address,
    /// Nothing that could be looked up is kept: the place stays what it was.
    Nothing,
    /// Its prefix, which lies in one place.
    Prefix,
    /// Its prefix, of which only the most lies there.
    SplitPrefix,
}

/// A source: an IPv4 address, or an IPv6 prefix (a single host commands a whole /64).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourceKey(IpAddr);

impl SourceKey {
    /// The key of an address. IPv4 inside IPv6 (`::ffff:a.b.c.d`) is the IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let kept = v6.to_bits() & (u128::MAX << 64);
                Self(IpAddr::V6(Ipv6Addr::from_bits(kept)))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }

    /// The key of that text form.
    pub fn from_text(text: &str) -> Option<Self> {
        text.strip_suffix("/64").unwrap_or(text).parse().ok().map(Self::of)
    }

    /// The first address of the key.
    pub const fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for SourceKey {
    /// `192.0.2.1` or `2001:db8::/64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// A prefix of sources: what tallies are kept by when addresses are gone.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourcePrefix(IpNet);

/// Lengths of the prefixes that tallies are kept by: IPv4, IPv6.
pub type PrefixLengths = (u8, u8);

impl SourcePrefix {
    /// The prefix of an address. A length that its family does not have keeps the whole address.
    pub fn of(address: IpAddr, (four, six): PrefixLengths) -> Self {
        let address = address.to_canonical();
        let length = if address.is_ipv4() { four } else { six };
        Self(IpNet::new(address, length).unwrap_or_else(|_| IpNet::from(address)).trunc())
    }

    /// As a network.
    pub const fn network(self) -> IpNet {
        self.0
    }
}

impl fmt::Display for SourcePrefix {
    /// `192.0.2.0/24` or `2001:db8:1::/48`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn country_codes_are_two_letters_in_upper_case() {
        assert_eq!("us".parse::<Country>().unwrap().code(), "US");
        assert!("USA".parse::<Country>().is_err());
        assert!("1A".parse::<Country>().is_err());
    }

    #[test]
    fn regions_are_never_countries() {
        assert!(matches!(Place::from_code("EU"), Place::Region(_)));
        assert!(matches!(Place::from_code("DE"), Place::Country(_)));
        assert_eq!(Place::from_code("ZZ"), Place::Unknown);
    }

    #[test]
    fn places_survive_their_code() {
        for code in ["US", "AP", "private", "proxy", "unknown"] {
            assert_eq!(Place::from_code(code).code(), code);
        }
    }

    #[test]
    fn one_source_is_an_ipv4_address_or_an_ipv6_64() {
        assert_eq!(SourceKey::of("::ffff:192.0.2.7".parse().unwrap()).to_string(), "192.0.2.7");
        assert_eq!(SourceKey::of("2001:db8:1:2:3::9".parse().unwrap()).to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn prefixes_hold_their_sources() {
        let of = |text: &str| SourcePrefix::of(text.parse().unwrap(), (24, 48)).to_string();
        assert_eq!(of("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1::/48");
        assert_eq!(SourcePrefix::of("192.0.2.77".parse().unwrap(), (99, 48)).to_string(), "192.0.2.77/32");
    }
}
