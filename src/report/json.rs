//! JSON, and its canonical form (RFC 8785) for the hash.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::report::format::Output;
use crate::report::shape::Report;

/// The report as a value, with `sha256` over the canonical form of the rest.
pub fn seal(report: &Report) -> Value {
    // Only maps with text keys and finite numbers are in it, so this cannot fail; an empty object would show.
    sealed(serde_json::to_value(report).unwrap_or_default())
}

/// An object with `sha256` over the canonical form of the rest.
pub fn sealed(mut value: Value) -> Value {
    let hash = canonical_hash(&value);
    if let Some(object) = value.as_object_mut() {
        object.insert("sha256".into(), hash.into());
    }
    value
}

/// SHA-256 of the canonical form.
pub fn canonical_hash(value: &Value) -> String {
    hex(&Sha256::digest(canonical(value).as_bytes()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes the file: indented, for people as well.
pub fn write(_: &Report, sealed: &Value) -> Vec<Output> {
    let mut content = serde_json::to_string_pretty(sealed).unwrap_or_default();
    content.push('\n');
    vec![Output { suffix: ".json".into(), content }]
}

/// The canonical form: no white space, members sorted, numbers as ECMAScript prints them.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    append(value, &mut text);
    text
}

fn append(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                append(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            // RFC 8785 §3.2.3 sorts by UTF-16 code units.
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            text.push('{');
            for (at, name) in names.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                append(&Value::String(name.clone()), text);
                text.push(':');
                append(members.get(name).unwrap_or(&Value::Null), text);
            }
            text.push('}');
        }
        Value::Number(number) => match number.as_f64() {
            // Within this range ECMAScript writes no exponent, and Rust's shortest form is the same.
            Some(float) if !number.is_u64() && !number.is_i64() => {
                let _ = write!(text, "{float}");
            }
            _ => text.push_str(&number.to_string()),
        },
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_is_that_of_rfc_8785() {
        let value: Value = serde_json::from_str(
            r#"{"b":[1.0,0.5,1e2,null,true],"a":"\u20ac\n\u000f/\"","\ud83d\ude00":1,"\ufb33":2}"#,
        )
        .unwrap();
        assert_eq!(
            canonical(&value),
            "{\"a\":\"€\\n\\u000f/\\\"\",\"b\":[1,0.5,100,null,true],\"😀\":1,\"\u{fb33}\":2}"
        );
    }
}
