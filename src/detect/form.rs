//! What is judged from the form of a request: its method, its host, a few header fields.

use crate::protocol::request::Request;

/// Parts of a `Range` that a client asks for of a page. Viewers and updaters ask for many of a file.
const RANGES_OF_PAGE_MAX: usize = 5;
const RANGES_OF_FILE_MAX: usize = 60;

/// Methods that servers know: the IANA registry (RFC 9110 §16.1.1), `UPnP`, Exchange and management protocols.
const METHODS: &[&str] = &[
    "ACL",
    "BASELINE-CONTROL",
    "BCOPY",
    "BDELETE",
    "BIND",
    "BMOVE",
    "BPROPFIND",
    "BPROPPATCH",
    "CCM_POST",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DEBUG",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POLL",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "RPC_CONNECT",
    "RPC_IN_DATA",
    "RPC_OUT_DATA",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "TRACK",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "VIEW",
    "X-MS-ENUMATTS",
];

/// Beginnings of charsets that browsers and clients send.
const CHARSETS: &[&str] = &[
    "ascii",
    "ansi",
    "big5",
    "cp12",
    "cp9",
    "euc-",
    "gb",
    "hz-gb",
    "iso-2022-",
    "iso-8859-",
    "iso8859",
    "iso_8859",
    "koi8",
    "ks_c",
    "latin",
    "macintosh",
    "none",
    "shift_jis",
    "shift-jis",
    "sjis",
    "tis-620",
    "unicode",
    "us-ascii",
    "utf-16",
    "utf-32",
    "utf-8",
    "utf16",
    "utf8",
    "win",
    "x-",
    "_charset_",
    "binary",
];

/// Names of the parameters and cookies that hold a session, as frameworks call them.
const SESSION_NAMES: &[&str] = &[
    "_flask_session",
    "asp.net_sessionid",
    "aspsession",
    "ci_session",
    "connect.sid",
    "express.sess",
    "jservsession",
    "jsessionid",
    "jwsession",
    "koa.sess",
    "koa:sess",
    "laravel_session",
    "meteor_login_token",
    "next-auth.session-token",
    "phpsessid",
    "phpsession",
    "rack.session",
    "remember_token",
    "sails.sid",
    "session-id",
    "session_id",
    "sessionid",
    "shiny-token",
    "weblogicsession",
    "websphere",
    "wordpress_logged_in",
    "zend_session_id",
];

fn lower(bytes: &[u8]) -> Vec<u8> {
    bytes.to_ascii_lowercase()
}

/// Whether the method is one that no server knows.
pub fn has_unknown_method(request: &Request<'_>) -> bool {
    !METHODS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(request.method))
}

/// Whether a range has more parts than clients ask for, or stands in the field of a browser of 1996.
pub fn has_odd_range(request: &Request<'_>) -> bool {
    if request.header("request-range").is_some() {
        return true;
    }
    let name = request.path().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let most = if memchr::memchr(b'.', name).is_some() { RANGES_OF_FILE_MAX } else { RANGES_OF_PAGE_MAX };
    request.header("range").is_some_and(|range| memchr::memchr_iter(b',', range).count() >= most)
}

/// Whether `Content-Type` names a charset that only hides a payload from whoever inspects it, or two of them.
pub fn has_odd_charset(request: &Request<'_>) -> bool {
    let Some(kind) = request.header("content-type") else { return false };
    let kind = lower(kind);
    let mut charsets = memchr::memmem::find_iter(&kind, b"charset=").map(|at| {
        let value = kind.get(at + b"charset=".len()..).unwrap_or_default().trim_ascii_start();
        value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value)
    });
    let is_known = |value: &[u8]| {
        value.first().is_none_or(|first| !first.is_ascii_alphanumeric() && *first != b'_')
            || CHARSETS.iter().any(|known| value.starts_with(known.as_bytes()))
    };
    match (charsets.next(), charsets.next()) {
        (Some(first), None) => !is_known(first),
        (Some(_), Some(second)) => !is_known(second) || second.starts_with(b"utf-7"),
        (None, _) => false,
    }
}

/// Whether a link from another site brings a session id along (session fixation, CAPEC-61).
pub fn has_session_from_elsewhere(request: &Request<'_>) -> bool {
    let query = request.query();
    if query.is_empty() {
        return false;
    }
    let Some(referer) = request.header("referer") else { return false };
    let Some(from) = referer.strip_prefix(b"http://").or_else(|| referer.strip_prefix(b"https://")) else {
        return false;
    };
    let has_session = query.split(|byte| *byte == b'&').any(|pair| {
        let name = lower(pair.split(|byte| *byte == b'=').next().unwrap_or_default());
        SESSION_NAMES.iter().any(|known| match *known {
            "aspsession" => name.starts_with(known.as_bytes()),
            known => name == known.as_bytes(),
        })
    });
    has_session && request.header("host").is_some_and(|own| domain(&host(own)) != domain(&host(from)))
}

/// The last two labels of a host: what one owner's hosts share. Three where the last two are short (`co.uk`).
fn domain(host: &[u8]) -> &[u8] {
    let dots: Vec<usize> = memchr::memchr_iter(b'.', host).collect();
    let labels = |count: usize| {
        let start = dots.len().checked_sub(count).and_then(|at| dots.get(at)).map_or(0, |at| at + 1);
        host.get(start..).unwrap_or(host)
    };
    if labels(2).len() <= 6 { labels(3) } else { labels(2) }
}

/// The host of `host:port/path?query`, in lower case.
fn host(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|byte| matches!(byte, b'/' | b':' | b'?')).unwrap_or(bytes.len());
    lower(bytes.get(..end).unwrap_or_default())
}

/// Whether the request asks for a host other than the one it names: what an open proxy would take.
pub fn asks_for_another_host(request: &Request<'_>) -> bool {
    let target = request.target;
    let Some(rest) = target.strip_prefix(b"http://").or_else(|| target.strip_prefix(b"https://")) else {
        return false;
    };
    request.header("host").is_none_or(|own| host(own) != host(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Defects, Header};

    fn with<R>(target: &str, fields: &[(&str, &str)], act: impl FnOnce(&Request<'_>) -> R) -> R {
        let headers: Vec<Header<'_>> = fields
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let defects = Defects::default();
        act(&Request { method: b"GET", target: target.as_bytes(), headers: &headers, body: b"", defects })
    }

    #[test]
    fn a_session_id_counts_only_from_another_site() {
        for (referer, expected) in [
            ("https://evil.example/x", true),
            ("https://shop.town.example/x", false),
            ("http://www.town.example:8080/", false),
            ("android-app://x", false),
        ] {
            let fields = [("Host", "www.town.example"), ("Referer", referer)];
            let found = with("/login?PHPSESSID=1", &fields, has_session_from_elsewhere);
            assert_eq!(found, expected, "{referer}");
        }
        let fields = [("Host", "www.town.co.uk"), ("Referer", "http://evil.co.uk/")];
        assert!(with("/?jsessionid=1", &fields, has_session_from_elsewhere));
    }

    #[test]
    fn charsets_and_ranges_of_browsers_are_fine() {
        for (kind, expected) in [
            ("text/html; charset=UTF-8", false),
            ("text/html; charset=\"windows-1251\"", false),
            ("application/json", false),
            ("text/html; charset=ibm037", true),
            ("text/html; charset=utf-8; charset=utf-7", true),
        ] {
            assert_eq!(with("/", &[("Content-Type", kind)], has_odd_charset), expected, "{kind}");
        }
        assert!(!with("/", &[("Range", "bytes=0-1,5-6,9-")], has_odd_range));
        let many = [("Range", "bytes=0-1,2-3,4-5,6-7,8-9,10-")];
        assert!(with("/news", &many, has_odd_range));
        assert!(!with("/plan.pdf", &many, has_odd_range));
    }
}
