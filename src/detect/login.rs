//! Credentials in HTTP requests, and what the server made of them.
//!
//! A credential is an `Authorization` of a user and a password (RFC 7617, RFC 7616, NTLM's last message), a form or JSON object with
//! one field named like a password, or a call of `WordPress`'s XML-RPC that takes one. A first 401 is no refusal: nothing was presented.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::detect::fields::Fields;
use crate::detect::split;
use crate::detect::value::ValueKind;
use crate::protocol::Reply;
use crate::protocol::request::Request;

/// Calls of one `system.multicall` that are counted. `WordPress`'s own limit on a body lies near two thousand.
const CALLS_MAX: u16 = 2_000;
/// Bytes kept of an account's name.
const ACCOUNT_MAX_BYTES: usize = 128;
/// Bytes kept of a path, to see a redirect that leads back to it.
const PATH_MAX_BYTES: usize = 120;

/// How a credential is presented: decides what refuses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// A field of a form or of a JSON object.
    Form,
    /// `Authorization`.
    Header,
    /// XML-RPC.
    Rpc,
}

/// A credential, without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// How it is presented.
    pub manner: Manner,
    /// The account's name, where it can be read.
    pub account: Option<Vec<u8>>,
    /// Path of the request.
    path: Vec<u8>,
    /// Credentials in this one request; more than one in a multicall only.
    pub count: u16,
}

/// What a server made of a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// Let in.
    Accepted,
    /// The body of the reply must tell.
    AskBody,
    /// Turned away.
    Refused,
}

/// The credential that a request presents, if any.
pub fn credential(request: &Request<'_>) -> Option<Credential> {
    let found = |manner, account: Option<Vec<u8>>, count| {
        let path = request.path();
        let path = path.get(..path.len().min(PATH_MAX_BYTES)).unwrap_or(path).to_vec();
        Some(Credential { manner, account, path, count })
    };
    if let Some(value) = request.header("authorization")
        && let Some(Whose(account)) = of_header(value)
    {
        return found(Manner::Header, account, 1);
    }
    if request.method != b"POST" || request.body.is_empty() {
        return None;
    }
    if request.path().ends_with(b"xmlrpc.php") {
        let calls = memchr::memmem::find_iter(request.body, b"wp.getUsersBlogs").count();
        let count = u16::try_from(calls).unwrap_or(CALLS_MAX).min(CALLS_MAX);
        return if count > 0 { found(Manner::Rpc, None, count) } else { None };
    }
    let Whose(account) = of_fields(request)?;
    found(Manner::Form, account, 1)
}

/// Whose credential was found.
#[derive(Debug)]
struct Whose(Option<Vec<u8>>);

/// The credential that an `Authorization` holds, with the account where it can be read.
fn of_header(value: &[u8]) -> Option<Whose> {
    let space = memchr::memchr(b' ', value)?;
    let (scheme, rest) = value.split_at_checked(space)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"basic") {
        let decoded = STANDARD.decode(rest.get(..rest.len().min(1 << 10))?).ok()?;
        let colon = memchr::memchr(b':', &decoded)?;
        return Some(Whose(decoded.get(..colon).map(account)));
    }
    if scheme.eq_ignore_ascii_case(b"digest") {
        let start = memchr::memmem::find(rest, b"username=\"")? + b"username=\"".len();
        let name = rest.get(start..)?;
        return Some(Whose(memchr::memchr(b'"', name).and_then(|end| name.get(..end)).map(account)));
    }
    // NTLM (MS-NLMP §2.2.1.3): of its three messages the last one presents. "NTLMSSP\0", then its number.
    let is_ntlm = scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate");
    (is_ntlm && rest.starts_with(b"TlRMTVNTUAAD")).then_some(Whose(None))
}

/// The credential of a body with exactly one field named like a password: two are a registration or a change of it.
fn of_fields(request: &Request<'_>) -> Option<Whose> {
    let holds = |name: &[u8]| contains_ignoring_case(request.body, name);
    if !holds(b"pass") && !holds(b"pwd") {
        return None;
    }
    let (mut secrets, mut name_of_account) = (0, None::<Vec<u8>>);
    split::values(request, &Fields::of(request.headers), &mut |kind, name, value| {
        if !matches!(kind, ValueKind::Form | ValueKind::Json) {
            return;
        }
        let name = name.rsplit(|byte| *byte == b'.').next().unwrap_or(name);
        if contains_ignoring_case(name, b"pass") || contains_ignoring_case(name, b"pwd") {
            secrets += usize::from(!value.is_empty());
        } else if name_of_account.is_none() && names_account(name) && !value.is_empty() {
            name_of_account = Some(account(value));
        }
    });
    (secrets == 1).then_some(Whose(name_of_account))
}

fn names_account(name: &[u8]) -> bool {
    let parts: [&[u8]; 5] = [b"user", b"login", b"mail", b"account", b"uname"];
    let whole: [&[u8]; 4] = [b"log", b"name", b"uid", b"id"];
    parts.iter().any(|part| contains_ignoring_case(name, part))
        || whole.iter().any(|whole| name.eq_ignore_ascii_case(whole))
}

fn account(name: &[u8]) -> Vec<u8> {
    name.get(..name.len().min(ACCOUNT_MAX_BYTES)).unwrap_or(name).to_ascii_lowercase()
}

impl Credential {
    /// What the head of a reply says; `None` where it says nothing at all.
    pub fn fate(&self, reply: &Reply<'_>) -> Option<Fate> {
        match (self.manner, reply.status) {
            // An API says with 400 or 422 that what it was given is wrong.
            (_, 401 | 403 | 429) | (Manner::Form, 400 | 422) => Some(Fate::Refused),
            (Manner::Header, 200..=399 | 404) => Some(Fate::Accepted),
            (Manner::Form, 300..=399) => {
                let back = reply.location.is_some_and(|location| self.leads_back(location));
                Some(if back { Fate::Refused } else { Fate::Accepted })
            }
            (Manner::Form | Manner::Rpc, 200) => Some(Fate::AskBody),
            _ => None,
        }
    }

    /// Whether a redirect leads to the page that asked, or to another that says no.
    fn leads_back(&self, location: &[u8]) -> bool {
        let after_scheme = memchr::memmem::find(location, b"://").map_or(0, |at| at + 3);
        let rest = location.get(after_scheme..).unwrap_or_default();
        let start = if after_scheme == 0 { Some(0) } else { memchr::memchr(b'/', rest) };
        let target = start.and_then(|start| rest.get(start..)).unwrap_or_default();
        let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
        let (path, query) = target.split_at_checked(end).unwrap_or_default();
        let own_name = self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let is_own = path == self.path || !own_name.is_empty() && path.ends_with(own_name);
        let words: [&[u8]; 5] = [b"login", b"signin", b"sign-in", b"error", b"fail"];
        let says_no: [&[u8]; 4] = [b"error", b"fail", b"invalid", b"denied"];
        is_own
            || words.iter().any(|word| contains_ignoring_case(path, word))
            || says_no.iter().any(|word| contains_ignoring_case(query, word))
    }

    /// What a part of the reply's body says.
    pub fn fate_by_body(&self, body: &[u8]) -> Option<Fate> {
        let holds = |text: &[u8]| contains_ignoring_case(body, text);
        match self.manner {
            Manner::Rpc if holds(b"<fault>") || holds(b"faultCode") => Some(Fate::Refused),
            Manner::Rpc => holds(b"isAdmin").then_some(Fate::Accepted),
            _ => {
                let form = [&b"type=\"password\""[..], b"type='password'", b"type=password"];
                let words: [&[u8]; 6] = [
                    b"invalid",
                    b"incorrect",
                    b"wrong password",
                    b"login failed",
                    b"\"error\"",
                    b"authentication failed",
                ];
                form.iter().chain(&words).any(|text| holds(text)).then_some(Fate::Refused)
            }
        }
    }
}

/// Whether `needle` (lower case) stands in `hay`, whatever its case.
fn contains_ignoring_case(hay: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return true };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), hay)
        .any(|at| hay.get(at..at + needle.len()).is_some_and(|part| part.eq_ignore_ascii_case(needle)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Defects, Header};

    fn presented(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Option<Credential> {
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let request = Request {
            method: method.as_bytes(),
            target: target.as_bytes(),
            headers: &headers,
            body: body.as_bytes(),
            defects: Defects::default(),
        };
        credential(&request)
    }

    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

    fn form() -> Credential {
        presented("POST", "/wp-login.php?a=1", &[FORM], "log=Admin&pwd=x").expect("a credential")
    }

    #[test]
    fn credentials_are_found_and_other_requests_present_none() {
        let basic = presented("GET", "/", &[("Authorization", "Basic QWRtaW46cHc=")], "").unwrap();
        assert_eq!((basic.manner, basic.account.as_deref()), (Manner::Header, Some(&b"admin"[..])));
        let digest = presented("GET", "/", &[("Authorization", "Digest username=\"Bob\", realm=\"r\"")], "");
        assert_eq!(digest.unwrap().account.as_deref(), Some(&b"bob"[..]));
        assert_eq!((form().manner, form().account.as_deref()), (Manner::Form, Some(&b"admin"[..])));
        let json = [("Content-Type", "application/json")];
        let api = presented("POST", "/api/login", &json, "{\"email\":\"a@b\",\"password\":\"x\"}").unwrap();
        assert_eq!(api.account.as_deref(), Some(&b"a@b"[..]));
        let call = "<methodName>system.multicall</methodName> wp.getUsersBlogs a wp.getUsersBlogs b";
        assert_eq!(presented("POST", "/xmlrpc.php", &[], call).unwrap().count, 2);
        let none = [
            presented("GET", "/", &[("Authorization", "Bearer abc")], ""),
            presented("GET", "/", &[("Authorization", "NTLM TlRMTVNTUAABAAAA")], ""),
            presented("POST", "/register", &[FORM], "user=a&password=x&password2=x"),
            presented("POST", "/search", &[FORM], "q=passport"),
            presented("POST", "/login", &[FORM], "user=a&password="),
            presented("POST", "/xmlrpc.php", &[], "<methodName>pingback.ping</methodName>"),
        ];
        assert_eq!(none, [None, None, None, None, None, None]);
    }

    #[test]
    fn a_reply_tells_the_fate() {
        let fate = |credential: &Credential, status, location: Option<&str>| {
            credential.fate(&Reply { status, location: location.map(str::as_bytes), body_start: b"" })
        };
        let form = form();
        for status in [401, 403, 429, 400, 422] {
            assert_eq!(fate(&form, status, None), Some(Fate::Refused), "{status}");
        }
        for back in ["/wp-login.php", "https://x.example/wp-login.php?e=1", "login?again", "/?error=1"] {
            assert_eq!(fate(&form, 302, Some(back)), Some(Fate::Refused), "{back}");
        }
        for on in ["/wp-admin/", "https://login.example.org/home", "/"] {
            assert_eq!(fate(&form, 302, Some(on)), Some(Fate::Accepted), "{on}");
        }
        assert_eq!(fate(&form, 200, None), Some(Fate::AskBody));
        assert_eq!(fate(&form, 503, None), None);
        assert_eq!(form.fate_by_body(b"<INPUT TYPE=\"Password\" name=pwd>"), Some(Fate::Refused));
        assert_eq!(form.fate_by_body(b"Welcome back"), None);
        let basic = Credential { manner: Manner::Header, ..form };
        assert_eq!(fate(&basic, 200, None), Some(Fate::Accepted));
        assert_eq!(fate(&basic, 500, None), None);
    }
}
