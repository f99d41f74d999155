//! The header fields that detection asks for again and again, found in one pass.

use crate::protocol::request::Header;

/// Values of well-known fields; the first of each name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// `Connection`
    pub connection: Option<&'a [u8]>,
    /// `Content-Range`
    pub content_range: Option<&'a [u8]>,
    /// `Content-Type`
    pub content_type: Option<&'a [u8]>,
    /// `Host`
    pub host: Option<&'a [u8]>,
    /// `Range`
    pub range: Option<&'a [u8]>,
    /// `Referer`
    pub referer: Option<&'a [u8]>,
    /// `Request-Range`, which only browsers of the nineties sent.
    pub request_range: Option<&'a [u8]>,
    /// `User-Agent`
    pub user_agent: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// Goes through the fields once.
    pub fn of(headers: &[Header<'a>]) -> Self {
        let mut fields = Self::default();
        for field in headers {
            let (slot, name) = match field.name.len() {
                4 => (&mut fields.host, &b"host"[..]),
                5 => (&mut fields.range, &b"range"[..]),
                7 => (&mut fields.referer, &b"referer"[..]),
                10 if field.name.first().is_some_and(|first| matches!(first, b'u' | b'U')) => {
                    (&mut fields.user_agent, &b"user-agent"[..])
                }
                10 => (&mut fields.connection, &b"connection"[..]),
                12 => (&mut fields.content_type, &b"content-type"[..]),
                13 if field.name.first().is_some_and(|first| matches!(first, b'r' | b'R')) => {
                    (&mut fields.request_range, &b"request-range"[..])
                }
                13 => (&mut fields.content_range, &b"content-range"[..]),
                _ => continue,
            };
            if slot.is_none() && field.name.eq_ignore_ascii_case(name) {
                *slot = Some(field.value);
            }
        }
        fields
    }
}

/// Whether a field holds nothing that an attack uses, and stands in nearly every request. All others are inspected.
pub fn is_dull(name: &[u8]) -> bool {
    let dull: &[&[u8]] = match name.len() {
        3 => &[b"dnt"],
        4 => &[b"host", b"date"],
        6 => &[b"cookie", b"pragma", b"expect"],
        7 => &[b"referer"],
        8 => &[b"priority"],
        10 => &[b"user-agent", b"connection", b"keep-alive"],
        13 => &[b"cache-control"],
        14 => &[b"content-length", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site"],
        15 => &[b"accept-encoding"],
        16 => &[b"sec-ch-ua-mobile"],
        17 => &[b"if-modified-since"],
        19 => &[b"if-unmodified-since"],
        25 => &[b"upgrade-insecure-requests"],
        _ => &[],
    };
    dull.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_case_and_the_first_counts() {
        let headers = [
            Header { name: b"HOST", value: b"a" },
            Header { name: b"Host", value: b"b" },
            Header { name: b"user-agent", value: b"u" },
            Header { name: b"Connection", value: b"close" },
            Header { name: b"Content-Type", value: b"t" },
            Header { name: b"Content-Range", value: b"c" },
        ];
        let fields = Fields::of(&headers);
        assert_eq!(fields.host, Some(&b"a"[..]));
        assert_eq!(fields.user_agent, Some(&b"u"[..]));
        assert_eq!(fields.connection, Some(&b"close"[..]));
        assert_eq!(fields.content_type, Some(&b"t"[..]));
        assert_eq!(fields.content_range, Some(&b"c"[..]));
        assert_eq!((fields.range, fields.request_range), (None, None));
        assert!(is_dull(b"Accept-Encoding") && !is_dull(b"Accept") && !is_dull(b"X-Api-Version"));
    }
}
