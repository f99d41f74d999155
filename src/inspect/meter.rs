//! Every frame and act as floods are counted: by victim what anybody can forge, by source what a handshake proves. What came in a
//! tunnel that is not known is marked here, before anything is made of it.

use std::net::{IpAddr, SocketAddr};

use crate::decode::Payload;
use crate::decode::icmp::Message;
use crate::decode::transport::{Datagram, flag};
use crate::handoff::Record;
use crate::inspect::datagrams::is_between_two;
use crate::inspect::{FlowState, Path};
use crate::model::progress::Counter;
use crate::model::surge::{Reflector, SurgeKind};
use crate::model::time::Timestamp;
use crate::protocol::datagram::is_answer;
use crate::stream::View;
use crate::stream::datagrams::Exchange;
use crate::surge::table::{Hit, Key as Counted};

impl Path {
    /// Tells what surged before a time.
    pub fn turn(&mut self, now: Timestamp) {
        let now = self.by_clock(now);
        if self.contacts.surges.is_in(now) {
            return;
        }
        let Self { contacts, outbox, counters, .. } = self;
        contacts.surges.turn(now, |surge| {
            if outbox.send(Record::Surge(surge)).is_err() {
                counters.count(Counter::SurgeDrops);
            }
        });
    }

    /// Marks what came in a tunnel, by its sender, if that is not known.
    pub fn weigh(&self, payload: &mut Payload<'_>, sender: IpAddr) {
        let forgeable = !self.detector.trusts_tunnel(sender);
        match payload {
            Payload::Tcp(segment) => segment.forgeable = forgeable,
            Payload::Udp(datagram) => datagram.forgeable = forgeable,
            Payload::Icmp(_) | Payload::Fragment(_) | Payload::Other => {}
        }
    }

    /// Counts a frame before it goes its way.
    pub fn meter(&mut self, now: Timestamp, payload: &Payload<'_>, bytes: u32) {
        self.turn(now);
        self.contacts.frame_bytes = bytes;
        match payload {
            Payload::Tcp(segment)
                if segment.flags & (flag::SYN | flag::ACK | flag::FIN | flag::RST) == flag::SYN =>
            {
                self.hit(now, SurgeKind::Syn, (segment.source, segment.destination));
            }
            Payload::Udp(datagram) if is_between_two(datagram) => self.meter_datagram(now, datagram),
            Payload::Icmp(icmp) if !icmp.destination.is_multicast() => {
                let ends = (SocketAddr::new(icmp.source, 0), SocketAddr::new(icmp.destination, 0));
                self.hit(now, SurgeKind::Icmp, ends);
                // Who asks gets replies. That the victim of a flood of requests answers them makes the requests no more honest.
                if matches!(icmp.message, Message::EchoRequest(_)) {
                    self.answered(now, SurgeKind::Icmp, icmp.source);
                }
            }
            Payload::Fragment(fragment) => {
                let (source, victim) = fragment.addresses;
                let ends = (SocketAddr::new(source, 0), SocketAddr::new(victim, 0));
                self.hit(now, SurgeKind::Fragment, ends);
            }
            _ => {}
        }
    }

    fn meter_datagram(&mut self, now: Timestamp, datagram: &Datagram<'_>) {
        let (source, destination) = (datagram.source, datagram.destination);
        self.hit(now, SurgeKind::Udp, (source, destination));
        self.answered(now, SurgeKind::Udp, source.ip());
        // Who sends datagrams to closed ports is told so, a message each: that is no flood upon it.
        self.answered(now, SurgeKind::Icmp, source.ip());
        if let Some(protocol) = Reflector::of_port(source.port())
            && is_answer(source.port(), destination.port(), datagram.payload)
        {
            self.hit(now, SurgeKind::Reflect(protocol), (source, destination));
        } else if let Some(protocol) = Reflector::of_port(destination.port()) {
            self.answered(now, SurgeKind::Reflect(protocol), source.ip());
        }
    }

    /// Counts a packet that anybody can have sent.
    pub fn hit(&mut self, now: Timestamp, kind: SurgeKind, (peer, victim): (SocketAddr, SocketAddr)) {
        let bytes = self.contacts.frame_bytes;
        let hit = Hit { peer: peer.ip(), peer_port: peer.port(), port: victim.port(), bytes };
        let now = self.by_clock(now);
        self.contacts.surges.packet(now, Counted { address: victim.ip(), kind }, hit);
    }

    /// Counts what speaks for honest traffic of a victim.
    pub fn answered(&mut self, now: Timestamp, kind: SurgeKind, victim: IpAddr) {
        let bytes = self.contacts.frame_bytes;
        let now = self.by_clock(now);
        self.contacts.surges.answered(now, Counted { address: victim, kind }, bytes);
    }

    /// Counts a query as it is forged to make a server reflect. Says whether so many come that they are told as a surge alone.
    pub fn asked_to_reflect(&mut self, exchange: &Exchange, protocol: Reflector) -> bool {
        let kind = SurgeKind::Asked(protocol);
        self.hit(exchange.now, kind, (exchange.client, exchange.server));
        self.is_in_flood(exchange.now, exchange.server.ip(), kind)
    }

    /// Counts an act of a client whose address a handshake proves: a connection, a request, a hello.
    pub fn requested(&mut self, view: &View, kind: SurgeKind) {
        // Many clients stand behind a proxy: what they do together is no act of one source.
        if view.grade.is_proven() && !self.detector.is_proxy(view.client.ip()) {
            let now = self.by_clock(view.now);
            self.contacts.surges.request(now, kind, view.client.ip(), view.server);
        }
    }

    /// Notes that a client holds its conversation open (`slow_*`), once, until [`Path::goes_on`].
    pub fn holds(&mut self, view: &View, state: &mut FlowState, kind: SurgeKind) {
        let is_proven = view.grade.is_proven() && !self.detector.is_proxy(view.client.ip());
        if state.held_by.is_none() && is_proven {
            state.held_by = Some(kind);
            let now = self.by_clock(view.now);
            self.contacts.surges.hold(now, kind, view.client.ip(), view.server);
        }
    }

    /// Notes that it lets it go on, or that it has ended.
    pub fn goes_on(&mut self, view: &View, state: &mut FlowState) {
        if let Some(kind) = state.held_by.take() {
            self.contacts.surges.release(kind, view.client.ip());
        }
    }

    /// Whether a contact is part of a flood that is told by surges. Counted.
    pub fn is_in_flood(&mut self, time: Timestamp, victim: IpAddr, kind: SurgeKind) -> bool {
        let flooded = self.contacts.surges.is_flooded(self.by_clock(time), victim, kind);
        if flooded {
            self.counters.count(Counter::ContactsInFloods);
        }
        flooded
    }
}
