//! Decoded views of a value. Views are additive: raw, once decoded and deeply decoded are all judged, since decoding
//! away a payload would lower recall.

use crate::detect::value::ValueKind;

/// Rounds of deep decoding. Three layers are seen in the wild; each round only ever shrinks the text.
const ROUNDS_MAX: usize = 3;
/// Longest named entity that is looked for: `&NewLine;`.
const ENTITY_MAX_BYTES: usize = 10;

/// Buffers of the views, used from value to value.
#[derive(Debug, Default)]
pub struct Views {
    once: Vec<u8>,
    deep: Vec<u8>,
    spare: Vec<u8>,
    text: Vec<u8>,
}

impl Views {
    /// Hands every view of a value to `look`: as sent, decoded once, decoded deeply, and the text behind base64.
    pub fn each(&mut self, kind: ValueKind, sent: &[u8], mut look: impl FnMut(&[u8])) {
        let Self { once, deep: deeply, spare, text } = self;
        let (encoded, plus) = kind.encoding();
        look(sent);
        let changed = encoded && percent(sent, plus, once);
        let view = if changed { once.as_slice() } else { sent };
        if changed {
            look(view);
        }
        let is_deep = may_be_deep(view) && deep(view, deeply, spare);
        if is_deep {
            look(deeply);
        }
        let view = if is_deep { deeply.as_slice() } else { view };
        // Of a path the last segment may be one.
        let start =
            if kind == ValueKind::Path { memchr::memrchr(b'/', view).map_or(0, |at| at + 1) } else { 0 };
        if base64(view.get(start..).unwrap_or_default(), text) {
            look(text);
            if may_be_deep(text) && deep(text, once, spare) {
                look(once);
            }
        }
    }
}

/// Percent-decodes, and turns `+` into a space where `plus` says so. False where nothing changed.
pub fn percent(bytes: &[u8], plus: bool, out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut changed = false;
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                if let Some((value, tail)) = hex_pair(after) {
                    out.push(value);
                    rest = tail;
                    changed = true;
                    continue;
                }
                // %uXXXX: what IIS and some frameworks take.
                if let Some((b'u' | b'U', digits)) = after.split_first()
                    && let Some((code, tail)) = hex_number(digits, 4)
                {
                    push_code(out, code);
                    rest = tail;
                    changed = true;
                    continue;
                }
                out.push(byte);
            }
            b'+' if plus => {
                out.push(b' ');
                changed = true;
            }
            _ => out.push(byte),
        }
    }
    changed
}

/// Decodes until nothing changes, three rounds at most: percent, overlong and full-width UTF-8, HTML entities,
/// backslash escapes, NUL and control bytes. False where nothing changed.
pub fn deep(bytes: &[u8], out: &mut Vec<u8>, spare: &mut Vec<u8>) -> bool {
    out.clear();
    out.extend_from_slice(bytes);
    let mut changed = false;
    for _ in 0..ROUNDS_MAX {
        let mut round = percent(out, false, spare);
        if round {
            std::mem::swap(out, spare);
        }
        if fold(out, spare) {
            std::mem::swap(out, spare);
            round = true;
        }
        if !round {
            break;
        }
        changed = true;
    }
    changed
}

/// Whether [`deep`] could change anything.
pub fn may_be_deep(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"0x").is_some()
        || bytes
            .iter()
            .any(|byte| matches!(byte, b'%' | b'&' | b'\\' | 0..=8 | 11..=12 | 14..=31 | 0x7f..=0xff))
}

/// One pass over what is not percent encoding.
fn fold(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut changed = false;
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let folded = match byte {
            b'%' => split_percent(after),
            b'&' => entity(after),
            b'\\' => escape(after),
            0xc0 | 0xc1 => overlong(byte, after),
            0xe0..=0xef => wide(rest),
            0xf0 | 0xf8 | 0xfc => long_overlong(rest),
            b'0' => spelled(after),
            // NUL and control bytes vanish in many targets; tabs and line ends stay.
            0..=8 | 11..=12 | 14..=31 => Some((None, after)),
            _ => None,
        };
        if let Some((code, tail)) = folded {
            if let Some(code) = code {
                push_code(out, code);
            }
            rest = tail;
            changed = true;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    changed
}

type Folded<'a> = Option<(Option<u32>, &'a [u8])>;

/// `&#39;`, `&#x27;` (with or without the semicolon) and the named ones that payloads use.
fn entity(after: &[u8]) -> Folded<'_> {
    if let Some(digits) = after.strip_prefix(b"#") {
        let (code, tail) = match digits.split_first() {
            Some((b'x' | b'X', hex)) => number(hex, 16)?,
            _ => number(digits, 10)?,
        };
        return Some((Some(code), tail.strip_prefix(b";").unwrap_or(tail)));
    }
    let head = after.get(..after.len().min(ENTITY_MAX_BYTES))?;
    let end = memchr::memchr(b';', head)?;
    let name = head.get(..end)?;
    let code = match name {
        b"lt" | b"LT" => '<',
        b"gt" | b"GT" => '>',
        b"quot" | b"QUOT" => '"',
        b"apos" => '\'',
        b"amp" | b"AMP" => '&',
        b"lpar" => '(',
        b"rpar" => ')',
        b"colon" => ':',
        b"sol" => '/',
        b"bsol" => '\\',
        b"Tab" => '\t',
        b"NewLine" => '\n',
        b"nbsp" => ' ',
        b"equals" => '=',
        b"grave" => '`',
        b"lbrace" => '{',
        b"dollar" => '$',
        b"period" => '.',
        b"semi" => ';',
        b"comma" => ',',
        b"excl" => '!',
        b"num" => '#',
        b"percnt" => '%',
        _ => return None,
    };
    Some((Some(u32::from(code)), after.get(end + 1..)?))
}

/// `\x27`, `\u0027`, `\u{27}`.
fn escape(after: &[u8]) -> Folded<'_> {
    let (kind, digits) = after.split_first()?;
    match kind {
        b'x' | b'X' => hex_pair(digits).map(|(value, tail)| (Some(u32::from(value)), tail)),
        b'u' => match digits.strip_prefix(b"{") {
            Some(inner) => {
                let (code, tail) = number(inner, 16)?;
                Some((Some(code), tail.strip_prefix(b"}")?))
            }
            None => hex_number(digits, 4).map(|(code, tail)| (Some(code), tail)),
        },
        _ => None,
    }
}

/// Two-byte UTF-8 of an ASCII character: forbidden (RFC 3629 §3), and read as ASCII by careless decoders.
fn overlong(first: u8, after: &[u8]) -> Folded<'_> {
    // Digits beyond F, which an old decoder took for more than they are: %c1%pc and its kin are slashes.
    if let Some(tail) = [&b"%pc"[..], b"%8s", b"%9v", b"%qf"].iter().find_map(|odd| after.strip_prefix(*odd))
    {
        return Some((Some(u32::from(b'/')), tail));
    }
    let (second, tail) = after.split_first()?;
    let code = match second {
        b'.' | b'/' | b'\\' => u32::from(*second),
        0x6e | 0xae | 0xee | 0xfe => u32::from(b'.'),
        0xaf => u32::from(b'/'),
        0x9c => u32::from(b'\\'),
        _ => u32::from(first & 0x1f) << 6 | u32::from(second & 0x3f),
    };
    (code < 0x80).then_some((Some(code), tail))
}

/// Three-byte overlong ASCII, and what looks like ASCII and is folded to it by databases and file systems.
fn wide(bytes: &[u8]) -> Folded<'_> {
    let ([a, b, c], tail) = bytes.split_first_chunk::<3>()?;
    if b & 0xc0 != 0x80 || c & 0xc0 != 0x80 {
        return None;
    }
    let code = u32::from(a & 0x0f) << 12 | u32::from(b & 0x3f) << 6 | u32::from(c & 0x3f);
    let code = if code < 0x80 { Some(code) } else { lookalike(code) };
    code.map(|code| (Some(code), tail))
}

/// Overlong ASCII of four, five and six bytes: all but the first and the last are 80.
fn long_overlong(bytes: &[u8]) -> Folded<'_> {
    let length = match bytes.first()? {
        0xf0 => 4,
        0xf8 => 5,
        _ => 6,
    };
    let (sequence, tail) = bytes.split_at_checked(length)?;
    let (last, middle) = sequence.get(1..)?.split_last()?;
    let is_overlong = middle.iter().all(|byte| *byte == 0x80) && last & 0xc0 == 0x80;
    is_overlong.then_some((Some(u32::from(last & 0x3f)), tail))
}

/// `%5%c`, what is left of `%%35%%63`, and `%bg%qf`: dots and slashes only.
fn split_percent(after: &[u8]) -> Folded<'_> {
    if let Some(tail) = after.strip_prefix(b"bg%qf") {
        return Some((Some(u32::from(b'/')), tail));
    }
    let ([high, b'%', low], tail) = after.split_first_chunk::<3>()? else { return None };
    let (code, _) = hex_pair(&[*high, *low])?;
    matches!(code, b'.' | b'/' | b'\\').then(|| (Some(u32::from(code)), tail))
}

/// `0x2e`, `0x2f`, `0x5c` spelled out: what some file layers turn back into dots and slashes.
fn spelled(after: &[u8]) -> Folded<'_> {
    let code = [(&b"x2e"[..], b'.'), (b"x2f", b'/'), (b"x5c", b'\\')];
    let (digits, code) = code.iter().find(|(digits, _)| after.starts_with(digits))?;
    let tail = after.get(digits.len()..)?;
    // A longer hexadecimal number is a number.
    let is_alone = !tail.first().is_some_and(u8::is_ascii_hexdigit) || tail.starts_with(b"0x");
    is_alone.then_some((Some(u32::from(*code)), tail))
}

fn hex_pair(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], tail) = bytes.split_first_chunk::<2>()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*high)? << 4 | digit(*low)?;
    Some((u8::try_from(value).ok()?, tail))
}

fn hex_number(bytes: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (text, tail) = bytes.split_at_checked(digits)?;
    let code = u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()?;
    Some((code, tail))
}

/// Digits of any number up to seven, as entities have them.
fn number(bytes: &[u8], radix: u32) -> Option<(u32, &[u8])> {
    let length = bytes.iter().take(8).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    let (text, tail) = bytes.split_at_checked(length)?;
    let code = u32::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()?;
    Some((code, tail))
}

fn push_code(out: &mut Vec<u8>, code: u32) {
    match char::from_u32(lookalike(code).unwrap_or(code)) {
        Some(letter) => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.push(b'?'),
    }
}

/// The ASCII that a character is folded to by Unicode's compatibility forms or the best-fit tables of Windows.
const fn lookalike(code: u32) -> Option<u32> {
    Some(match code {
        // Full-width forms, letters in circles.
        0xff01..=0xff5e => code - 0xfee0,
        0x24b6..=0x24cf => code - 0x24b6 + b'A' as u32,
        0x24d0..=0x24e9 => code - 0x24d0 + b'a' as u32,
        0x2044 | 0x2215 | 0x29f8 | 0xefc8 => b'/' as u32,
        0x2216 | 0x29f5 | 0x29f9 | 0xf025 => b'\\' as u32,
        0x2024 | 0xfe52 => b'.' as u32,
        0x02b9 | 0x02bc | 0x2032 => b'\'' as u32,
        _ => return None,
    })
}

/// Shortest text that is tried as base64: below it, words are taken for it.
const BASE64_MIN_BYTES: usize = 12;
/// Longest text that is decoded as base64.
const BASE64_MAX_BYTES: usize = 4 << 10;

/// The text behind base64 (RFC 4648 §4 and §5, padded or not). False unless the whole value is base64 of a text: what a
/// browser sends that way (tokens, images, state) decodes to bytes that are no text.
pub fn base64(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let end = bytes.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    let text = bytes.get(..end).unwrap_or_default();
    if !(BASE64_MIN_BYTES - 2..=BASE64_MAX_BYTES).contains(&text.len())
        || text.len() % 4 == 1
        || bytes.len() - end > 2
    {
        return false;
    }
    let mut word = 0_u32;
    let mut bits = 0;
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' | b' ' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        word = word << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let decoded = (word >> bits) as u8;
            if !matches!(decoded, b'\t' | b'\r' | b'\n' | 0 | b' '..=b'~' | 0xac | 0xed) {
                return false;
            }
            out.push(decoded);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deeply(text: &[u8]) -> String {
        let (mut out, mut spare) = (Vec::new(), Vec::new());
        deep(text, &mut out, &mut spare);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_layer_that_payloads_hide_behind_is_taken_off() {
        for text in [
            &b"%2527 or 1"[..],
            b"%25%32%37 or 1",
            b"%u0027 or 1",
            b"%uff07 or 1",
            b"\xc0\xa7 or 1",
            b"\xe0\x80\xa7 or 1",
            b"\xef\xbc\x87 or 1",
            b"&#39; or 1",
            b"&#x27 or 1",
            b"&apos; or 1",
            b"\\x27 or 1",
            b"\\u0027 or 1",
            b"\\u{27} or 1",
            b"'\0 or\x01 1",
            b"&amp;#39; or 1",
        ] {
            assert_eq!(deeply(text), "' or 1", "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn slashes_and_dots_are_found_behind_every_spelling() {
        for text in [
            &b"..%u2215x"[..],
            b"\xf0\x80\x80\xae\xf8\x80\x80\x80\xae\xfc\x80\x80\x80\x80\xafx",
            b"0x2e0x2e0x2fx",
            b"%c0%2e%c0%6e%c1%pcx",
            b"..\xe2\x88\x95x",
            b"\xc0\xae\xc0\xae\xc1\xafx",
            b"..%%32%%66x",
            b"..%bg%qfx",
        ] {
            assert_eq!(deeply(text), "../x", "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(deeply(b"0x2fab"), "0x2fab");
    }

    #[test]
    fn base64_is_read_only_where_a_text_is_behind_it() {
        let mut out = Vec::new();
        assert!(base64(b"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", &mut out));
        assert_eq!(out, b"<script>alert(1)</script>");
        assert!(base64(b"JyBvciAxPTEgLS0", &mut out));
        assert_eq!(out, b"' or 1=1 --");
        for text in [&b"short"[..], b"iVBORw0KGgoAAAANSUhEUg==", b"an ordinary search", b"5f3a9c0e7b1d4826"] {
            assert!(!base64(text, &mut out), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["100% of R&D", "a=1&b=2", "C:\\new\\text", "naïve café 名前", "50 % off &copy; 2012"]
        {
            assert_eq!(deeply(text.as_bytes()), text);
        }
        let mut out = Vec::new();
        assert!(!percent(b"plain", true, &mut out));
        assert!(percent(b"a+b%20c%zz", true, &mut out));
        assert_eq!(out, b"a b c%zz");
    }

    proptest::proptest! {
        #[test]
        fn decoding_never_grows_and_never_fails(bytes in proptest::collection::vec(0_u8..=255, 0..300)) {
            let (mut out, mut spare) = (Vec::new(), Vec::new());
            deep(&bytes, &mut out, &mut spare);
            proptest::prop_assert!(out.len() <= bytes.len() * 2);
        }
    }
}
