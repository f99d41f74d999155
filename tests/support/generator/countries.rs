//! Address space by country: one IPv4 and one IPv6 prefix each, wholly inside that country in DB-IP Country
//! Lite of October 2026, the database that gatewatch embeds (checked range by range when the table was made).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::random::Random;

/// One row of the table.
#[derive(Debug)]
pub struct Space {
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    v4: (Ipv4Addr, u32),
    v6: (Ipv6Addr, u32),
}

const fn space(country: &'static str, v4: ([u8; 4], u32), v6: ([u16; 3], u32)) -> Space {
    let (head, v6_bits) = v6;
    Space {
        country,
        v4: (Ipv4Addr::from_bits(u32::from_be_bytes(v4.0)), v4.1),
        v6: (Ipv6Addr::new(head[0], head[1], head[2], 0, 0, 0, 0, 0), v6_bits),
    }
}

/// The table, in the order of the codes.
pub const SPACES: &[Space] = &[
    space("AR", ([181, 20, 0, 0], 14), ([0x2800, 0x2000, 0], 24)),
    space("AU", ([1, 120, 0, 0], 14), ([0x2401, 0x6000, 0], 24)),
    space("BD", ([114, 130, 0, 0], 16), ([0x2400, 0xca00, 0], 32)),
    space("BR", ([191, 160, 0, 0], 13), ([0x2804, 0x0d40, 0], 28)),
    space("CA", ([99, 208, 0, 0], 13), ([0x2601, 0x2400, 0], 24)),
    space("CN", ([36, 96, 0, 0], 12), ([0x240c, 0xc000, 0], 24)),
    space("CO", ([181, 128, 0, 0], 13), ([0x2800, 0x00e0, 0], 32)),
    space("DE", ([93, 192, 0, 0], 12), ([0x2003, 0x1000, 0], 24)),
    space("EG", ([197, 32, 0, 0], 13), ([0x2c0e, 0x0100, 0], 24)),
    space("ES", ([88, 0, 0, 0], 12), ([0x2a02, 0x9000, 0], 24)),
    space("FR", ([176, 128, 0, 0], 12), ([0x2a01, 0xcea0, 0], 28)),
    space("GB", ([86, 128, 0, 0], 12), ([0x2001, 0x5020, 0], 28)),
    space("ID", ([39, 192, 0, 0], 12), ([0x2a11, 0xfb00, 0], 32)),
    space("IN", ([117, 192, 0, 0], 12), ([0x2409, 0x4000, 0], 24)),
    space("IT", ([93, 32, 0, 0], 13), ([0x2a01, 0x2000, 0], 24)),
    space("JP", ([133, 16, 0, 0], 13), ([0x2408, 0x0100, 0], 24)),
    space("KR", ([175, 192, 0, 0], 12), ([0x2400, 0x0100, 0], 24)),
    space("MX", ([189, 136, 0, 0], 13), ([0x2806, 0x1000, 0], 28)),
    space("NG", ([105, 112, 0, 0], 13), ([0x2c0f, 0x6e80, 0], 32)),
    space("NL", ([145, 144, 0, 0], 14), ([0x2a1a, 0, 0], 32)),
    space("PK", ([39, 32, 0, 0], 13), ([0x2400, 0xadc0, 0], 32)),
    space("PL", ([83, 0, 0, 0], 12), ([0x2a01, 0x1000, 0], 24)),
    space("RO", ([92, 80, 0, 0], 14), ([0x2a02, 0x2f00, 0], 32)),
    space("RU", ([95, 24, 0, 0], 14), ([0x2a02, 0x2648, 0], 32)),
    space("SE", ([95, 192, 0, 0], 13), ([0x2a00, 0x0820, 0], 32)),
    space("SG", ([47, 128, 0, 0], 15), ([0x2410, 0, 0], 20)),
    space("TH", ([171, 96, 0, 0], 14), ([0x2404, 0x8d00, 0], 32)),
    space("TR", ([88, 224, 0, 0], 13), ([0x2a14, 0xff00, 0], 32)),
    space("UA", ([37, 52, 0, 0], 15), ([0x2a14, 0xfe00, 0], 32)),
    space("US", ([73, 0, 0, 0], 11), ([0x2607, 0xfff9, 0x4000], 36)),
    space("VN", ([171, 224, 0, 0], 13), ([0x2405, 0x4800, 0], 32)),
    space("ZA", ([41, 0, 0, 0], 13), ([0x2c0e, 0x2000, 0], 24)),
];

impl Space {
    /// The row of a country.
    pub fn of(country: &str) -> Option<&'static Self> {
        SPACES.iter().find(|space| space.country == country)
    }

    /// Its networks as text.
    pub fn networks(&self) -> [String; 2] {
        [format!("{}/{}", self.v4.0, self.v4.1), format!("{}/{}", self.v6.0, self.v6.1)]
    }

    /// Whether an address lies in this row's space.
    pub fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => (v4.to_bits() ^ self.v4.0.to_bits()) >> (32 - self.v4.1) == 0,
            IpAddr::V6(v6) => (v6.to_bits() ^ self.v6.0.to_bits()) >> (128 - self.v6.1) == 0,
        }
    }

    /// Source number `rank` of this country: always the same address for the same number.
    pub fn source(&self, rank: u64, six: bool) -> IpAddr {
        let mut random = Random::keyed(&[u64::from(self.v4.0.to_bits()), rank]);
        if six {
            let host =
                (u128::from(random.next()) << 64 | u128::from(random.next())) & (u128::MAX >> self.v6.1);
            IpAddr::V6(Ipv6Addr::from_bits(self.v6.0.to_bits() | host))
        } else {
            // Not the network's own address: a source ends in 1 to 254.
            let host = (random.next() as u32 & (u32::MAX >> self.v4.1)) & !0xff;
            let last = random.between(1, 254) as u32;
            IpAddr::V4(Ipv4Addr::from_bits(self.v4.0.to_bits() | host | last))
        }
    }
}
