//! Where in a request a value stood.

/// Where in the request a value stood. A finding is weighed by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValueKind {
    /// The whole body, or a part of it that has no structure.
    Body,
    /// Value of a cookie.
    Cookie,
    /// Value of a form field (urlencoded or multipart).
    Form,
    /// Value of a header field other than the cookies.
    Header,
    /// A string inside JSON.
    Json,
    /// The name of a parameter, field or key itself.
    Name,
    /// The path of the target.
    Path,
    /// Value of a query parameter, or a query without any.
    Query,
    /// A text or attribute inside XML.
    Xml,
}

impl ValueKind {
    /// Whether its bytes are percent-encoded, and `+` is a space in them.
    pub const fn encoding(self) -> (bool, bool) {
        match self {
            Self::Form | Self::Name | Self::Query => (true, true),
            Self::Cookie | Self::Path => (true, false),
            Self::Body | Self::Header | Self::Json | Self::Xml => (false, false),
        }
    }

    /// The place in evidence: `query:id`, `path`, `header:user-agent`.
    pub fn place(self, name: &[u8]) -> String {
        let kind = match self {
            Self::Body => "body",
            Self::Cookie => "cookie",
            Self::Form => "form",
            Self::Header => "header",
            Self::Json => "json",
            Self::Name => "name",
            Self::Path => "path",
            Self::Query => "query",
            Self::Xml => "xml",
        };
        if name.is_empty() {
            return kind.to_owned();
        }
        let name =
            String::from_utf8_lossy(name.get(..name.len().min(64)).unwrap_or(name)).to_ascii_lowercase();
        format!("{kind}:{name}")
    }
}

/// Weight of a finding by where it stood: an application acts on a path or a parameter, hardly on a `Referer`.
pub fn location_factor(kind: ValueKind, name: &[u8], weight: f32, view: &[u8]) -> f32 {
    match kind {
        // A page's address may hold anything; only what harms whoever logs it counts fully there.
        ValueKind::Header
            if weight < 0.97 && name.eq_ignore_ascii_case(b"referer") && is_address_of_page(view) =>
        {
            0.5
        }
        // What people write: text about attacks is no attack. A structure that no prose has stays one.
        ValueKind::Form | ValueKind::Json | ValueKind::Query | ValueKind::Xml
            if weight < 0.95 && is_prose(view) =>
        {
            0.6
        }
        // The content of an upload: documents about attacks are uploaded, too.
        ValueKind::Body if weight < 0.95 && !name.is_empty() => 0.6,
        _ => 1.0,
    }
}

/// Whether a `Referer` is one that a browser sends: an address without the characters that browsers escape.
fn is_address_of_page(view: &[u8]) -> bool {
    (view.starts_with(b"http://") || view.starts_with(b"https://"))
        && !view.iter().any(|byte| matches!(byte, b' ' | b'"' | b'<' | b'>' | b'`' | b'\'' | 0..=31))
}

/// Twelve words and more, most of its bytes letters and spaces.
fn is_prose(view: &[u8]) -> bool {
    if view.len() < 60 {
        return false;
    }
    let words = view.split(u8::is_ascii_whitespace).filter(|word| word.len() > 1).count();
    let letters = view
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic() || byte.is_ascii_whitespace() || **byte >= 0x80)
        .count();
    words >= 12 && letters * 10 >= view.len() * 8
}
