//! SSDP (`UPnP` Device Architecture 2.0 §1): discovery by multicast. Multicast itself is not followed; what comes here was sent to
//! one address.

use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::found::Oddity;

/// Bytes of a message that are read: real ones have 100 to 400.
const READ_MAX_BYTES: usize = 1_024;

/// Control points that ask one device write its own address into `HOST` (§1.3.2), and ask for the kind of device that they
/// look for: a text made for the multicast group that asks a single host for all it has looks for amplifiers.
pub static SEARCH: Oddity = Oddity {
    id: "ssdp.search",
    class: Class::ScanService,
    weight: 0.92,
    title: "UPnP search for everything, made for multicast and sent to one address: a probe for an amplifier",
};

/// Its row of the table.
pub const ROW: DatagramRow = DatagramRow {
    name: "ssdp",
    recognise: |message| {
        let is = |beginning: &[u8]| message.bytes.starts_with(beginning);
        match message.from {
            Side::Client => is(b"M-SEARCH * HTTP/1.") || is(b"NOTIFY * HTTP/1."),
            Side::Server => message.port == 1_900 && is(b"HTTP/1."),
        }
    },
    read,
    reflector_port: Some(1_900),
    oddities: &[&SEARCH],
};

fn read(message: &Message<'_>, _: &mut u64, sink: &mut dyn Sink) {
    let bytes = message.bytes.get(..READ_MAX_BYTES).unwrap_or(message.bytes);
    if message.from == Side::Server || !bytes.starts_with(b"M-SEARCH ") {
        return;
    }
    let target = field(bytes, b"ST").unwrap_or_default();
    let wants_all = [&b"ssdp:all"[..], b"upnp:rootdevice"].iter().any(|all| target.eq_ignore_ascii_case(all));
    let host = field(bytes, b"HOST").unwrap_or_default();
    let is_for_many = host.starts_with(b"239.255.255.250")
        || host.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(b"[ff"));
    if wants_all && is_for_many {
        sink.oddity(&message.at, &SEARCH, target);
    }
}

/// The value of a header field.
fn field<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    bytes.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (found, value) = line.split_at_checked(colon)?;
        found.trim_ascii().eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::datagram::listening::Told;

    fn search(host: &str, target: &str) -> Vec<u8> {
        format!(
            "M-SEARCH * HTTP/1.1\r\nHost: {host}\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nSt:{target}\r\n\r\n"
        )
        .into()
    }

    #[test]
    fn a_search_for_everything_sent_to_one_host_is_a_probe_and_one_for_a_device_is_not() {
        for (host, target, ids) in [
            ("239.255.255.250:1900", "ssdp:all", &["ssdp.search"][..]),
            ("239.255.255.250:1900", "upnp:rootdevice", &["ssdp.search"]),
            ("[FF02::C]:1900", "ssdp:all", &["ssdp.search"]),
            ("192.0.2.1:1900", "ssdp:all", &[]),
            ("239.255.255.250:1900", "urn:schemas-upnp-org:device:InternetGatewayDevice:1", &[]),
        ] {
            assert_eq!(Told::of(&ROW, &search(host, target), 1_900).ids(), ids, "{host} {target}");
        }
        let notify = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: ssdp:all\r\n\r\n";
        assert_eq!(Told::of(&ROW, notify, 1_900), Told::default());
        let whole = search("239.255.255.250:1900", "ssdp:all");
        for keep in 0..whole.len() {
            Told::of(&ROW, &whole[..keep], 1_900);
        }
    }
}
