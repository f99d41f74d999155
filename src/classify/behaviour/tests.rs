//! Acts for the tests of the families, and what holds for all of them.

use super::*;
use crate::model::attempt::{AttemptId, Transport};
use crate::model::class::Class;
use crate::model::contact::{Login, NameHash, Touched};
use crate::model::grade::Grade;
use crate::model::marks::Marks;

/// A first contact at a second.
pub fn touched(client: &str, server: &str, secs: i64, touched: Touched) -> Contact {
    let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
    let time = Timestamp::from_parts(secs, 0);
    let id = ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one((client, server, secs, touched));
    Contact {
        id: AttemptId(id),
        time,
        client,
        server,
        transport: Transport::Tcp,
        app_proto: None,
        flow_id: id >> 11,
        grade: Grade::E0,
        frames: 1,
        act: Act::Touched(touched),
        http: None,
        marks: Marks::default(),
    }
}

/// A login at a second.
pub fn login(client: &str, secs: i64, accepted: bool, account: Option<u64>) -> Contact {
    let login =
        Login { class: Class::AuthFtp, accepted, account: account.map(NameHash::new), inferred: false };
    let contact = touched(client, "203.0.113.10:21", secs, Touched::Answered);
    let id = AttemptId(contact.id.0 ^ account.unwrap_or(0) ^ u64::from(accepted));
    Contact { id, act: Act::Login(login), grade: Grade::E2, app_proto: Some("ftp"), ..contact }
}

/// Judges acts in the order given; gives all that came of them.
pub fn judge(contacts: &[Contact]) -> Judged {
    let mut behaviours = Behaviours::new(8 << 20, &Settings::default());
    let mut out = Judged::default();
    for contact in contacts {
        behaviours.push(contact.clone());
        let newest = behaviours.newest();
        while let Some(contact) = behaviours.next(newest) {
            behaviours.contact(&contact, &aim(&contact), &mut out);
        }
        behaviours.progress(newest, &mut out);
    }
    while let Some(contact) = behaviours.last() {
        behaviours.contact(&contact, &aim(&contact), &mut out);
    }
    behaviours.finish(&mut out);
    out
}

/// Each address is a site.
pub fn aim(contact: &Contact) -> Aim {
    Aim {
        source: SourceKey::of(contact.client.ip()),
        site: contact.server.ip().to_string().into(),
        is_proxy: false,
    }
}

#[test]
fn every_table_of_settings_is_that_of_one_detector() {
    let settings = toml::Value::try_from(Settings::default()).unwrap();
    let listed = list::detectors(&Settings::default());
    let mut sections: Vec<_> = listed.iter().flat_map(|detector| detector.sections).copied().collect();
    sections.sort_unstable();
    let mut tables = Vec::new();
    for family in ["scan", "login", "flood"] {
        let of_family = settings[family].as_table().unwrap().iter().filter(|(_, value)| value.is_table());
        tables.extend(of_family.map(|(name, _)| format!("{family}.{name}")));
    }
    tables.sort_unstable();
    assert_eq!(sections, tables);
}

#[test]
fn a_copy_of_an_act_neither_advances_nor_counts() {
    let mut acts = Vec::new();
    for port in 1..=8 {
        let act = touched("198.51.100.1:9", &format!("203.0.113.1:{port}"), port, Touched::Refused);
        acts.extend([act.clone(), act]);
    }
    for secs in 0..5 {
        let act = login("198.51.100.1:7", secs, false, None);
        acts.extend([act.clone(), act.clone(), act]);
    }
    let out = judge(&acts);
    assert_eq!((out.attempts.len(), out.sums.contacts, out.sums.logins), (0, 8, 5));
}

#[test]
fn any_number_of_sources_stays_within_the_memory_they_are_given() {
    let given = 1 << 20;
    let mut behaviours = Behaviours::new(given, &Settings::default());
    let mut out = Judged::default();
    let site: Arc<str> = "site".into();
    for number in 0..100_000_u32 {
        let client = std::net::SocketAddr::new(std::net::Ipv4Addr::from_bits(0x0100_0000 + number).into(), 9);
        let mut act = touched("192.0.2.1:9", "203.0.113.1:80", i64::from(number / 1_000), Touched::Silent);
        act.client = client;
        act.id = AttemptId(u64::from(number));
        act.server.set_port((number % 60_000) as u16);
        let aim = Aim { source: SourceKey::of(client.ip()), site: Arc::clone(&site), is_proxy: false };
        behaviours.contact(&act, &aim, &mut out);
        if number % 4_096 == 0 {
            assert!(behaviours.bytes() < given, "{} after {number}", behaviours.bytes());
            out.attempts.clear();
        }
    }
    assert!(out.sums.windows_forgotten > 0);
}
