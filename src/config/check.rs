//! Ranges and cross-checks. Each complaint is the dotted key and what was found and would be right.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::config::Settings;
use crate::config::flood::Flood;
use crate::config::login::Login;
use crate::config::origin::NAMING_HEADERS_MAX;
use crate::config::scan::Scan;
use crate::config::size::Size;
use crate::model::origin::Infrastructure;
use crate::model::period::PeriodKind;
use crate::model::place::Country;

/// Names of report formats; the report room has the table, a test holds the two together.
pub const FORMAT_NAMES: [&str; 5] = ["json", "csv", "text", "html", "md"];

/// Every complaint.
pub fn check(settings: &Settings) -> Vec<(String, String)> {
    let mut found = Found(Vec::new());
    let capture = &settings.capture;
    found.range("capture.snaplen", capture.snaplen, 96, 262_144);
    found.range("capture.buffer", capture.buffer, Size::mebibytes(1), Size(1 << 30));
    found.range("capture.silence_mins", capture.silence_mins, 0, 1_440);
    found.range("capture.workers", capture.workers, 1, 1);
    found.range("memory.limit", settings.memory.limit, Size::mebibytes(32), Size(64 << 30));
    state(settings, &mut found);
    report(settings, &mut found);
    sites(settings, &mut found);
    origin(settings, &mut found);
    scan(&settings.scan, &mut found);
    login(&settings.login, &mut found);
    flood(&settings.flood, &mut found);
    if let Err(told) = settings.metrics.address() {
        found.add("metrics.listen", told);
    }
    found.0
}

/// Legal but unreasonable.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let naming = settings.origin.proxy.iter().map(|proxy| ("origin.proxy", &proxy.networks));
    for (key, networks) in naming.chain([("origin.trusted_proxies", &settings.origin.trusted_proxies)]) {
        if networks.iter().any(|network| network.0.prefix_len() == 0) {
            warnings.push(format!("{key} holds a whole address family: anybody can name any origin"));
        }
    }
    if settings.capture.trusted_tunnels.iter().any(|network| network.0.prefix_len() == 0) {
        warnings.push(
            "capture.trusted_tunnels holds a whole address family: anybody can forge any conversation"
                .to_owned(),
        );
    }
    if settings.capture.snaplen < 1_514 {
        warnings.push(format!(
            "capture.snaplen = {} cuts ordinary frames: requests will be judged on a part",
            settings.capture.snaplen
        ));
    }
    if settings.report.time_zone != "UTC" && has_no_zones() {
        warnings.push(format!(
            "report.time_zone = {:?}: this machine has no time-zone database (/usr/share/zoneinfo, package tzdata); times are shown in UTC",
            settings.report.time_zone
        ));
    }
    for exception in &settings.detect.exception {
        if *exception == crate::config::detect::Exception::default() {
            warnings.push("a [[detect.exception]] without any key excepts everything".to_owned());
        }
    }
    warnings
}

struct Found(Vec<(String, String)>);

impl Found {
    fn range<T: Copy + Display + PartialOrd>(&mut self, key: &str, value: T, low: T, high: T) {
        if value < low || value > high {
            let allowed = if low == high {
                format!("only {low} is possible in this version")
            } else {
                format!("{low} to {high} is allowed")
            };
            self.add(key, format!("{value}: {allowed}"));
        }
    }

    fn add(&mut self, key: &str, text: String) {
        self.0.push((key.to_owned(), text));
    }

    fn one_of(&mut self, key: &str, values: &[String], allowed: &[&str]) {
        for (at, value) in values.iter().enumerate() {
            if !allowed.contains(&value.as_str()) {
                self.add(
                    &format!("{key}[{at}]"),
                    format!("{value:?}: one of {} is allowed", allowed.join(", ")),
                );
            }
        }
    }
}

/// Whether the machine has no time-zone database at all: that costs the display, never the start.
fn has_no_zones() -> bool {
    jiff::tz::db().is_definitively_empty()
}

fn report(settings: &Settings, found: &mut Found) {
    let report = &settings.report;
    found.one_of("report.formats", &report.formats, &FORMAT_NAMES);
    found.one_of("report.periods", &report.periods, &PeriodKind::ALL.map(PeriodKind::name));
    if report.time_zone != "UTC" && !has_no_zones() && jiff::tz::TimeZone::get(&report.time_zone).is_err() {
        let wanted = "a name of the IANA database, such as \"Asia/Shanghai\", or \"UTC\" is wanted";
        found.add("report.time_zone", format!("{:?}: {wanted}", report.time_zone));
    }
    found.range("report.journal_per_minute", report.journal_per_minute, 1, 10_000);
    found.range("report.refresh_secs", report.refresh_secs, 10, 86_400);
    found.range("report.incident_gap_mins", report.incident_gap_mins, 1, 1_440);
    found.range("report.events_part", report.events_part, Size::mebibytes(1), Size(16 << 30));
    found.range("report.keep_events_days", report.keep_events_days, 1, 36_500);
    found.range("report.keep_reports_days", report.keep_reports_days, 1, 36_500);
    found.range("report.keep_tallies_days", report.keep_tallies_days, 1, 36_500);
    if !report.sensor.is_empty() && !is_sensor_name(&report.sensor) {
        let told = "1 to 64 letters, digits, \".\", \"_\", \"-\" are allowed, the first a letter or digit";
        found.add("report.sensor", format!("{:?}: {told}", report.sensor));
    }
    found.range("report.keep_free", report.keep_free, Size(0), Size(1 << 40));
    found.range("report.compress_after_days", report.compress_after_days, 0, 36_500);
    for (key, folder) in
        [("report.directory", &report.directory), ("state.directory", &settings.state.directory)]
    {
        if folder.as_os_str().is_empty() {
            found.add(key, "is empty: name a folder".to_owned());
        }
    }
}

/// Whether a name can be part of a file's path anywhere.
pub fn is_sensor_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() <= 64
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(is_allowed)
}

fn state(settings: &Settings, found: &mut Found) {
    let (state, privacy) = (&settings.state, &settings.privacy);
    found.range("state.sync_secs", state.sync_secs, 1, 300);
    found.range("state.keep_hours_days", state.keep_hours_days, 31, 36_500);
    found.range("state.keep_days_days", state.keep_days_days, 31, 36_500);
    found.range("state.keep_years", state.keep_years, 1, 100);
    found.range("state.limit", state.limit, Size::mebibytes(16), Size(1 << 40));
    found.range("state.sources_per_day", state.sources_per_day, 1_000, 100_000_000);
    found.range("privacy.keep_addresses_days", privacy.keep_addresses_days, 1, 36_500);
    for (key, value, longer, most) in [
        ("state.keep_hours_days", state.keep_hours_days, "state.keep_days_days", state.keep_days_days),
        (
            "privacy.keep_addresses_days",
            privacy.keep_addresses_days,
            "state.keep_days_days",
            state.keep_days_days,
        ),
    ] {
        if value > most {
            found.add(key, format!("{value}: not more than {longer} is possible, which is {most}"));
        }
    }
}

fn sites(settings: &Settings, found: &mut Found) {
    let mut names = BTreeSet::new();
    for (at, site) in settings.site.iter().enumerate() {
        let key = format!("site[{at}].name");
        if site.name.trim().is_empty() || site.name.chars().any(char::is_control) {
            found.add(&key, format!("{:?}: a name without control characters is needed", site.name));
        } else if site.name.starts_with('(') {
            found.add(&key, format!("{:?}: names in brackets are gatewatch's own rows", site.name));
        } else if !names.insert(&site.name) {
            found.add(&key, format!("{:?}: is the name of an earlier site", site.name));
        }
        if site.ports.contains(&0) {
            found.add(&format!("site[{at}].ports"), "0: 1 to 65535 is allowed".to_owned());
        }
    }
    for (at, exception) in settings.detect.exception.iter().enumerate() {
        if let Some(site) = exception.site.as_ref().filter(|site| !names.contains(site)) {
            found
                .add(&format!("detect.exception[{at}].site"), format!("{site:?}: no [[site]] has that name"));
        }
        if exception.client.is_some() && (exception.path.is_some() || exception.parameter.is_some()) {
            let why = "it is for messages outside HTTP, which have no path and no parameter";
            found.add(&format!("detect.exception[{at}].client"), why.to_owned());
        }
    }
}

fn origin(settings: &Settings, found: &mut Found) {
    found.range("origin.prefix_v4", settings.origin.prefix_v4, 8, 32);
    found.range("origin.prefix_v6", settings.origin.prefix_v6, 16, 64);
    for (at, code) in settings.origin.home.iter().enumerate() {
        if let Err(error) = code.parse::<Country>() {
            found.add(&format!("origin.home[{at}]"), error.to_string());
        }
    }
    found.range("origin.database_age_max_days", settings.origin.database_age_max_days, 1, 36_500);
    proxies(settings, found);
    for (at, list) in settings.origin.infrastructure.iter().enumerate() {
        // What is unroutable is known without a list.
        let class = Infrastructure::from_name(&list.class).filter(|class| *class != Infrastructure::Bogon);
        if class.is_none() {
            found.add(
                &format!("origin.infrastructure[{at}].class"),
                format!("{:?}: one of cdn, eyeball, hosting, scanner, tor, vpn is allowed", list.class),
            );
        }
    }
    for (at, label) in settings.origin.label.iter().enumerate() {
        if label.name.trim().is_empty() || label.name.chars().any(char::is_control) {
            found.add(
                &format!("origin.label[{at}].name"),
                format!("{:?}: a name without control characters is needed", label.name),
            );
        }
    }
}

/// The longest window: what is kept of a source is forgotten after a day.
const WINDOW_MAX_SECS: u32 = 86_400;
/// The most acts that a threshold may ask for: so many of one source are kept while it is not judged, and some are spare.
const ACTS_MAX: u32 = 48;
/// The most sources or targets that a threshold upon many sources may ask for.
const CROWD_MAX: u32 = 1_000;

fn scan(scan: &Scan, found: &mut Found) {
    found.range("scan.net_failures_min", scan.net_failures_min, 3, 40);
    for (name, window, targets, least) in [
        ("vertical", scan.vertical.window_secs, scan.vertical.targets_min, 3),
        ("horizontal", scan.horizontal.window_secs, scan.horizontal.targets_min, 2),
        ("slow", scan.slow.window_secs, scan.slow.targets_min, 5),
        ("stealth", scan.stealth.window_secs, scan.stealth.targets_min, 2),
        ("udp", scan.udp.window_secs, scan.udp.targets_min, 2),
        ("icmp_sweep", scan.icmp_sweep.window_secs, scan.icmp_sweep.targets_min, 2),
        ("tls_names", scan.tls_names.window_secs, scan.tls_names.targets_min, 2),
        ("tls_handshakes", scan.tls_handshakes.window_secs, scan.tls_handshakes.targets_min, 2),
        ("dns_names", scan.dns_names.window_secs, scan.dns_names.targets_min, 2),
    ] {
        found.range(&format!("scan.{name}.window_secs"), window, 1, WINDOW_MAX_SECS);
        found.range(&format!("scan.{name}.targets_min"), targets, least, ACTS_MAX);
    }
    found.range("scan.vertical.burst_min", scan.vertical.burst_min, 3, ACTS_MAX);
    found.range("scan.vertical.burst_secs", scan.vertical.burst_secs, 1, 3_600);
    let share = scan.slow.answered_max;
    if !(0.0..=1.0).contains(&share) {
        found.add("scan.slow.answered_max", format!("{share}: 0 to 1 is allowed"));
    }
    found.range("scan.distributed.window_secs", scan.distributed.window_secs, 1, WINDOW_MAX_SECS);
    found.range("scan.distributed.sources_min", scan.distributed.sources_min, 5, CROWD_MAX);
    found.range("scan.distributed.targets_min", scan.distributed.targets_min, 5, CROWD_MAX);
}

fn login(login: &Login, found: &mut Found) {
    for (name, guessing) in [
        ("web", login.web.bucket()),
        ("ssh", login.ssh.bucket()),
        ("mail", login.mail.bucket()),
        ("ftp", login.ftp.bucket()),
        ("telnet", login.telnet.bucket()),
        ("remote", login.remote.bucket()),
        ("db", login.db.bucket()),
        ("voip", login.voip.bucket()),
    ] {
        found.range(&format!("login.{name}.refusals_min"), guessing.refusals_min, 2, ACTS_MAX);
        found.range(&format!("login.{name}.leak_secs"), guessing.leak_secs, 1, 3_600);
    }
    found.range("login.slow.refusals_min", login.slow.refusals_min, 2, ACTS_MAX);
    found.range("login.slow.window_secs", login.slow.window_secs, 1, WINDOW_MAX_SECS);
    found.range("login.spraying.accounts_min", login.spraying.accounts_min, 2, ACTS_MAX);
    found.range("login.spraying.window_secs", login.spraying.window_secs, 1, WINDOW_MAX_SECS);
    found.range("login.distributed.sources_min", login.distributed.sources_min, 3, CROWD_MAX);
    found.range("login.distributed.window_secs", login.distributed.window_secs, 1, WINDOW_MAX_SECS);
    found.range("login.stuffing.sources_min", login.stuffing.sources_min, 5, CROWD_MAX);
    found.range("login.stuffing.window_secs", login.stuffing.window_secs, 1, WINDOW_MAX_SECS);
    found.range("login.stuffing.factor", login.stuffing.factor, 1, 1_000);
}

fn flood(flood: &Flood, found: &mut Found) {
    for (name, limit) in [
        ("syn", flood.syn.bounds()),
        ("ack", flood.ack.bounds()),
        ("udp", flood.udp.bounds()),
        ("udp_forged", flood.udp_forged.bounds()),
        ("icmp", flood.icmp.bounds()),
        ("fragment", flood.fragment.bounds()),
        ("reflection", flood.reflection.bounds(false)),
        ("reflector", flood.reflector.bounds()),
        ("asked", flood.asked.bounds()),
        ("http", flood.http.bounds()),
        ("tls", flood.tls.bounds()),
        ("connect", flood.connect.bounds()),
        ("slow_network", flood.slow_network.bounds()),
    ] {
        found.range(&format!("flood.{name}.per_second_min"), limit.per_second_min, 10, 100_000_000);
        found.range(&format!("flood.{name}.factor"), limit.factor, 1, 1_000);
        found.range(&format!("flood.{name}.sustained_secs"), limit.sustained_secs, 1, 60);
    }
    let large = flood.reflection.large_per_second_min;
    found.range("flood.reflection.large_per_second_min", large, 10, 100_000_000);
    let site = &flood.http_site;
    found.range("flood.http_site.per_second_min", site.per_second_min, 20, 100_000_000);
    found.range("flood.http_site.factor", site.factor, 1, 1_000);
    found.range("flood.http_site.sustained_secs", site.sustained_secs, 1, 60);
    found.range("flood.http_site.sources_min", site.sources_min, 2, 100_000);
    found.range("flood.slow.of_source_min", flood.slow.of_source_min, 2, 100_000);
    found.range("flood.slow.sustained_secs", flood.slow.sustained_secs, 1, 60);
}

fn proxies(settings: &Settings, found: &mut Found) {
    for (at, proxy) in settings.origin.proxy.iter().enumerate() {
        let key = format!("origin.proxy[{at}].header");
        let name = proxy.header.as_str();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_token) {
            found.add(&key, format!("{name:?}: a field name such as \"CF-Connecting-IP\" is wanted"));
        } else if name.eq_ignore_ascii_case("x-forwarded-for") || name.eq_ignore_ascii_case("forwarded") {
            found.add(
                &key,
                format!("{name:?} is a list: put the proxy's networks into origin.trusted_proxies instead"),
            );
        }
        if proxy.networks.is_empty() {
            found.add(
                &format!("origin.proxy[{at}].networks"),
                "is empty: name the proxy's networks".to_owned(),
            );
        }
    }
    let names = settings.origin.naming_headers().len();
    if names > NAMING_HEADERS_MAX {
        found.add("origin.proxy", format!("names {names} different headers: {NAMING_HEADERS_MAX} at most"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_one_of_the_database() {
        let of =
            |zone: &str| -> Settings { toml::from_str(&format!("[report]\ntime_zone = {zone:?}")).unwrap() };
        let known = if has_no_zones() { "UTC" } else { "Asia/Shanghai" };
        assert!(check(&of(known)).is_empty() && warnings(&of(known)).is_empty());
        let complaints = check(&of("Asia/Atlantis"));
        if has_no_zones() {
            assert!(warnings(&of("Asia/Atlantis"))[0].contains("tzdata"));
        } else {
            assert!(
                complaints[0].0 == "report.time_zone" && complaints[0].1.contains("Atlantis"),
                "{complaints:?}"
            );
        }
    }

    #[test]
    fn lists_and_naming_proxies_are_checked() {
        let complaints = |text: &str| {
            let settings: Settings = toml::from_str(text).unwrap();
            check(&settings).into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        let list = |class: &str| format!("[[origin.infrastructure]]\nclass = {class:?}\nfile = \"/x\"\n");
        for class in ["cdn", "eyeball", "hosting", "scanner", "tor", "vpn"] {
            assert!(complaints(&list(class)).is_empty(), "{class}");
        }
        for class in ["bogon", "Tor", ""] {
            assert_eq!(complaints(&list(class)), ["origin.infrastructure[0].class"], "{class}");
        }
        let proxy =
            |header: &str| format!("[[origin.proxy]]\nnetworks = [\"9.0.0.0/8\"]\nheader = {header:?}\n");
        assert!(complaints(&proxy("CF-Connecting-IP")).is_empty());
        for header in ["", "a b", "X-Forwarded-For", "forwarded", "x:"] {
            assert_eq!(complaints(&proxy(header)), ["origin.proxy[0].header"], "{header}");
        }
        let many: String = (0..9).map(|number| proxy(&format!("X-Client-{number}"))).collect();
        assert_eq!(complaints(&many), ["origin.proxy"]);
        assert_eq!(
            complaints("[[origin.proxy]]\nnetworks = []\nheader = \"X-Client\"\n"),
            ["origin.proxy[0].networks"]
        );
        assert_eq!(complaints("[origin]\ndatabase_age_max_days = 0\n"), ["origin.database_age_max_days"]);
        let wide: Settings = toml::from_str(&proxy("X-Client").replace("9.0.0.0/8", "::/0")).unwrap();
        assert!(warnings(&wide)[0].contains("origin.proxy"));
    }

    #[test]
    fn the_format_names_are_those_of_the_table() {
        assert_eq!(
            crate::report::format::FORMATS.iter().map(|row| row.name).collect::<Vec<_>>(),
            FORMAT_NAMES
        );
    }

    #[test]
    fn thresholds_of_behaviour_have_ranges() {
        for (text, key) in [
            ("[scan]\nnet_failures_min = 2", "scan.net_failures_min"),
            ("[scan.vertical]\nburst_min = 49", "scan.vertical.burst_min"),
            ("[scan.slow]\nanswered_max = 1.5", "scan.slow.answered_max"),
            ("[scan.udp]\nwindow_secs = 0", "scan.udp.window_secs"),
            ("[scan.distributed]\nsources_min = 1", "scan.distributed.sources_min"),
            ("[login.ssh]\nrefusals_min = 1", "login.ssh.refusals_min"),
            ("[login.stuffing]\nfactor = 0", "login.stuffing.factor"),
            ("[flood.slow]\nsustained_secs = 61", "flood.slow.sustained_secs"),
        ] {
            let settings: Settings = toml::from_str(text).unwrap();
            assert_eq!(check(&settings).into_iter().map(|(key, _)| key).collect::<Vec<_>>(), [key]);
        }
        let all = "[flood.udp]\nper_second_min = 1\nfactor = 0\nsustained_secs = 0";
        assert_eq!(check(&toml::from_str(all).unwrap()).len(), 3);
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(check(&Settings::default()), []);
    }
}
