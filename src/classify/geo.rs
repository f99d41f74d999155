//! Geolocation databases (MaxMind DB format): opened, checked, asked.
//!
//! A file is read into memory, never mapped: a mapped file that is overwritten in place kills the process. What a
//! database does not tell stays "not determined". An error during a look-up is an unknown origin and a counter.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maxminddb::Reader;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::origin::Origin;
use crate::model::place::{Country, Place, SourceKey};
use crate::model::time::Timestamp;

/// The embedded default: DB-IP Country Lite (CC BY 4.0), built by `gatewatch geo build`; see config/geo/README.md.
const EMBEDDED: &[u8] = include_bytes!("../../config/geo/dbip-country-lite-2026-10.mmdb.zst");
/// Decompressed size at most; the file committed is 8.3 MB.
const EMBEDDED_MAX_BYTES: usize = 32 << 20;
/// A database file larger than this is not read: the largest commercial ones have about 1 GiB.
const FILE_MAX_BYTES: u64 = 2 << 30;
/// Records looked at before a database is accepted.
const SAMPLE_RECORDS: usize = 2_000;
/// Sources whose origin is kept at hand, in each of two generations.
const CACHE_SOURCES: usize = 65_536;

/// Which database attributed a tally.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DatabaseInfo {
    /// `database_type` of the file.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was built, RFC 3339.
    pub build_date: String,
    /// SHA-256 of the file (of the decompressed database where it is embedded).
    pub sha256: String,
    /// Its path, or `embedded`.
    pub path: String,
    /// Attribution that its licence asks for, where known.
    pub attribution: Option<String>,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("database {}: {complaint}", path.display())]
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

/// A country given as a map (MaxMind, DB-IP) or as a text (`IPinfo`).
#[derive(Deserialize)]
#[serde(untagged)]
enum CountryField<'a> {
    Map {
        #[serde(borrow)]
        iso_code: Option<&'a str>,
    },
    Text(&'a str),
}

impl CountryField<'_> {
    fn code(&self) -> Option<Country> {
        match self {
            Self::Map { iso_code } => iso_code.and_then(|code| code.parse().ok()),
            Self::Text(code) => code.parse().ok(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ContinentField<'a> {
    Map {
        #[serde(borrow)]
        code: Option<&'a str>,
    },
    Text(&'a str),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AsnField<'a> {
    Number(u64),
    Text(&'a str),
}

/// The members of a record that are of use, in every shape that is accepted.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    country: Option<CountryField<'a>>,
    country_code: Option<&'a str>,
    #[serde(borrow)]
    registered_country: Option<CountryField<'a>>,
    #[serde(borrow)]
    continent: Option<ContinentField<'a>>,
    continent_code: Option<&'a str>,
    autonomous_system_number: Option<u64>,
    autonomous_system_organization: Option<&'a str>,
    #[serde(borrow)]
    asn: Option<AsnField<'a>>,
    as_name: Option<&'a str>,
    name: Option<&'a str>,
}

impl Record<'_> {
    fn country(&self) -> Option<Country> {
        self.country
            .as_ref()
            .and_then(CountryField::code)
            .or_else(|| self.country_code.and_then(|code| code.parse().ok()))
    }

    fn continent(&self) -> Option<[u8; 2]> {
        let code = match &self.continent {
            Some(ContinentField::Map { code }) => *code,
            Some(ContinentField::Text(text)) => Some(*text),
            None => None,
        };
        code.or(self.continent_code)?.as_bytes().try_into().ok()
    }

    fn asn(&self) -> Option<u32> {
        let number = self.autonomous_system_number.or(match self.asn {
            Some(AsnField::Number(number)) => Some(number),
            Some(AsnField::Text(text)) => text.trim_start_matches("AS").parse().ok(),
            None => None,
        });
        // Numbers of 32 bits are all there are (RFC 6793).
        u32::try_from(number?).ok()
    }

    fn organisation(&self) -> Option<&str> {
        self.autonomous_system_organization.or(self.as_name).or(if self.asn.is_some() {
            self.name
        } else {
            None
        })
    }
}

impl Database {
    /// Reads a file and checks that it tells countries or autonomous systems.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let wrong = |complaint: String| GeoError { path: path.to_owned(), complaint };
        let size = std::fs::metadata(path).map_err(|error| wrong(format!("cannot be read: {error}")))?.len();
        if size > FILE_MAX_BYTES {
            return Err(wrong(format!("has {size} bytes; {FILE_MAX_BYTES} at most are read")));
        }
        let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        Self::from_bytes(bytes, &path.display().to_string()).map_err(wrong)
    }

    /// The embedded default.
    pub fn embedded() -> Result<Self, GeoError> {
        let wrong = |complaint: String| GeoError { path: PathBuf::from("embedded"), complaint };
        let bytes =
            zstd::bulk::decompress(EMBEDDED, EMBEDDED_MAX_BYTES).map_err(|error| wrong(error.to_string()))?;
        Self::from_bytes(bytes, "embedded").map_err(wrong)
    }

    fn from_bytes(bytes: Vec<u8>, path: &str) -> Result<Self, String> {
        let sha256 = hex(&Sha256::digest(&bytes));
        let reader = Reader::from_source(bytes)
            .map_err(|error| format!("is no MaxMind DB file ({error}); a country or ASN .mmdb is wanted"))?;
        let metadata = reader.metadata();
        let kind = metadata.database_type.clone();
        let built = i64::try_from(metadata.build_epoch).unwrap_or(i64::MAX);
        let attribution = kind
            .to_ascii_lowercase()
            .contains("dbip")
            .then(|| "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0".to_owned())
            .or_else(|| {
                kind.starts_with("GeoLite2")
                    .then(|| "This product includes GeoLite2 data created by MaxMind".to_owned())
            });
        let info = DatabaseInfo {
            build_date: Timestamp::from_parts(built, 0).to_jiff().to_string(),
            sha256,
            path: path.to_owned(),
            attribution,
            kind,
        };
        let database = Self { reader, info };
        database.check()?;
        Ok(database)
    }

    /// Type, build date, hash.
    pub const fn info(&self) -> &DatabaseInfo {
        &self.info
    }

    /// Looks at a sample of its records.
    fn check(&self) -> Result<(), String> {
        let broken = |error: maxminddb::MaxMindDbError| format!("is damaged: {error}; fetch it again");
        let mut told = false;
        let mut first_error = None;
        for network in
            self.reader.networks(maxminddb::WithinOptions::default()).map_err(broken)?.take(SAMPLE_RECORDS)
        {
            match network.and_then(|result| result.decode::<Record<'_>>()) {
                Ok(Some(record)) if record.country().is_some() || record.asn().is_some() => told = true,
                Ok(_) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match (told, first_error) {
            (true, _) => Ok(()),
            (false, Some(error)) => Err(broken(error)),
            (false, None) => Err(format!(
                "is of type {:?} and tells neither countries nor autonomous systems; use a Country, City or ASN database",
                self.info.kind
            )),
        }
    }

    /// IPv4 addresses that it locates in each country: the base rate of a share. Empty for a database without countries.
    pub fn addresses(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        // Thousands of networks share one record: each is decoded once.
        let mut codes: HashMap<Option<usize>, Option<Country>, ahash::RandomState> = HashMap::default();
        let Ok(networks) = "0.0.0.0/0"
            .parse()
            .map_err(|_| ())
            .and_then(|all| self.reader.within(all, maxminddb::WithinOptions::default()).map_err(|_| ()))
        else {
            return found;
        };
        for result in networks.flatten() {
            let Ok(network) = result.network() else { continue };
            let code = *codes.entry(result.offset()).or_insert_with(|| {
                result.decode::<Record<'_>>().ok().flatten().and_then(|record| record.country())
            });
            if let Some(code) = code {
                let host_bits = if network.is_ipv4() { 32_u8 } else { 128 }.saturating_sub(network.prefix());
                let addresses = 1_u64 << host_bits.min(32);
                *found.entry(Place::from_database(code).code().to_owned()).or_default() += addresses;
            }
        }
        found
    }

    fn fill(&self, address: IpAddr, origin: &mut Origin) -> Result<(), maxminddb::MaxMindDbError> {
        let result = self.reader.lookup(address)?;
        let Some(record) = result.decode::<Record<'_>>()? else { return Ok(()) };
        if origin.place == Place::Unknown
            && let Some(country) = record.country()
        {
            origin.place = Place::from_database(country);
            origin.prefix = result.network().ok().map(|network| network.to_string().into());
        }
        origin.registered = origin.registered.or_else(|| record.registered_country.as_ref()?.code());
        origin.continent = origin.continent.or_else(|| record.continent());
        if origin.asn.is_none() {
            origin.asn = record.asn();
            origin.as_org = record.organisation().map(Into::into);
        }
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The databases in use, with what was asked lately.
#[derive(Debug)]
pub struct Geo {
    databases: Vec<Database>,
    recent: HashMap<SourceKey, Arc<Origin>, ahash::RandomState>,
    older: HashMap<SourceKey, Arc<Origin>, ahash::RandomState>,
    errors: u64,
}

impl Geo {
    /// Asks `databases` in this order: the first that knows decides.
    pub fn new(databases: Vec<Database>) -> Self {
        Self { databases, recent: HashMap::default(), older: HashMap::default(), errors: 0 }
    }

    /// Type, build date and hash of each.
    pub fn infos(&self) -> Vec<DatabaseInfo> {
        self.databases.iter().map(|database| database.info.clone()).collect()
    }

    /// Look-ups that failed on a damaged part of a database; their origin is unknown.
    pub const fn errors(&self) -> u64 {
        self.errors
    }

    /// IPv4 addresses by country, of the database that decides.
    pub fn addresses(&self) -> BTreeMap<String, u64> {
        self.databases.first().map(Database::addresses).unwrap_or_default()
    }

    /// Origin of a source.
    pub fn origin(&mut self, source: SourceKey) -> Arc<Origin> {
        if let Some(known) = self.recent.get(&source) {
            return Arc::clone(known);
        }
        let origin = self.older.remove(&source).unwrap_or_else(|| Arc::new(self.look_up(source.address())));
        if self.recent.len() >= CACHE_SOURCES {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(source, Arc::clone(&origin));
        origin
    }

    /// Origin of an address, asked anew.
    pub fn look_up(&mut self, address: IpAddr) -> Origin {
        if crate::classify::sector::is_unroutable(address) {
            return Origin::of_place(Place::Private);
        }
        let mut origin = Origin::of_place(Place::Unknown);
        for database in &self.databases {
            if database.fill(address, &mut origin).is_err() {
                self.errors += 1;
            }
        }
        origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_country_are_told_and_add_up_to_most_of_the_routed_ones() {
        let addresses = Database::embedded().unwrap().addresses();
        let all: u64 = addresses.values().sum();
        assert!((3_000_000_000..=1 << 32).contains(&all), "{all}");
        let share = |code: &str| addresses[code] as f64 / all as f64;
        assert!((0.3..0.6).contains(&share("US")) && (0.05..0.2).contains(&share("CN")), "{}", share("US"));
        assert!(addresses.len() > 200);
    }

    #[test]
    fn the_embedded_database_knows_countries_of_both_families() {
        let mut geo = Geo::new(vec![Database::embedded().unwrap()]);
        for (address, code) in
            [("8.8.8.8", "US"), ("114.114.114.114", "CN"), ("2001:200::1", "JP"), ("193.0.6.139", "NL")]
        {
            let origin = geo.origin(SourceKey::of(address.parse().unwrap()));
            assert_eq!(origin.place.code(), code, "{address}");
            assert_eq!(origin.asn, None, "a country database determines no system");
        }
        assert_eq!(geo.look_up("192.168.1.1".parse().unwrap()).place, Place::Private);
        assert!(geo.infos()[0].attribution.as_ref().unwrap().contains("DB-IP"));
    }

    #[test]
    fn every_shape_of_record_is_read() {
        let shapes = [
            serde_json::json!({"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "US"}, "continent": {"code": "EU"}}),
            serde_json::json!({"country_code": "DE"}),
            serde_json::json!({"country": "DE", "asn": "AS64500", "as_name": "Example"}),
        ];
        for shape in shapes {
            let mut writer = mmdb_writer::Writer::new("Test");
            writer.insert("198.41.0.0/24".parse::<ipnet::IpNet>().unwrap(), &shape).unwrap();
            let database = Database::from_bytes(writer.to_bytes().unwrap(), "test").unwrap();
            let origin = Geo::new(vec![database]).look_up("198.41.0.4".parse().unwrap());
            assert_eq!(origin.place.code(), "DE", "{shape}");
            assert_eq!(origin.asn.is_some(), shape.get("asn").is_some());
        }
    }

    #[test]
    fn a_second_database_adds_what_the_first_does_not_know() {
        let build = |value: serde_json::Value| {
            let mut writer = mmdb_writer::Writer::new("Test");
            writer.insert("198.41.0.0/24".parse::<ipnet::IpNet>().unwrap(), &value).unwrap();
            Database::from_bytes(writer.to_bytes().unwrap(), "test").unwrap()
        };
        let asn = build(
            serde_json::json!({"autonomous_system_number": 64500_u32, "autonomous_system_organization": "Example"}),
        );
        let country = build(serde_json::json!({"country": {"iso_code": "FR"}}));
        let other = build(serde_json::json!({"country": {"iso_code": "BE"}}));
        let origin = Geo::new(vec![asn, country, other]).look_up("198.41.0.4".parse().unwrap());
        assert_eq!(
            (origin.place.code(), origin.asn, origin.as_org.as_deref()),
            ("FR", Some(64500), Some("Example"))
        );
    }

    #[test]
    fn the_wrong_kind_and_a_broken_file_are_refused_with_a_reason() {
        let mut writer = mmdb_writer::Writer::new("Some-Domain");
        writer
            .insert("198.41.0.0/24".parse::<ipnet::IpNet>().unwrap(), &serde_json::json!({"domain": "x"}))
            .unwrap();
        let bytes = writer.to_bytes().unwrap();
        assert!(Database::from_bytes(bytes, "x").unwrap_err().contains("neither countries nor"));
        assert!(Database::from_bytes(b"not a database".to_vec(), "x").unwrap_err().contains("no MaxMind DB"));
    }
}
