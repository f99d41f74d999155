//! Acts for the tests of the families, and what holds for all of them.

use super::*;
use crate::model::attempt::{AttemptId, Transport};
use crate::model::class::Class;
use crate::model::contact::{Login, NameHash, Topic, Touched, Unmet};
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::surge::{Reflector, SurgeKind};

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
    judge_all(&Settings::default(), contacts, &[])
}

/// The same by other settings, and seconds of floods.
fn judge_all(settings: &Settings, contacts: &[Contact], surges: &[Surge]) -> Judged {
    let mut behaviours = Behaviours::new(8 << 20, settings);
    let mut out = Judged::default();
    for surge in surges {
        behaviours.surge(surge, &mut out);
        behaviours.progress(surge.time, &mut out);
    }
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

/// Something that was asked for and not given.
fn unmet(secs: i64, topic: Topic, (name, form): (u64, u32)) -> Contact {
    let act = touched("198.51.100.1:9", "203.0.113.10:443", secs, Touched::Answered);
    let unmet = Unmet { topic, name: (name != 0).then(|| NameHash::new(name)), form };
    Contact { act: Act::Unmet(unmet), grade: Grade::E2, ..act }
}

/// A second of a flood, in which nothing is honest.
fn surge(kind: SurgeKind, second: i64) -> Surge {
    let is_proven = kind.class() == Class::DosApp && kind != SurgeKind::HttpSite;
    Surge {
        time: Timestamp::from_parts(second, 0),
        victim: "203.0.113.10".parse().unwrap(),
        port: 80,
        kind,
        packets: 30_000,
        bytes: 1_800_000,
        completed: 0,
        sources: 100,
        source: is_proven.then(|| "198.51.100.0".parse().unwrap()),
    }
}

/// The kind by which a flood detector is tried.
const FLOODING: &[SurgeKind] = &[
    SurgeKind::Ack,
    SurgeKind::Asked(Reflector::Dns),
    SurgeKind::Connect,
    SurgeKind::Fragment,
    SurgeKind::Http,
    SurgeKind::HttpSite,
    SurgeKind::Icmp,
    SurgeKind::Reflect(Reflector::Dns),
    SurgeKind::Reflector(Reflector::Dns),
    SurgeKind::SlowHeader,
    SurgeKind::SlowNetwork,
    SurgeKind::Syn,
    SurgeKind::Tls,
    SurgeKind::Udp,
    SurgeKind::UdpForged,
];

/// What a detector is there for.
fn scene(id: &str) -> (Vec<Contact>, Vec<Surge>) {
    const SOURCE: &str = "198.51.100.1:9";
    let many = |count: i64, act: &dyn Fn(i64) -> Contact| -> Vec<Contact> { (1..=count).map(act).collect() };
    let port = |n: i64, every: i64, what| touched(SOURCE, &format!("203.0.113.1:{n}"), n * every, what);
    let host = |n: i64, port: u16| touched(SOURCE, &format!("203.0.113.{n}:{port}"), n, Touched::Silent);
    let of = |n: i64| format!("198.51.{}.{}:9", 100 + n / 250, n % 250);
    let acts = match id {
        "scan.vertical" => many(10, &|n| port(n, 1, Touched::Refused)),
        "scan.horizontal" => many(9, &|n| host(n, 22)),
        "scan.slow" => many(25, &|n| port(n, 3_000, Touched::Refused)),
        "scan.stealth" => many(3, &|n| port(n, 1, Touched::Stealth(0))),
        "scan.udp" => many(12, &|n| Contact { transport: Transport::Udp, ..port(n, 1, Touched::Silent) }),
        "scan.icmp_sweep" => many(20, &|n| Contact { transport: Transport::Icmp, ..host(n, 0) }),
        "scan.distributed" => {
            many(160, &|n| touched(&of(n % 40), &format!("203.0.113.1:{n}"), n, Touched::Refused))
        }
        "scan.tls_names" => many(15, &|n| unmet(n, Topic::TlsHandshake, (n.unsigned_abs(), 7))),
        "scan.tls_handshakes" => many(8, &|n| unmet(n, Topic::TlsHandshake, (0, n.unsigned_abs() as u32))),
        "scan.dns_names" => many(40, &|n| unmet(n, Topic::DnsName, (n.unsigned_abs(), 0))),
        "auth.guessing" => many(6, &|n| login(SOURCE, n, false, None)),
        "auth.slow" => many(20, &|n| {
            let login = Login { class: Class::AuthSsh, accepted: false, account: None, inferred: true };
            Contact { act: Act::Login(login), ..port(22, n * 100, Touched::Answered) }
        }),
        "auth.spraying" => many(5, &|n| login(SOURCE, n * 100, false, Some(n.unsigned_abs()))),
        "auth.distributed" => many(15, &|n| login(&of(n), n * 10, false, Some(5))),
        "auth.stuffing" => many(100, &|n| login(&of(n), n, false, Some(n.unsigned_abs()))),
        _ => Vec::new(),
    };
    let row = flood::rows::FLOODS.iter().find(|row| row.id == id);
    let kind = row.and_then(|row| FLOODING.iter().find(|kind| (row.takes)(**kind)));
    // A site's habit is known after two minutes.
    let quiet = kind.map(|kind| Surge { packets: 1, completed: 1, ..surge(*kind, 1) });
    let flood = kind.into_iter().flat_map(|kind| (1_000..1_070).map(|second| surge(*kind, second)));
    (acts, quiet.into_iter().chain(flood).collect())
}

#[test]
fn every_detector_finds_what_it_is_there_for_and_switched_off_it_is_silent() {
    let mut seen = Vec::new();
    for detector in list::detectors(&Settings::default()) {
        let (acts, surges) = scene(detector.id);
        let out = judge_all(&Settings::default(), &acts, &surges);
        assert!(!out.attempts.is_empty(), "{} has no scene", detector.id);
        for attempt in &out.attempts {
            assert_eq!(&*attempt.judgement.evidence[0].rule, detector.id);
        }
        let off: Vec<String> =
            detector.sections.iter().map(|section| format!("[{section}]\nenabled = false\n")).collect();
        let out = judge_all(&toml::from_str(&off.concat()).unwrap(), &acts, &surges);
        assert!(out.attempts.is_empty(), "{} is off: {:?}", detector.id, out.attempts.first());
        seen.push(detector.id);
    }
    assert!(seen.len() > 25, "{seen:?}");
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
