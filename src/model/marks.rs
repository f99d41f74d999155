//! Marks that a client's program leaves in a conversation: fingerprints of its hello messages, what it says of itself, whom it asks
//! for. They tell campaigns apart; none is a proof of anything.

use std::sync::Arc;

use crate::model::attempt::cut_text;

/// Bytes kept of a mark: a JA4 has 36, a host name rarely more than 60.
const VALUE_MAX_BYTES: usize = 64;

/// What kind of mark it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum MarkKind {
    /// What it says of itself: a banner, an agent field.
    Agent,
    /// HASSH: MD5 of the algorithms that an SSH client offers.
    Hassh,
    /// JA3: MD5 of the fields of a TLS client hello.
    Ja3,
    /// JA4 of a TLS client hello.
    Ja4,
    /// Name of the server that a TLS client asks for.
    ServerName,
}

impl MarkKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Agent, Self::Hassh, Self::Ja3, Self::Ja4, Self::ServerName];

    /// The name in event lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Hassh => "hassh",
            Self::Ja3 => "ja3",
            Self::Ja4 => "ja4",
            Self::ServerName => "server_name",
        }
    }
}

/// A mark as a parser found it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark<'a> {
    /// Its kind.
    pub kind: MarkKind,
    /// Its value, of untrusted length and content unless it is a hash.
    pub value: &'a [u8],
}

/// A hash in the hexadecimal digits that fingerprints are written in.
pub fn hex(digest: &[u8]) -> String {
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The marks of one conversation: the first of each kind. Costs a word until there is one, and a copy a count: every record of
/// the conversation carries them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Marks(Option<Arc<[Option<Box<str>>; MarkKind::ALL.len()]>>);

impl Marks {
    /// Notes a mark, unless one of its kind is known.
    pub fn note(&mut self, mark: Mark<'_>) {
        if mark.value.is_empty() || self.of(mark.kind).is_some() {
            return;
        }
        if let Some(place) = Arc::make_mut(self.0.get_or_insert_default()).get_mut(mark.kind as usize) {
            *place = Some(cut_text(mark.value, VALUE_MAX_BYTES));
        }
    }

    /// The mark of a kind.
    pub fn of(&self, kind: MarkKind) -> Option<&str> {
        self.0.as_ref()?.get(kind as usize)?.as_deref()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The marks there are, in the order of the kinds.
    pub fn iter(&self) -> impl Iterator<Item = (MarkKind, &str)> {
        MarkKind::ALL.into_iter().filter_map(|kind| Some((kind, self.of(kind)?)))
    }

    /// Bytes behind it.
    pub fn held(&self) -> usize {
        let texts: usize = self.iter().map(|(_, text)| text.len()).sum();
        if self.is_empty() { 0 } else { texts + MarkKind::ALL.len() * size_of::<Box<str>>() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_of_a_kind_stays_and_is_cut() {
        let mut marks = Marks::default();
        assert!(marks.is_empty() && marks.held() == 0);
        marks.note(Mark { kind: MarkKind::Hassh, value: b"aa" });
        marks.note(Mark { kind: MarkKind::Hassh, value: b"bb" });
        marks.note(Mark { kind: MarkKind::Agent, value: &[b'x'; 100] });
        assert_eq!(marks.of(MarkKind::Hassh), Some("aa"));
        assert_eq!(marks.of(MarkKind::Agent).map(|text| text.chars().count()), Some(VALUE_MAX_BYTES + 1));
        assert_eq!(
            marks.iter().map(|(kind, _)| kind).collect::<Vec<_>>(),
            [MarkKind::Agent, MarkKind::Hassh]
        );
        for (index, kind) in MarkKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
