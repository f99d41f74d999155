//! A request taken apart: each value with its kind and name, before anything is decoded.

use crate::detect::fields::{Fields, is_dull};
use crate::detect::value::ValueKind;
use crate::protocol::request::Request;

/// Parameters looked at in one request.
const PARAMETERS_MAX: usize = 512;
/// Strings and keys looked at in one JSON body.
const JSON_STRINGS_MAX: usize = 1_024;
/// Bytes of a part's content that are looked at; an upload's attack is in its name and its beginning.
const PART_HEAD_BYTES: usize = 4 << 10;
/// Bytes of a `Content-Type` that are looked at.
const KIND_MAX_BYTES: usize = 256;
/// Parts of a multipart body.
const PARTS_MAX: usize = 64;

/// Takes a value: where it stood, its name, its bytes as sent.
pub type Take<'t> = dyn FnMut(ValueKind, &[u8], &[u8]) + 't;

/// Hands every value of a request to `take`.
pub fn values(request: &Request<'_>, fields: &Fields<'_>, take: &mut Take<'_>) {
    take(ValueKind::Path, b"", request.path());
    let query = request.query();
    if !query.is_empty() {
        parameters(query, ValueKind::Query, take);
    }
    for field in request.headers {
        if field.name.eq_ignore_ascii_case(b"cookie") {
            // Payloads that hold a semicolon themselves are only seen in one piece.
            if memchr::memchr(b'{', field.value).is_some() {
                take(ValueKind::Header, field.name, field.value);
            }
            for pair in field.value.split(|byte| *byte == b';').take(PARAMETERS_MAX) {
                let (name, value) = split_once(pair.trim_ascii(), b'=');
                match value {
                    Some(value) => {
                        take(ValueKind::Cookie, name, value);
                        take(ValueKind::Name, b"", name);
                    }
                    None => take(ValueKind::Cookie, b"", name),
                }
            }
        } else if is_file_name(field.name) {
            take(ValueKind::Form, b"filename", field.value);
        } else if !is_dull(field.name) {
            take(ValueKind::Header, field.name, field.value);
        }
    }
    for (name, value) in [("user-agent", fields.user_agent), ("referer", fields.referer)] {
        if let Some(value) = value {
            take(ValueKind::Header, name.as_bytes(), value);
        }
    }
    if !request.body.is_empty() {
        body(request.body, fields.content_type.unwrap_or_default(), take);
    }
}

/// `name=value` pairs between `&` (and `;`, as RFC 1866 §8.2.1 recommends servers to accept).
fn parameters(bytes: &[u8], kind: ValueKind, take: &mut Take<'_>) {
    for pair in bytes.split(|byte| *byte == b'&').take(PARAMETERS_MAX) {
        // Links whose `&` was escaped for HTML once too often are common.
        let pair = pair.strip_prefix(b"amp;").unwrap_or(pair);
        match split_once(pair, b'=') {
            (name, Some(value)) => {
                take(kind, name, value);
                take(ValueKind::Name, b"", name);
            }
            (alone, None) => take(kind, b"", alone),
        }
    }
}

/// `X-Filename`, `X_File_Name`, `X.File-Name`: what upload scripts take the name of a file from.
fn is_file_name(header: &[u8]) -> bool {
    let letters = header.iter().filter(|byte| byte.is_ascii_alphabetic()).map(u8::to_ascii_lowercase);
    header.len() <= 16 && letters.eq(*b"xfilename")
}

fn split_once(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(at, bytes) {
        Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..)),
        None => (bytes, None),
    }
}

/// By content type, and by its first byte where the type says nothing or lies.
fn body(bytes: &[u8], sent_kind: &[u8], take: &mut Take<'_>) {
    let kind = sent_kind.get(..sent_kind.len().min(KIND_MAX_BYTES)).unwrap_or(sent_kind);
    let mut buffer = [0; KIND_MAX_BYTES];
    let lower = buffer.get_mut(..kind.len()).unwrap_or_default();
    lower.copy_from_slice(kind);
    lower.make_ascii_lowercase();
    let kind: &[u8] = lower;
    let first = bytes.trim_ascii_start().first().copied().unwrap_or(0);
    let has = |word: &[u8]| memchr::memmem::find(kind, word).is_some();
    if has(b"multipart/") {
        multipart(bytes, kind, sent_kind, take);
    } else if has(b"json") || matches!(first, b'{' | b'[') {
        json(bytes, take);
    } else if has(b"xml") || first == b'<' {
        take(ValueKind::Body, b"", bytes);
        xml(bytes, take);
    } else if has(b"x-www-form-urlencoded") || memchr::memchr(b'=', bytes).is_some() && is_text(bytes) {
        parameters(bytes, ValueKind::Form, take);
    } else {
        take(ValueKind::Body, b"", bytes);
    }
}

/// Whether a body of an undeclared kind reads as text: what is no text has no parameters.
fn is_text(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(256)).unwrap_or(bytes);
    !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=31))
}

/// Every string and key of a JSON text, as it stands between its quotes; the escapes are left to the deep view.
fn json(bytes: &[u8], take: &mut Take<'_>) {
    let mut rest = bytes;
    let mut name: &[u8] = b"";
    for _ in 0..JSON_STRINGS_MAX {
        let Some(start) = memchr::memchr(b'"', rest) else { break };
        rest = rest.get(start + 1..).unwrap_or_default();
        let mut end = 0;
        // The closing quote is the first one that is not escaped.
        while let Some(at) = rest.get(end..).and_then(|tail| memchr::memchr2(b'"', b'\\', tail)) {
            end += at;
            if rest.get(end) == Some(&b'"') {
                break;
            }
            end = (end + 2).min(rest.len());
        }
        let end = end.min(rest.len());
        let (text, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        let after = after.get(1..).unwrap_or_default();
        if after.trim_ascii_start().first() == Some(&b':') {
            name = text;
            take(ValueKind::Name, b"", text);
        } else {
            take(ValueKind::Json, name, text);
        }
        rest = after;
    }
}

/// Texts and attribute values.
fn xml(bytes: &[u8], take: &mut Take<'_>) {
    for piece in bytes.split(|byte| matches!(byte, b'<' | b'>' | b'"')).take(JSON_STRINGS_MAX) {
        let text = piece.trim_ascii();
        if text.len() > 2 {
            take(ValueKind::Xml, b"", text);
        }
    }
}

/// Names, file names and the beginning of each part (RFC 7578).
fn multipart(bytes: &[u8], kind: &[u8], sent: &[u8], take: &mut Take<'_>) {
    let Some(at) = memchr::memmem::find(kind, b"boundary=") else {
        return take(ValueKind::Body, b"", bytes);
    };
    let boundary = sent.get(at + 9..).unwrap_or_default();
    let boundary = boundary.split(|byte| matches!(byte, b';' | b' ')).next().unwrap_or_default();
    let boundary =
        boundary.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(boundary);
    if boundary.is_empty() {
        return take(ValueKind::Body, b"", bytes);
    }
    let starts: Vec<usize> = memchr::memmem::find_iter(bytes, boundary).take(PARTS_MAX + 1).collect();
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
        let part = bytes.get(start + boundary.len()..end).unwrap_or_default();
        let Some(blank) =
            memchr::memmem::find(part, b"\r\n\r\n").or_else(|| memchr::memmem::find(part, b"\n\n"))
        else {
            continue;
        };
        let (head, content) = part.split_at_checked(blank).unwrap_or((part, &[]));
        let name = attribute(head, b" name=").unwrap_or_default();
        take(ValueKind::Name, b"", name);
        let content = content.trim_ascii();
        let content = content.strip_suffix(b"--").unwrap_or(content).trim_ascii_end();
        let content = content.get(..content.len().min(PART_HEAD_BYTES)).unwrap_or(content);
        if let Some(file) = attribute(head, b"filename=") {
            take(ValueKind::Form, b"filename", file);
            take(ValueKind::Body, name, content);
        } else {
            take(ValueKind::Form, name, content);
        }
    }
}

fn attribute<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(head, name)? + name.len();
    let rest = head.get(at..)?;
    match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| *byte == b'"').next(),
        None => rest.split(|byte| matches!(byte, b';' | b'\r' | b'\n')).next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Defects, Header};

    fn split(target: &str, headers: &[(&str, &str)], body: &str) -> Vec<String> {
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let request = Request {
            method: b"POST",
            target: target.as_bytes(),
            headers: &headers,
            body: body.as_bytes(),
            defects: Defects::default(),
        };
        let mut found = Vec::new();
        values(&request, &Fields::of(request.headers), &mut |kind, name, value| {
            found.push(format!(
                "{kind:?} {}={}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value)
            ));
        });
        found
    }

    #[test]
    fn every_value_is_found_with_its_name() {
        let found = split(
            "/p?a=1&b",
            &[("Cookie", "s=x; t=y"), ("X-Odd", "z"), ("Accept-Encoding", "gzip"), ("User-Agent", "u")],
            "",
        );
        assert_eq!(
            found,
            [
                "Path =/p",
                "Query a=1",
                "Name =a",
                "Query =b",
                "Cookie s=x",
                "Name =s",
                "Cookie t=y",
                "Name =t",
                "Header X-Odd=z",
                "Header user-agent=u"
            ]
        );
    }

    #[test]
    fn bodies_are_read_by_type_and_by_sight() {
        let form = split("/", &[("Content-Type", "application/x-www-form-urlencoded")], "q=1'");
        assert!(form.contains(&"Form q=1'".to_owned()));
        let json = split("/", &[], r#"{"a":{"b\"c":"x\"y"},"l":["m",2]}"#);
        for expected in ["Name =a", r#"Name =b\"c"#, r#"Json b\"c=x\"y"#, "Name =l", "Json l=m"] {
            assert!(json.contains(&expected.to_owned()), "{expected} in {json:?}");
        }
        let multipart = split(
            "/",
            &[("Content-Type", "multipart/form-data; boundary=XX")],
            "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"s.php\"\r\n\r\n<?php\r\n--XX\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nv\r\n--XX--\r\n",
        );
        for expected in ["Form filename=s.php", "Body f=<?php", "Form t=v"] {
            assert!(multipart.contains(&expected.to_owned()), "{expected} in {multipart:?}");
        }
        assert!(split("/", &[], "<a b=\"text\">more</a>").contains(&"Xml =more".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn any_body_of_any_type_is_survived(
            kind in proptest::sample::select(vec!["multipart/form-data; boundary=a", "application/json", "text/xml", "x", "application/x-www-form-urlencoded"]),
            body in proptest::collection::vec(proptest::sample::select(b"a\"\\<>=&;{}[]:-\r\n x".to_vec()), 0..200),
        ) {
            split("/", &[("Content-Type", kind)], &String::from_utf8_lossy(&body));
        }
    }
}
