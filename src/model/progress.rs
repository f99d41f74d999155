//! What a capture worker reports of itself: how far it is, what it saw and what it lost.

use std::net::SocketAddr;

use crate::model::time::{Hour, Timestamp};

/// What a counter tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CounterKind {
    /// For information; no law binds it.
    Info,
    /// Something that was on the wire and could not be judged. Reports print it beside the totals.
    Loss,
    /// The one outcome of a frame. Law: the sum of all outcomes equals `frames_received`.
    Outcome,
}

/// One row of the counter table.
#[derive(Debug)]
pub struct CounterRow {
    /// The name in files, status and metrics.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// What it tells.
    pub kind: CounterKind,
}

macro_rules! counters {
    ($($variant:ident $kind:ident $name:literal $help:literal)*) => {
        /// A counter of the packet path.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(usize)]
        pub enum Counter {
            $(#[doc = $help] $variant,)*
        }

        /// The counter table, in the order of the variants.
        pub const COUNTERS: &[CounterRow] = &[
            $(CounterRow { name: $name, help: $help, kind: CounterKind::$kind },)*
        ];

        impl Counter {
            /// Every counter.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

counters! {
    FramesReceived Info "frames_received" "frames handed over by capture"
    BytesReceived Info "bytes_received" "bytes of those frames on the wire"
    FrameTcp Outcome "frames_tcp" "TCP segments decoded"
    FrameUdp Outcome "frames_udp" "UDP datagrams decoded"
    FrameIcmp Outcome "frames_icmp" "ICMP messages decoded"
    FrameFragment Outcome "frames_fragment" "IP fragments"
    FrameOtherTransport Outcome "frames_other_transport" "IP packets of another transport protocol"
    FrameOtherNetwork Outcome "frames_other_network" "frames that carry no IP, such as ARP"
    FrameCut Outcome "frames_cut" "frames shorter than their headers say (cut by the snap length or malformed)"
    FrameMalformed Outcome "frames_malformed" "frames whose headers contradict themselves"
    FrameLinkUnread Outcome "frames_link_unread" "frames of a link type that is not read"
    FramesShortened Info "frames_shortened" "frames of which only a part was kept, because they were longer than capture.snaplen"
    KernelDrops Loss "kernel_drops" "frames dropped by the kernel because the capture ring was full"
    InterfaceDrops Loss "interface_drops" "frames dropped by the interface or its driver"
    ClockUnset Loss "clock_unset" "frames captured while the clock showed a time before gatewatch was built (not judged)"
    InterfaceDownSeconds Info "interface_down_seconds" "seconds in which a captured interface was down or had no carrier (not observed)"
    TimeBackwards Info "time_backwards" "frames with a time stamp before the frame ahead of them (clamped)"
    DatagramsReassembled Info "datagrams_reassembled" "IP datagrams put together from fragments"
    FragmentsConflicting Info "fragments_conflicting" "IP fragments that repeat bytes with another content (the first copy counts)"
    FragmentsDropped Loss "fragments_dropped" "IP fragments whose datagram was never complete, or exceeded a limit"
    FlowsOpened Info "flows_opened" "conversations seen"
    FlowsMidstream Info "flows_midstream" "conversations picked up after their handshake"
    FlowsEvicted Loss "flows_evicted" "conversations forgotten early because the flow table was full"
    DatagramFlowsOpened Info "datagram_flows_opened" "UDP conversations seen"
    DatagramFlowsEvicted Info "datagram_flows_evicted" "UDP conversations forgotten early because their table was full"
    DatagramsRepeated Info "datagrams_repeated" "UDP messages seen twice within 50 ms (read once)"
    SegmentsRetransmitted Info "segments_retransmitted" "TCP segments that repeat bytes already seen"
    SegmentsConflicting Info "segments_conflicting" "TCP segments that repeat bytes with another content"
    SegmentsRefused Loss "segments_refused" "out-of-order TCP segments dropped because a reassembly limit was reached"
    GapBytes Loss "gap_bytes" "bytes acknowledged by the receiver that were never captured"
    AcksOfGaps Info "acks_of_gaps" "acknowledgements that covered bytes never captured"
    AcksSeen Info "acks_seen" "acknowledgements that covered new bytes of data"
    HttpRequests Info "http_requests" "HTTP requests parsed"
    HttpReplies Info "http_replies" "HTTP replies parsed"
    HttpMalformed Info "http_malformed" "HTTP requests judged although malformed"
    HttpCut Info "http_cut" "HTTP requests judged on a part, because a limit or a gap cut them"
    RequestsPending Info "requests_pending_dropped" "requests judged without their reply because too many were outstanding"
    RequestsClean Info "requests_clean" "requests judged no attack"
    RequestsSuspicious Info "requests_suspicious" "requests scored below the threshold of an attack; not counted as one"
    RequestsExcepted Info "requests_excepted" "requests that only excepted rules called an attack"
    RequestsAttack Info "requests_attack" "requests judged an attack"
    MessagesAttack Info "messages_attack" "messages of protocols besides HTTP judged an attack"
    ServersUnlisted Info "servers_unlisted" "conversations with more servers than are told apart: how far they could be read is not known"
    FlowsTls Info "flows_tls" "conversations that began with a TLS handshake (not inspectable)"
    TlsHellos Info "tls_hellos" "TLS client hellos seen"
    TlsUnfinished Info "tls_unfinished" "conversations with a TLS client hello whose handshake was not completed"
    TlsAlerts Info "tls_alerts" "fatal TLS alerts of servers, sent before encryption began"
    FlowsSsh Info "flows_ssh" "conversations recognised as SSH"
    FlowsMysql Info "flows_mysql" "conversations recognised as MySQL"
    FlowsPostgresql Info "flows_postgresql" "conversations recognised as PostgreSQL"
    FlowsSmb Info "flows_smb" "conversations recognised as SMB"
    FlowsRdp Info "flows_rdp" "conversations recognised as RDP"
    AttemptsOneSided Info "attempts_one_sided" "attempts of conversations of which only one direction was captured"
    ChannelDrops Loss "channel_drops" "attempts dropped because the channel to the classifier was full"
    ContactDrops Loss "contact_drops" "first contacts and logins dropped because the channel to the classifier was full"
    ContactsInFloods Info "contacts_in_floods" "first contacts without handshake not told one by one, because their victim was flooded (counted in its flood seconds)"
    FloodCountersEvicted Info "flood_counters_evicted" "victims whose packets of a second were counted no further because too many others were counted"
    SurgeDrops Loss "surge_drops" "seconds of floods dropped because the channel to the classifier was full"
}

/// A value for each counter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counters([u64; COUNTERS.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; COUNTERS.len()])
    }
}

impl Counters {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|value| *value == 0)
    }

    /// Adds `n` to a counter.
    pub fn add(&mut self, counter: Counter, n: u64) {
        if let Some(value) = self.0.get_mut(counter as usize) {
            *value = value.saturating_add(n);
        }
    }

    /// Adds one.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// The value of a counter.
    pub fn value(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or(0)
    }

    /// Adds every value of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Takes the values out and leaves zeros.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Rows and values, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static CounterRow, u64)> + '_ {
        COUNTERS.iter().zip(self.0.iter().copied())
    }

    /// The sum of the frame outcomes. Law: equals [`Counter::FramesReceived`].
    pub fn outcomes(&self) -> u64 {
        self.iter().filter(|(row, _)| row.kind == CounterKind::Outcome).map(|(_, value)| value).sum()
    }
}

/// How far a conversation could be read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reading {
    /// In clear, in a protocol that is known.
    Clear,
    /// Encrypted.
    Hidden,
    /// In a protocol that is not known.
    Unknown,
}

impl Reading {
    /// Every kind, in the order of the variants.
    pub const ALL: [Self; 3] = [Self::Clear, Self::Hidden, Self::Unknown];

    /// The name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Hidden => "hidden",
            Self::Unknown => "unknown",
        }
    }
}

/// Conversations with one endpoint of a server, by how far they could be read, in the order of [`Reading::ALL`].
pub type Served = (SocketAddr, [u64; Reading::ALL.len()]);

/// Sent in band by a worker: everything it sends later is later than `now` less the reply time-out, unless the clock is
/// set in between.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Packet time (replay) or clock time (live) the worker has reached.
    pub now: Timestamp,
    /// Whether the clock was set since the last report: `now` may lie anywhere.
    pub stepped: bool,
    /// The span that was observed since the last report, if any; it may cross hours.
    pub observed: Option<(Timestamp, Timestamp)>,
    /// The hour the counters belong to.
    pub hour: Hour,
    /// Counted since the last report.
    pub counters: Counters,
    /// Conversations that ended since the last report.
    pub served: Vec<Served>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_row_and_a_name_of_its_own() {
        let mut names: Vec<_> = COUNTERS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::ALL.len());
        for (index, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, index);
        }
    }

    #[test]
    fn merged_counters_are_the_sum() {
        let mut a = Counters::default();
        a.add(Counter::FrameTcp, 2);
        a.count(Counter::FrameCut);
        let mut b = a.clone();
        b.merge(&a);
        assert_eq!(b.value(Counter::FrameTcp), 4);
        assert_eq!(b.outcomes(), 6);
        assert_eq!(b.take().outcomes(), 6);
        assert_eq!(b, Counters::default());
    }
}
