//! What the record of an attempt tells of an HTTP request: bounded, cut and marked.

use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::excerpt;
use crate::model::attempt::{FIELD_MAX_BYTES, HttpFields, NAMING_MAX_BYTES, NamingField, cut_text};
use crate::protocol::request::Request;

/// The fields of a request, as far as its attempt tells them.
pub fn http_fields(request: &Request<'_>, proxied: Option<IpAddr>, naming: &[Arc<str>]) -> HttpFields {
    let text = |bytes: &[u8]| cut_text(bytes, FIELD_MAX_BYTES);
    let listed = one_list(request, "x-forwarded-for", FIELD_MAX_BYTES);
    let standard = one_list(request, "forwarded", FIELD_MAX_BYTES);
    // A proxy that writes one of them may pass the client's own other one on untouched.
    let (forwarded, too) = match listed {
        Some(listed) => (Some(listed), standard),
        None => (standard, None),
    };
    let named = naming.iter().filter_map(|header| {
        let value = one_list(request, header, NAMING_MAX_BYTES)?;
        Some(NamingField { header: Arc::clone(header), value })
    });
    HttpFields {
        hostname: request.header("host").and_then(hostname),
        url: text(&excerpt::target(request)),
        method: text(request.method.get(..request.method.len().min(32)).unwrap_or_default()),
        user_agent: request.header("user-agent").map(text),
        status: None,
        forwarded: hops(forwarded, proxied),
        forwarded_too: too.and_then(|too| hops(Some(too), proxied)),
        naming: named.collect(),
    }
}

/// All lines of a field as one list (RFC 9110 §5.3), its right-hand end: the proxies one trusts append there. Of a hop that
/// is cut nothing is kept, or `192.0.2.1` could become `2.0.2.1`; a mark stands in its place.
fn one_list(request: &Request<'_>, name: &str, max_bytes: usize) -> Option<Box<str>> {
    let mut lines = request.header_lines(name).rev();
    let mut list = lines.next()?.to_vec();
    for line in lines {
        if list.len() > max_bytes {
            break;
        }
        list = [line, b", ", &list].concat();
    }
    let Some(cut) = list.len().checked_sub(max_bytes).filter(|cut| *cut > 0) else {
        return Some(cut_text(&list, max_bytes));
    };
    let kept = list.get(cut..).unwrap_or_default();
    let whole = memchr::memchr(b',', kept).and_then(|comma| kept.get(comma..)).unwrap_or_default();
    Some(format!("…{}", cut_text(whole, max_bytes)).into())
}

/// The hops in the order in which they were added: those of the header field, then the one of the PROXY protocol, which
/// stands nearest to us.
fn hops(header: Option<Box<str>>, proxied: Option<IpAddr>) -> Option<Box<str>> {
    match (header, proxied) {
        (Some(header), Some(client)) => Some(format!("{header}, {client}").into()),
        (None, Some(client)) => Some(client.to_string().into()),
        (header, None) => header,
    }
}

/// The host of a `Host` field: lower case, without port and brackets.
fn hostname(value: &[u8]) -> Option<Box<str>> {
    let text = cut_text(value, FIELD_MAX_BYTES).to_ascii_lowercase();
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => text.split(':').next().unwrap_or_default(),
    };
    (!host.is_empty()).then(|| host.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Defects, Header};

    fn list(lines: &[&str], max_bytes: usize) -> Option<Box<str>> {
        let headers: Vec<Header<'_>> = lines
            .iter()
            .flat_map(|line| [("X-Forwarded-For", *line), ("Accept", "1.1.1.1")])
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let (method, target, body) = (b"GET".as_slice(), b"/".as_slice(), b"".as_slice());
        let request = Request { method, target, headers: &headers, body, defects: Defects::default() };
        one_list(&request, "x-forwarded-for", max_bytes)
    }

    #[test]
    fn several_lines_are_one_list_in_order_and_its_right_end_is_kept() {
        assert_eq!(list(&[], 64), None);
        assert_eq!(list(&["192.0.2.1"], 64).as_deref(), Some("192.0.2.1"));
        assert_eq!(
            list(&["192.0.2.1, 192.0.2.2", "192.0.2.3"], 64).as_deref(),
            Some("192.0.2.1, 192.0.2.2, 192.0.2.3")
        );
        assert_eq!(list(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 20).as_deref(), Some("…, 192.0.2.3"));
        assert_eq!(list(&["x".repeat(100).as_str()], 64).as_deref(), Some("…"));
        assert_eq!(
            list(&[&"192.0.2.1, ".repeat(9_000), "192.0.2.9"], 24).as_deref(),
            Some("…, 192.0.2.1, , 192.0.2.9")
        );
    }
}
