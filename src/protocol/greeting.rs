//! The greeting with 220, which servers of FTP and of SMTP share: words in it tell them apart, else the client's first command.

use crate::protocol::Opening;
use crate::protocol::lines::{first_line, mentions, split_word};

/// What a server's first bytes say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Greeting<'a> {
    /// No greeting of that kind.
    None,
    /// It may become one, or the client must speak first.
    Open,
    /// Its words are those of FTP.
    Ftp,
    /// Its words are those of SMTP.
    Smtp,
    /// Its words do not tell; the first word of the client.
    Command(&'a [u8]),
}

/// Looks at the first bytes of a server, and of its client where they do not tell.
pub fn greeting<'a>(opening: &Opening<'a>) -> Greeting<'a> {
    let server = opening.server;
    let Some((code, rest)) = server.split_at_checked(3).filter(|(_, rest)| !rest.is_empty()) else {
        return if !server.is_empty() && b"220".starts_with(server) {
            Greeting::Open
        } else {
            Greeting::None
        };
    };
    if code != b"220" || !matches!(rest.first(), Some(b' ' | b'-' | b'\r' | b'\n')) {
        return Greeting::None;
    }
    let Some(end) = memchr::memrchr(b'\n', server) else { return Greeting::Open };
    let said = server.get(..end).unwrap_or_default();
    match (mentions(said, "FTP"), mentions(said, "SMTP")) {
        (true, false) => Greeting::Ftp,
        (false, true) => Greeting::Smtp,
        _ => first_line(opening.client).map_or(Greeting::Open, |line| Greeting::Command(split_word(line).0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_and_else_the_client() {
        let told =
            |server: &'static [u8], client: &'static [u8]| greeting(&Opening { client, server, port: 0 });
        assert_eq!(told(b"220 (vsFTPd 3.0.3)\r\n", b""), Greeting::Ftp);
        assert_eq!(told(b"220 mail.example.org ESMTP Postfix\r\n", b""), Greeting::Smtp);
        assert_eq!(told(b"220 ftp.example.org ESMTP\r\n", b""), Greeting::Open);
        assert_eq!(told(b"220 ftp.example.org ESMTP\r\n", b"EHLO a\r\n"), Greeting::Command(b"EHLO"));
        assert_eq!(told(b"220-hello\r\n220 ftpd\r\n", b""), Greeting::Ftp);
        for open in [&b"2"[..], b"220", b"220 ready", b"220 ready\r\n"] {
            assert_eq!(told(open, b""), Greeting::Open);
        }
        for none in [&b""[..], b"221 bye\r\n", b"2200\r\n", b"+OK\r\n", b"SSH-2.0-x\r\n"] {
            assert_eq!(told(none, b"USER a\r\n"), Greeting::None);
        }
    }
}
