//! The databases and lists in use, asked together.
//!
//! The first database with countries decides where an address is; the second is the second opinion; what neither tells is
//! filled in by the rest, and what none tells stays "not determined". An error during a look-up is an unknown origin and
//! a counter.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::classify::database::{Database, DatabaseInfo, Patience};
use crate::classify::infrastructure::Lists;
use crate::classify::record::Record;
use crate::classify::sector;
use crate::model::origin::{Infrastructure, Origin};
use crate::model::place::{Place, SourceKey};

/// Sources whose origin is kept at hand at most, in each of two generations: more brought no speed.
const CACHE_SOURCES: usize = 65_536;
/// Memory of one of them: the origin and its place in the map.
const BYTES_PER_SOURCE: usize = 256;

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
    lists: Lists,
    recent: HashMap<SourceKey, Arc<Origin>, ahash::RandomState>,
    older: HashMap<SourceKey, Arc<Origin>, ahash::RandomState>,
    generation_max: usize,
    errors: u64,
}

impl Geo {
    /// Asks `databases` in this order: the first that knows decides.
    pub fn new(databases: Vec<Database>) -> Self {
        Self {
            databases,
            lists: Lists::default(),
            recent: HashMap::default(),
            older: HashMap::default(),
            generation_max: CACHE_SOURCES,
            errors: 0,
        }
    }

    /// With up to `memory_bytes` for what was asked lately.
    #[must_use]
    pub fn within(self, memory_bytes: usize) -> Self {
        Self { generation_max: (memory_bytes / BYTES_PER_SOURCE / 2).clamp(1_024, CACHE_SOURCES), ..self }
    }

    /// With the operator's lists of kinds of network, which go before the databases.
    #[must_use]
    pub fn with_lists(self, lists: Lists) -> Self {
        Self { lists, ..self }
    }

    /// The operator's lists.
    pub const fn lists(&self) -> &Lists {
        &self.lists
    }

    /// The first database with countries.
    pub fn deciding(&self) -> Option<&Database> {
        self.databases.iter().find(|database| database.tells().countries)
    }

    /// Type, build date and hash of each, the deciding one first.
    pub fn infos(&self) -> Vec<DatabaseInfo> {
        let mut databases: Vec<&Database> = self.databases.iter().collect();
        if let Some(at) = databases.iter().position(|database| database.tells().countries) {
            let deciding = databases.remove(at);
            databases.insert(0, deciding);
        }
        databases.into_iter().map(|database| database.info().clone()).collect()
    }

    /// Look-ups that failed on a damaged part of a database; their origin is unknown.
    pub const fn errors(&self) -> u64 {
        self.errors
    }

    /// IPv4 addresses by country, of the database that decides.
    pub fn addresses(&self, patience: Patience<'_>) -> BTreeMap<String, u64> {
        self.deciding().map(|database| database.addresses(patience)).unwrap_or_default()
    }

    /// Origin of a source.
    pub fn origin(&mut self, source: SourceKey) -> Arc<Origin> {
        if let Some(known) = self.recent.get(&source) {
            return Arc::clone(known);
        }
        let origin = self.older.remove(&source).unwrap_or_else(|| Arc::new(self.look_up(source.address())));
        if self.recent.len() >= self.generation_max {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(source, Arc::clone(&origin));
        origin
    }

    /// The places inside a network by the database that decides, each with how many of its addresses are there.
    pub fn places_within(&self, network: IpNet) -> BTreeMap<Place, u128> {
        self.deciding().map(|database| database.places_within(network)).unwrap_or_default()
    }

    /// Origin of an address, asked anew.
    pub fn look_up(&mut self, address: IpAddr) -> Origin {
        let address = address.to_canonical();
        let listed = self.lists.class(address);
        if sector::is_unroutable(address) {
            let infrastructure = listed.or(Some(Infrastructure::Bogon));
            return Origin { infrastructure, ..Origin::of_place(Place::Private) };
        }
        let mut origin = Origin { infrastructure: listed, ..Origin::of_place(Place::Unknown) };
        let mut opinions = 0;
        for database in &self.databases {
            opinions += usize::from(database.tells().countries);
            match database.answer(address) {
                Ok(Some(answer)) => {
                    let place = answer.record.country().map_or(Place::Unknown, Place::from_database);
                    if place != Place::Unknown && origin.place == Place::Unknown {
                        origin.place = place;
                        origin.prefix = answer.network();
                    } else if place != Place::Unknown && opinions == 2 {
                        origin.second = Some(place);
                    }
                    fill(&mut origin, place, &answer.record);
                }
                Ok(None) => {}
                Err(_) => self.errors += 1,
            }
        }
        origin
    }
}

/// Adds what is missing from a record that places the address at `place`.
fn fill(origin: &mut Origin, place: Place, record: &Record<'_>) {
    origin.registered = origin.registered.or(record.registered);
    // The continent of another country would contradict the place.
    if place == origin.place {
        origin.continent = origin.continent.or_else(|| record.continent());
    }
    if origin.asn.is_none() {
        origin.asn = record.asn;
        origin.as_org = record.organisation().map(Into::into);
    }
    origin.infrastructure = origin.infrastructure.or(record.infrastructure);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A database of one network.
    fn database(network: &str, value: &Value) -> Database {
        let mut writer = mmdb_writer::Writer::new("Test");
        writer.insert(network.parse::<ipnet::IpNet>().unwrap(), value).unwrap();
        Database::from_bytes(writer.to_bytes().unwrap(), "test", &|| true).unwrap()
    }

    fn asked(databases: Vec<Database>, address: &str) -> Origin {
        Geo::new(databases).look_up(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_every_country_are_told_and_add_up_to_most_of_the_routed_ones() {
        let addresses = Database::embedded().unwrap().addresses(&|| true);
        let all: u64 = addresses.values().sum();
        assert!((3_000_000_000..=1 << 32).contains(&all), "{all}");
        let share = |code: &str| addresses[code] as f64 / all as f64;
        assert!((0.3..0.6).contains(&share("US")) && (0.05..0.2).contains(&share("CN")), "{}", share("US"));
        assert!(addresses.len() > 200);
        assert!(
            Database::embedded().unwrap().addresses(&|| false).is_empty(),
            "whoever asks may lose patience"
        );
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
            assert_eq!(origin.infrastructure, None, "nor a kind of network");
        }
        assert_eq!(geo.look_up("192.168.1.1".parse().unwrap()).place, Place::Private);
        assert_eq!(geo.look_up("fe80::1".parse().unwrap()).infrastructure, Some(Infrastructure::Bogon));
        assert!(geo.infos()[0].attribution.as_ref().unwrap().contains("DB-IP"));
    }

    #[test]
    fn every_shape_of_record_is_read_for_both_families() {
        let shapes = [
            json!({"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "US"}, "continent": {"code": "EU"}}),
            json!({"country_code": "DE"}),
            json!({"country": "DE", "asn": "AS64500", "as_name": "Example"}),
        ];
        for shape in shapes {
            for (network, address) in [("198.41.0.0/24", "198.41.0.4"), ("2a00:1450::/32", "2a00:1450::4")] {
                let origin = asked(vec![database(network, &shape)], address);
                assert_eq!(origin.place.code(), "DE", "{shape}");
                assert_eq!(origin.asn.is_some(), shape.get("asn").is_some());
                assert_eq!(origin.registered.is_some(), shape.get("registered_country").is_some());
                assert_eq!(origin.prefix.map(|prefix| prefix.to_string()).as_deref(), Some(network));
            }
        }
    }

    #[test]
    fn the_first_database_with_countries_decides_and_the_second_is_the_second_opinion() {
        let net = "198.41.0.0/24";
        let asn = || {
            database(
                net,
                &json!({"autonomous_system_number": 64500, "autonomous_system_organization": "Example"}),
            )
        };
        let country = |code: &str| database(net, &json!({"country": {"iso_code": code}}));
        let elsewhere = |code: &str| database("9.0.0.0/8", &json!({"country": {"iso_code": code}}));
        let continental = database(
            net,
            &json!({"country": "BE", "continent": "XY", "registered_country": {"iso_code": "LU"}}),
        );
        let cases = [
            (vec![asn(), country("FR"), country("BE"), country("NL")], "FR", Some("BE")),
            (vec![country("FR"), asn(), country("FR")], "FR", Some("FR")),
            (vec![country("FR"), asn()], "FR", None),
            // The second does not know it; the third is no second opinion.
            (vec![country("FR"), elsewhere("DE"), country("NL")], "FR", None),
            // The first does not know it: the second decides, alone.
            (vec![elsewhere("DE"), country("BE"), country("NL")], "BE", None),
            (vec![elsewhere("DE"), elsewhere("AT"), country("NL")], "NL", None),
            (vec![country("ZZ"), country("BE")], "BE", None),
            (vec![country("EU"), country("BE")], "EU", Some("BE")),
            (vec![elsewhere("DE")], "unknown", None),
        ];
        for (number, (databases, place, second)) in cases.into_iter().enumerate() {
            let has_system = databases.iter().any(|database| database.tells().systems);
            let origin = asked(databases, "198.41.0.4");
            let second_code = origin.second.map(|second| second.code().to_owned());
            assert_eq!((origin.place.code(), second_code.as_deref()), (place, second), "case {number}");
            assert_eq!(origin.is_disputed(), second.is_some_and(|second| second != place), "case {number}");
            assert_eq!(origin.asn, has_system.then_some(64_500), "case {number}");
        }
        let mixed = asked(vec![country("FR"), continental], "198.41.0.4");
        assert_eq!(mixed.continent, None, "the continent of another country is not taken");
        assert_eq!(mixed.registered.map(|country| country.to_string()), Some("LU".into()));
    }

    #[test]
    fn the_deciding_database_is_named_first() {
        let asn = database("9.0.0.0/8", &json!({"asn": 64500}));
        let country = database("9.0.0.0/8", &json!({"country": "FR"}));
        let hash = country.info().sha256.clone();
        let geo = Geo::new(vec![asn, country]);
        assert_eq!(geo.infos()[0].sha256, hash);
        assert_eq!(geo.addresses(&|| true), BTreeMap::from([("FR".to_owned(), 1 << 24)]));
    }

    #[test]
    fn a_list_goes_before_the_databases_and_nothing_is_guessed() {
        let net = "198.41.0.0/16";
        let kinds = || database(net, &json!({"is_anonymous": true, "is_hosting_provider": true}));
        let list = |text: &str| {
            let mut lists = Lists::default();
            lists.add(Infrastructure::Tor, text).unwrap();
            lists.sorted()
        };
        let mut geo = Geo::new(vec![kinds()]).with_lists(list("198.41.0.4\n10.0.0.0/8\n"));
        let mut class = |address: &str| geo.look_up(address.parse().unwrap()).infrastructure;
        assert_eq!(class("198.41.0.4"), Some(Infrastructure::Tor));
        assert_eq!(class("::ffff:198.41.0.4"), Some(Infrastructure::Tor));
        assert_eq!(class("198.41.0.5"), Some(Infrastructure::Hosting));
        assert_eq!(class("8.8.8.8"), None);
        assert_eq!(class("10.1.1.1"), Some(Infrastructure::Tor), "the operator's word on his own network");
        assert_eq!(class("192.168.1.1"), Some(Infrastructure::Bogon));
    }

    #[test]
    fn the_wrong_kind_and_a_broken_file_are_refused_with_a_reason() {
        let mut writer = mmdb_writer::Writer::new("Some-Domain");
        let network: ipnet::IpNet = "198.41.0.0/24".parse().unwrap();
        writer.insert(network, &json!({"domain": "x"})).unwrap();
        let refused = |bytes: Vec<u8>| Database::from_bytes(bytes, "x", &|| true).unwrap_err();
        assert!(refused(writer.to_bytes().unwrap()).contains("tells neither countries"));
        assert!(refused(b"not a database".to_vec()).contains("no MaxMind DB"));
        let impatient = Database::from_bytes(writer.to_bytes().unwrap(), "x", &|| false).unwrap_err();
        assert!(impatient.contains("too long"));
        for path in ["/dev/zero", "/", "/nowhere.mmdb"] {
            assert!(Database::open(std::path::Path::new(path), &|| true).is_err(), "{path}");
        }
    }
}
