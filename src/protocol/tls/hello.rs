//! The hello messages: fields of a client's, the version of a server's, and the form of SSL 2.0.

/// Extensions that are read (IANA, TLS `ExtensionType` values).
mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const GROUPS: u16 = 10;
    pub const POINT_FORMATS: u16 = 11;
    pub const SIGNATURES: u16 = 13;
    pub const ALPN: u16 = 16;
    pub const VERSIONS: u16 = 43;
}

/// Bytes of an SSL 2.0 hello before its lists.
const OLD_HEAD_BYTES: usize = 11;

/// Fields read one after the other, each step checked.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let (taken, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*taken))
    }

    /// A list behind its length of one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(usize::from(length))
    }

    /// A list behind its length of two bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

/// The numbers of a list of two-byte values.
pub fn numbers(list: &[u8]) -> impl Iterator<Item = u16> {
    list.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// What a client offers (RFC 8446 §4.1.2). Lists as they stood on the wire.
#[derive(Clone, Debug, Default)]
pub struct ClientHello<'a> {
    /// The version of the old field.
    pub version: u16,
    /// Cipher suites, two bytes each.
    pub ciphers: &'a [u8],
    /// Types of its extensions, in order.
    pub extensions: Vec<u16>,
    /// Name of the server that it asks for.
    pub server_name: Option<&'a [u8]>,
    /// Named groups, two bytes each.
    pub groups: &'a [u8],
    /// Point formats, one byte each.
    pub point_formats: &'a [u8],
    /// Signature algorithms, two bytes each.
    pub signatures: &'a [u8],
    /// The first application protocol.
    pub application: Option<&'a [u8]>,
    /// Supported versions, two bytes each.
    pub versions: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Reads the body of a hello. One whose extensions end too early is read as far as they go.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let version = fields.u16()?;
        let _random = fields.take(32)?;
        let _session = fields.short()?;
        let ciphers = fields.long()?;
        let _compression = fields.short()?;
        let mut hello = Self { version, ciphers, ..Self::default() };
        let _length = fields.u16();
        while let (Some(kind), Some(value)) = (fields.u16(), fields.long()) {
            hello.extension(kind, value);
        }
        Some(hello)
    }

    fn extension(&mut self, kind: u16, value: &'a [u8]) {
        self.extensions.push(kind);
        let mut fields = Fields(value);
        match kind {
            extension::SERVER_NAME => {
                let mut names = Fields(fields.long().unwrap_or_default());
                // Type 0 is a host name; there is no other (RFC 6066 §3).
                if names.take(1) == Some(&[0]) {
                    self.server_name = names.long().filter(|name| !name.is_empty());
                }
            }
            extension::GROUPS => self.groups = fields.long().unwrap_or_default(),
            extension::POINT_FORMATS => self.point_formats = fields.short().unwrap_or_default(),
            extension::SIGNATURES => self.signatures = fields.long().unwrap_or_default(),
            extension::ALPN => {
                let mut names = Fields(fields.long().unwrap_or_default());
                self.application = names.short().filter(|name| !name.is_empty());
            }
            extension::VERSIONS => self.versions = fields.short().unwrap_or_default(),
            _ => {}
        }
    }
}

/// The version that a server hello chooses (RFC 8446 §4.1.3): its extension, else its old field.
pub fn server_version(body: &[u8]) -> Option<u16> {
    let mut fields = Fields(body);
    let version = fields.u16()?;
    let _random = fields.take(32)?;
    let _session = fields.short()?;
    let _cipher_and_compression = fields.take(3)?;
    let _length = fields.u16();
    while let (Some(kind), Some(value)) = (fields.u16(), fields.long()) {
        if kind == extension::VERSIONS {
            return Fields(value).u16();
        }
    }
    Some(version)
}

/// Whether bytes are a client hello in the form of SSL 2.0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OldHello {
    /// It is one.
    Is {
        /// The version that it asks for: 2 for SSL 2.0; old clients of SSL 3.0 and TLS 1.0 used the form, too.
        version: u16,
        /// Whether its ciphers are such as the export laws of the nineties allowed.
        offers_export: bool,
    },
    /// It is none.
    No,
    /// It begins like one.
    Part,
}

/// Length with the high bit set, type 1, version, lengths of ciphers, session and challenge (the draft of SSL 2.0, §1.3).
pub fn old_hello(bytes: &[u8]) -> OldHello {
    match bytes {
        [first, ..] if first & 0xfc != 0x80 => return OldHello::No,
        [_, _, kind, ..] if *kind != 1 => return OldHello::No,
        _ => {}
    }
    let Some((head, rest)) = bytes.split_first_chunk::<OLD_HEAD_BYTES>() else { return OldHello::Part };
    let word = |place: usize| head.get(place..).and_then(|rest| Fields(rest).u16()).unwrap_or_default();
    let length = usize::from(word(0) & 0x7fff);
    let (version, ciphers, session, challenge) = (word(3), word(5), word(7), word(9));
    let parts = usize::from(ciphers) + usize::from(session) + usize::from(challenge);
    let is_one = matches!(version, 2 | 0x0300..=0x0303)
        && length == OLD_HEAD_BYTES - 2 + parts
        && ciphers > 0
        && ciphers % 3 == 0
        && matches!(session, 0 | 16)
        && (16..=32).contains(&challenge);
    if !is_one {
        return OldHello::No;
    }
    match rest.get(..usize::from(ciphers)) {
        // RC4 and RC2 with keys of 40 bits.
        Some(list) => OldHello::Is {
            version,
            offers_export: list.as_chunks::<3>().0.iter().any(|cipher| matches!(cipher, [2 | 4, 0, 0x80])),
        },
        None => OldHello::Part,
    }
}
