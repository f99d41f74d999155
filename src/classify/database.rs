//! One geolocation database (MaxMind DB format): opened, checked, asked.
//!
//! A file is read into memory, never mapped: a mapped file that is overwritten in place kills the process. Its bytes are
//! hostile: a search tree may run in circles or branch without end, so every walk over it has a limit.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use sha2::{Digest, Sha256};

use crate::classify::geo::hex;
use crate::classify::packed::unpack;
use crate::classify::record::Record;
use crate::model::place::{Country, Place};
use crate::model::time::Timestamp;

/// The embedded default: DB-IP Country Lite (CC BY 4.0), built by `gatewatch geo build`, then packed; see config/geo/README.md.
const EMBEDDED: &[u8] = include_bytes!("../../config/geo/dbip-country-lite-2026-10.packed.zst");
/// Its size at most, before and after it is unpacked; the database is 8.3 MB.
const EMBEDDED_MAX_BYTES: usize = 32 << 20;
/// A database file larger than this is not read: the largest commercial ones have about 1 GiB.
const FILE_MAX_BYTES: u64 = 2 << 30;
/// Networks at the beginning of a database that are looked at before it is accepted.
const SAMPLE_NETWORKS: usize = 4_096;
/// Addresses spread over each family that are looked up before it is accepted.
const SAMPLE_ADDRESSES: u32 = 1_024;
/// A tree of n nodes has n + 1 leaves. One with more than this many for each node shares or repeats its branches: it
/// would be walked for ever.
const LEAVES_PER_NODE: usize = 4;
/// Different records that are decoded for the base rates; a city database has half a million.
const RECORDS_MAX: usize = 1 << 20;
/// Networks looked at inside a prefix; the rest of it counts as unknown. A prefix has eight bits at least, and the largest
/// databases have a few hundred thousand networks in the fullest of them.
const NETWORKS_WITHIN_MAX: usize = 1 << 20;
/// Steps of a walk between two questions whether to go on.
const STEPS_PER_QUESTION: usize = 256;

/// Whether opening may go on. Whoever opens has the clock: a hostile file of a few megabytes could keep a walk busy for
/// minutes.
pub type Patience<'a> = &'a dyn Fn() -> bool;

/// Which database attributed a tally.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatabaseInfo {
    /// `database_type` of the file.
    pub kind: String,
    /// When it was built, RFC 3339.
    pub build_date: String,
    /// SHA-256 of the file (of the decompressed database where it is embedded).
    pub sha256: String,
    /// Its path, or `embedded`.
    pub path: String,
    /// Attribution that its licence asks for, where known.
    pub attribution: Option<String>,
    /// Nodes of its search tree.
    pub nodes: u32,
    /// What it tells.
    pub tells: Tells,
}

/// What a database tells, as its sample shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tells {
    /// Located countries.
    pub countries: bool,
    /// Autonomous systems.
    pub systems: bool,
    /// Kinds of network.
    pub infrastructure: bool,
}

/// Why a database or list cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {complaint}", path.display())]
pub struct GeoError {
    /// The file.
    pub path: PathBuf,
    /// What was found and what would be right.
    pub complaint: String,
}

/// One opened database.
#[derive(Debug)]
pub struct Database {
    reader: Reader<Vec<u8>>,
    info: DatabaseInfo,
}

/// What a database says of an address.
pub struct Answer<'d> {
    /// The record.
    pub record: Record<'d>,
    result: LookupResult<'d, Vec<u8>>,
}

impl Answer<'_> {
    /// The network that it holds for.
    pub fn network(&self) -> Option<IpNet> {
        let network = self.result.network().ok()?;
        IpNet::new(network.network(), network.prefix()).ok()
    }
}

/// Reads a whole file of at most `max` bytes. A pipe or device is refused: it might never end.
pub(super) fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no regular file".to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more, so that a file that grows meanwhile is noticed too.
    file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max {
        return Err(format!("is larger than the {max} bytes that are read at most"));
    }
    Ok(bytes)
}

impl Database {
    /// Reads a file and checks that it tells countries, autonomous systems or kinds of network.
    pub fn open(path: &Path, patience: Patience<'_>) -> Result<Self, GeoError> {
        read_file(path, FILE_MAX_BYTES)
            .and_then(|bytes| Self::from_bytes(bytes, &path.display().to_string(), patience))
            .map_err(|complaint| GeoError { path: path.to_owned(), complaint })
    }

    /// The embedded default.
    pub fn embedded() -> Result<Self, GeoError> {
        zstd::bulk::decompress(EMBEDDED, EMBEDDED_MAX_BYTES)
            .map_err(|error| error.to_string())
            .and_then(|bytes| unpack(&bytes, EMBEDDED_MAX_BYTES).ok_or_else(|| "is damaged".to_owned()))
            .and_then(|bytes| Self::from_bytes(bytes, "embedded", &|| true))
            .map_err(|complaint| GeoError { path: PathBuf::from("embedded"), complaint })
    }

    /// From the bytes of a file.
    pub fn from_bytes(bytes: Vec<u8>, path: &str, patience: Patience<'_>) -> Result<Self, String> {
        let sha256 = hex(&Sha256::digest(&bytes));
        let reader = Reader::from_source(bytes)
            .map_err(|error| format!("is no MaxMind DB file ({error}); a country or ASN .mmdb is wanted"))?;
        let metadata = reader.metadata();
        let kind: String =
            metadata.database_type.chars().filter(|letter| !letter.is_control()).take(64).collect();
        let built = i64::try_from(metadata.build_epoch).unwrap_or(i64::MAX);
        let info = DatabaseInfo {
            build_date: Timestamp::from_parts(built, 0).to_jiff().to_string(),
            sha256,
            path: path.to_owned(),
            attribution: attribution(&kind).map(str::to_owned),
            nodes: metadata.node_count,
            tells: Tells::default(),
            kind,
        };
        let mut database = Self { reader, info };
        database.info.tells = database.sample(patience)?;
        Ok(database)
    }

    /// Type, build date, hash.
    pub const fn info(&self) -> &DatabaseInfo {
        &self.info
    }

    /// What it tells.
    pub const fn tells(&self) -> Tells {
        self.info.tells
    }

    /// Looks at its first networks and at addresses spread over all.
    fn sample(&self, patience: Patience<'_>) -> Result<Tells, String> {
        let broken = |error: &MaxMindDbError| format!("is damaged: {error}; fetch it again");
        let mut seen = Seen::default();
        // With the empty and the repeated ones: the walk must come back here often, whatever the tree is like.
        let all = WithinOptions::default().include_aliased_networks().include_networks_without_data();
        let first = self.reader.networks(all).map_err(|error| broken(&error))?.take(SAMPLE_NETWORKS);
        let six = self.reader.metadata().ip_version == 6;
        let spread = (0..SAMPLE_ADDRESSES).flat_map(|number| {
            let word = number.wrapping_mul(0x9e37_79b1);
            // 2000::/3 is what is given out of IPv6.
            let high = 0x2000_0000 | word >> 3;
            let v6 = Ipv6Addr::from(u128::from(high) << 96 | u128::from(word) << 64);
            [Some(IpAddr::from(Ipv4Addr::from(word))), six.then_some(IpAddr::from(v6))]
        });
        let looked_up = spread.flatten().map(|address| self.reader.lookup(address));
        for (step, result) in first.chain(looked_up).enumerate() {
            if step.is_multiple_of(STEPS_PER_QUESTION) && !patience() {
                return Err("takes too long to check; it is damaged, or no database".to_owned());
            }
            seen.note(result.and_then(|result| result.decode::<Record<'_>>()));
        }
        match (seen.tells, seen.first_error) {
            (tells, _) if tells != Tells::default() => Ok(tells),
            (_, Some(error)) => Err(broken(&error)),
            (_, None) => Err(format!(
                "is of type {:?} and tells neither countries, autonomous systems nor kinds of network; use a Country, City, ASN or Anonymous-IP database",
                self.info.kind
            )),
        }
    }

    /// IPv4 addresses that it locates in each country: the base rate of a share. Empty for a database without countries,
    /// and for one that cannot be walked through.
    pub fn addresses(&self, patience: Patience<'_>) -> BTreeMap<String, u64> {
        self.counted(patience).unwrap_or_default()
    }

    fn counted(&self, patience: Patience<'_>) -> Option<BTreeMap<String, u64>> {
        let mut found = BTreeMap::new();
        // Thousands of networks share one record: each is decoded once.
        let mut codes: HashMap<usize, Option<Country>, ahash::RandomState> = HashMap::default();
        let leaves_max = (self.info.nodes as usize).saturating_mul(LEAVES_PER_NODE);
        let all = WithinOptions::default().include_networks_without_data();
        for (step, result) in self.reader.within("0.0.0.0/0".parse().ok()?, all).ok()?.enumerate() {
            if step > leaves_max || step.is_multiple_of(STEPS_PER_QUESTION) && !patience() {
                return None;
            }
            let Ok(result) = result else { continue };
            let (Some(offset), Ok(network)) = (result.offset(), result.network()) else { continue };
            if codes.len() >= RECORDS_MAX && !codes.contains_key(&offset) {
                return None;
            }
            let code = *codes.entry(offset).or_insert_with(|| {
                result.decode::<Record<'_>>().ok().flatten().and_then(|record| record.country())
            });
            if let Some(code) = code
                && network.is_ipv4()
            {
                let addresses = 1_u64 << 32_u8.saturating_sub(network.prefix());
                *found.entry(Place::from_database(code).code().to_owned()).or_default() += addresses;
            }
        }
        Some(found)
    }

    /// The places inside a network, each with how many of its addresses are there; what is not told is unknown.
    pub fn places_within(&self, network: IpNet) -> BTreeMap<Place, u128> {
        let host_bits = |length: u8| u32::from(network.max_prefix_len().saturating_sub(length));
        let addresses = |length| 1_u128.checked_shl(host_bits(length)).unwrap_or(u128::MAX);
        let all = addresses(network.prefix_len());
        let mut found = BTreeMap::new();
        let mut told = 0_u128;
        let results = network
            .to_string()
            .parse()
            .ok()
            .and_then(|network| self.reader.within(network, WithinOptions::default()).ok());
        for result in results.into_iter().flatten().take(NETWORKS_WITHIN_MAX).flatten() {
            let (Ok(part), Ok(Some(record))) = (result.network(), result.decode::<Record<'_>>()) else {
                continue;
            };
            let Some(country) = record.country() else { continue };
            // A network that reaches beyond is one for all of what was asked.
            let count = addresses(part.prefix().max(network.prefix_len())).min(all - told);
            told += count;
            *found.entry(Place::from_database(country)).or_default() += count;
        }
        if told < all {
            *found.entry(Place::Unknown).or_default() += all - told;
        }
        found
    }

    /// What it says of an address, if it knows it.
    pub fn answer(&self, address: IpAddr) -> Result<Option<Answer<'_>>, MaxMindDbError> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let result = self.reader.lookup(address)?;
        Ok(result.decode()?.map(|record| Answer { record, result }))
    }
}

/// What a sample shows.
#[derive(Default)]
struct Seen {
    tells: Tells,
    first_error: Option<MaxMindDbError>,
}

impl Seen {
    fn note(&mut self, decoded: Result<Option<Record<'_>>, MaxMindDbError>) {
        match decoded {
            Ok(Some(record)) => {
                self.tells.countries |= record.country().is_some();
                self.tells.systems |= record.asn.is_some();
                self.tells.infrastructure |= record.sorts_networks;
            }
            Ok(None) => {}
            Err(error) => self.first_error = self.first_error.take().or(Some(error)),
        }
    }
}

/// The line that a database's licence asks for.
fn attribution(kind: &str) -> Option<&'static str> {
    if kind.to_ascii_lowercase().contains("dbip") {
        Some("IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0")
    } else if kind.starts_with("GeoLite2") {
        Some("This product includes GeoLite2 data created by MaxMind")
    } else {
        None
    }
}
