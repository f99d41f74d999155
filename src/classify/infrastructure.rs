//! The operator's lists of kinds of network: Tor exits, VPNs, clouds, known scanners.
//!
//! A list is text: an address or network a line, `#` begins a comment. Of several networks around an address the most
//! specific one counts; the same network in two lists belongs to the first.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::classify::database::{GeoError, read_file};
use crate::classify::geo::hex;
use crate::config::origin::Network;
use crate::model::origin::Infrastructure;

/// Size of a list at most; a million networks with comments have less.
const FILE_MAX_BYTES: u64 = 64 << 20;
/// Networks of all lists together: at 64 bytes for each, 64 MiB. All clouds and all Tor exits are a tenth of it.
const NETWORKS_MAX: usize = 1 << 20;
/// IPv6 sources are told apart by their /64, so a list is read as finely as that.
const FINEST_V6: u8 = 64;

/// A span of addresses up to the next one, and its class, if it has one.
type Span<T> = (T, Option<Infrastructure>);

/// The lists, sorted for look-ups.
#[derive(Debug, Default)]
pub struct Lists {
    /// As read, in order.
    read: Vec<(IpNet, Infrastructure)>,
    v4: Vec<Span<u32>>,
    v6: Vec<Span<u128>>,
    networks: usize,
    /// SHA-256 of the files, one after the other.
    hash: Sha256,
}

impl Lists {
    /// Reads lists of the given classes.
    pub fn open<'p>(files: impl IntoIterator<Item = (Infrastructure, &'p Path)>) -> Result<Self, GeoError> {
        let mut lists = Self::default();
        for (class, path) in files {
            read_file(path, FILE_MAX_BYTES)
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is no text (UTF-8)".to_owned()))
                .and_then(|text| lists.add(class, &text))
                .map_err(|complaint| GeoError { path: path.to_owned(), complaint })?;
        }
        Ok(lists.sorted())
    }

    /// Adds the networks of one text.
    pub fn add(&mut self, class: Infrastructure, text: &str) -> Result<(), String> {
        self.hash.update(class.name().as_bytes());
        self.hash.update(Sha256::digest(text.as_bytes()));
        for (number, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            let shown: String = entry.chars().take(64).collect();
            let network: Network =
                entry.parse().map_err(|_| format!("line {}: {shown:?} is neither an address nor a network such as 192.0.2.0/24; one a line is allowed, and comments after #", number + 1))?;
            if self.read.len() >= NETWORKS_MAX {
                return Err(format!(
                    "line {}: more than {NETWORKS_MAX} networks in all lists together",
                    number + 1
                ));
            }
            self.read.push((canonical(network.0), class));
        }
        Ok(())
    }

    /// Ready for look-ups.
    #[must_use]
    pub fn sorted(self) -> Self {
        let networks = self.read.len();
        // A stable sort: of equal networks the first read comes first.
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for (network, class) in self.read {
            match network {
                IpNet::V4(net) => v4.push((u32::from(net.network()), u32::from(net.broadcast()), class)),
                IpNet::V6(net) => v6.push((u128::from(net.network()), u128::from(net.broadcast()), class)),
            }
        }
        let (v4, v6) = (spans(v4, |last| last.checked_add(1)), spans(v6, |last| last.checked_add(1)));
        Self { read: Vec::new(), v4, v6, networks, hash: self.hash }
    }

    /// Networks in all lists.
    pub const fn len(&self) -> usize {
        self.networks
    }

    /// SHA-256 over the lists and their classes.
    pub fn hash(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.networks == 0
    }

    /// The class of an address.
    pub fn class(&self, address: IpAddr) -> Option<Infrastructure> {
        match address.to_canonical() {
            IpAddr::V4(v4) => at(&self.v4, &u32::from(v4)),
            IpAddr::V6(v6) => at(&self.v6, &u128::from(v6)),
        }
    }
}

/// IPv4 written as IPv6 is IPv4; what is finer than a source becomes its source.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else { return network };
    if let (Some(four), 96..) = (six.network().to_ipv4_mapped(), six.prefix_len()) {
        return IpNet::new(four.into(), six.prefix_len() - 96).unwrap_or(network);
    }
    let length = six.prefix_len().min(FINEST_V6);
    ipnet::Ipv6Net::new(six.network(), length).map_or(network, |net| IpNet::V6(net.trunc()))
}

fn at<T: Ord>(spans: &[Span<T>], address: &T) -> Option<Infrastructure> {
    let after = spans.partition_point(|(start, _)| start <= address);
    spans.get(after.checked_sub(1)?)?.1
}

/// Cuts nested networks (first address, last address, class) into spans that follow one another, the inner one on top.
fn spans<T: Copy + Ord>(
    mut networks: Vec<(T, T, Infrastructure)>,
    next: impl Fn(T) -> Option<T>,
) -> Vec<Span<T>> {
    networks.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    networks.dedup_by(|later, earlier| (later.0, later.1) == (earlier.0, earlier.1));
    let mut found: Vec<Span<T>> = Vec::with_capacity(networks.len() * 2);
    // Networks around the current one: networks either nest or are apart, so a stack is enough, at most 129 deep.
    let mut around: Vec<(T, Infrastructure)> = Vec::new();
    let mut push = |start: T, class: Option<Infrastructure>| match found.last_mut() {
        Some(last) if last.0 == start => last.1 = class,
        Some(last) if last.1 == class => {}
        _ => found.push((start, class)),
    };
    let close = |around: &mut Vec<(T, Infrastructure)>, push: &mut dyn FnMut(T, Option<Infrastructure>)| {
        if let Some((last, _)) = around.pop()
            && let Some(after) = next(last)
        {
            push(after, around.last().map(|(_, class)| *class));
        }
    };
    for (first, last, class) in networks {
        while around.last().is_some_and(|(end, _)| *end < first) {
            close(&mut around, &mut push);
        }
        push(first, Some(class));
        around.push((last, class));
    }
    while !around.is_empty() {
        close(&mut around, &mut push);
    }
    found.shrink_to_fit();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    use Infrastructure::{Cdn, Eyeball, Hosting, Scanner, Tor, Vpn};

    fn lists(texts: &[(Infrastructure, &str)]) -> Lists {
        let mut lists = Lists::default();
        for (class, text) in texts {
            lists.add(*class, text).unwrap();
        }
        lists.sorted()
    }

    #[test]
    fn the_most_specific_network_wins_and_of_equals_the_first() {
        let lists = lists(&[
            (Hosting, "9.0.0.0/8 # a cloud\n\n2a00:1450::/32\n"),
            (Tor, "9.1.2.3\n9.1.2.4/32\n# none\n2a00:1450:1::9\n255.255.255.255"),
            (Vpn, "9.1.0.0/16\n9.1.2.3\n9.0.0.0/8\n::ffff:9.9.9.9\n"),
            (Scanner, "0.0.0.0/2"),
            (Cdn, "2a00:1450:1::/48\nffff:ffff:ffff:ffff::/64"),
        ]);
        for (address, class) in [
            ("9.1.2.3", Some(Tor)),
            ("9.1.2.4", Some(Tor)),
            ("9.1.2.5", Some(Vpn)),
            ("9.2.0.0", Some(Hosting)),
            ("9.255.255.255", Some(Hosting)),
            ("9.9.9.9", Some(Vpn)),
            ("10.0.0.0", Some(Scanner)),
            ("0.0.0.0", Some(Scanner)),
            ("63.255.255.255", Some(Scanner)),
            ("64.0.0.0", None),
            ("255.255.255.255", Some(Tor)),
            ("255.255.255.254", None),
            ("2a00:1450:2::1", Some(Hosting)),
            ("2a00:1450:1:1::1", Some(Cdn)),
            // An IPv6 source is a /64.
            ("2a00:1450:1::1", Some(Tor)),
            ("2a00:1451::", None),
            ("ffff:ffff:ffff:ffff:ffff::", Some(Cdn)),
        ] {
            assert_eq!(lists.class(address.parse().unwrap()), class, "{address}");
        }
        assert_eq!(lists.len(), 13);
    }

    #[test]
    fn a_broken_line_is_named() {
        let refused = |text: &str| Lists::default().add(Eyeball, text).unwrap_err();
        assert!(refused("9.1.2.3\n# x\n9.1.2.0/33\n").starts_with("line 3: \"9.1.2.0/33\""));
        assert!(refused("9.1.2.3 9.1.2.4").starts_with("line 1"));
        assert!(refused(&"x".repeat(10_000)).len() < 300);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tor.txt");
        std::fs::write(&path, "9.1.2.3\nexit\n").unwrap();
        let error = Lists::open([(Tor, path.as_path())]).unwrap_err().to_string();
        assert!(error.contains("tor.txt: line 2: \"exit\""), "{error}");
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(Lists::open([(Tor, path.as_path())]).is_err());
        assert!(Lists::open([(Tor, folder.path())]).unwrap_err().to_string().contains("no regular file"));
    }

    proptest::proptest! {
        #[test]
        fn spans_say_what_a_plain_search_says(
            networks in proptest::collection::vec((0_u32..0x2000, 19_u8..=32, 0_usize..4), 0..40),
            asked in proptest::collection::vec(0_u32..0x2800, 50),
        ) {
            let classes = [Tor, Vpn, Cdn, Hosting];
            let networks: Vec<(IpNet, Infrastructure)> = networks
                .into_iter()
                .map(|(bits, length, class)| {
                    (IpNet::new(IpAddr::from(bits.to_be_bytes()), length).unwrap().trunc(), classes[class])
                })
                .collect();
            let mut lists = Lists::default();
            for (network, class) in &networks {
                lists.add(*class, &network.to_string()).unwrap();
            }
            let lists = lists.sorted();
            for bits in asked {
                let address = IpAddr::from(bits.to_be_bytes());
                // The last of the longest would be taken by `max_by_key`: the first is wanted.
                let plain = networks.iter().rev().filter(|(network, _)| network.contains(&address));
                let plain = plain.max_by_key(|(network, _)| network.prefix_len()).map(|(_, class)| *class);
                proptest::prop_assert_eq!(lists.class(address), plain, "{}", address);
            }
        }
    }
}
