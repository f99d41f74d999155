//! What a record of a database tells, in every shape that is accepted: MaxMind, DB-IP, `IPinfo`, flat tables.
//!
//! One table of members for all of them. A member of an unexpected type is passed over, so that one odd field does not
//! cost the others; a damaged record is an error.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::origin::Infrastructure;
use crate::model::place::Country;

/// Maps inside maps that are looked into: `traits`, `privacy`, `company`, `asn`. A deeper one is passed over.
const DEPTH_MAX: u8 = 1;

/// What one record tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Record<'a> {
    country: Option<Country>,
    country_code: Option<Country>,
    /// The country that the address block is registered in.
    pub registered: Option<Country>,
    continent: Option<[u8; 2]>,
    continent_code: Option<[u8; 2]>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    organisation: Option<&'a str>,
    /// `name` beside `asn`, or inside a map called `asn`.
    name: Option<&'a str>,
    /// What kind of network it is.
    pub infrastructure: Option<Infrastructure>,
    /// Whether the record has a member for the kind of network, even where that says nothing of this one.
    pub sorts_networks: bool,
}

impl<'a> Record<'a> {
    /// Where the address is located.
    pub fn country(&self) -> Option<Country> {
        self.country.or(self.country_code)
    }

    /// Its continent.
    pub fn continent(&self) -> Option<[u8; 2]> {
        self.continent.or(self.continent_code)
    }

    /// Organisation of the autonomous system.
    pub fn organisation(&self) -> Option<&'a str> {
        self.organisation.or(self.name).filter(|_| self.asn.is_some())
    }

    fn take<'de: 'a, M: MapAccess<'de>>(
        &mut self,
        member: &str,
        map: &mut M,
        depth: u8,
    ) -> Result<(), M::Error> {
        match member {
            "country" => self.country = map.next_value::<Value<'_>>()?.country(),
            "country_code" => self.country_code = map.next_value::<Value<'_>>()?.country(),
            "registered_country" => self.registered = map.next_value::<Value<'_>>()?.country(),
            "continent" => self.continent = map.next_value::<Value<'_>>()?.two_letters(),
            "continent_code" => self.continent_code = map.next_value::<Value<'_>>()?.two_letters(),
            "autonomous_system_number" => self.asn = map.next_value::<Value<'_>>()?.asn().or(self.asn),
            "autonomous_system_organization" | "as_name" => {
                self.organisation = map.next_value::<Value<'_>>()?.text().or(self.organisation);
            }
            "name" => self.name = map.next_value::<Value<'_>>()?.text(),
            // A number, a text such as "AS64500", or a map with both that and the name.
            "asn" => {
                let value = map.next_value_seed(Group { record: Some(self), depth: depth + 1 })?;
                self.asn = value.asn().or(self.asn);
            }
            "traits" => _ = map.next_value_seed(Group { record: Some(self), depth: depth + 1 })?,
            // Their names are those of a company or service, not of the system.
            "company" | "privacy" => {
                let mut inner = Record::default();
                map.next_value_seed(Group { record: Some(&mut inner), depth: depth + 1 })?;
                self.infrastructure = stronger(self.infrastructure, inner.infrastructure);
                self.sorts_networks |= inner.sorts_networks;
            }
            _ => match Sign::of(member) {
                Some(sign) => {
                    self.sorts_networks = true;
                    let found = sign.read(map.next_value::<Value<'_>>()?);
                    self.infrastructure = stronger(self.infrastructure, found);
                }
                None => _ = map.next_value::<IgnoredAny>()?,
            },
        }
        Ok(())
    }
}

/// A member that tells what kind of network it is.
#[derive(Clone, Copy)]
enum Sign {
    /// True: the network is of that kind.
    Flag(Infrastructure),
    /// A word for the kind.
    Word,
}

impl Sign {
    fn of(member: &str) -> Option<Self> {
        use Infrastructure::{Eyeball, Hosting, Tor, Vpn};
        Some(match member {
            "is_tor_exit_node" | "is_tor" | "tor" => Self::Flag(Tor),
            // `is_anonymous` alone says neither which kind nor that it is none of these: databases set it for hosting too.
            "is_anonymous_vpn"
            | "is_public_proxy"
            | "is_residential_proxy"
            | "is_proxy"
            | "is_relay"
            | "is_vpn"
            | "proxy"
            | "relay"
            | "vpn" => Self::Flag(Vpn),
            "is_hosting_provider" | "is_hosting" | "hosting" => Self::Flag(Hosting),
            "is_mobile" => Self::Flag(Eyeball),
            "user_type" | "usage_type" | "type" | "as_type" => Self::Word,
            _ => return None,
        })
    }

    fn read(self, value: Value<'_>) -> Option<Infrastructure> {
        match self {
            Self::Flag(class) => value.is_true().then_some(class),
            Self::Word => word(value.text()?),
        }
    }
}

/// The class that a database's word means. Businesses, schools and authorities are none of ours: not determined.
fn word(text: &str) -> Option<Infrastructure> {
    const WORDS: [(&str, Infrastructure); 10] = [
        ("cellular", Infrastructure::Eyeball),
        ("consumer", Infrastructure::Eyeball),
        ("consumer_privacy_network", Infrastructure::Vpn),
        ("content_delivery_network", Infrastructure::Cdn),
        ("cdn", Infrastructure::Cdn),
        ("dialup", Infrastructure::Eyeball),
        ("hosting", Infrastructure::Hosting),
        ("isp", Infrastructure::Eyeball),
        ("mobile", Infrastructure::Eyeball),
        ("residential", Infrastructure::Eyeball),
    ];
    WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, class)| *class)
}

/// Of two classes the one that says more: a Tor exit in a data centre is a Tor exit.
fn stronger(known: Option<Infrastructure>, found: Option<Infrastructure>) -> Option<Infrastructure> {
    let rank = |class: &Infrastructure| match class {
        Infrastructure::Tor => 6,
        Infrastructure::Vpn => 5,
        Infrastructure::Scanner => 4,
        Infrastructure::Cdn => 3,
        Infrastructure::Hosting => 2,
        Infrastructure::Eyeball => 1,
        Infrastructure::Bogon => 0,
    };
    known.into_iter().chain(found).max_by_key(rank)
}

/// A member's value, as far as it is of use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Value<'a> {
    Bool(bool),
    Number(u64),
    Text(&'a str),
    Other,
}

impl<'a> Value<'a> {
    fn text(self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text).filter(|text| !text.is_empty()) } else { None }
    }

    fn country(self) -> Option<Country> {
        self.text()?.parse().ok()
    }

    fn two_letters(self) -> Option<[u8; 2]> {
        let code: [u8; 2] = self.text()?.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(code)
    }

    fn asn(self) -> Option<u32> {
        match self {
            // Numbers of 32 bits are all there are (RFC 6793).
            Self::Number(number) => u32::try_from(number).ok(),
            Self::Text(text) => text.trim_start_matches("AS").parse().ok(),
            Self::Bool(_) | Self::Other => None,
        }
    }

    fn is_true(self) -> bool {
        match self {
            Self::Bool(value) => value,
            Self::Number(number) => number == 1,
            Self::Text(text) => matches!(text, "1" | "true" | "True" | "TRUE" | "yes"),
            Self::Other => false,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut record = Self::default();
        Group { record: Some(&mut record), depth: 0 }.deserialize(deserializer)?;
        Ok(record)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Group { record: None, depth: 0 }.deserialize(deserializer)
    }
}

/// Reads a value. The members of a map go into the record; without one, the code of a country or continent is taken.
struct Group<'r, 'a> {
    record: Option<&'r mut Record<'a>>,
    /// Maps around this one.
    depth: u8,
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Group<'_, 'a> {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Group<'_, 'a> {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Value<'a>, M::Error> {
        let mut code = Value::Other;
        match self.record {
            Some(record) if self.depth <= DEPTH_MAX => {
                while let Some(member) = map.next_key::<&str>()? {
                    record.take(member, &mut map, self.depth)?;
                }
            }
            Some(_) => while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
            None => {
                while let Some(member) = map.next_key::<&str>()? {
                    if matches!(member, "iso_code" | "code") {
                        code = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
        }
        Ok(code)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Value<'a>, S::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'a>, E> {
        Ok(Value::Text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'a>, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'a>, E> {
        Ok(u64::try_from(number).map_or(Value::Other, Value::Number))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_bytes<E>(self, _: &'de [u8]) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_kind_of_network_is_read_from_every_shape() {
        for (text, class) in [
            (r#"{"is_anonymous": true, "is_hosting_provider": true}"#, Some("hosting")),
            (r#"{"is_anonymous": true, "is_hosting_provider": true, "is_tor_exit_node": true}"#, Some("tor")),
            (r#"{"is_anonymous": true}"#, None),
            (r#"{"is_anonymous_vpn": false}"#, None),
            (r#"{"traits": {"is_public_proxy": true, "user_type": "residential"}}"#, Some("vpn")),
            (r#"{"traits": {"user_type": "residential"}}"#, Some("eyeball")),
            (r#"{"traits": {"user_type": "content_delivery_network"}}"#, Some("cdn")),
            (r#"{"traits": {"user_type": "business"}}"#, None),
            (r#"{"hosting": "true", "proxy": "", "relay": "", "tor": "", "vpn": "true"}"#, Some("vpn")),
            (r#"{"hosting": false, "relay": true, "service": "x"}"#, Some("vpn")),
            (r#"{"privacy": {"tor": true}}"#, Some("tor")),
            (r#"{"asn": "AS64500", "name": "Example", "type": "isp"}"#, Some("eyeball")),
            (r#"{"company": {"name": "Example", "type": "hosting"}}"#, Some("hosting")),
            (r#"{"country": "DE", "as_type": "education"}"#, None),
            (r#"{"country": "DE"}"#, None),
        ] {
            assert_eq!(record(text).infrastructure.map(Infrastructure::name), class, "{text}");
            assert_eq!(
                record(text).sorts_networks,
                !text.contains("\"DE\"}") && text != r#"{"is_anonymous": true}"#
            );
        }
    }

    #[test]
    fn countries_continents_and_systems_are_read_from_every_shape() {
        for text in [
            r#"{"country": {"iso_code": "DE", "names": {"en": "Germany"}}, "continent": {"code": "EU", "geoname_id": 1},
                "traits": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"}}"#,
            r#"{"country": "Germany", "country_code": "DE", "continent": "Europe", "continent_code": "EU",
                "asn": "AS64500", "as_name": "Example", "as_domain": "example.org"}"#,
            r#"{"country": "DE", "continent": "EU", "asn": {"asn": "AS64500", "name": "Example"}}"#,
            r#"{"country_code": "DE", "continent_code": "EU", "asn": 64500, "name": "Example"}"#,
        ] {
            let found = record(text);
            assert_eq!(found.country().map(|country| country.to_string()), Some("DE".into()), "{text}");
            assert_eq!(found.continent(), Some(*b"EU"), "{text}");
            assert_eq!((found.asn, found.organisation()), (Some(64_500), Some("Example")), "{text}");
        }
    }

    #[test]
    fn a_member_of_an_unexpected_type_costs_only_itself() {
        let text = r#"{"country": [1, {"a": 2}], "continent": 7, "asn": {"asn": {"asn": 1}}, "vpn": [], "type": 4,
            "registered_country": {"iso_code": {"code": "FR"}}, "country_code": "AT", "x": -1.5, "y": null}"#;
        let found = record(text);
        assert_eq!(found.country().map(|country| country.to_string()), Some("AT".into()));
        assert_eq!((found.asn, found.continent(), found.infrastructure), (None, None, None));
        assert_eq!(record("\"text\""), Record::default());
    }
}
