use super::*;
use crate::decode::transport::flag;
use crate::decode::{Payload, decode};
use crate::model::progress::{Counter, Counters};
use crate::stream::table::{Limits, Table};
use crate::testing::{CLIENT, SERVER, Script, raw, tcp};

/// Writes down every call.
#[derive(Default)]
struct Diary {
    client: Vec<u8>,
    server: Vec<u8>,
    gaps: Vec<(Side, u64)>,
    grade: Option<Grade>,
    ended: usize,
    opener: Option<SocketAddr>,
    /// Client port, what became of its SYN, the grade of that.
    touched: Vec<(u16, Touched, Grade)>,
    /// Flags of segments that belong to no conversation.
    strays: Vec<u8>,
    stalls: Vec<Stall>,
}

impl Consumer for Diary {
    type State = ();
    fn touched(&mut self, view: &View, (): &mut (), how: Touched) {
        assert!(view.now >= view.opened && view.opened > Timestamp(0));
        self.touched.push((view.client.port(), how, view.grade));
    }
    fn stray(&mut self, _: Timestamp, segment: &Segment<'_>) {
        self.strays.push(segment.flags);
    }
    fn stalled(&mut self, _: &View, (): &mut (), stall: Stall) {
        self.stalls.push(stall);
    }
    fn sender_of(&self, bytes: &[u8]) -> Option<Side> {
        bytes.starts_with(b"HTTP/").then_some(Side::Server)
    }
    fn data(&mut self, view: &View, (): &mut (), from: Side, chunk: Chunk<'_>) {
        self.opener = Some(view.client);
        match from {
            Side::Client => self.client.extend(chunk.bytes),
            Side::Server => self.server.extend(chunk.bytes),
        }
        self.grade = Some(view.grade);
    }
    fn gap(&mut self, _: &View, (): &mut (), from: Side, missing: u64) {
        self.gaps.push((from, missing));
    }
    fn acknowledged(&mut self, view: &View, (): &mut ()) {
        self.grade = Some(view.grade);
    }
    fn closed(&mut self, _: &View, (): &mut (), _: Side) {}
    fn ended(&mut self, view: &View, (): &mut ()) {
        self.ended += 1;
        self.grade = Some(view.grade);
    }
    fn held((): &()) -> usize {
        0
    }
}

const LIMITS: Limits = Limits { flows_max: 100, held_max_bytes: 1 << 20 };

/// Plays packets a millisecond apart and ends the input.
fn play(packets: &[Vec<u8>]) -> (Diary, Counters) {
    play_with(packets, 1_000, LIMITS)
}

fn play_with(packets: &[Vec<u8>], step_micros: i64, limits: Limits) -> (Diary, Counters) {
    let mut table = Table::new(limits);
    let mut diary = Diary::default();
    let mut counters = Counters::default();
    let mut now = Timestamp(0);
    for packet in packets {
        now = now.plus_micros(step_micros);
        let Payload::Tcp(segment) = decode(&raw(now.0, packet)).payload else { panic!("no TCP") };
        table.segment(now, &segment, &mut diary, &mut counters);
        assert!(table.len() <= limits.flows_max);
    }
    table.finish(now, &mut diary);
    assert!(table.is_empty());
    (diary, counters)
}

#[test]
fn a_whole_conversation_is_graded_step_by_step() {
    let script = Script::new().handshake();
    assert_eq!(play(&script.packets).0.grade, Some(Grade::E1));
    let script = script.ask(b"GET").server_ack();
    assert_eq!(play(&script.packets).0.grade, Some(Grade::E1));
    let script = script.answer(b"HTTP");
    assert_eq!(play(&script.packets).0.grade, Some(Grade::E1), "the answer is not acknowledged yet");
    let script = script.client_ack();
    let (diary, _) = play(&script.packets);
    assert_eq!(diary.grade, Some(Grade::E2));
    assert_eq!((diary.client, diary.server), (b"GET".to_vec(), b"HTTP".to_vec()));
    assert_eq!(play(&script.close().packets).0.grade, Some(Grade::E2), "the FINs change nothing");
}

#[test]
fn a_forged_syn_and_one_direction_alone_prove_nothing() {
    let script = Script::new().handshake().ask(b"GET").answer(b"HTTP").client_ack();
    assert_eq!(play(&script.packets[..1]).0.grade, Some(Grade::E0));
    assert_eq!(play(&script.packets[..2]).0.grade, Some(Grade::E0), "an answered SYN may still be forged");
    let client: Vec<_> = [0, 2, 3, 5].map(|at| script.packets[at].clone()).to_vec();
    let (diary, _) = play(&client);
    assert_eq!((diary.grade, diary.client), (Some(Grade::E0), b"GET".to_vec()));
}

#[test]
fn an_acknowledgement_of_the_wrong_number_completes_no_handshake() {
    let mut packets = Script::new().handshake().packets;
    packets[2] = tcp(CLIENT.parse().unwrap(), SERVER.parse().unwrap(), 0x10, (1_001, 77), &[]);
    packets.push(tcp(CLIENT.parse().unwrap(), SERVER.parse().unwrap(), 0x10, (1_001, 77), b"GET"));
    assert_eq!(play(&packets).0.grade, Some(Grade::E0));
}

#[test]
fn a_conversation_picked_up_in_the_middle_needs_both_directions() {
    let script =
        Script::new().handshake().ask(b"GET").answer(b"HTTP/1.1").client_ack().ask(b"x").server_ack();
    let (diary, counters) = play(&script.packets[3..]);
    assert_eq!(diary.grade, Some(Grade::E2));
    assert_eq!(diary.opener, Some(CLIENT.parse().unwrap()));
    assert_eq!(counters.value(Counter::FlowsMidstream), 1);
    let (diary, _) = play(&script.packets[4..5]);
    assert_eq!(diary.opener, Some(CLIENT.parse().unwrap()), "the bytes tell that the server sent them");
}

#[test]
fn the_stream_is_whole_in_any_order_of_segments_and_across_the_wrap() {
    for initial in [0, u32::MAX - 2, u32::MAX] {
        let script =
            Script::between(CLIENT, SERVER, (initial, initial)).handshake().ask(b"ab").ask(b"cd").ask(b"ef");
        for order in [[3, 4, 5], [5, 4, 3], [4, 3, 5], [5, 3, 4]] {
            let mut packets = script.packets[..3].to_vec();
            packets.extend(order.map(|at| script.packets[at].clone()));
            packets.push(script.packets[4].clone());
            let (diary, counters) = play(&packets);
            assert_eq!(diary.client, b"abcdef", "{initial} {order:?}");
            assert_eq!(counters.value(Counter::SegmentsRetransmitted), 1);
        }
    }
}

#[test]
fn lost_bytes_that_the_server_acknowledged_are_a_gap_and_the_rest_goes_on() {
    let script = Script::new().handshake().ask(b"ab").ask_unseen(b"LOST").ask(b"ef").server_ack();
    let mut packets = script.packets.clone();
    packets.extend(std::iter::repeat_n(script.server_ack().packets.pop().unwrap(), 300));
    let (diary, counters) = play(&packets);
    assert_eq!(diary.client, b"abef");
    assert_eq!(diary.gaps, [(Side::Client, 4)]);
    assert_eq!(counters.value(Counter::GapBytes), 4);
}

#[test]
fn a_forged_reset_or_syn_does_not_end_a_conversation() {
    let script = Script::new().handshake();
    let (client, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
    let mut packets = script.packets.clone();
    packets.push(tcp(client, server, 0x04, (555, 0), &[]));
    packets.push(tcp(client, server, 0x02, (4_242, 0), &[]));
    packets.extend(script.ask(b"GET").packets.split_off(3));
    let (diary, counters) = play(&packets);
    assert_eq!((diary.client, diary.ended), (b"GET".to_vec(), 1));
    assert_eq!(counters.value(Counter::FlowsOpened), 1);
}

#[test]
fn ports_used_again_are_a_new_conversation() {
    let mut packets = Script::new().handshake().ask(b"one").packets;
    packets.extend(Script::between(CLIENT, SERVER, (70_000, 90_000)).handshake().ask(b"two").packets);
    let (diary, counters) = play(&packets);
    assert_eq!(diary.client, b"onetwo");
    assert_eq!((counters.value(Counter::FlowsOpened), diary.ended), (2, 2));
}

#[test]
fn silence_ends_a_conversation_and_a_full_table_forgets_the_cheapest() {
    let syns = |count: u16| -> Vec<Vec<u8>> {
        (0..count)
            .map(|port| {
                tcp(
                    SocketAddr::new([198, 51, 100, 3].into(), 1_024 + port),
                    SERVER.parse().unwrap(),
                    2,
                    (1, 0),
                    &[],
                )
            })
            .collect()
    };
    let (_, counters) = play_with(&syns(50), 31_000_000, Limits { flows_max: 2, ..LIMITS });
    assert_eq!(counters.value(Counter::FlowsEvicted), 0, "each was forgotten in time");
    let mut packets = Script::new().handshake().packets;
    packets.extend(syns(500));
    packets.extend(Script::new().handshake().ask(b"GET").packets.split_off(3));
    let (diary, counters) = play(&packets);
    assert_eq!(diary.client, b"GET", "the established conversation outlives the SYN flood");
    assert_eq!(counters.value(Counter::FlowsEvicted), 401);
}

fn packet(from_client: bool, flags: u8, numbers: (u32, u32)) -> Vec<u8> {
    let (client, server): (SocketAddr, SocketAddr) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
    if from_client {
        tcp(client, server, flags, numbers, &[])
    } else {
        tcp(server, client, flags, numbers, &[])
    }
}

/// What was told of the one SYN in it.
fn fate(packets: &[Vec<u8>]) -> (Touched, Grade) {
    let (diary, _) = play(packets);
    assert_eq!(diary.touched.len(), 1, "exactly once: {:?}", diary.touched);
    (diary.touched[0].1, diary.touched[0].2)
}

#[test]
fn what_became_of_a_syn_is_told_once_whatever_it_was() {
    let whole = Script::new().handshake().ask(b"GET").answer(b"HTTP").client_ack().close().packets;
    let syn = packet(true, flag::SYN, (1_000, 0));
    let rst = |from_client, numbers| packet(from_client, flag::RST | flag::ACK, numbers);
    for end in 3..=whole.len() {
        assert_eq!(fate(&whole[..end]), (Touched::Answered, Grade::E1), "{end}");
    }
    assert_eq!(fate(&whole[..2]), (Touched::Answered, Grade::E0), "half an opening proves nothing");
    assert_eq!(fate(&[&whole[..2], &[rst(true, (1_001, 0))]].concat()), (Touched::Answered, Grade::E0));
    assert_eq!(fate(&whole[..1]), (Touched::Silent, Grade::E0));
    assert_eq!(fate(&[syn.clone(), syn.clone(), syn.clone()]), (Touched::Silent, Grade::E0), "repeated");
    assert_eq!(fate(&[syn.clone(), rst(false, (0, 1_001))]), (Touched::Refused, Grade::E0));
    assert_eq!(fate(&[syn.clone(), rst(false, (0, 1_001)), rst(false, (0, 1_001))]).0, Touched::Refused);
    assert_eq!(fate(&[syn.clone(), rst(false, (0, 77_777))]).0, Touched::Silent, "a reset out of the blue");
    let one_sided: Vec<_> = [0, 2, 3].map(|at| whole[at].clone()).to_vec();
    assert_eq!(fate(&one_sided), (Touched::Answered, Grade::E0), "the client went on: it was answered");
}

#[test]
fn a_syn_is_called_unanswered_after_ten_seconds_however_often_it_is_repeated() {
    let syn = packet(true, flag::SYN, (1_000, 0));
    let mut table = Table::new(LIMITS);
    let (mut diary, mut counters) = (Diary::default(), Counters::default());
    for second in [1, 2, 4, 8, 16, 32, 64] {
        let Payload::Tcp(segment) = decode(&raw(0, &syn)).payload else { panic!("no TCP") };
        let now = Timestamp(second * 1_000_000);
        table.segment(now, &segment, &mut diary, &mut counters);
        table.expire(now, 10, &mut diary);
        assert_eq!(diary.touched.len(), usize::from(second >= 11), "after {second} s");
    }
    table.expire(Timestamp(200_000_000), 10, &mut diary);
    assert!(table.is_empty());
    assert_eq!((diary.touched.len(), diary.ended), (1, 1));
}

#[test]
fn an_error_that_quotes_the_syn_tells_its_fate_and_any_other_does_not() {
    let (client, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
    let syn = packet(true, flag::SYN, (1_000, 0));
    for (quoted, told) in [
        ((client, server, 1_000), 1),
        ((client, server, 1_001), 0),
        ((server, client, 1_000), 0),
        ((SERVER.parse().unwrap(), server, 1_000), 0),
    ] {
        let mut table = Table::new(LIMITS);
        let (mut diary, mut counters) = (Diary::default(), Counters::default());
        let Payload::Tcp(segment) = decode(&raw(0, &syn)).payload else { panic!("no TCP") };
        table.segment(Timestamp(1), &segment, &mut diary, &mut counters);
        for _ in 0..2 {
            table.undelivered(Timestamp(2), quoted, Touched::Unreachable, &mut diary);
        }
        assert_eq!(diary.touched.len(), told);
        table.finish(Timestamp(3), &mut diary);
        assert_eq!(diary.touched.len(), 1);
    }
}

#[test]
fn what_no_stack_opens_with_is_a_stray_and_ends_no_conversation() {
    let odd = [0, flag::FIN, 0x29, flag::SYN | flag::FIN, flag::SYN | flag::RST];
    for flags in odd.into_iter().chain([flag::ACK, flag::RST, flag::FIN | flag::ACK]) {
        let (diary, counters) = play(&[packet(true, flags, (5, 6))]);
        assert_eq!((diary.strays, diary.touched.len()), (vec![flags], 0));
        assert_eq!(counters.value(Counter::FlowsOpened), 0, "{flags:#x}");
        let mut packets = Script::new().handshake().packets;
        packets.push(packet(true, flags, (4_242, 0)));
        packets.extend(Script::new().handshake().ask(b"GET").packets.split_off(3));
        let (diary, _) = play(&packets);
        assert_eq!((diary.client, diary.strays.len(), diary.ended), (b"GET".to_vec(), 0, 1), "{flags:#x}");
    }
    let (diary, _) = play(&[packet(false, flag::SYN | flag::ACK, (5, 6))]);
    assert_eq!((diary.strays.len(), diary.touched.len()), (1, 0), "backscatter is nobody's first contact");
}

#[test]
fn a_client_that_shuts_its_window_for_ten_seconds_holds_its_server_up() {
    let with_window = |window: u16| {
        let mut bytes = packet(true, flag::ACK, (1_001, 9_001));
        bytes[34..36].copy_from_slice(&window.to_be_bytes());
        bytes
    };
    let play = |windows: &[(i64, u16)]| {
        let mut table = Table::new(LIMITS);
        let (mut diary, mut counters) = (Diary::default(), Counters::default());
        let mut timed: Vec<_> =
            Script::new().handshake().packets.into_iter().map(|bytes| (1, bytes)).collect();
        timed[2].1 = with_window(500);
        timed.extend(windows.iter().map(|(second, window)| (*second, with_window(*window))));
        for (second, bytes) in timed {
            let Payload::Tcp(segment) = decode(&raw(0, &bytes)).payload else { panic!("no TCP") };
            table.segment(Timestamp(second * 1_000_000), &segment, &mut diary, &mut counters);
        }
        diary.stalls
    };
    assert_eq!(play(&[(2, 0), (7, 0), (12, 0), (13, 0), (14, 9), (15, 0)]), [Stall::Begins, Stall::Ends]);
    assert_eq!(play(&[(2, 0), (7, 0), (8, 9), (15, 0), (24, 0)]), []);
}

proptest::proptest! {
    #[test]
    fn any_segments_are_survived_within_the_limits(
        segments in proptest::collection::vec((proptest::bool::ANY, 0_u8..64, 0_u32..40, 0_u32..40, 0_usize..30), 0..200),
        step in 0_i64..20_000_000,
    ) {
        let (client, server): (SocketAddr, SocketAddr) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        let packets: Vec<_> = segments
            .iter()
            .map(|(from_client, flags, sequence, ack, len)| {
                let (source, destination) = if *from_client { (client, server) } else { (server, client) };
                tcp(source, destination, *flags, (sequence.wrapping_sub(20), ack.wrapping_sub(20)), &vec![b'x'; *len])
            })
            .collect();
        let (diary, counters) = play_with(&packets, step, LIMITS);
        proptest::prop_assert!(diary.touched.len() as u64 <= counters.value(Counter::FlowsOpened));
    }
}
