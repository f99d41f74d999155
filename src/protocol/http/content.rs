//! Content codings of a body (RFC 9110 §8.4): gzip and deflate, as far as bodies are kept.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::protocol::http::BODY_MAX_BYTES;
use crate::protocol::http::head::Head;

/// The body behind its content coding. None where there is none, or where the body is not what the field says: then the
/// bytes as they are must be judged, for a server that is as lax will take them so.
pub fn decoded(head: &Head<'_>, body: &[u8]) -> Option<Vec<u8>> {
    if body.is_empty() {
        return None;
    }
    let coding = head.values("content-encoding").next()?;
    let is = |name: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(name);
    if is(b"gzip") || is(b"x-gzip") {
        return inflated(MultiGzDecoder::new(body));
    }
    // "deflate" is zlib by the book, and raw by many.
    is(b"deflate")
        .then(|| inflated(ZlibDecoder::new(body)).or_else(|| inflated(DeflateDecoder::new(body))))
        .flatten()
}

/// What a reader gives up to the body limit, broken ends included: half an attack is judged as half an attack.
fn inflated(reader: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let ended = reader.take(BODY_MAX_BYTES as u64).read_to_end(&mut bytes);
    (!bytes.is_empty() && (ended.is_ok() || bytes.len() > 1)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::protocol::request::{Defects, Header};

    fn decode(coding: &str, body: &[u8]) -> Option<Vec<u8>> {
        let headers = [Header { name: b"Content-Encoding", value: coding.as_bytes() }];
        decoded(&Head { method: b"POST", target: b"/", headers: &headers, defects: Defects::default() }, body)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn coded_bodies_are_read_and_lies_are_not_believed() {
        assert_eq!(decode("gzip", &gzip(b"q=1' or 1=1")).unwrap(), b"q=1' or 1=1");
        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(b"q=zlib").unwrap();
        assert_eq!(decode("Deflate", &writer.finish().unwrap()).unwrap(), b"q=zlib");
        assert_eq!(decode("gzip", b"cmd=127.0.0.1 && ls /etc"), None);
        assert_eq!(decode("br", b"x"), None);
        assert_eq!(decode("gzip", b""), None);
    }

    #[test]
    fn a_bomb_gives_no_more_than_the_limit() {
        let bomb = gzip(&vec![b'a'; 8 * BODY_MAX_BYTES]);
        assert_eq!(decode("gzip", &bomb).unwrap().len(), BODY_MAX_BYTES);
    }
}
