//! What the operator excepted: findings at these places are counted apart, never as attempts.

use std::net::{IpAddr, SocketAddr};

use crate::config::detect::Exception;
use crate::config::site::Site;
use crate::detect::score::Found;
use crate::protocol::request::Request;

/// The exceptions, each with the site it names.
#[derive(Debug)]
pub struct Exceptions(Vec<(Exception, Option<Site>)>);

impl Exceptions {
    /// From `[[detect.exception]]`. That the sites exist was checked when the settings were read.
    pub fn new(exceptions: &[Exception], sites: &[Site]) -> Self {
        Self(
            exceptions
                .iter()
                .map(|exception| {
                    let site = sites.iter().find(|site| Some(&site.name) == exception.site.as_ref()).cloned();
                    (exception.clone(), site)
                })
                .collect(),
        )
    }

    /// Whether a message outside HTTP that rule `rule` calls an attack is excepted. It has neither path nor parameter.
    pub fn excuse(&self, rule: &str, client: IpAddr, server: SocketAddr) -> bool {
        self.0.iter().any(|(exception, site)| {
            exception.path.is_none()
                && exception.parameter.is_none()
                && exception.rule.as_ref().is_none_or(|named| named == rule)
                && exception.client.is_none_or(|network| network.0.contains(&client))
                && site.as_ref().is_none_or(|site| site.has_endpoint(server.ip(), server.port()))
        })
    }

    /// Whether a finding is excepted: every key that an exception gives must match.
    pub fn cover(&self, found: &Found, request: &Request<'_>, server: SocketAddr) -> bool {
        self.0.iter().any(|(exception, site)| {
            exception.client.is_none()
                && exception.rule.as_ref().is_none_or(|rule| **rule == *found.rule)
                && exception
                    .parameter
                    .as_ref()
                    .is_none_or(|name| found.name.eq_ignore_ascii_case(name.as_bytes()))
                && exception.path.as_ref().is_none_or(|path| path_matches(path.as_bytes(), request.path()))
                && site.as_ref().is_none_or(|site| site_matches(site, request, server))
        })
    }
}

fn path_matches(pattern: &[u8], path: &[u8]) -> bool {
    pattern.strip_suffix(b"*").map_or(pattern == path, |prefix| path.starts_with(prefix))
}

fn site_matches(site: &Site, request: &Request<'_>, server: SocketAddr) -> bool {
    let host =
        request.header("host").map(|host| String::from_utf8_lossy(host).into_owned()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    site.has_endpoint(server.ip(), server.port()) && (site.hosts.is_empty() || site.has_host(host))
}
