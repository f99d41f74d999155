//! A borrowed view of one HTTP request: what a parser hands to detection.

/// One header field, as sent (value trimmed of surrounding white space).
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Value.
    pub value: &'a [u8],
}

/// What is wrong with the form of a request. A malformed request is judged, never dropped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Defects(u16);

impl Defects {
    /// The request line is not `METHOD SP TARGET SP HTTP/1.x`.
    pub const REQUEST_LINE: Self = Self(1);
    /// A header line is malformed: no colon, a bad name, a control byte.
    pub const HEADER_LINE: Self = Self(1 << 1);
    /// A line folded over two (RFC 9112 §5.2).
    pub const OBS_FOLD: Self = Self(1 << 2);
    /// A NUL byte in the head.
    pub const NUL: Self = Self(1 << 3);
    /// Several `Content-Length` fields that differ, or one that is no number.
    pub const CONTENT_LENGTH: Self = Self(1 << 4);
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1: smuggling).
    pub const LENGTH_AND_ENCODING: Self = Self(1 << 5);
    /// A `Transfer-Encoding` other than a final `chunked`, or a repeated one.
    pub const TRANSFER_ENCODING: Self = Self(1 << 6);
    /// A chunk size that is no number or too large.
    pub const CHUNK: Self = Self(1 << 7);
    /// The head is longer than the limit; it was judged on its beginning.
    pub const HEAD_TOO_LONG: Self = Self(1 << 8);
    /// The body is longer than the limit or was cut by a gap or the conversation's end.
    pub const BODY_CUT: Self = Self(1 << 9);
    /// Conflicting copies of the same bytes were seen while this request was sent.
    pub const CONFLICTING_OVERLAP: Self = Self(1 << 10);

    /// No defect.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds those of `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One HTTP/1 request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method as sent.
    pub method: &'a [u8],
    /// Request target as sent: `/path?query`, `http://…`, `host:port`, `*`.
    pub target: &'a [u8],
    /// Header fields in order.
    pub headers: &'a [Header<'a>],
    /// Body without chunk framing, at most the body limit.
    pub body: &'a [u8],
    /// What is wrong with its form.
    pub defects: Defects,
}

impl<'a> Request<'a> {
    /// The first field of that name, any case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value)
    }

    /// The values of all fields of that name, any case, in order.
    pub fn header_lines<'n>(&self, name: &'n str) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, 'n> {
        let is_named = move |field: &&Header<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(is_named).map(|field| field.value)
    }

    /// The target up to the first `?`.
    pub fn path(&self) -> &'a [u8] {
        let end = memchr::memchr(b'?', self.target).unwrap_or(self.target.len());
        self.target.get(..end).unwrap_or_default()
    }

    /// What follows the first `?` of the target.
    pub fn query(&self) -> &'a [u8] {
        let start = memchr::memchr(b'?', self.target).map_or(self.target.len(), |at| at + 1);
        self.target.get(start..).unwrap_or_default()
    }
}
