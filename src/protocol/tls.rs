//! TLS (RFC 8446, RFC 5246): what is said in clear before encryption begins.

use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "tls", recognise, start, counter: Some(Counter::FlowsTls), oddities: &[] };

/// A TLS record that holds a handshake message (RFC 8446 §5.1): type 22, version 3.x.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match opening.client {
        [22, 3, minor, ..] if *minor <= 4 => Recognition::Yes,
        [] | [22] | [22, 3] => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Tls)
}

/// A conversation that cannot be read.
#[derive(Debug)]
struct Tls;

impl Parser for Tls {
    fn data(&mut self, _: Side, _: &Chunk<'_>, _: &mut dyn Sink) {}
    fn gap(&mut self, _: Side, _: u64, _: &mut dyn Sink) {}
    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}
    fn held(&self) -> usize {
        0
    }
}
