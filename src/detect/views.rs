//! Decoded views of a value. Views are additive: raw, once decoded and deeply decoded are all judged, since decoding
//! away a payload would lower recall.

/// Rounds of deep decoding. Three layers are seen in the wild; each round only ever shrinks the text.
const ROUNDS_MAX: usize = 3;
/// Longest named entity that is looked for: `&NewLine;`.
const ENTITY_MAX_BYTES: usize = 10;

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
    bytes.iter().any(|byte| matches!(byte, b'%' | b'&' | b'\\' | 0..=8 | 11..=12 | 14..=31 | 0x7f..=0xff))
}

/// One pass over what is not percent encoding.
fn fold(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut changed = false;
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let folded = match byte {
            b'&' => entity(after),
            b'\\' => escape(after),
            0xc0 | 0xc1 => overlong(byte, after),
            0xe0 | 0xef => wide(rest),
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
    let (second, tail) = after.split_first()?;
    let code = u32::from(first & 0x1f) << 6 | u32::from(second & 0x3f);
    (code < 0x80).then_some((Some(code), tail))
}

/// Three-byte overlong ASCII, and full-width forms (U+FF01 to U+FF5E) that databases fold to ASCII.
fn wide(bytes: &[u8]) -> Folded<'_> {
    let ([a, b, c], tail) = bytes.split_first_chunk::<3>()?;
    let code = u32::from(a & 0x0f) << 12 | u32::from(b & 0x3f) << 6 | u32::from(c & 0x3f);
    match code {
        0..=0x7f => Some((Some(code), tail)),
        0xff01..=0xff5e => Some((Some(code - 0xfee0), tail)),
        _ => None,
    }
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
    let code = if (0xff01..=0xff5e).contains(&code) { code - 0xfee0 } else { code };
    match char::from_u32(code) {
        Some(letter) => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.push(b'?'),
    }
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
