//! Reverse proxies: how they name the client, how they fail to, and how clients pretend to be one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::conversation::{Conversation, Course, Sender};
use super::countries::{SPACES, Space};
use super::plan::{Proxied, Stream};
use super::random::Random;
use super::schedule::heavy_tailed;

/// How a client is named.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Chain,
    Forwarded,
    ForwardedBehindForged,
    ProxyV1,
    ProxyV2,
    XForwardedFor,
    XForwardedForBehindForged,
}

/// In rotation.
const FORMS: [Form; 7] = [
    Form::XForwardedFor,
    Form::Forwarded,
    Form::ProxyV1,
    Form::ProxyV2,
    Form::XForwardedForBehindForged,
    Form::ForwardedBehindForged,
    Form::Chain,
];

/// Puts a proxy before the client of a conversation, or has the client forge one, as the plan's percentages have it.
pub fn dress(conversation: &mut Conversation, settings: &Proxied, stream: Stream, random: &mut Random) {
    match stream {
        Stream::Attack(space) if random.chance(settings.named_percent) => {
            named(conversation, settings, space, random);
        }
        Stream::Attack(_) if random.chance(settings.forged_percent) => forged(conversation, settings, random),
        Stream::Nameless => nameless(conversation, settings, random),
        _ => {}
    }
}

/// A connection of a proxy. One that writes header fields may carry the requests of several clients of a country.
fn named(conversation: &mut Conversation, settings: &Proxied, space: &Space, random: &mut Random) {
    debug_assert_eq!(conversation.course, Course::Full);
    let first = conversation.client.ip();
    let form = *random.pick(&FORMS);
    let proxy = stand_in(conversation, settings, random);
    let (server, peer) = (conversation.server, conversation.client);
    for (number, exchange) in conversation.exchanges.iter_mut().enumerate() {
        let shared = matches!(form, Form::Chain | Form::ProxyV1 | Form::ProxyV2);
        let client = if number == 0 || shared {
            first
        } else {
            let six = random.chance(20);
            space.source(heavy_tailed(random), six)
        };
        exchange.sender = Sender::Named(client);
        let claim = Claim { client, proxy, peer, server, opens: number == 0 };
        name(&mut exchange.request, form, &claim, random);
    }
}

/// A client that is no proxy says what a proxy would; nobody must believe it.
fn forged(conversation: &mut Conversation, settings: &Proxied, random: &mut Random) {
    let form = *random.pick(&FORMS);
    let client = random.pick(SPACES).source(random.next(), false);
    let proxy = (*random.pick(&settings.v4)).into();
    let (server, peer) = (conversation.server, conversation.client);
    for (number, exchange) in conversation.exchanges.iter_mut().enumerate() {
        let claim = Claim { client, proxy, peer, server, opens: number == 0 };
        name(&mut exchange.request, form, &claim, random);
    }
}

/// A connection of a proxy that says nothing of use.
fn nameless(conversation: &mut Conversation, settings: &Proxied, random: &mut Random) {
    let way = random.below(7);
    stand_in(conversation, settings, random);
    let [one, other, ..] = settings.v4.as_slice() else { return };
    for (number, exchange) in conversation.exchanges.iter_mut().enumerate() {
        exchange.sender = Sender::Nameless;
        let request = &mut exchange.request;
        match way {
            1 => field(request, "X-Forwarded-For: unknown"),
            2 => field(request, "Forwarded: for=_hidden;proto=https"),
            // What stands to the left of something that is no address was not written by a proxy one trusts.
            3 => field(request, &format!("X-Forwarded-For: {}, unknown", foreign(random))),
            4 => field(request, &format!("X-Forwarded-For: {one}, {other}")),
            5 if number == 0 => preface(request, b"PROXY UNKNOWN\r\n".to_vec()),
            6 if number == 0 => preface(request, v2_head(0x20, 0, 0)),
            // Not a word.
            _ => {}
        }
    }
}

/// Puts a proxy in the place of the peer and gives back another one.
fn stand_in(conversation: &mut Conversation, settings: &Proxied, random: &mut Random) -> IpAddr {
    let proxy = if conversation.server.is_ipv6() {
        IpAddr::V6(*random.pick(&settings.v6))
    } else {
        IpAddr::V4(*random.pick(&settings.v4))
    };
    conversation.client.set_ip(proxy);
    let others: Vec<Ipv4Addr> =
        settings.v4.iter().copied().filter(|address| IpAddr::V4(*address) != proxy).collect();
    IpAddr::V4(*random.pick(&others))
}

/// What a proxy, or somebody who plays one, has to say.
struct Claim {
    client: IpAddr,
    /// Another proxy of the operator.
    proxy: IpAddr,
    peer: SocketAddr,
    server: SocketAddr,
    /// Whether it is said of the first request.
    opens: bool,
}

fn name(request: &mut Vec<u8>, form: Form, claim: &Claim, random: &mut Random) {
    let Claim { client, proxy, opens, .. } = claim;
    let port = random.between(1_024, 65_535);
    let quoted = match client {
        IpAddr::V4(v4) => format!("\"{v4}:{port}\""),
        IpAddr::V6(v6) => format!("\"[{v6}]:{port}\""),
    };
    match form {
        Form::XForwardedFor => field(request, &format!("X-Forwarded-For: {client}")),
        Form::XForwardedForBehindForged => {
            field(request, &format!("X-Forwarded-For: {}, {client}, {proxy}", foreign(random)));
        }
        Form::Forwarded => field(request, &format!("Forwarded: for={quoted};proto=https")),
        Form::ForwardedBehindForged => {
            let left = foreign(random);
            field(request, &format!("Forwarded: for={left};proto=http, By=_edge;For={quoted}, for={proxy}"));
        }
        // The balancer names the second proxy, which names the client in every request.
        Form::Chain => {
            field(request, &format!("X-Forwarded-For: {client}"));
            if *opens {
                preface(request, v1(*proxy, claim));
            }
        }
        Form::ProxyV1 if *opens => preface(request, v1(*client, claim)),
        Form::ProxyV2 if *opens => preface(request, v2(*client, claim)),
        Form::ProxyV1 | Form::ProxyV2 => {}
    }
}

/// An address that the client itself wrote into the header before the proxy saw it.
fn foreign(random: &mut Random) -> IpAddr {
    random.pick(SPACES).source(random.next(), false)
}

/// Behind the request line.
fn field(request: &mut Vec<u8>, line: &str) {
    let end = request.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
    request.splice(end..end, format!("{line}\r\n").into_bytes());
}

fn preface(request: &mut Vec<u8>, bytes: Vec<u8>) {
    request.splice(0..0, bytes);
}

/// The address of the proxy's own end, of the client's family.
fn own_end(client: IpAddr, server: SocketAddr) -> IpAddr {
    match (client, server.ip()) {
        (IpAddr::V4(_), v4 @ IpAddr::V4(_)) => v4,
        (IpAddr::V6(_), v6 @ IpAddr::V6(_)) => v6,
        (IpAddr::V4(_), _) => Ipv4Addr::new(203, 0, 113, 99).into(),
        (IpAddr::V6(_), _) => Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x99).into(),
    }
}

fn v1(client: IpAddr, claim: &Claim) -> Vec<u8> {
    let family = if client.is_ipv6() { "TCP6" } else { "TCP4" };
    let server = own_end(client, claim.server);
    format!("PROXY {family} {client} {server} {} {}\r\n", claim.peer.port(), claim.server.port()).into_bytes()
}

fn v2(client: IpAddr, claim: &Claim) -> Vec<u8> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let mut addresses = octets(client);
    addresses.extend(octets(own_end(client, claim.server)));
    addresses.extend(claim.peer.port().to_be_bytes());
    addresses.extend(claim.server.port().to_be_bytes());
    let family = if client.is_ipv6() { 0x21 } else { 0x11 };
    let mut bytes = v2_head(0x21, family, addresses.len() as u16);
    bytes.extend(addresses);
    bytes
}

/// Signature, version and command, family, length.
fn v2_head(command: u8, family: u8, length: u16) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(length.to_be_bytes());
    bytes
}
