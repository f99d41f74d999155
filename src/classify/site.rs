//! Which protected site an attempt was aimed at (contract §3, reading "Site").

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::site::Site;

/// Destinations that are no site: a row of its own, outside the headline.
pub const NOT_A_SITE: &str = "(not a site)";
/// Responders of a replay beyond the limit.
pub const OTHER_SITES: &str = "(other sites)";
/// Responders of a replay that get a row of their own.
const RESPONDERS_MAX: usize = 1_024;

/// Addresses of a replay that get a row of their own because they were probed; they need not exist, and must not take
/// the rows of those that answer.
const PROBED_MAX: usize = 256;

/// What is a site where the settings name none.
#[derive(Clone, Debug)]
pub enum Fallback {
    /// Live: the interface's own addresses, and the home networks.
    Own(Vec<IpNet>),
    /// Replay: each responder.
    Responders,
}

/// The site table.
#[derive(Debug)]
pub struct Sites {
    list: Vec<(Site, Arc<str>)>,
    fallback: Fallback,
    names: HashMap<IpAddr, Arc<str>>,
    /// How many of the names were given to addresses that were only probed.
    probed: usize,
    not_a_site: Arc<str>,
    others: Arc<str>,
}

impl Sites {
    /// From `[[site]]`, and what holds where there is none.
    pub fn new(sites: &[Site], fallback: Fallback) -> Self {
        Self {
            list: sites.iter().map(|site| (site.clone(), site.name.as_str().into())).collect(),
            fallback,
            names: HashMap::new(),
            probed: 0,
            not_a_site: NOT_A_SITE.into(),
            others: OTHER_SITES.into(),
        }
    }

    /// The site's name, and whether its attempts count in the headline.
    pub fn site(&mut self, server: SocketAddr, host: Option<&str>) -> (Arc<str>, bool) {
        if self.list.is_empty() {
            return self.by_address(server.ip());
        }
        let here: Vec<&(Site, Arc<str>)> =
            self.list.iter().filter(|(site, _)| site.has_endpoint(server.ip(), server.port())).collect();
        if let Some(host) = host
            && let Some((_, name)) = here.iter().find(|(site, _)| site.has_host(host))
        {
            return (Arc::clone(name), true);
        }
        match here.as_slice() {
            [] => (Arc::clone(&self.not_a_site), false),
            // A site that names no hosts takes every host; the only site of an address takes all others too.
            [(_, name)] => (Arc::clone(name), true),
            many => match many.iter().find(|(site, _)| site.hosts.is_empty()) {
                Some((_, name)) => (Arc::clone(name), true),
                None => (format!("{}, no site named", server.ip()).into(), true),
            },
        }
    }

    /// The same for a target that may not have answered.
    pub fn target(&mut self, server: SocketAddr) -> (Arc<str>, bool) {
        let is_named = || self.names.contains_key(&server.ip());
        if !self.list.is_empty() || matches!(self.fallback, Fallback::Own(_)) || is_named() {
            return self.site(server, None);
        }
        if self.probed >= PROBED_MAX {
            return (Arc::clone(&self.others), true);
        }
        self.probed += 1;
        self.by_address(server.ip())
    }

    fn by_address(&mut self, address: IpAddr) -> (Arc<str>, bool) {
        match &self.fallback {
            Fallback::Own(networks) if !networks.iter().any(|network| network.contains(&address)) => {
                return (Arc::clone(&self.not_a_site), false);
            }
            _ => {}
        }
        if let Some(name) = self.names.get(&address) {
            return (Arc::clone(name), true);
        }
        if self.names.len() >= RESPONDERS_MAX {
            return (Arc::clone(&self.others), true);
        }
        let name: Arc<str> = address.to_string().into();
        self.names.insert(address, Arc::clone(&name));
        (name, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(toml: &str) -> Sites {
        #[derive(serde::Deserialize)]
        struct File {
            site: Vec<Site>,
        }
        Sites::new(&toml::from_str::<File>(toml).unwrap().site, Fallback::Responders)
    }

    fn name(sites: &mut Sites, server: &str, host: Option<&str>) -> (String, bool) {
        let (name, headline) = sites.site(server.parse().unwrap(), host);
        (name.to_string(), headline)
    }

    #[test]
    fn an_attempt_belongs_to_the_site_of_its_address_port_and_host() {
        let mut sites = sites(
            "[[site]]\nname = \"a\"\naddresses = [\"203.0.113.10\"]\nports = [80]\nhosts = [\"www.a.example\"]\n\
             [[site]]\nname = \"b\"\naddresses = [\"203.0.113.10\"]\nhosts = [\"b.example\"]\n\
             [[site]]\nname = \"c\"\naddresses = [\"203.0.113.11\"]\nhosts = [\"c.example\"]",
        );
        assert_eq!(name(&mut sites, "203.0.113.10:80", Some("WWW.A.example")), ("a".into(), true));
        assert_eq!(name(&mut sites, "203.0.113.10:80", Some("b.example")), ("b".into(), true));
        assert_eq!(
            name(&mut sites, "203.0.113.10:80", Some("x")),
            ("203.0.113.10, no site named".into(), true)
        );
        assert_eq!(
            name(&mut sites, "203.0.113.10:81", Some("x")),
            ("b".into(), true),
            "the only site on that port"
        );
        assert_eq!(name(&mut sites, "203.0.113.11:80", None), ("c".into(), true));
        assert_eq!(name(&mut sites, "203.0.113.12:80", Some("c.example")), (NOT_A_SITE.into(), false));
    }

    #[test]
    fn without_sites_each_responder_of_a_replay_is_one_up_to_the_limit() {
        let mut sites = Sites::new(&[], Fallback::Responders);
        for n in 0..1_100_u32 {
            let server = SocketAddr::new(IpAddr::from(n.to_be_bytes()), 80);
            let (name, headline) = sites.site(server, None);
            assert!(headline);
            assert_eq!(&*name == OTHER_SITES, n >= 1_024);
        }
        assert_eq!(name(&mut sites, "0.0.0.5:80", None).0, "0.0.0.5");
    }

    #[test]
    fn addresses_that_were_only_probed_take_few_of_the_rows() {
        let mut sites = Sites::new(&[], Fallback::Responders);
        for n in 0..1_000_u32 {
            let server = SocketAddr::new(IpAddr::from(n.to_be_bytes()), 80);
            assert_eq!(&*sites.target(server).0 == OTHER_SITES, n >= 256);
        }
        assert_eq!(name(&mut sites, "0.0.3.5:80", None).0, "0.0.3.5", "one that answers has its row");
        let probed = sites.target("0.0.3.5:1".parse().unwrap());
        assert_eq!(&*probed.0, "0.0.3.5", "and keeps it when it is probed");
    }

    #[test]
    fn without_sites_live_only_own_addresses_are() {
        let mut sites = Sites::new(&[], Fallback::Own(vec!["203.0.113.10/32".parse().unwrap()]));
        assert_eq!(name(&mut sites, "203.0.113.10:80", None), ("203.0.113.10".into(), true));
        assert_eq!(name(&mut sites, "8.8.8.8:80", None), (NOT_A_SITE.into(), false));
    }
}
