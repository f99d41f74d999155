//! JA3 and JA4: how a client's program is told by what it offers, whoever uses it and from where.
//!
//! Values of GREASE (RFC 8701) are random by design and left out of both.

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::model::marks::hex;
use crate::protocol::tls::hello::{ClientHello, numbers};

/// Hexadecimal digits that JA4 keeps of each hash.
const JA4_HASH_DIGITS: usize = 12;
/// Largest count that JA4 has digits for.
const COUNT_MAX: usize = 99;

/// Whether a value is one of those that stand for nothing (RFC 8701 §2): both bytes alike, each `?A`.
const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn real(list: &[u8]) -> impl Iterator<Item = u16> {
    numbers(list).filter(|value| !is_grease(*value))
}

/// MD5 over `version,ciphers,extensions,groups,point formats`, decimal, each list joined by dashes.
pub fn ja3(hello: &ClientHello<'_>) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{},", hello.version);
    join(&mut text, real(hello.ciphers), "-", |value| value.to_string());
    text.push(',');
    let extensions = hello.extensions.iter().copied().filter(|kind| !is_grease(*kind));
    join(&mut text, extensions, "-", |value| value.to_string());
    text.push(',');
    join(&mut text, real(hello.groups), "-", |value| value.to_string());
    text.push(',');
    let formats = hello.point_formats.iter().copied().map(u16::from);
    join(&mut text, formats, "-", |value| value.to_string());
    hex(&Md5::digest(text.as_bytes()))
}

/// Transport, version, whether a name is asked for, counts, application protocol; hash of the sorted ciphers; hash of the sorted
/// extensions and of the signature algorithms in their order.
pub fn ja4(hello: &ClientHello<'_>) -> String {
    let mut ciphers: Vec<u16> = real(hello.ciphers).collect();
    let mut extensions: Vec<u16> =
        hello.extensions.iter().copied().filter(|kind| !is_grease(*kind)).collect();
    let version = real(hello.versions).max().unwrap_or(hello.version);
    let name = if hello.extensions.contains(&0) { 'd' } else { 'i' };
    let mut text = format!(
        "t{}{name}{:02}{:02}{}",
        version_name(version),
        ciphers.len().min(COUNT_MAX),
        extensions.len().min(COUNT_MAX),
        application(hello.application.unwrap_or_default()),
    );
    ciphers.sort_unstable();
    let mut list = String::new();
    join(&mut list, ciphers.into_iter(), ",", |value| format!("{value:04x}"));
    let _ = write!(text, "_{}", short_hash(&list));
    // The name and the application protocol vary with the server asked, not with the program.
    extensions.retain(|kind| !matches!(kind, 0 | 16));
    extensions.sort_unstable();
    list.clear();
    join(&mut list, extensions.into_iter(), ",", |value| format!("{value:04x}"));
    let mut signatures = real(hello.signatures).peekable();
    if signatures.peek().is_some() {
        list.push('_');
        join(&mut list, signatures, ",", |value| format!("{value:04x}"));
    }
    let _ = write!(text, "_{}", short_hash(&list));
    text
}

const fn version_name(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the protocol's name; of its hexadecimal form where one is no letter or digit.
fn application(name: &[u8]) -> String {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return "00".to_owned() };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(*first), char::from(*last)].iter().collect();
    }
    format!("{:x}{:x}", first >> 4, last & 0x0f)
}

fn join(text: &mut String, values: impl Iterator<Item = u16>, between: &str, form: impl Fn(u16) -> String) {
    for (place, value) in values.enumerate() {
        if place > 0 {
            text.push_str(between);
        }
        text.push_str(&form(value));
    }
}

/// The first digits of SHA-256; zeros for nothing.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(JA4_HASH_DIGITS);
    }
    let mut digits = hex(&Sha256::digest(text.as_bytes()));
    digits.truncate(JA4_HASH_DIGITS);
    digits
}
