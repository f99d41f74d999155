//! The fields of a DNS query (RFC 1035 §4) that tell what is asked, and how large an answer may be.

/// Length of the header.
const HEADER_BYTES: usize = 12;
/// Longest name, with the lengths of its labels (RFC 1035 §2.3.4).
pub const NAME_MAX_BYTES: usize = 255;
/// Records looked at behind the question: a query has an OPT, a signature, the serial of an IXFR, hardly more.
const RECORDS_MAX: u16 = 4;

/// Record types that matter here.
pub mod kind {
    /// Start of a zone of authority.
    pub const SOA: u16 = 6;
    /// Text.
    pub const TXT: u16 = 16;
    /// A signature by a public key over the message (RFC 2931).
    pub const SIG: u16 = 24;
    /// Options (RFC 6891).
    pub const OPT: u16 = 41;
    /// A signature by a shared key (RFC 8945).
    pub const TSIG: u16 = 250;
    /// Transfer of what changed in a zone (RFC 1995).
    pub const IXFR: u16 = 251;
    /// Transfer of a zone (RFC 5936).
    pub const AXFR: u16 = 252;
    /// Everything (RFC 8482).
    pub const ANY: u16 = 255;
}

/// Class of what a server tells of itself.
pub const CHAOS: u16 = 3;

/// Code of a response: the name does not exist.
pub const NO_SUCH_NAME: u8 = 3;

/// A query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Query<'a> {
    /// Its number.
    pub id: [u8; 2],
    /// The name asked for, as labels on the wire, without the empty one at the end.
    pub labels: &'a [u8],
    /// Type asked for.
    pub kind: u16,
    /// Class asked for.
    pub class: u16,
    /// Bytes of UDP that the client takes (EDNS), where it says so.
    pub takes_bytes: Option<u16>,
    /// Whether it is signed.
    pub signed: bool,
}

/// What the first bytes of a message say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Read<'a> {
    /// More bytes are needed.
    Cut,
    /// No query.
    Not,
    /// A query.
    Query(Query<'a>),
}

/// Reads a message whose first bytes are `bytes`.
pub fn read(bytes: &[u8]) -> Read<'_> {
    if !may_be_query(bytes) {
        return Read::Not;
    }
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Read::Cut };
    let Some((labels, rest)) = name(rest) else {
        return if is_cut_name(rest) { Read::Cut } else { Read::Not };
    };
    let Some(([k0, k1, c0, c1], rest)) = rest.split_first_chunk::<4>() else { return Read::Cut };
    // The top bit is mDNS's wish for an answer to one address (RFC 6762 §5.4).
    let class = u16::from_be_bytes([*c0, *c1]) & 0x7fff;
    if !matches!(class, 1 | CHAOS | 4 | 254 | 255) {
        return Read::Not;
    }
    let (_, records) = counts(header);
    let (takes_bytes, signed) = options(rest, records);
    let id = [header[0], header[1]];
    Read::Query(Query { id, labels, kind: u16::from_be_bytes([*k0, *k1]), class, takes_bytes, signed })
}

/// Whether bytes can begin a query with one question, as far as they go: no response, a known kind of operation, no error
/// code, no answers, and little behind the question.
pub fn may_be_query(bytes: &[u8]) -> bool {
    let is = |at: usize, allowed: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| allowed(*byte));
    is(2, |flags| flags & 0x80 == 0 && matches!(flags >> 3, 0 | 4 | 5))
        && is(3, |flags| flags & 0x4f == 0)
        && is(4, |high| high == 0)
        && is(5, |questions| questions == 1)
        && is(6, |high| high == 0)
        && is(7, |answers| answers == 0)
        && is(8, |high| high == 0)
        && is(9, |authorities| authorities <= 1)
        && is(10, |high| high == 0)
        && is(11, |additional| u16::from(additional) <= RECORDS_MAX)
}

/// Whether bytes begin a response: to one question at most, with a known kind of operation and code.
pub fn may_be_response(bytes: &[u8]) -> bool {
    matches!(bytes.get(2..6), Some([flags, code, 0, 0 | 1]) if flags & 0x80 != 0 && matches!(flags >> 3 & 15, 0 | 4 | 5) && code & 15 <= 10)
        && bytes.len() >= HEADER_BYTES
}

/// A response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Response<'a> {
    /// Number of the query that it answers.
    pub id: [u8; 2],
    /// What became of it (RFC 1035 §4.1.1, RFC 2136 §2.2).
    pub code: u8,
    /// Whether the server is responsible for the zone.
    pub is_authoritative: bool,
    /// Records in the answer.
    pub answers: u16,
    /// The name that was asked for, as labels on the wire; empty where the question is not repeated.
    pub labels: &'a [u8],
}

/// Reads the beginning of a response.
pub fn response(bytes: &[u8]) -> Option<Response<'_>> {
    let ([i0, i1, flags, code, _, questions, a0, a1, ..], rest) =
        bytes.split_first_chunk::<HEADER_BYTES>()?;
    if !may_be_response(bytes) {
        return None;
    }
    let labels = if *questions == 1 { name(rest)?.0 } else { &[] };
    Some(Response {
        id: [*i0, *i1],
        code: code & 15,
        is_authoritative: flags & 4 != 0,
        answers: u16::from_be_bytes([*a0, *a1]),
        labels,
    })
}

/// The name as people write it: labels with dots between them. The root is a dot.
pub fn written<'a>(labels: &[u8], space: &'a mut [u8; NAME_MAX_BYTES]) -> &'a [u8] {
    let mut length = 0;
    let mut rest = labels;
    while let Some((size, after)) = rest.split_first()
        && let Some((label, after)) = after.split_at_checked(usize::from(*size))
    {
        let dot: &[u8] = if length > 0 { b"." } else { b"" };
        for byte in dot.iter().chain(label) {
            if let Some(place) = space.get_mut(length) {
                *place = *byte;
                length += 1;
            }
        }
        rest = after;
    }
    if length == 0 {
        return b".";
    }
    space.get(..length).unwrap_or_default()
}

/// Numbers of questions, and of all records behind them.
fn counts(header: &[u8]) -> (u16, u16) {
    let count = |at: usize| {
        header.get(at..).and_then(<[u8]>::first_chunk::<2>).map_or(0, |pair| u16::from_be_bytes(*pair))
    };
    (count(4), count(6).saturating_add(count(8)).saturating_add(count(10)))
}

/// A name without pointers: queries have nothing before it to point at.
fn name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while at < NAME_MAX_BYTES {
        let size = *bytes.get(at)?;
        if size == 0 {
            return bytes
                .split_at_checked(at)
                .and_then(|(labels, rest)| Some((labels, rest.split_first()?.1)));
        }
        if size > 63 {
            return None;
        }
        at += 1 + usize::from(size);
    }
    None
}

/// Whether the end of a name is all that it lacks.
fn is_cut_name(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(size) = bytes.get(at) {
        if *size == 0 || *size > 63 {
            return false;
        }
        at += 1 + usize::from(*size);
    }
    at < NAME_MAX_BYTES
}

/// What the records behind the question say of size and signature.
fn options(mut rest: &[u8], records: u16) -> (Option<u16>, bool) {
    let (mut takes_bytes, mut signed) = (None, false);
    for _ in 0..records.min(RECORDS_MAX) {
        let Some(after) = after_name(rest) else { break };
        let Some(([k0, k1, c0, c1, _, _, _, _, l0, l1], after)) = after.split_first_chunk::<10>() else {
            break;
        };
        match u16::from_be_bytes([*k0, *k1]) {
            kind::OPT => takes_bytes = Some(u16::from_be_bytes([*c0, *c1])),
            kind::SIG | kind::TSIG => signed = true,
            _ => {}
        }
        let Some(after) = after.get(usize::from(u16::from_be_bytes([*l0, *l1]))..) else { break };
        rest = after;
    }
    (takes_bytes, signed)
}

/// What follows a name that may end in a pointer.
fn after_name(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    for _ in 0..NAME_MAX_BYTES {
        let (size, after) = rest.split_first()?;
        match size {
            0 => return Some(after),
            1..=63 => rest = after.get(usize::from(*size)..)?,
            _ => return after.get(1..),
        }
    }
    None
}
