//! Everything that knocks, with real tools against real servers: the daemon captures on the gateway's interface in a network of
//! namespaces while hydra, nmap, masscan, hping3 and slow clients act; class, source, time and count must agree with the
//! server's own log or the tool's own number, and honest work must stay silent. The rows are in `support/knock.toml`.
//! Needs root and iproute2; a row whose tool or server is not there says that it is skipped.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, says what it skips, and may look at the clock"
)]

use std::sync::RwLock;
use std::time::Duration;

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::{Bed, obstacle};
use support::daemon::{Daemon, Home};
use support::knock::Stage;

/// The server and its neighbours are one site: a sweep is upon all of them.
const ONE_SITE: &str = r#"
[origin]
home = ["CN"]
[[site]]
name = "www.town.example"
addresses = ["203.0.113.0/24"]
"#;

/// Each victim of a flood whose sender cannot be proved is a site of its own, by which it is found.
const VICTIMS: [(&str, u8); 7] =
    [("syn", 41), ("forged-syn", 42), ("ack", 43), ("rst", 44), ("udp", 45), ("icmp", 46), ("reflected", 47)];

/// A server, and the program without which it is skipped.
type Server = (&'static str, &'static str);

const WEB: Server = ("web", "nginx");
const DNS: Server = ("dns", "named");
const NTP: Server = ("ntp", "chronyd");
const LOGINS: [Server; 10] = [
    ("ssh", "sshd"),
    ("ftp", "vsftpd"),
    ("imap", "dovecot"),
    ("smtp", "exim4"),
    ("mysql", "mariadbd"),
    ("postgres", "pg_createcluster"),
    ("telnet", "telnetd"),
    ("login-form", "python3"),
    DNS,
    ("redis", "redis-server"),
];

const SERVICES: [Server; 6] = [
    ("files", "smbd"),
    ("telephony", "kamailio"),
    ("memory", "memcached"),
    ("desktop", "xrdp"),
    ("feed", "/usr/lib/python3/dist-packages/websockets/__init__.py"),
    ("shop", "python3"),
];

/// What the kernel and the daemon still hold when a tool has ended gets its time, so that it is counted live and not at the end.
const SETTLE: Duration = Duration::from_millis(1_500);

/// An incident outside the web is told at its start, once a minute and at its end; a change of grade makes it two.
const LINES_OF_A_SOURCE_MAX: usize = 12;

/// Tools that flood keep to a pace: while they do, no other group takes their time.
static PACED: RwLock<()> = RwLock::new(());

/// Plays a group of scenarios before a running daemon and returns the report and the event lines, after comparing them.
fn play(
    group: &str,
    servers: &[Server],
    settings: &str,
    prepare: &[(&str, &str)],
) -> Option<(Value, Vec<Value>)> {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return None;
    }
    let _turn = match group {
        "floods" => (Some(PACED.write()), None),
        _ => (None, Some(PACED.read())),
    };
    let mut stage = Stage::up(Bed::up_bare(), servers);
    for (part, line) in prepare {
        stage.prepare(part, line);
    }
    let home = Home::new(settings);
    let mut daemon = Daemon::start(stage.bed(), &home, "wan0");
    stage.play(group);
    daemon.let_pass(SETTLE);
    let ended = daemon.stop().good();
    let (report, events) = (home.report(), home.events());
    let differences = stage.differences(&events);
    assert!(
        differences.is_empty(),
        "{differences:#?}\ncounters: {:#}\nlog: {}",
        report["counters"],
        ended.stderr
    );
    let told: u64 = events.iter().filter_map(|event| event["gatewatch"]["represented"].as_u64()).sum();
    assert_eq!(report["totals"]["attempts"], told, "the lines add up to the total");
    assert_eq!(told > 0, stage.attacks_played() > 0, "{told} attempts");
    Some((report, events))
}

#[test]
fn refused_logins_and_abuse_are_counted_as_the_servers_log_them() {
    let servers: Vec<Server> = LOGINS.into_iter().chain([WEB]).collect();
    let Some((report, _)) = play("logins", &servers, ONE_SITE, &[]) else { return };
    assert_eq!(
        report["headline"]["overseas_attempts"], report["totals"]["attempts"],
        "all of it came from overseas"
    );
}

#[test]
fn every_probed_port_is_counted_and_a_scan_is_a_handful_of_lines() {
    let prepare = [
        // Real hosts answer closed UDP ports slowly; here the scan need not take a minute.
        ("server", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit"),
        // A host that is there and says nothing.
        ("gateway", "ip neigh replace 203.0.113.20 lladdr 02:00:00:00:00:20 dev lan0 nud permanent"),
    ];
    let Some((report, events)) = play("scans", &[WEB, DNS, NTP], ONE_SITE, &prepare) else { return };
    let web = events.iter().filter(|event| event["gatewatch"]["class"] == "web.scan").count();
    assert_eq!(report["headline"]["overseas_attempts"], web, "scans are no part of the headline");
    let of_all_ports = events.iter().filter(|event| event["src_ip"] == "73.10.30.3").count();
    assert!(of_all_ports <= LINES_OF_A_SOURCE_MAX, "{of_all_ports} lines for one scan");
}

#[test]
fn every_second_of_a_flood_is_counted_and_nobody_is_blamed_without_proof() {
    let victims = VICTIMS.map(|(name, host)| (name, format!("203.0.113.{host}")));
    let site =
        |(name, address): &(&str, String)| format!("[[site]]\nname = {name:?}\naddresses = [{address:?}]\n");
    let settings =
        "[origin]\nhome = [\"CN\"]\n[[site]]\nname = \"www.town.example\"\naddresses = [\"203.0.113.10\"]\n";
    let settings = settings.to_owned() + &victims.iter().map(site).collect::<String>();
    let address = |(_, address): &(&str, String)| format!("ip addr add {address}/24 dev eth0; ");
    let addresses: String = victims.iter().map(address).collect();
    // Answers to the forged go back through the gateway and end at the client, which is nobody of them.
    let prepare = [("server", addresses.as_str())];
    let Some((report, events)) = play("floods", &[WEB], &settings, &prepare) else { return };
    // What a handshake proves has its source; whoever sent the others could have written any.
    let named = |event: &&Value| {
        let own = &event["gatewatch"];
        let is_nobody =
            event["src_ip"] == "0.0.0.0" && own["grade"] == "E0" && own["origin"]["country"] == "unknown";
        own["class"] != "dos.app" && !is_nobody
    };
    let blamed: Vec<&Value> = events.iter().filter(named).collect();
    assert!(blamed.is_empty(), "{blamed:#?}");
    assert_eq!(report["headline"]["overseas_attempts"], 0, "floods are no part of the headline");
}

#[test]
fn a_slow_client_is_counted_by_the_second() {
    let Some((report, _)) = play("slow", &[WEB], ONE_SITE, &[]) else { return };
    assert_eq!(report["headline"]["overseas_attempts"], 0, "slow clients are no part of the headline");
}

#[test]
fn honest_people_and_programs_are_not_counted() {
    let servers: Vec<Server> = LOGINS.into_iter().chain([WEB, NTP]).collect();
    let Some((report, events)) = play("honest", &servers, ONE_SITE, &[]) else { return };
    assert_eq!(report["totals"]["attempts"], 0, "{events:#?}");
}

#[test]
fn shares_telephones_caches_feeds_and_shops_are_attacked_and_used() {
    // Without the large servers only what is honest is played, and nothing may be counted.
    play("services", &SERVICES, ONE_SITE, &[]);
}
