//! The text around a match, for people who check a verdict: bounded, and without credentials.

use crate::model::attempt::{EXCERPT_MAX_BYTES, cut_text};
use crate::protocol::request::Request;

/// Bytes shown before a match.
const BEFORE_BYTES: usize = 24;
/// Names whose values are secrets.
const SECRET_NAMES: [&[u8]; 9] =
    [b"authorization", b"passw", b"pwd", b"secret", b"token", b"session", b"sessid", b"api_key", b"apikey"];

/// The text around a match. Values under secret names show only the match itself: the payload, not the credential.
pub fn around(view: &[u8], at: usize, len: usize, name: &[u8]) -> Box<str> {
    let from = if is_secret(name) { at } else { at.saturating_sub(BEFORE_BYTES) };
    let to = if is_secret(name) { at + len } else { view.len() };
    let part = view.get(from..to.min(view.len())).unwrap_or_default();
    clean(&cut_text(part, EXCERPT_MAX_BYTES))
}

/// Method and target of a request, for rules of form.
pub fn head_of(request: &Request<'_>) -> Box<str> {
    let target = request.target.get(..request.target.len().min(EXCERPT_MAX_BYTES)).unwrap_or_default();
    let method = request.method.get(..request.method.len().min(16)).unwrap_or_default();
    clean(&cut_text(&[method, b" ", target].concat(), EXCERPT_MAX_BYTES))
}

fn is_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| memchr::memmem::find(&name, secret).is_some())
}

/// Control characters are shown as `·`.
fn clean(text: &str) -> Box<str> {
    text.chars().map(|letter| if letter.is_control() { '·' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_bounded_and_holds_no_control_characters() {
        let text = [&b"x".repeat(500)[..], b"\n' or 1=1\x1b[2J", &b"y".repeat(500)].concat();
        let excerpt = around(&text, 500, 12, b"q");
        assert!(excerpt.len() <= EXCERPT_MAX_BYTES + 3 + 2 && excerpt.contains("' or 1=1"), "{excerpt}");
        assert!(!excerpt.contains('\n'));
    }

    #[test]
    fn a_secret_is_not_shown_beside_the_payload() {
        assert_eq!(&*around(b"hunter2' or 1=1 --", 7, 9, b"user_Password"), "' or 1=1 ");
    }
}
