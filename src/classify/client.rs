//! Who the client is: the peer of the socket, unless a *trusted* proxy names another.
//!
//! Only the proxies that the operator lists are believed. From anybody else a forwarding header is plain input that
//! an attacker writes, and changes nothing.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::grade::Grade;

/// Hops of a forwarding header that are looked at, from the right.
const HOPS_MAX: usize = 16;

/// The attributed client and its grade.
///
/// `forwarded` is the right-hand end of `X-Forwarded-For` or `Forwarded`. From the right, addresses of trusted
/// proxies are skipped; the first other one is the client (E3). Where none is usable the grade is X.
pub fn attribute(
    trusted: &[IpNet],
    peer: IpAddr,
    forwarded: Option<&str>,
    measured: Grade,
) -> (IpAddr, Grade) {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return (peer, measured);
    }
    for hop in forwarded.unwrap_or_default().rsplit(',').take(HOPS_MAX) {
        match address_of(hop) {
            Some(address) if is_trusted(&address) => {}
            Some(address) => return (address, Grade::E3),
            // Something that is no address ("unknown", an obfuscated name): nothing left of it can be trusted.
            None => break,
        }
    }
    (peer, Grade::X)
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
        let trusted = ["203.0.113.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let (client, grade) = attribute(&trusted, peer.parse().unwrap(), forwarded, Grade::E2);
        (client.to_string(), grade)
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
        }
    }
}
