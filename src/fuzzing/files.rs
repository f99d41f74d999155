//! The files that an operator or a supplier gives: settings, rules, templates, lists, databases, captures; and what the daemon answers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ipnet::IpNet;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::state::Status;
use crate::app::top::draw::draw;
use crate::app::top::view::{Act, View};
use crate::app::{geo_build, status};
use crate::capture::{Lost, Sink, replay};
use crate::classify::database::Database;
use crate::classify::geo::Geo;
use crate::classify::infrastructure::Lists;
use crate::config::origin::Network;
use crate::config::{Settings, load, print};
use crate::detect::rules::RuleSet;
use crate::fuzzing::input::{Folder, Input};
use crate::model::frame::Frame;
use crate::model::origin::Infrastructure;
use crate::model::time::Timestamp;
use crate::report::statement::template::Template;
use crate::report::zone::Zone;

/// Steps of 256 networks that a hostile database is walked for, where a daemon would look at its clock.
const PATIENCE: u32 = 64;

/// The settings file and one drop-in. What is accepted reads back equal from what `check` prints.
pub fn settings(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (Some(main), rest) = (input.piece(), input.0) else { return };
    let folder = Folder::new();
    let file = folder.file("gatewatch.toml", main);
    if !rest.is_empty() {
        std::fs::create_dir(folder.path().join("conf.d")).expect("a folder");
        folder.file("conf.d/10.toml", rest);
    }
    let Ok(loaded) = load::load(Some(&file), &[]) else { return };
    let printed = print::effective(&loaded.settings, &BTreeMap::new());
    let read: Settings = toml::from_str(&printed).expect("what is printed is TOML");
    assert!(read == loaded.settings, "{printed}");
}

/// A file of rules, by itself.
pub fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(rules) = RuleSet::of(&[("fuzzed", text)]) {
        assert!(rules.rules().iter().all(|rule| (0.0..=1.0).contains(&rule.weight)));
    }
}

/// The wording of a statement.
pub fn template(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        _ = Template::read("fuzzed", text);
    }
}

/// Two lists of networks. Of the networks around an address the most specific counts, of equal ones the first, as a plain
/// search finds it.
pub fn lists(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (Some(first), second) = (input.piece(), input.0) else { return };
    let mut lists = Lists::default();
    let mut plain: Vec<(IpNet, Infrastructure)> = Vec::new();
    for (class, bytes) in [(Infrastructure::Tor, first), (Infrastructure::Vpn, second)] {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if lists.add(class, text).is_err() {
            return;
        }
        let entries = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let networks = entries.filter_map(|entry| entry.parse::<Network>().ok());
        plain.extend(networks.map(|network| (network.0.trunc(), class)));
    }
    let lists = lists.sorted();
    assert_eq!(lists.len(), plain.len());
    // Those written as IPv4 within IPv6, or finer than a source, are read as something else.
    let is_as_written = |net: &IpNet| match net {
        IpNet::V4(_) => true,
        IpNet::V6(six) => {
            six.prefix_len() <= 64 && six.network().to_ipv4_mapped().is_none() && six.prefix_len() > 0
        }
    };
    if plain.len() > 64 || !plain.iter().all(|(network, _)| is_as_written(network)) {
        return;
    }
    for address in plain.iter().flat_map(|(net, _)| [net.network(), net.broadcast()]) {
        let around = plain.iter().rev().filter(|(net, _)| net.contains(&address));
        let wanted = around.max_by_key(|(net, _)| net.prefix_len()).map(|(_, class)| *class);
        if !matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()) {
            assert_eq!(lists.class(address), wanted, "{address}");
        }
    }
}

/// A geolocation database.
pub fn mmdb(bytes: &[u8]) {
    let left = Cell::new(PATIENCE);
    let patience = || {
        left.set(left.get().saturating_sub(1));
        left.get() > 0
    };
    let Ok(database) = Database::from_bytes(bytes.to_vec(), "fuzzed", &patience) else { return };
    left.set(PATIENCE);
    let all: u64 = database.addresses(&patience).values().sum();
    assert!(all <= 1 << 32, "{all} addresses of IPv4");
    for network in ["198.51.100.0/24", "2001:db8::/48"] {
        let network: IpNet = network.parse().expect("a network");
        let places: u128 = database.places_within(network).values().sum();
        assert_eq!(places, 1 << (network.max_prefix_len() - network.prefix_len()));
    }
    let mut geo = Geo::new(vec![database]);
    for address in ["8.8.8.8", "93.184.216.34", "2001:200::1", "::ffff:8.8.8.8"] {
        _ = geo.look_up(address.parse().expect("an address"));
    }
}

/// Lines of ranges, as `geo build` takes them.
pub fn ranges(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        _ = geo_build::parse(line);
    }
}

/// Looks that no frame is longer than its wire.
#[derive(Default)]
struct Frames(u64);

impl Sink for Frames {
    fn frame(&mut self, _: &Frame<'_>) {
        self.0 += 1;
    }
    fn observed(&mut self, from: Timestamp, to: Timestamp) {
        assert!(from <= to);
    }
    fn down(&mut self, _: i64) {}
    fn lost(&mut self, _: Lost) {}
    fn stepped(&mut self, _: Timestamp) {}
    fn tick(&mut self, _: Option<Timestamp>) {}
}

/// A capture file, plain or compressed, with a second one that its frames are merged with.
pub fn capture(bytes: &[u8]) {
    let folder = Folder::new();
    let paths = [folder.file("a.pcap", bytes), folder.file("b.pcap", ONE_FRAME)];
    let mut frames = Frames::default();
    let stop = AtomicBool::new(false);
    let read = replay::replay(&paths, "", &mut frames, &stop);
    assert!(frames.0 > 0 && read.files > 0, "the other file is read, whatever the first one is");
    let mut frames = Frames::default();
    replay::replay(&paths[..1], "tcp port 80", &mut frames, &stop);
}

/// A capture file of one raw IP packet of one byte.
const ONE_FRAME: &[u8] = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x01\0\x65\0\0\0\0\0\0\x4f\0\0\0\0\x01\0\0\0\x01\0\0\0E";

/// What the status socket answers, as `status` and `top` show it: nothing on the screen moves it.
pub fn status(bytes: &[u8]) {
    let Ok(status) = serde_json::from_slice::<Status>(bytes) else { return };
    _ = status::describe(&status);
    for (columns, lines) in [(80, 24), (30, 9), (1, 1)] {
        let mut view = View::new(Zone::default());
        for second in 0..3 {
            view.take(Duration::from_secs(second), Ok(status.clone()));
            view.obey([Act::Sort, Act::NextSite, Act::NextClass][second as usize % 3]);
        }
        view.obey(Act::All);
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a screen");
        terminal.draw(|frame| draw(frame, &view)).expect("drawn");
        let cells = terminal.backend().buffer().content();
        assert!(!cells.iter().any(|cell| cell.symbol().contains(char::is_control)));
    }
}
