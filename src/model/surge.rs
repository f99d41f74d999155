//! What floods: one list of kinds, and one of the protocols whose servers reflect them.

use crate::model::attempt::Transport;
use crate::model::class::Class;

macro_rules! reflectors {
    ($($variant:ident $name:literal $port:literal $help:literal)*) => {
        /// A protocol over UDP whose servers answer a forged query with more than was asked.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reflector {
            $(#[doc = $help] $variant,)*
        }

        impl Reflector {
            /// Every protocol.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The one whose servers listen on a port.
            pub const fn of_port(port: u16) -> Option<Self> {
                match port {
                    $($port => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The port of its servers.
            pub const fn port(self) -> u16 {
                match self {
                    $(Self::$variant => $port,)*
                }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether honest clients fetch much by many questions in a row: a table of a device, a file, what a cache holds.
            pub const fn is_fetched_from(self) -> bool {
                matches!(self, Self::Memcached | Self::Snmp | Self::Tftp)
            }

            const fn kinds(self) -> [&'static str; 3] {
                match self {
                    $(Self::$variant => {
                        [concat!("reflect_", $name), concat!("reflector_", $name), concat!("asked_", $name)]
                    })*
                }
            }
        }
    };
}

reflectors! {
    Ard "ard" 3283 "Apple Remote Desktop"
    Bacnet "bacnet" 47808 "BACnet/IP"
    Chargen "chargen" 19 "character generator (RFC 864)"
    Cldap "cldap" 389 "LDAP over UDP"
    Coap "coap" 5683 "CoAP (RFC 7252)"
    Dns "dns" 53 "DNS (RFC 1035)"
    Dvr "dvr" 37810 "discovery of video recorders"
    Echo "echo" 7 "echo (RFC 862)"
    Ipmi "ipmi" 623 "IPMI"
    Mdns "mdns" 5353 "multicast DNS (RFC 6762), asked by unicast"
    Memcached "memcached" 11211 "memcached"
    Mssql "mssql" 1434 "SQL Server resolution"
    Netbios "netbios" 137 "`NetBIOS` names (RFC 1002)"
    Ntp "ntp" 123 "NTP modes 6 and 7"
    Portmap "portmap" 111 "ONC RPC port mapper (RFC 1833)"
    Qotd "qotd" 17 "quote of the day (RFC 865)"
    Rip "rip" 520 "RIP (RFC 1058)"
    Snmp "snmp" 161 "SNMP (RFC 1157)"
    Ssdp "ssdp" 1900 "SSDP"
    Stun "stun" 3478 "STUN (RFC 8489)"
    Tftp "tftp" 69 "TFTP (RFC 1350)"
    Ubnt "ubnt" 10001 "discovery of wireless bridges"
    WsDiscovery "wsd" 3702 "web services discovery"
}

/// What floods.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SurgeKind {
    /// TCP segments that belong to no conversation and open none: bare ACK, FIN, NULL, XMAS.
    Ack,
    /// Queries as they are forged to make a server watched here reflect.
    Asked(Reflector),
    /// TCP connections that one source completed.
    Connect,
    /// Fragments of IP datagrams.
    Fragment,
    /// HTTP requests of one source.
    Http,
    /// HTTP requests of all sources to one server; those of sources that come and go speak for honest traffic.
    HttpSite,
    /// ICMP messages.
    Icmp,
    /// Answers of reflectors to queries that the victim did not send.
    Reflect(Reflector),
    /// The same from a port that is on no list: large, of many sources.
    ReflectUnknown,
    /// Answers of a server watched here, to queries that were forged in somebody else's name: many times what was asked.
    Reflector(Reflector),
    /// RST segments that belong to no conversation.
    Rst,
    /// Conversations of one source that hold a request body unfinished.
    SlowBody,
    /// Conversations of one source that hold a request head unfinished.
    SlowHeader,
    /// Conversations of one network (IPv4 /24, IPv6 /48) that are held open in any of these ways.
    SlowNetwork,
    /// Conversations of one source that do not let the server send (a receive window of zero).
    SlowRead,
    /// SYN segments.
    Syn,
    /// SYN/ACK segments that answer no SYN: reflected ones, or those of a flood in this address's name.
    SynAck,
    /// TLS handshakes that one source began.
    Tls,
    /// UDP datagrams, those of reflectors included.
    Udp,
    /// The same where nearly each has another sender, and the victim says nothing.
    UdpForged,
}

impl SurgeKind {
    /// The name in evidence and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Asked(protocol) => {
                let [_, _, asked] = protocol.kinds();
                asked
            }
            Self::Connect => "connect",
            Self::Fragment => "fragment",
            Self::Http => "http",
            Self::HttpSite => "http_site",
            Self::Icmp => "icmp",
            Self::Reflect(protocol) => {
                let [reflect, ..] = protocol.kinds();
                reflect
            }
            Self::ReflectUnknown => "reflect_unknown",
            Self::Reflector(protocol) => {
                let [_, reflector, _] = protocol.kinds();
                reflector
            }
            Self::Rst => "rst",
            Self::SlowBody => "slow_body",
            Self::SlowHeader => "slow_header",
            Self::SlowNetwork => "slow_network",
            Self::SlowRead => "slow_read",
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::UdpForged => "udp_forged",
        }
    }

    /// The class that a flood of it is of.
    pub const fn class(self) -> Class {
        match self {
            Self::Ack | Self::Fragment | Self::Icmp | Self::Rst | Self::Syn | Self::Udp | Self::UdpForged => {
                Class::DosVolume
            }
            Self::Asked(_) | Self::Reflect(_) | Self::ReflectUnknown | Self::Reflector(_) | Self::SynAck => {
                Class::DosReflect
            }
            Self::Connect
            | Self::Http
            | Self::HttpSite
            | Self::SlowBody
            | Self::SlowHeader
            | Self::SlowNetwork
            | Self::SlowRead
            | Self::Tls => Class::DosApp,
        }
    }

    /// What it travels in. Fragments do not all tell; nearly all that flood are of UDP.
    pub const fn transport(self) -> Transport {
        match self {
            Self::Icmp => Transport::Icmp,
            Self::Asked(_)
            | Self::Fragment
            | Self::Reflect(_)
            | Self::ReflectUnknown
            | Self::Reflector(_)
            | Self::Udp
            | Self::UdpForged => Transport::Udp,
            _ => Transport::Tcp,
        }
    }

    /// Whether it is judged by how encrypted conversations begin, not by what is read in them.
    pub const fn is_inferred(self) -> bool {
        matches!(self, Self::Tls)
    }

    /// Whether it counts conversations that are held open, not packets that came.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::SlowBody | Self::SlowHeader | Self::SlowNetwork | Self::SlowRead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reflector_is_found_by_its_port_and_names_are_their_own() {
        let mut names = Vec::new();
        for protocol in Reflector::ALL {
            assert_eq!(Reflector::of_port(protocol.port()), Some(*protocol));
            names.push(SurgeKind::Reflect(*protocol).name());
            names.push(SurgeKind::Reflector(*protocol).name());
            assert_eq!(SurgeKind::Reflect(*protocol).class(), Class::DosReflect);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), Reflector::of_port(80)), (count, None));
        assert!(names.contains(&"reflect_dns") && names.contains(&"reflector_ntp"));
    }
}
