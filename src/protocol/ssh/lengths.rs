//! What two key exchange messages agree on, and how long a packet of so many bytes becomes under it.

use crate::model::stream::Side;

/// Name lists of a key exchange message (RFC 4253 §7.1), in their order: key exchange, host keys, then ciphers, authentication
/// codes and compressions, each to the server and to the client.
const LISTS: usize = 8;
/// Random bytes before them.
const COOKIE_BYTES: usize = 16;

/// The algorithms that one side offers.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    lists: [Box<str>; LISTS],
}

impl Offer {
    /// Reads the body of a key exchange message.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut rest = body.get(COOKIE_BYTES..)?;
        let mut offer = Self::default();
        for list in &mut offer.lists {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (names, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            *list = String::from_utf8_lossy(names).into();
            rest = after;
        }
        Some(offer)
    }

    /// What HASSH is the hash of: key exchange, cipher, code and compression that a client offers.
    pub fn hassh(&self) -> String {
        let [exchange, _, ciphers, _, codes, _, compressions, _] = &self.lists;
        [exchange, ciphers, codes, compressions].map(AsRef::as_ref).join(";")
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        size_of::<Self>() + self.lists.iter().map(|list| list.len()).sum::<usize>()
    }

    /// The lists of ciphers, codes and compressions of what a side sends.
    const fn of(&self, sender: Side) -> [&str; 3] {
        let [_, _, to_server, to_client, codes, codes_back, compressions, compressions_back] = &self.lists;
        match sender {
            Side::Client => [to_server, codes, compressions],
            Side::Server => [to_client, codes_back, compressions_back],
        }
    }
}

/// How one direction is encrypted: what of it makes lengths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sealing {
    /// Packets are padded to multiples of it.
    pub block_bytes: usize,
    /// The authentication code behind each packet.
    code_bytes: usize,
    /// Whether the length stands outside of what is padded, as with codes over the encrypted packet.
    is_length_apart: bool,
}

impl Sealing {
    /// What both sides agree on for what `sender` sends: of each list the client's first that the server has, too (RFC 4253 §7.1).
    /// Nothing where that is not known here, or where compression makes lengths say nothing.
    pub fn agreed(client: &Offer, server: &Offer, sender: Side) -> Option<Self> {
        let ([ciphers, codes, compressions], [has_ciphers, has_codes, has_compressions]) =
            (client.of(sender), server.of(sender));
        // The delayed kind begins after the login.
        if !matches!(first_common(compressions, has_compressions)?, "none" | "zlib@openssh.com") {
            return None;
        }
        let cipher = first_common(ciphers, has_ciphers)?;
        match cipher {
            "chacha20-poly1305@openssh.com" => {
                return Some(Self { block_bytes: 8, code_bytes: 16, is_length_apart: true });
            }
            "aes128-gcm@openssh.com" | "aes256-gcm@openssh.com" => {
                return Some(Self { block_bytes: 16, code_bytes: 16, is_length_apart: true });
            }
            _ => {}
        }
        let block_bytes = match cipher {
            name if name.starts_with("aes") || name.starts_with("rijndael") => 16,
            name if ["3des", "blowfish", "cast128", "arcfour"]
                .iter()
                .any(|known| name.starts_with(known)) =>
            {
                8
            }
            _ => return None,
        };
        let code = first_common(codes, has_codes)?;
        let (name, is_length_apart) =
            code.strip_suffix("-etm@openssh.com").map_or((code, false), |name| (name, true));
        let code_bytes = match name.strip_suffix("@openssh.com").unwrap_or(name) {
            "hmac-sha2-512" => 64,
            "hmac-sha2-256" => 32,
            "hmac-sha1" => 20,
            "hmac-md5" | "umac-128" => 16,
            "hmac-sha1-96" | "hmac-md5-96" => 12,
            "umac-64" => 8,
            _ => return None,
        };
        Some(Self { block_bytes, code_bytes, is_length_apart })
    }

    /// Bytes on the wire of a packet with so many bytes of payload and the least padding (RFC 4253 §6: at least 4 bytes).
    pub const fn packet_bytes(self, payload_bytes: usize) -> usize {
        let apart = if self.is_length_apart { 4 } else { 0 };
        let padded = (4 + 1 + payload_bytes + 4 - apart).next_multiple_of(self.block_bytes);
        apart + padded + self.code_bytes
    }

    /// Bytes of a packet of that length on the wire that are encrypted: payload, padding and their lengths.
    pub const fn inside(self, packet_bytes: usize) -> usize {
        packet_bytes.saturating_sub(self.code_bytes + if self.is_length_apart { 4 } else { 0 })
    }
}

fn first_common<'a>(wanted: &'a str, known: &str) -> Option<&'a str> {
    wanted.split(',').find(|name| known.split(',').any(|other| other == *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_agreed_algorithms() {
        let offer = |cipher: &str, code: &str| {
            let lists = ["k", "h", cipher, cipher, code, code, "none,zlib", "none"].map(Into::into);
            Offer { lists }
        };
        let server = offer(
            "chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com",
            "hmac-sha2-256-etm@openssh.com,hmac-sha1",
        );
        // Success, service accepted, refused with `publickey,password`.
        for (cipher, code, lengths) in [
            ("chacha20-poly1305@openssh.com", "none", [28, 44, 52]),
            ("unknown,aes256-gcm@openssh.com", "none", [36, 52, 52]),
            ("aes128-ctr", "hmac-sha2-256-etm@openssh.com", [52, 68, 68]),
            ("aes128-ctr", "hmac-sha1", [36, 52, 68]),
        ] {
            let sealing = Sealing::agreed(&offer(cipher, code), &server, Side::Server).expect("known");
            assert_eq!([1, 17, 24].map(|payload| sealing.packet_bytes(payload)), lengths, "{cipher} {code}");
        }
        assert_eq!(Sealing::agreed(&offer("aes128-cbc", "hmac-sha1"), &server, Side::Server), None);
    }
}
