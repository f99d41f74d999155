//! What is judged from the form of a request: its method, its host, a few header fields.

mod names;

use crate::detect::fields::Fields;
use crate::detect::form::names::{CHARSETS, METHODS, MULTIPARTS, SESSION_NAMES};
use crate::model::class::Class;
use crate::protocol::request::{Defects, Request};

/// Parts of a `Range` that a client asks for of a page. Viewers and updaters ask for many of a file.
const RANGES_OF_PAGE_MAX: usize = 5;
const RANGES_OF_FILE_MAX: usize = 60;
/// Bytes of a `Content-Type` that are looked at.
const KIND_MAX_BYTES: usize = 256;
/// Letters encoded twice, digits of the code included, that a request may hold.
const LETTERS_TWICE_MAX: usize = 4;

/// A rule of form: id, class, weight, title, and what decides.
pub type FormRule = (&'static str, Class, f32, &'static str, Form);

/// What is judged from the form of a request, not from its values. A new one is a function and a row.
pub const FORM_RULES: &[FormRule] = &[
    (
        "smuggle.length-and-encoding",
        Class::WebSmuggle,
        0.93,
        "Content-Length and Transfer-Encoding together",
        Form::Defect(Defects::LENGTH_AND_ENCODING),
    ),
    (
        "smuggle.transfer-encoding",
        Class::WebSmuggle,
        0.92,
        "Odd or repeated Transfer-Encoding",
        Form::Defect(Defects::TRANSFER_ENCODING),
    ),
    (
        "smuggle.content-length",
        Class::WebSmuggle,
        0.92,
        "Contradicting Content-Length",
        Form::Defect(Defects::CONTENT_LENGTH),
    ),
    ("protocol.nul", Class::WebProtocol, 0.91, "NUL byte in the head", Form::Defect(Defects::NUL)),
    (
        "protocol.overlap",
        Class::WebProtocol,
        0.91,
        "Two copies of the same bytes differ",
        Form::Defect(Defects::CONFLICTING_OVERLAP),
    ),
    (
        "protocol.method",
        Class::WebProtocol,
        0.91,
        "Method that no server knows",
        Form::Holds(has_unknown_method),
    ),
    (
        "protocol.range",
        Class::WebProtocol,
        0.91,
        "Range of many parts, or in an odd field",
        Form::Holds(has_odd_range),
    ),
    (
        "protocol.charset",
        Class::WebProtocol,
        0.91,
        "Charset that only hides a payload",
        Form::Holds(has_odd_charset),
    ),
    (
        "protocol.connection",
        Class::WebProtocol,
        0.91,
        "Connection that is kept alive and closed",
        Form::Holds(has_contradicting_connection),
    ),
    (
        "protocol.media-type",
        Class::WebProtocol,
        0.91,
        "Content-Type that is no media type",
        Form::Holds(has_no_media_type),
    ),
    (
        "protocol.encoded-twice",
        Class::WebProtocol,
        0.91,
        "Letters encoded twice",
        Form::Holds(has_letters_encoded_twice),
    ),
    (
        "protocol.agent",
        Class::WebProtocol,
        0.91,
        "User-Agent that is there and empty",
        Form::Holds(has_empty_agent),
    ),
    (
        "session.offsite",
        Class::WebSession,
        0.92,
        "Session id in a link from another site",
        Form::Holds(has_session_from_elsewhere),
    ),
    (
        "proxy.absolute",
        Class::WebProxyprobe,
        0.92,
        "Request for another host",
        Form::Holds(asks_for_another_host),
    ),
    (
        "proxy.connect",
        Class::WebProxyprobe,
        0.92,
        "CONNECT to a server that is no proxy",
        Form::Holds(is_connect),
    ),
];

/// How a rule of form is told.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A defect that the parser marked.
    Defect(Defects),
    /// A function of the request.
    Holds(fn(&Request<'_>, &Fields<'_>) -> bool),
}

fn starts_with(bytes: &[u8], start: &str) -> bool {
    bytes.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

/// What follows `word` wherever it occurs, in any case.
fn after<'a>(bytes: &'a [u8], word: &'a str) -> impl Iterator<Item = &'a [u8]> {
    (0..bytes.len()).filter_map(move |at| {
        let rest = bytes.get(at..)?;
        starts_with(rest, word).then(|| rest.get(word.len()..).unwrap_or_default())
    })
}

/// Whether the method is one that no server knows.
pub fn has_unknown_method(request: &Request<'_>, _: &Fields<'_>) -> bool {
    !METHODS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(request.method))
}

/// Whether `User-Agent` is there and empty. Software that has no name leaves the field out.
pub fn has_empty_agent(_: &Request<'_>, fields: &Fields<'_>) -> bool {
    fields.user_agent.is_some_and(|agent| agent.trim_ascii().is_empty())
}

/// The method CONNECT.
pub fn is_connect(request: &Request<'_>, _: &Fields<'_>) -> bool {
    request.method == b"CONNECT"
}

/// Whether a range has more parts than clients ask for, or stands in the field of a browser of 1996, or in a request that
/// sends nothing.
pub fn has_odd_range(request: &Request<'_>, fields: &Fields<'_>) -> bool {
    if fields.request_range.is_some() || fields.content_range.is_some() && request.method == b"GET" {
        return true;
    }
    let Some(range) = fields.range else { return false };
    let name = request.path().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let most = if memchr::memchr(b'.', name).is_some() { RANGES_OF_FILE_MAX } else { RANGES_OF_PAGE_MAX };
    memchr::memchr_iter(b',', range).count() >= most
}

/// Whether `Content-Type` names a charset that only hides a payload from whoever inspects it, or two of them.
pub fn has_odd_charset(_: &Request<'_>, fields: &Fields<'_>) -> bool {
    let Some(kind) = fields.content_type.filter(|kind| kind.len() > "charset=".len()) else { return false };
    let kind = kind.get(..kind.len().min(KIND_MAX_BYTES)).unwrap_or(kind);
    let mut charsets = after(kind, "charset=").map(|value| {
        let value = value.trim_ascii_start();
        value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value)
    });
    let is_known = |value: &[u8]| {
        value.first().is_none_or(|first| !first.is_ascii_alphanumeric() && *first != b'_')
            || CHARSETS.iter().any(|known| starts_with(value, known))
    };
    match (charsets.next(), charsets.next()) {
        (Some(first), None) => !is_known(first),
        (Some(_), Some(second)) => !is_known(second) || starts_with(second, "utf-7"),
        (None, _) => false,
    }
}

/// Whether `Connection` asks to close and to keep alive.
pub fn has_contradicting_connection(_: &Request<'_>, fields: &Fields<'_>) -> bool {
    let asks = |word: &[u8]| {
        fields.connection.is_some_and(|value| {
            value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
        })
    };
    asks(b"close") && asks(b"keep-alive")
}

/// Whether a body is declared as something that is no media type (RFC 9110 §8.3.1: `type/subtype`), or as parts of a
/// kind that nobody registered.
pub fn has_no_media_type(request: &Request<'_>, fields: &Fields<'_>) -> bool {
    let Some(kind) = fields.content_type.filter(|kind| kind.len() > 4) else { return false };
    if request.body.is_empty() {
        return false;
    }
    if starts_with(kind, "multipart/") {
        let subtype = kind.get("multipart/".len()..).unwrap_or_default();
        return !MULTIPARTS.iter().any(|known| starts_with(subtype, known));
    }
    memchr::memchr(b'/', kind.split(|byte| *byte == b';').next().unwrap_or_default()).is_none()
}

/// Whether a link from another site brings a session id along (session fixation, CAPEC-61).
pub fn has_session_from_elsewhere(request: &Request<'_>, fields: &Fields<'_>) -> bool {
    let query = request.query();
    let (false, Some(referer), Some(own)) = (query.is_empty(), fields.referer, fields.host) else {
        return false;
    };
    let Some(from) = referer.strip_prefix(b"http://").or_else(|| referer.strip_prefix(b"https://")) else {
        return false;
    };
    if domain(host(own)).eq_ignore_ascii_case(domain(host(from))) {
        return false;
    }
    query.split(|byte| *byte == b'&').any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        starts_with(name, "aspsession")
            || SESSION_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    })
}

/// The last two labels of a host: what one owner's hosts share. Three where the last two are short (`co.uk`).
fn domain(host: &[u8]) -> &[u8] {
    let labels = |count: usize| {
        let start = memchr::memrchr_iter(b'.', host).nth(count - 1).map_or(0, |at| at + 1);
        host.get(start..).unwrap_or(host)
    };
    if labels(2).len() <= 6 { labels(3) } else { labels(2) }
}

/// The host of `host:port/path?query`.
fn host(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| matches!(byte, b'/' | b':' | b'?')).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

/// Whether the request asks for a host other than the one it names: what an open proxy would take.
pub fn asks_for_another_host(request: &Request<'_>, fields: &Fields<'_>) -> bool {
    let target = request.target;
    let Some(rest) = target.strip_prefix(b"http://").or_else(|| target.strip_prefix(b"https://")) else {
        return false;
    };
    fields.host.is_none_or(|own| !host(own).eq_ignore_ascii_case(host(rest)))
}

/// Whether letters of the query are percent-encoded twice: nobody's software does that, it hides them.
pub fn has_letters_encoded_twice(request: &Request<'_>, _: &Fields<'_>) -> bool {
    let mut letters = 0;
    let mut rest = request.target;
    while let Some(at) = memchr::memmem::find(rest, b"%25") {
        rest = rest.get(at + 3..).unwrap_or_default();
        // %25 37 33, or with the digits themselves encoded: %25%37%33.
        let digits = match rest {
            [b'%', b'3' | b'4' | b'6', high, b'%', b'3' | b'4' | b'6', low, ..] => Some((*high, *low)),
            _ => None,
        };
        letters += usize::from(digits.is_some());
    }
    letters >= LETTERS_TWICE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Defects, Header};

    fn with<R>(target: &str, fields: &[(&str, &str)], act: impl FnOnce(&Request<'_>, &Fields<'_>) -> R) -> R {
        let headers: Vec<Header<'_>> = fields
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let defects = Defects::default();
        let request =
            Request { method: b"GET", target: target.as_bytes(), headers: &headers, body: b"", defects };
        act(&request, &Fields::of(&headers))
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
    fn letters_encoded_twice_are_told_from_addresses_in_addresses() {
        assert!(with("/?p=%25%37%33%25%36%46%25%36%44%25%36%35", &[], has_letters_encoded_twice));
        assert!(!with("/?u=http%253A%252F%252Fx.example%252Fa%2520b", &[], has_letters_encoded_twice));
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
