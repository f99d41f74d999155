//! WebSocket (RFC 6455), after an HTTP upgrade: the text messages of the client.
//!
//! Messages compressed by an extension (RFC 7692) and binary ones are passed over: they are not text as sent.

use crate::model::stream::{Chunk, Side};
use crate::protocol::found::At;
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "websocket", recognise, start, counter: None, oddities: &[] };

/// Bytes kept of a message, over all its frames.
const MESSAGE_MAX_BYTES: usize = 16 << 10;
/// Longest header of a frame: two bytes, a length of eight, a mask of four.
const HEADER_MAX_BYTES: usize = 14;
/// Longest control frame (RFC 6455 §5.5).
const CONTROL_MAX_BYTES: usize = 125;

/// Kinds of frames that are read (RFC 6455 §5.2).
mod opcode {
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const CONTROL: u8 = 8;
}

/// Frames look like anything: a conversation becomes one of WebSocket by the reply to its upgrade only.
const fn recognise(_: &Opening<'_>) -> Recognition {
    Recognition::No
}

fn start() -> Box<dyn Parser> {
    Box::new(WebSocket::default())
}

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    is_last: bool,
    /// Bits that an extension has given a meaning.
    is_extended: bool,
    opcode: u8,
    header_bytes: usize,
    payload_bytes: usize,
    mask: [u8; 4],
}

impl Frame {
    fn read(bytes: &[u8]) -> Option<Self> {
        let ([first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (payload_bytes, rest, length_bytes) = match second & 0x7f {
            126 => rest
                .split_first_chunk::<2>()
                .map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest, 2))?,
            127 => {
                rest.split_first_chunk::<8>().map(|(length, rest)| (u64::from_be_bytes(*length), rest, 8))?
            }
            length => (u64::from(length), rest, 0),
        };
        // A client masks what it sends; zeros leave it as it is.
        let (mask, mask_bytes) =
            if second & 0x80 == 0 { ([0; 4], 0) } else { (*rest.first_chunk::<4>()?, 4) };
        Some(Self {
            is_last: first & 0x80 != 0,
            is_extended: first & 0x70 != 0,
            opcode: first & 0x0f,
            header_bytes: 2 + length_bytes + mask_bytes,
            payload_bytes: usize::try_from(payload_bytes).ok()?,
            mask,
        })
    }
}

/// One conversation.
#[derive(Debug, Default)]
struct WebSocket {
    frames: Messages,
    /// The text message that is being read, and where it began.
    text: Option<(At, Vec<u8>)>,
}

impl WebSocket {
    fn frame(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        let Some(frame) = Frame::read(message.bytes) else { return };
        match frame.opcode {
            opcode::TEXT if !frame.is_extended => self.text = Some((message.at, Vec::new())),
            opcode::CONTINUATION => {}
            // Control frames may stand between the frames of a message.
            opcode::CONTROL.. => return,
            _ => self.text = None,
        }
        let Some((at, text)) = &mut self.text else { return };
        let room = MESSAGE_MAX_BYTES.saturating_sub(text.len());
        let payload = message.bytes.get(frame.header_bytes..).unwrap_or_default().iter().take(room);
        text.extend(payload.zip(frame.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        if frame.opcode == opcode::CONTINUATION {
            at.frames = at.frames.saturating_add(message.at.frames);
        }
        if frame.is_last {
            sink.text(at, "message", text);
            self.text = None;
        }
    }
}

impl Parser for WebSocket {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        if from == Side::Server {
            return;
        }
        let mut feed = Feed::of(chunk);
        let mut frames = std::mem::take(&mut self.frames);
        while let Some(message) = frames.pull(&mut feed, size) {
            self.frame(message, sink);
        }
        self.frames = frames;
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        if from == Side::Client {
            self.frames.gap(missing);
            self.text = None;
        }
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |(_, text)| text.capacity());
        size_of::<Self>() + self.frames.held() + text
    }
}

fn size(bytes: &[u8]) -> Size {
    let Some(frame) = Frame::read(bytes) else {
        return if bytes.len() < HEADER_MAX_BYTES { Size::More } else { Size::Broken };
    };
    if frame.opcode >= opcode::CONTROL && frame.payload_bytes > CONTROL_MAX_BYTES {
        return Size::Broken;
    }
    let Some(length) = frame.payload_bytes.checked_add(frame.header_bytes) else { return Size::Broken };
    let wanted = match frame.opcode {
        opcode::TEXT | opcode::CONTINUATION => MESSAGE_MAX_BYTES + frame.header_bytes,
        _ => frame.header_bytes,
    };
    Size::Whole { length, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::played::{Act, Heard, answer, ask, play, play_all_ways, survive_damage};

    /// A masked frame of a client.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x11, 0x22, 0x33, 0x44];
        let length = match payload.len() {
            length if length < 126 => vec![0x80 | length as u8],
            length if length < 65_536 => [&[0xfe][..], &(length as u16).to_be_bytes()].concat(),
            length => [&[0xff][..], &(length as u64).to_be_bytes()].concat(),
        };
        let masked: Vec<u8> =
            payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        [&[first], &length[..], &mask, &masked].concat()
    }

    fn upgraded(upgrade: &str, status: &str, rest: &[Act]) -> Vec<Act> {
        let request =
            format!("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n");
        let reply = format!("HTTP/1.1 {status}\r\nUpgrade: {upgrade}\r\n\r\n");
        [&[ask(request), answer(reply)], rest].concat()
    }

    fn played(rest: &[Act]) -> Heard {
        play_all_ways(&upgraded("WebSocket", "101 Switching Protocols", rest), 8080)
    }

    #[test]
    fn text_of_the_client_is_told_message_by_message() {
        let long = "x".repeat(300);
        let heard = played(&[
            ask([frame(0x81, b"${jndi:ldap://x/a}"), frame(0x81, long.as_bytes())].concat()),
            answer(b"\x81\x02hi"),
            ask([frame(0x01, b"wget "), frame(0x89, b"ping"), frame(0x80, b"http://x/y")].concat()),
        ]);
        let texts: Vec<&str> = heard.texts.iter().filter_map(|text| text.strip_prefix("message=")).collect();
        assert_eq!(texts, ["${jndi:ldap://x/a}", &long, "wget http://x/y"]);
        assert_eq!((heard.app, texts.len()), (Some("websocket"), heard.texts.len()));
    }

    #[test]
    fn what_is_no_text_is_passed_over_and_long_messages_are_cut() {
        let heard = played(&[ask([
            frame(0x82, &b"y".repeat(70_000)),
            frame(0xc1, b"compressed"),
            frame(0x81, &b"a".repeat(70_000)),
            frame(0x81, b"end"),
        ]
        .concat())]);
        let lengths: Vec<usize> = heard.texts.iter().map(|text| text.len() - "message=".len()).collect();
        assert_eq!(lengths, [MESSAGE_MAX_BYTES, 3]);
        let many: Vec<Act> = (0..100).map(|_| ask(frame(0x01, &[b'a'; 4_000]))).collect();
        assert!(played(&many).texts.is_empty());
    }

    #[test]
    fn only_an_upgrade_that_was_granted_is_followed() {
        let text = [ask(frame(0x81, b"hello"))];
        let refused = play(&upgraded("websocket", "400 Bad Request\r\nContent-Length: 0", &text), 80, 999);
        assert_eq!((refused.app, refused.texts.len()), (Some("http"), 0));
        let other = play(&upgraded("h2c", "101 Switching Protocols", &text), 80, 999);
        assert_eq!((other.app, other.texts.len()), (Some("http"), 0));
    }

    #[test]
    fn what_is_lost_is_not_guessed_and_damage_is_survived() {
        let lost = [ask(frame(0x01, b"one")), Act::Gap(Side::Client, 9), ask(frame(0x80, b"two"))];
        assert!(play(&upgraded("websocket", "101 Yes", &lost), 80, 999).texts.is_empty());
        survive_damage(
            &upgraded("websocket", "101 Yes", &[ask([frame(0x81, b"one"), frame(0x89, b"x")].concat())]),
            80,
        );
    }
}
