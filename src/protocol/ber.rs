//! The basic encoding rules of ASN.1 (X.690), as far as LDAP and SNMP use them: tag, length, content.

/// An element: its tag, its content, what follows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Element<'a> {
    /// Class, form and number in one byte; longer numbers are not used here.
    pub tag: u8,
    /// Its content.
    pub content: &'a [u8],
    /// What follows.
    pub rest: &'a [u8],
}

/// Bytes of a length at most: no datagram needs more than three.
const LENGTH_MAX_BYTES: usize = 4;

impl<'a> Element<'a> {
    /// The element that bytes begin with, if it is whole.
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = if *length < 0x80 {
            (usize::from(*length), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            if digits.is_empty() || digits.len() > LENGTH_MAX_BYTES {
                return None;
            }
            (digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        Some(Self { tag: *tag, content, rest })
    }

    /// The element that bytes begin with, if it has that tag.
    pub fn tagged(bytes: &'a [u8], tag: u8) -> Option<Self> {
        Self::first(bytes).filter(|element| element.tag == tag)
    }

    /// Its content as a number that is not negative.
    pub fn number(&self) -> Option<u32> {
        let negative = self.content.first().is_none_or(|first| first & 0x80 != 0);
        let digits = self.content.iter().skip_while(|digit| **digit == 0);
        let fits = digits.clone().count() <= LENGTH_MAX_BYTES;
        (!negative && fits).then(|| digits.fold(0, |number, digit| number << 8 | u32::from(*digit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_both_forms_and_believed_only_where_the_bytes_are_there() {
        let bytes = b"\x04\x02ab\x05\0";
        assert_eq!(Element::first(bytes), Some(Element { tag: 4, content: b"ab", rest: b"\x05\0" }));
        let long = b"\x30\x84\0\0\0\x02abc";
        assert_eq!(Element::first(long), Some(Element { tag: 0x30, content: b"ab", rest: b"c" }));
        for wrong in
            [&b""[..], b"\x30", b"\x30\x80ab", b"\x30\x03ab", b"\x30\x85\0\0\0\0\x01a", b"\x30\x82\0"]
        {
            assert_eq!(Element::first(wrong), None, "{}", wrong.escape_ascii());
        }
        assert_eq!(Element::tagged(bytes, 2), None);
    }

    #[test]
    fn numbers_that_fit_are_read() {
        let number = |content| Element { tag: 2, content, rest: b"" }.number();
        assert_eq!(number(b"\x01\0"), Some(256));
        assert_eq!(number(b"\0\xff\xff\xff\xff"), Some(u32::MAX));
        assert_eq!([number(b"\xff"), number(b""), number(b"\x01\0\0\0\0")], [None; 3]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(0_u8..=255, 0..60)) {
            if let Some(element) = Element::first(&bytes) {
                element.number();
            }
        }
    }
}
