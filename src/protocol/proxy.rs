//! The PROXY protocol, versions 1 and 2: what a load balancer says of the client before the client's own first byte
//! (haproxy.org/download/2.9/doc/proxy-protocol.txt). Read whoever sends it; believed only of trusted proxies, which is decided
//! later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::marks::Mark;
use crate::model::progress::Counter;
use crate::protocol::found::{Answered, At, Login, Oddity, Unmet};
use crate::protocol::request::Request;
use crate::protocol::{Reply, RequestMeta, Sink};

/// First bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, line end included.
const LINE_MAX_BYTES: usize = 107;
/// Longest header of version 2 that is waited for: addresses and a few dozen bytes of extensions.
const HEADER_MAX_BYTES: usize = 16 + 512;

/// What stands at the beginning of a client's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preface {
    /// A header of so many bytes, and the client it names, if it names one.
    Is(usize, Option<IpAddr>),
    /// The beginning of one.
    More,
    /// None.
    No,
}

/// Looks at the first bytes of a client.
pub fn preface(bytes: &[u8]) -> Preface {
    let is_start_of = |whole: &[u8]| bytes.len() < whole.len() && whole.starts_with(bytes);
    if bytes.starts_with(b"PROXY ") {
        return line(bytes);
    }
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    if is_start_of(b"PROXY ") || is_start_of(SIGNATURE) && bytes.len() > 4 {
        Preface::More
    } else {
        Preface::No
    }
}

/// `PROXY TCP4 192.0.2.1 203.0.113.10 4711 80\r\n`
fn line(bytes: &[u8]) -> Preface {
    let head = bytes.get(..bytes.len().min(LINE_MAX_BYTES)).unwrap_or(bytes);
    let Some(end) = memchr::memmem::find(head, b"\r\n") else {
        return if bytes.len() < LINE_MAX_BYTES { Preface::More } else { Preface::No };
    };
    let text = head.get(..end).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let mut words = text.split(' ').skip(1);
    let client = match words.next() {
        Some("TCP4" | "TCP6") => words.next().and_then(|word| word.parse().ok()),
        _ => None,
    };
    Preface::Is(end + 2, client)
}

/// Signature, version and command, family, length, addresses, extensions.
fn binary(bytes: &[u8]) -> Preface {
    let Some([command, family, high, low]) =
        bytes.get(SIGNATURE.len()..).and_then(|rest| rest.first_chunk::<4>().copied())
    else {
        return Preface::More;
    };
    let length = SIGNATURE.len() + 4 + usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || length > HEADER_MAX_BYTES {
        return Preface::No;
    }
    let Some(whole) = bytes.get(..length) else { return Preface::More };
    let addresses = whole.get(SIGNATURE.len() + 4..).unwrap_or_default();
    // Command 0 is the balancer speaking for itself: a health check.
    let client = match (command & 0x0f, family >> 4) {
        (1, 1) => addresses.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        (1, 2) => addresses.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    };
    Preface::Is(length, client)
}

/// Hands on what a parser finds, with the client that the preface named and the protocol's name.
pub struct Named<'s> {
    /// Who takes it.
    pub sink: &'s mut dyn Sink,
    /// The client.
    pub client: Option<IpAddr>,
    /// The protocol.
    pub app: &'static str,
}

impl Sink for Named<'_> {
    fn request(&mut self, meta: &RequestMeta, request: &Request<'_>) {
        self.sink.request(&RequestMeta { proxied: self.client, ..*meta }, request);
    }

    fn reply(&mut self, index: u64, reply: &Reply<'_>) {
        self.sink.reply(index, reply);
    }

    fn reply_body(&mut self, index: u64, bytes: &[u8]) {
        self.sink.reply_body(index, bytes);
    }

    fn count(&mut self, counter: Counter) {
        self.sink.count(counter);
    }

    fn login(&mut self, at: &At, login: &Login<'_>) {
        self.sink.login(&At { app: self.app, ..*at }, login);
    }

    fn oddity(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8]) {
        self.sink.oddity(&At { app: self.app, ..*at }, oddity, excerpt);
    }

    fn answered(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8], answered: Answered) {
        self.sink.answered(&At { app: self.app, ..*at }, oddity, excerpt, answered);
    }

    fn unmet(&mut self, at: &At, unmet: Unmet<'_>) {
        self.sink.unmet(&At { app: self.app, ..*at }, unmet);
    }

    fn text(&mut self, at: &At, field: &'static str, text: &[u8]) {
        self.sink.text(&At { app: self.app, ..*at }, field, text);
    }

    fn mark(&mut self, mark: Mark<'_>) {
        self.sink.mark(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family, 0, addresses.len() as u8]);
        bytes.extend(addresses);
        bytes
    }

    #[test]
    fn both_versions_name_the_client() {
        let text = b"PROXY TCP4 198.51.100.7 203.0.113.10 4711 80\r\nGET / HTTP/1.1\r\n";
        assert_eq!(preface(text), Preface::Is(46, Some("198.51.100.7".parse().unwrap())));
        let text = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n";
        assert_eq!(preface(text), Preface::Is(text.len(), Some("2001:db8::7".parse().unwrap())));
        assert_eq!(preface(b"PROXY UNKNOWN\r\n"), Preface::Is(15, None));
        let four = v2(1, 0x11, &[198, 51, 100, 7, 203, 0, 113, 10, 0x12, 0x67, 0, 80]);
        assert_eq!(preface(&four), Preface::Is(28, Some("198.51.100.7".parse().unwrap())));
        let mut addresses = [0; 36];
        addresses[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(preface(&v2(1, 0x21, &addresses)), Preface::Is(52, Some("2001:db8::7".parse().unwrap())));
        assert_eq!(preface(&v2(0, 0, &[])), Preface::Is(16, None));
    }

    #[test]
    fn parts_are_waited_for_and_other_bytes_are_none() {
        let whole = v2(1, 0x11, &[198, 51, 100, 7, 203, 0, 113, 10, 0x12, 0x67, 0, 80]);
        for length in 5..whole.len() {
            assert_eq!(preface(&whole[..length]), Preface::More, "{length}");
        }
        assert_eq!(preface(b"PRO"), Preface::More);
        assert_eq!(preface(b"PROXY TCP4 198.51"), Preface::More);
        for other in [&b"GET / HTTP/1.1\r\n"[..], b"\r\n\r\nGET / HTTP/1.1", b"PROPFIND / HTTP/1.1", b""] {
            assert_eq!(preface(other), if other.is_empty() { Preface::More } else { Preface::No });
        }
        assert_eq!(preface(&[b"PROXY ", [b'x'; 200].as_slice()].concat()), Preface::No);
    }
}
