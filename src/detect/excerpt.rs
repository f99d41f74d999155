//! The text around a match, for people who check a verdict: bounded, and without credentials.

use std::borrow::Cow;

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

/// A target with `*` for the values of parameters whose names are those of secrets.
pub fn target<'a>(request: &Request<'a>) -> Cow<'a, [u8]> {
    let is_pair_secret = |pair: &[u8]| is_secret(pair.split(|byte| *byte == b'=').next().unwrap_or_default());
    if !request.query().split(|byte| *byte == b'&').any(is_pair_secret) {
        return Cow::Borrowed(request.target);
    }
    let mut masked = [request.path(), b"?"].concat();
    for (at, pair) in request.query().split(|byte| *byte == b'&').enumerate() {
        if at > 0 {
            masked.push(b'&');
        }
        match memchr::memchr(b'=', pair).filter(|_| is_pair_secret(pair)) {
            Some(end) => {
                masked.extend_from_slice(pair.get(..=end).unwrap_or_default());
                masked.push(b'*');
            }
            None => masked.extend_from_slice(pair),
        }
    }
    Cow::Owned(masked)
}

/// Method and target of a request, for rules of form.
pub fn head_of(request: &Request<'_>) -> Box<str> {
    let target = target(request);
    let target = target.get(..target.len().min(EXCERPT_MAX_BYTES)).unwrap_or_default();
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
    fn secrets_in_a_query_are_masked_and_the_rest_is_as_it_was() {
        let masked = |text: &str| {
            let request = Request {
                method: b"GET",
                target: text.as_bytes(),
                headers: &[],
                body: b"",
                defects: crate::protocol::request::Defects::default(),
            };
            String::from_utf8_lossy(&target(&request)).into_owned()
        };
        assert_eq!(masked("/login?user=a&Password=hunter2&x=1"), "/login?user=a&Password=*&x=1");
        assert_eq!(masked("/?api_key=k%20v"), "/?api_key=*");
        for same in ["/a?b=c&d", "/password", "/?token", "*"] {
            assert_eq!(masked(same), same);
        }
    }

    #[test]
    fn a_secret_is_not_shown_beside_the_payload() {
        assert_eq!(&*around(b"hunter2' or 1=1 --", 7, 9, b"user_Password"), "' or 1=1 ");
    }
}
