//! Event lines: Suricata's EVE shape with our own object beside it, one JSON object a line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::model::attempt::{Attempt, Evidence};
use crate::model::origin::Infrastructure;
use crate::tally::FRAMES_MAX;
use crate::tally::event::Event;

/// One line, with its end.
pub fn line(event: &Event) -> String {
    let attempt = &event.attempt;
    // A flood of forged sources names nobody. EVE has an address in every alert: the unspecified one is that of nobody (RFC 4291
    // §2.5.2), and readers that want an address do not lose the line.
    let is_nobody = event.client.is_unspecified();
    let nobody = unspecified(attempt.server.ip());
    let mut value = json!({
        "timestamp": attempt.time.to_string(),
        "event_type": "alert",
        "src_ip": if is_nobody { nobody } else { event.client },
        "src_port": attempt.client.port(),
        "dest_ip": attempt.server.ip(),
        "dest_port": attempt.server.port(),
        "proto": attempt.transport.name(),
        "app_proto": attempt.app_proto,
        "flow_id": attempt.flow_id,
        "community_id": if event.hidden || is_nobody { Value::Null } else { community_id(attempt).into() },
        "alert": alert(attempt),
        "gatewatch": own(event),
    });
    if let (Some(object), Some(http)) = (value.as_object_mut(), &attempt.http) {
        object.insert(
            "http".into(),
            json!({
                "hostname": http.hostname,
                "url": http.url,
                "http_method": http.method,
                "http_user_agent": http.user_agent,
                "status": http.status,
            }),
        );
    }
    let mut line = value.to_string();
    line.push('\n');
    line
}

/// The address of nobody, of the family of another.
const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

fn alert(attempt: &Attempt) -> Value {
    let row = attempt.judgement.class.row();
    let rule = attempt.judgement.evidence.first().map_or(row.id, |evidence| &evidence.rule);
    json!({
        "signature": rule,
        "signature_id": signature_id(rule),
        "category": row.id,
        "severity": row.severity.number(),
    })
}

fn own(event: &Event) -> Value {
    let attempt = &event.attempt;
    let origin = &event.origin;
    let evidence: Vec<Value> = attempt
        .judgement
        .evidence
        .iter()
        .map(|Evidence { rule, place, excerpt }| json!({"rule": rule, "where": place, "excerpt": excerpt}))
        .collect();
    let labels: Vec<&str> = attempt.judgement.labels.iter().map(crate::model::class::Class::id).collect();
    let mut own = json!({
        "id": attempt.id.to_string(),
        "class": attempt.judgement.class.id(),
        "labels": labels,
        "site": event.site,
        "grade": event.grade.name(),
        "origin": {
            "country": origin.place.code(),
            "registered_country": origin.registered.map(|country| country.code().to_owned()),
            "continent": origin.continent.map(|code| String::from_utf8_lossy(&code).into_owned()),
            "asn": origin.asn,
            "as_org": origin.as_org,
            "prefix": origin.prefix,
            "infrastructure": origin.infrastructure.map(Infrastructure::name),
        },
        "evidence": evidence,
        "score": (f64::from(attempt.judgement.score) * 1_000.0).round() / 1_000.0,
        "outcome": attempt.outcome.name(),
        "represented": event.represented,
        "counts": counts(event),
    });
    if let Some(second) = origin.second
        && let Some(object) = own.pointer_mut("/origin").and_then(Value::as_object_mut)
    {
        object.insert("second_country".into(), json!(second.code()));
    }
    if event.client != attempt.client.ip()
        && !attempt.client.ip().is_unspecified()
        && let Some(object) = own.as_object_mut()
    {
        object.insert("peer_ip".into(), json!(attempt.client.ip()));
    }
    if let Some(incident) = event.incident
        && let Some(object) = own.as_object_mut()
    {
        let told = json!({
            "stage": incident.stage.name(),
            "first": incident.first.to_string(),
            "last": incident.last.to_string(),
            "attempts": incident.attempts,
            "peak_per_minute": incident.peak_per_minute,
        });
        object.insert("incident".into(), told);
    }
    if !attempt.marks.is_empty()
        && let Some(object) = own.as_object_mut()
    {
        let marks: serde_json::Map<String, Value> =
            attempt.marks.iter().map(|(kind, value)| (kind.name().to_owned(), json!(value))).collect();
        object.insert("client".into(), marks.into());
    }
    for (key, holds) in [("one_sided", attempt.one_sided), ("inferred", attempt.inferred)] {
        if holds && let Some(object) = own.as_object_mut() {
            object.insert(key.into(), json!(true));
        }
    }
    own
}

/// The row of the tally that the line counts in, and what it adds to it.
fn counts(event: &Event) -> Value {
    let contribution = &event.contribution;
    json!({
        "sector": contribution.sector.name(),
        "label": contribution.label,
        "headline": contribution.headline,
        "campaign": format!("{:016x}", contribution.campaign.0),
        "sessions": contribution.sessions,
        "incidents": contribution.incidents,
        "frames": event.attempt.frames.clamp(1, FRAMES_MAX),
    })
}

/// A stable number for a rule: its id hashed into the range that EVE readers take (positive, 31 bits).
fn signature_id(rule: &str) -> u32 {
    let digest = Sha1::digest(rule.as_bytes());
    digest.first_chunk::<4>().map_or(0, |word| u32::from_be_bytes(*word) >> 1)
}

/// Community ID version 1 with seed 0, as other sensors compute it for the same conversation
/// (<https://github.com/corelight/community-id-spec>).
fn community_id(attempt: &Attempt) -> String {
    let (mut low, mut high) = (attempt.client, attempt.server);
    let key = |end: &SocketAddr| (bytes(end.ip()), end.port());
    if key(&low) > key(&high) {
        std::mem::swap(&mut low, &mut high);
    }
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(bytes(low.ip()));
    hash.update(bytes(high.ip()));
    hash.update([attempt.transport.number(), 0]);
    hash.update(low.port().to_be_bytes());
    hash.update(high.port().to_be_bytes());
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::grade::Grade;
    use crate::model::origin::Origin;
    use crate::model::place::Place;

    fn attempt(client: &str, server: &str) -> Attempt {
        let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
        Attempt { client, server, ..crate::testing::attempt() }
    }

    #[test]
    fn the_second_opinion_and_the_kind_of_network_stand_in_the_origin() {
        let origin = |second: Option<&str>, infrastructure| {
            let attempt = Box::new(attempt("8.8.8.8:1", "203.0.113.10:80"));
            let place = Place::from_code("US");
            let second = second.map(Place::from_code);
            let origin = Origin { second, infrastructure, ..Origin::of_place(place) };
            let client = attempt.client.ip();
            let event = Event {
                attempt,
                client,
                hidden: false,
                grade: Grade::E2,
                site: "s".into(),
                origin,
                represented: 1,
                contribution: crate::testing::contribution(),
                incident: None,
            };
            let line: Value = serde_json::from_str(&line(&event)).unwrap();
            line["gatewatch"]["origin"].clone()
        };
        let alone = origin(None, None);
        assert!(alone["infrastructure"].is_null() && alone.get("second_country").is_none());
        let both = origin(Some("CA"), Some(Infrastructure::Tor));
        assert_eq!((&both["second_country"], &both["infrastructure"]), (&json!("CA"), &json!("tor")));
    }

    #[test]
    fn what_was_inferred_says_so_and_what_was_read_does_not() {
        let told = |inferred| {
            let attempt = Attempt { inferred, ..attempt("8.8.8.8:1", "203.0.113.10:22") };
            let client = attempt.client.ip();
            let origin = Origin::of_place(Place::from_code("US"));
            let (grade, site, attempt) = (Grade::E2, "s".into(), Box::new(attempt));
            let event = Event {
                attempt,
                client,
                hidden: false,
                grade,
                site,
                origin,
                represented: 1,
                contribution: crate::testing::contribution(),
                incident: None,
            };
            let line: Value = serde_json::from_str(&line(&event)).unwrap();
            line["gatewatch"].get("inferred").cloned()
        };
        assert_eq!((told(true), told(false)), (Some(json!(true)), None));
    }

    /// The specification's own baseline example.
    #[test]
    fn community_ids_are_those_of_the_specification() {
        let id = community_id(&attempt("128.232.110.120:34855", "66.35.250.204:80"));
        assert_eq!(id, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(community_id(&attempt("66.35.250.204:80", "128.232.110.120:34855")), id);
    }
}
