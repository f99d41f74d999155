//! `[flood]`: when a second of traffic is a second of a flood. One table a kind.

use serde::{Deserialize, Serialize};

/// `[flood]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flood {
    /// Connections that are begun and not completed.
    pub syn: Limit<500, 5, 5>,
    /// Segments of no conversation: ACK, RST, FIN.
    pub ack: Limit<1_000, 8, 5>,
    /// UDP datagrams.
    pub udp: Limit<20_000, 8, 5>,
    /// UDP datagrams of ever new senders, to which the victim says nothing.
    pub udp_forged: Limit<1_000, 8, 3>,
    /// ICMP messages.
    pub icmp: Limit<500, 8, 3>,
    /// IP fragments.
    pub fragment: Limit<500, 8, 3>,
    /// Answers of reflectors that nobody here asked for.
    pub reflection: Reflection,
    /// Answers of our own services that make more of what they are asked.
    pub reflector: Limit<200, 8, 3>,
    /// Queries as they are forged to make our own services reflect.
    pub asked: Limit<200, 8, 3>,
    /// HTTP requests of one source.
    pub http: Limit<100, 1, 10>,
    /// HTTP requests of many sources to one server.
    pub http_site: Site,
    /// TLS handshakes of one source.
    pub tls: Limit<50, 1, 10>,
    /// Connections of one source.
    pub connect: Limit<100, 1, 10>,
    /// Conversations that one source keeps open without going on.
    pub slow: Slow,
    /// Those of one network (IPv4 /24, IPv6 /48), of sources above `slow.of_source_min` left out.
    pub slow_network: Limit<50, 1, 60>,
}

/// How much is a flood, and the defaults of that.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limit<const PER_SECOND_MIN: u64, const FACTOR: u32, const SUSTAINED_SECS: u32> {
    /// Whether it is looked for.
    #[serde(default = "super::yes")]
    pub enabled: bool,
    /// How many in a second at least, 10 to 100000000.
    #[serde(default = "super::large_number::<PER_SECOND_MIN>")]
    pub per_second_min: u64,
    /// How many times the average before it, 1 to 1000.
    #[serde(default = "super::number::<FACTOR>")]
    pub factor: u32,
    /// Seconds in a row from which on it is a flood, 1 to 60.
    #[serde(default = "super::number::<SUSTAINED_SECS>")]
    pub sustained_secs: u32,
}

/// `[flood.reflection]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reflection {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Answers in a second at least, 10 to 100000000.
    pub per_second_min: u64,
    /// The same where they are large, 300 bytes a frame on average: what makes a reflector worth its while.
    pub large_per_second_min: u64,
    /// How many times the average before it, 1 to 1000.
    pub factor: u32,
    /// Seconds in a row from which on it is a flood, 1 to 60.
    pub sustained_secs: u32,
}

/// `[flood.http_site]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Requests in a second at least, 20 to 100000000.
    pub per_second_min: u64,
    /// How many times the average before it, 1 to 1000.
    pub factor: u32,
    /// Seconds in a row from which on it is a flood, 1 to 60.
    pub sustained_secs: u32,
    /// Sources in a second at least, 2 to 100000.
    pub sources_min: u32,
}

/// `[flood.slow]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slow {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Conversations of one source at a time, 2 to 100000.
    pub of_source_min: u64,
    /// Seconds in a row from which on it is an attack, 1 to 60.
    pub sustained_secs: u32,
}

/// A limit, whatever its defaults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Whether it is looked for.
    pub enabled: bool,
    /// How many in a second at least.
    pub per_second_min: u64,
    /// How many times the average before it.
    pub factor: u32,
    /// Seconds in a row from which on it is a flood.
    pub sustained_secs: u32,
    /// Sources in a second at least.
    pub sources_min: u32,
}

impl<const PER_SECOND_MIN: u64, const FACTOR: u32, const SUSTAINED_SECS: u32> Default
    for Limit<PER_SECOND_MIN, FACTOR, SUSTAINED_SECS>
{
    fn default() -> Self {
        Self { enabled: true, per_second_min: PER_SECOND_MIN, factor: FACTOR, sustained_secs: SUSTAINED_SECS }
    }
}

impl<const PER_SECOND_MIN: u64, const FACTOR: u32, const SUSTAINED_SECS: u32>
    Limit<PER_SECOND_MIN, FACTOR, SUSTAINED_SECS>
{
    /// Its values.
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            enabled: self.enabled,
            per_second_min: self.per_second_min,
            factor: self.factor,
            sustained_secs: self.sustained_secs,
            sources_min: 0,
        }
    }
}

impl Reflection {
    /// Its values, of answers that are large or not.
    pub const fn bounds(&self, is_large: bool) -> Bounds {
        Bounds {
            enabled: self.enabled,
            per_second_min: if is_large { self.large_per_second_min } else { self.per_second_min },
            factor: self.factor,
            sustained_secs: self.sustained_secs,
            sources_min: 0,
        }
    }
}

impl Default for Reflection {
    fn default() -> Self {
        Self { enabled: true, per_second_min: 1_000, large_per_second_min: 300, factor: 8, sustained_secs: 3 }
    }
}

impl Site {
    /// Its values.
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            enabled: self.enabled,
            per_second_min: self.per_second_min,
            factor: self.factor,
            sustained_secs: self.sustained_secs,
            sources_min: self.sources_min,
        }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self { enabled: true, per_second_min: 200, factor: 8, sustained_secs: 10, sources_min: 25 }
    }
}

impl Default for Slow {
    fn default() -> Self {
        Self { enabled: true, of_source_min: 10, sustained_secs: 60 }
    }
}
