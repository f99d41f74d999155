//! The head of a request or reply: from its bytes to fields.

use std::mem::MaybeUninit;

use crate::protocol::request::{Defects, Header};

/// Header fields of an ordinary head; more go the slow way.
const FIELDS_FAST: usize = 64;
/// Header fields looked at in any head. Ten thousand have been seen; servers refuse more than 100 or so.
const FIELDS_MAX: usize = 1_000;

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Method as sent.
    pub method: &'a [u8],
    /// Target as sent.
    pub target: &'a [u8],
    /// Fields.
    pub headers: &'a [Header<'a>],
    /// What is wrong with its form.
    pub defects: Defects,
}

impl<'a> Head<'a> {
    /// Values of every field of that name.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value)
    }
}

/// Length of a head, its empty line included.
pub fn end_of_head(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3);
    for at in memchr::memchr_iter(b'\n', bytes.get(from..)?) {
        let next = from + at + 1;
        match bytes.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            _ => {}
        }
    }
    None
}

/// Parses a request's head and hands it to `take`. Never fails: what is malformed is marked.
pub fn with_request<R>(bytes: &[u8], take: impl FnOnce(&Head<'_>) -> R) -> R {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_FAST];
    let mut request = httparse::Request::new(&mut []);
    if let Ok(httparse::Status::Complete(_)) = request.parse_with_uninit_headers(bytes, &mut fields)
        && let (Some(method), Some(target)) = (request.method, request.path)
    {
        let mut headers = [Header { name: &[], value: &[] }; FIELDS_FAST];
        let count = request.headers.len().min(FIELDS_FAST);
        for (ours, theirs) in headers.iter_mut().zip(request.headers.iter()) {
            *ours = Header { name: theirs.name.as_bytes(), value: theirs.value };
        }
        let headers = headers.get(..count).unwrap_or_default();
        let head = Head {
            method: method.as_bytes(),
            target: target.as_bytes(),
            headers,
            defects: Defects::default(),
        };
        return take(&head);
    }
    let mut headers = Vec::new();
    let head = lenient(bytes, &mut headers);
    take(&head)
}

/// Reads a head line by line, as forgiving as the most forgiving server.
fn lenient<'a>(bytes: &'a [u8], headers: &'a mut Vec<Header<'a>>) -> Head<'a> {
    let mut defects = Defects::default();
    if memchr::memchr(0, bytes).is_some() {
        defects.insert(Defects::NUL);
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let (method, target, wrong) = request_line(line);
    if wrong {
        defects.insert(Defects::REQUEST_LINE);
    }
    for line in lines.take_while(|line| !line.is_empty()).take(FIELDS_MAX) {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            defects.insert(Defects::OBS_FOLD);
            headers.push(Header { name: &[], value: line.trim_ascii() });
            continue;
        }
        let colon = memchr::memchr(b':', line);
        let (name, value) = colon.map_or((line, &b""[..]), |at| {
            (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default())
        });
        let clean = colon.is_some() && !name.is_empty() && name.iter().all(|byte| super::is_token(*byte));
        let controls = value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f);
        if !clean || controls {
            defects.insert(Defects::HEADER_LINE);
        }
        headers.push(Header { name: name.trim_ascii(), value: value.trim_ascii() });
    }
    Head { method, target, headers, defects }
}

/// Method, target (which may hold spaces) and whether the line is wrong.
fn request_line(line: &[u8]) -> (&[u8], &[u8], bool) {
    let Some(space) = memchr::memchr(b' ', line) else { return (line, &[], true) };
    let (method, rest) = line.split_at_checked(space).unwrap_or_default();
    let rest = rest.trim_ascii();
    let version = memchr::memmem::rfind(rest, b" HTTP/");
    let target = rest.get(..version.unwrap_or(rest.len())).unwrap_or_default().trim_ascii();
    let plain = memchr::memchr2(b' ', b'\t', target).is_none();
    (method, target, version.is_none() || !plain || target.is_empty())
}

/// The head of a reply, as far as it is of use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplyHead {
    /// Status code.
    pub status: u16,
    /// `Content-Length`, where it is a number.
    pub length: Option<u64>,
    /// Whether the body is chunked.
    pub chunked: bool,
    /// `Location`, its beginning.
    pub location: Location,
}

/// The beginning of a `Location`: enough to see where a login leads. Held in place, so that a redirect costs no allocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Location {
    bytes: [u8; LOCATION_MAX_BYTES],
    len: usize,
}

/// Bytes kept of a `Location`.
const LOCATION_MAX_BYTES: usize = 120;

impl Location {
    /// None was sent.
    const NONE: Self = Self { bytes: [0; LOCATION_MAX_BYTES], len: 0 };

    fn of(value: &[u8]) -> Self {
        let mut location = Self::NONE;
        for (to, from) in location.bytes.iter_mut().zip(value) {
            *to = *from;
            location.len += 1;
        }
        location
    }

    /// What was sent, if anything.
    pub fn sent(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len).filter(|bytes| !bytes.is_empty())
    }
}

/// Parses a reply's head; `None` for bytes that are none.
pub fn reply(bytes: &[u8]) -> Option<ReplyHead> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let rest = lines.next()?.strip_prefix(b"HTTP/1.")?;
    let code = rest.get(1..)?.trim_ascii_start().get(..3)?;
    let status = std::str::from_utf8(code).ok()?.parse().ok()?;
    let mut head = ReplyHead { status, length: None, chunked: false, location: Location::NONE };
    for line in lines.take(FIELDS_MAX) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            head.length = number(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            head.chunked = ends_chunked(value);
        } else if name.eq_ignore_ascii_case(b"location") {
            head.location = Location::of(value);
        }
    }
    Some(head)
}

/// A `Content-Length`: digits alone (RFC 9110 §8.6).
pub fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether the last coding of a `Transfer-Encoding` is chunked.
pub fn ends_chunked(value: &[u8]) -> bool {
    value
        .rsplit(|byte| *byte == b',')
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .eq_ignore_ascii_case(b"chunked")
}
