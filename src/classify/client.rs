//! Who the client is: the peer of the socket, unless a *trusted* proxy names another.
//!
//! Only the proxies that the operator lists are believed. From anybody else a forwarding header is plain input that
//! an attacker writes, and changes nothing.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::origin::OriginSettings;
use crate::model::attempt::{HttpFields, NamingField};
use crate::model::grade::Grade;

/// Hops of a forwarding header that are looked at, from the right.
const HOPS_MAX: usize = 16;

/// The proxies of the operator.
#[derive(Debug, Default)]
pub struct Proxies {
    /// Those that append to a list of hops.
    listing: Vec<IpNet>,
    /// Those that name the client in a field of their own, in lower case. Longest prefix first: the most specific counts.
    naming: Vec<(IpNet, String)>,
}

impl Proxies {
    /// From `[origin]`.
    pub fn new(settings: &OriginSettings) -> Self {
        let mut naming: Vec<(IpNet, String)> = settings
            .proxy
            .iter()
            .flat_map(|proxy| {
                let header = proxy.header.to_ascii_lowercase();
                proxy.networks.iter().map(move |network| (network.0, header.clone()))
            })
            .collect();
        naming.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Self { listing: settings.trusted_proxies.iter().map(|network| network.0).collect(), naming }
    }

    /// The field in which a naming proxy names the client.
    fn header_of(&self, address: &IpAddr) -> Option<&str> {
        self.naming.iter().find(|(network, _)| network.contains(address)).map(|(_, header)| header.as_str())
    }

    /// Whether it is the address of a trusted proxy: many clients stand behind it.
    pub fn has(&self, address: &IpAddr) -> bool {
        self.listing.iter().any(|network| network.contains(address)) || self.header_of(address).is_some()
    }

    /// The attributed client and its grade.
    ///
    /// From the peer on, each address of a trusted proxy says who stood before it: a naming proxy in its own field and
    /// nowhere else, any other by the next hop to the left of `X-Forwarded-For` or `Forwarded`. The first address that
    /// is no proxy's is the client (E3). Where none is usable the grade is X.
    pub fn attribute(&self, peer: IpAddr, http: Option<&HttpFields>, measured: Grade) -> (IpAddr, Grade) {
        if !self.has(&peer) {
            return (peer, measured);
        }
        let list = http.and_then(|http| http.forwarded.as_deref()).unwrap_or_default();
        let (client, grade) = self.follow(peer, http, list);
        // Anybody can send a packet in the proxy's name: what it says is worth no more than the proof that it is the proxy's.
        let found = (client, if (measured, grade) == (Grade::E0, Grade::E3) { Grade::E0 } else { grade });
        match http.and_then(|http| http.forwarded_too.as_deref()) {
            // Which of the two the proxy wrote is not known: they must name the same client.
            Some(other) if self.follow(peer, http, other).0 != client => (peer, Grade::X),
            _ => found,
        }
    }

    /// Follows one list of hops from the peer on.
    fn follow(&self, peer: IpAddr, http: Option<&HttpFields>, list: &str) -> (IpAddr, Grade) {
        let mut hops = list.rsplit(',').take(HOPS_MAX);
        let mut current = peer;
        loop {
            if let Some(header) = self.header_of(&current) {
                let fields = http.map(|http| http.naming.as_slice()).unwrap_or_default();
                return match named(fields, header).filter(|client| !self.has(client)) {
                    Some(client) => (client, Grade::E3),
                    None => (peer, Grade::X),
                };
            }
            // Something that is no address ("unknown", an obfuscated name): nothing left of it can be trusted.
            let Some(before) = hops.next().and_then(address_of) else { return (peer, Grade::X) };
            if !self.has(&before) {
                return (before, Grade::E3);
            }
            current = before;
        }
    }
}

/// The address that a naming field holds: one, and nothing else.
fn named(fields: &[NamingField], header: &str) -> Option<IpAddr> {
    let field = fields.iter().find(|field| &*field.header == header)?;
    field.value.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The address of one hop: `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711`, or a `for=` of RFC 7239.
fn address_of(hop: &str) -> Option<IpAddr> {
    let node = if hop.contains('=') {
        hop.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then_some(value)
        })?
    } else {
        hop
    };
    let node = node.trim().trim_matches('"').trim();
    let text = match node.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        // One colon parts an IPv4 address from its port; more are an IPv6 address.
        None if node.matches(':').count() == 1 => node.split(':').next()?,
        None => node,
    };
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(forwarded: Option<&str>, peer: &str) -> (String, Grade) {
        asked(forwarded, None, peer)
    }

    fn asked(forwarded: Option<&str>, connecting: Option<&str>, peer: &str) -> (String, Grade) {
        let settings = "trusted_proxies = [\"203.0.113.0/24\", \"2001:db8::/32\"]
            [[proxy]]\nnetworks = [\"203.0.113.128/25\", \"104.16.0.0/13\"]\nheader = \"CF-Connecting-IP\"
            [[proxy]]\nnetworks = [\"104.16.9.0/24\"]\nheader = \"X-Other\"";
        let proxies = Proxies::new(&toml::from_str(settings).unwrap());
        let field = |value: &str| NamingField { header: "cf-connecting-ip".into(), value: value.into() };
        let http = HttpFields {
            forwarded: forwarded.map(Into::into),
            naming: connecting.map(field).into_iter().collect(),
            ..HttpFields::default()
        };
        let (client, grade) = proxies.attribute(peer.parse().unwrap(), Some(&http), Grade::E2);
        (client.to_string(), grade)
    }

    #[test]
    fn what_is_forged_in_a_proxys_name_names_nobody_for_sure() {
        let settings = toml::from_str("trusted_proxies = [\"203.0.113.1\"]").unwrap();
        let http = HttpFields { forwarded: Some("8.8.8.8".into()), ..HttpFields::default() };
        let ask = |http, measured| {
            Proxies::new(&settings).attribute("203.0.113.1".parse().unwrap(), http, measured).1
        };
        assert_eq!(ask(Some(&http), Grade::E1), Grade::E3);
        assert_eq!(ask(Some(&http), Grade::E0), Grade::E0);
        assert_eq!(ask(None, Grade::E0), Grade::X);
    }

    #[test]
    fn a_naming_proxy_is_believed_in_its_own_field_and_nowhere_else() {
        let cases = [
            (None, Some("8.8.8.8"), "104.16.0.1", "8.8.8.8", Grade::E3),
            (Some("1.1.1.1"), Some(" 2a00:1450::1 "), "104.16.0.1", "2a00:1450::1", Grade::E3),
            (Some("1.1.1.1"), None, "104.16.0.1", "104.16.0.1", Grade::X),
            (None, Some("8.8.8.8, 9.9.9.9"), "104.16.0.1", "104.16.0.1", Grade::X),
            (None, Some("8.8.8.8:80"), "104.16.0.1", "104.16.0.1", Grade::X),
            (None, Some("garbage"), "104.16.0.1", "104.16.0.1", Grade::X),
            (None, Some(""), "104.16.0.1", "104.16.0.1", Grade::X),
            // Its own kind is no client.
            (None, Some("104.16.0.2"), "104.16.0.1", "104.16.0.1", Grade::X),
            // The most specific network says which field.
            (None, Some("8.8.8.8"), "104.16.9.1", "104.16.9.1", Grade::X),
            (None, Some("8.8.8.8"), "203.0.113.200", "8.8.8.8", Grade::E3),
            // A balancer of ours before it names it; it names the client.
            (Some("1.1.1.1, 104.16.0.1"), Some("8.8.8.8"), "203.0.113.1", "8.8.8.8", Grade::E3),
            (Some("104.16.0.1, 1.1.1.1"), Some("8.8.8.8"), "203.0.113.1", "1.1.1.1", Grade::E3),
            // From a stranger, and from a proxy that is not one of these, the field is plain input.
            (None, Some("8.8.8.8"), "198.51.100.1", "198.51.100.1", Grade::E2),
            (Some("1.1.1.1"), Some("8.8.8.8"), "203.0.113.1", "1.1.1.1", Grade::E3),
        ];
        for (forwarded, connecting, peer, client, grade) in cases {
            assert_eq!(
                asked(forwarded, connecting, peer),
                (client.to_owned(), grade),
                "{forwarded:?} {connecting:?} {peer}"
            );
        }
    }

    #[test]
    fn a_stranger_cannot_name_another_client() {
        assert_eq!(ask(Some("8.8.8.8"), "198.51.100.1"), ("198.51.100.1".into(), Grade::E2));
    }

    #[test]
    fn a_trusted_proxy_names_the_rightmost_untrusted_hop() {
        for (header, client) in [
            ("8.8.8.8", "8.8.8.8"),
            ("1.1.1.1, 8.8.8.8", "8.8.8.8"),
            ("1.1.1.1, 8.8.8.8, 203.0.113.9", "8.8.8.8"),
            ("8.8.8.8:4711", "8.8.8.8"),
            ("[2a00:1450::1]:443", "2a00:1450::1"),
            ("2a00:1450::1", "2a00:1450::1"),
            ("for=1.1.1.1, for=\"[2a00:1450::1]:80\";proto=https", "2a00:1450::1"),
            ("by=203.0.113.1;For=8.8.8.8", "8.8.8.8"),
        ] {
            assert_eq!(ask(Some(header), "203.0.113.1"), (client.into(), Grade::E3), "{header}");
        }
    }

    #[test]
    fn without_a_usable_address_the_proxy_is_kept_and_not_attributed() {
        for header in [
            None,
            Some(""),
            Some("unknown"),
            Some("8.8.8.8, _hidden"),
            Some("203.0.113.7"),
            Some("for=unknown"),
        ] {
            assert_eq!(ask(header, "203.0.113.1"), ("203.0.113.1".into(), Grade::X), "{header:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_survived(header in ".{0,300}") {
            ask(Some(&header), "203.0.113.1");
            asked(None, Some(&header), "104.16.0.1");
        }
    }
}
