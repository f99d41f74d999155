//! The record that crosses the channel: one judged attack request, owned and bounded.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::class::{Class, ClassSet};
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::time::Timestamp;

/// Bytes kept of a text field of a record; longer ones are cut and marked.
pub const FIELD_MAX_BYTES: usize = 256;
/// Bytes kept of the value of a naming field: the longest address has 45, a cut value is no address.
pub const NAMING_MAX_BYTES: usize = 64;
/// Evidence kept with one attempt. Eight name the reason; more would only repeat it.
pub const EVIDENCE_MAX: usize = 8;
/// Bytes of an excerpt around a match.
pub const EXCERPT_MAX_BYTES: usize = 128;

/// Identity of an attempt: a hash of the 5-tuple, both initial sequence numbers and the stream
/// offset (TCP). Interface, VLAN and sensor are no part of it, so one request seen twice is one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AttemptId(pub u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Transport of a conversation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// ICMP or `ICMPv6`
    Icmp,
}

impl Transport {
    /// As EVE writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
        }
    }

    /// The protocol number of IANA.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => 1,
        }
    }
}

/// What became of an attempt, as far as the wire shows it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// Sent; the reply tells nothing, or was not seen.
    #[default]
    Attempted,
    /// The server answered with a success and a marker of a leak.
    LikelySuccess,
    /// The server refused it (4xx, 5xx).
    Refused,
}

impl Outcome {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempted => "attempted",
            Self::LikelySuccess => "likely_success",
            Self::Refused => "refused",
        }
    }
}

/// Why a request was judged an attack: one rule that hit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    /// Stable id of the rule.
    pub rule: Arc<str>,
    /// Where it hit: `path`, `query:id`, `header:user-agent`, `cookie:sid`, `form:name`, `json:a.b`, `body`.
    pub place: Box<str>,
    /// The text around the match, credentials masked, at most [`EXCERPT_MAX_BYTES`].
    pub excerpt: Box<str>,
}

/// The judgement of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Primary class: the largest weight; ties by the order of the class table.
    pub class: Class,
    /// Secondary classes.
    pub labels: ClassSet,
    /// Certainty, 0 to 1.
    pub score: f32,
    /// At most [`EVIDENCE_MAX`], strongest first.
    pub evidence: Vec<Evidence>,
}

/// The HTTP fields that an event line carries, each cut at [`FIELD_MAX_BYTES`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HttpFields {
    /// `Host` without the port, lower case.
    pub hostname: Option<Box<str>>,
    /// Request target as sent (masked).
    pub url: Box<str>,
    /// Method.
    pub method: Box<str>,
    /// `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// Status of the reply, where it was seen.
    pub status: Option<u16>,
    /// The right-hand end of `X-Forwarded-For` or `Forwarded`, as sent. Plain input unless the peer is trusted.
    pub forwarded: Option<Box<str>>,
    /// The right-hand end of `Forwarded`, where `X-Forwarded-For` was sent as well.
    pub forwarded_too: Option<Box<str>>,
    /// The fields that naming proxies use, where the request has them. Plain input unless the peer is such a proxy.
    pub naming: Vec<NamingField>,
}

/// A header field in which a proxy of the operator's names the client, cut at [`NAMING_MAX_BYTES`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamingField {
    /// Its name in lower case, as in the settings.
    pub header: Arc<str>,
    /// Its value as sent; several lines are one list.
    pub value: Box<str>,
}

/// One attempt: a judged attack request with what classification and report need.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Identity.
    pub id: AttemptId,
    /// Time of the request's first byte.
    pub time: Timestamp,
    /// The peer of the socket that sent the request.
    pub client: SocketAddr,
    /// The other end, as seen on the captured interface.
    pub server: SocketAddr,
    /// Transport.
    pub transport: Transport,
    /// Application protocol as EVE names it: `http`.
    pub app_proto: &'static str,
    /// Number of the conversation, for joining lines of one flow.
    pub flow_id: u64,
    /// Whether it is the first attempt of its conversation (counts the session).
    pub opens_session: bool,
    /// Grade measured from the conversation, before any proxy header is weighed.
    pub grade: Grade,
    /// Whether only one direction of its conversation was captured.
    pub one_sided: bool,
    /// Whether it was inferred from lengths and times of what is encrypted, not read.
    pub inferred: bool,
    /// Frames that had to arrive for it to be seen (k of the loss interval); at least 1.
    pub frames: u16,
    /// The verdict.
    pub judgement: Judgement,
    /// What became of it.
    pub outcome: Outcome,
    /// Marks of the client's program, where its conversation showed any.
    pub marks: Marks,
    /// HTTP fields.
    pub http: Option<HttpFields>,
}

/// Cuts `bytes` at `max` bytes and makes them text: invalid UTF-8 becomes U+FFFD, a cut is marked with `…`.
pub fn cut_text(bytes: &[u8], max: usize) -> Box<str> {
    let cut = bytes.len() > max;
    let mut text = String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes)).into_owned();
    if cut {
        text.push('…');
    }
    text.into_boxed_str()
}
