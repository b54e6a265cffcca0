// SPDX-License-Identifier: Apache-2.0
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::net::{Offloads, PacketBackend};
use flotilla_device_model::throttle::{Limits, Rate, Throttle};
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::{FakeQueue, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use flotilla_testing::packets::FakePackets;
use proptest::prelude::*;

use super::device::{Net, NetError, NetOptions, Throttles};
use crate::declared::assert_declared;
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const ALL: Offloads = Offloads { checksum: true, tso4: true, tso6: true, ecn: true, ufo: true, uso: true };
const GUEST_CSUM: u64 = 1 << 1;
const GUEST_TSO4: u64 = 1 << 7;
const MRG_RXBUF: u64 = 1 << 15;

/// Where tests put what they send and receive.
pub(super) const TX: u64 = 0x8000;
const RX: u64 = 0x2_0000;

pub(super) struct Bench<B: PacketBackend = FakePackets> {
    memory: Arc<GuestMemory>,
    rx: FakeQueue,
    pub(super) tx: FakeQueue,
    interrupt: Arc<FakeVirtioInterrupt>,
    pub(super) backend: Arc<B>,
    pub(super) device: Net,
}

pub(super) fn bench_on<B: PacketBackend + 'static>(backend: B, features: u64) -> Bench<B> {
    let memory = guest_memory(0x10_0000);
    let rx = FakeQueue::new(&memory, 0x1000, 64);
    let tx = FakeQueue::new(&memory, 0x4000, 64);
    let backend = Arc::new(backend);
    let device = Net::new("net:lan", backend.clone(), NetOptions::new(MAC)).unwrap();
    let bench = Bench { memory, rx, tx, interrupt: Arc::default(), backend, device };
    bench.activate(features);
    bench
}

fn bench(features: u64) -> Bench {
    bench_on(FakePackets::new(ALL), features)
}

impl<B: PacketBackend> Bench<B> {
    fn activate(&self, features: u64) {
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            features,
            queues: vec![Some(self.rx.activate()), Some(self.tx.activate())],
            interrupt: self.interrupt.clone(),
        };
        self.device.activate(activation).unwrap();
    }

    fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    pub(super) fn metric(&self, name: &str) -> u64 {
        self.device.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Offers `count` receive buffers of `len` bytes, one after the other in memory.
    pub(super) fn offer(&mut self, count: u64, len: u32) {
        for number in 0..count {
            self.rx.add(&[Writable(RX + number * u64::from(len), len)]);
        }
        self.rx.ring();
    }
}

/// A frame behind a header that holds nothing but a checksum flag (`DATA_VALID`) and rubbish in `num_buffers`.
fn frame(len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xbb];
    frame.extend((0..len).map(|i| u8::try_from(i % 251).unwrap()));
    frame
}

#[test]
fn tells_the_driver_what_it_is() {
    let bench = bench(0);
    let mut config = [0xff; 14];
    bench.device.read_config(0, &mut config);
    assert_eq!(config, [0x52, 0x54, 0, 0x12, 0x34, 0x56, 1, 0, 1, 0, 0, 0, 0, 0]);
    bench.device.read_config(u64::MAX, &mut config);
    assert_eq!(config, [0; 14]);
    assert_eq!((bench.device.device_type(), bench.device.queue_max_sizes()), (1, &[256, 256, 64][..]));
}

#[test]
fn offers_what_its_back_end_can_do_and_tells_it_what_the_driver_takes() {
    let offered = |offloads| {
        let backend = Arc::new(FakePackets::new(offloads));
        Net::new("n", backend, NetOptions::new(MAC)).unwrap().device_features()
    };
    let all = 1 | 1 << 1 | 1 << 2 | 0b1111 << 7 | 0b1111 << 11 | 0b111 << 54;
    assert_eq!(offered(ALL) & all, all);
    assert_eq!(offered(Offloads::default()) & all, 0);
    let no_checksum = Offloads { checksum: false, ..ALL };
    assert_eq!(offered(no_checksum) & all, 0, "segmentation needs checksums");
    let checksum = Offloads { checksum: true, ecn: true, ..Offloads::default() };
    assert_eq!(offered(checksum) & all, 0b111, "ECN needs segmentation");

    let bench = bench(GUEST_CSUM | GUEST_TSO4);
    let accepted = Offloads { checksum: true, tso4: true, ..Offloads::default() };
    assert_eq!(bench.backend.accepted(), Some(accepted));
}

#[test]
fn refuses_an_address_no_interface_can_have() {
    let new = |mac| Net::new("n", Arc::new(FakePackets::new(ALL)), NetOptions::new(mac)).map(|_| ());
    assert_eq!(new([0; 6]), Err(NetError::Mac { mac: [0; 6] }));
    assert!(new([0x01, 0, 0x5e, 0, 0, 1]).is_err());
    assert!(new([0xff; 6]).is_err());
}

#[test]
fn keeps_each_direction_to_its_limit_until_that_changes() {
    let mut bench = bench(0);
    bench.device.reset();
    let slow = || {
        let bytes = Some(Rate { per_second: 1, burst: 100 });
        Arc::new(Throttle::new(Limits { bytes, operations: None }, Instant::now()))
    };
    let throttles = Throttles { receive: slow(), transmit: slow() };
    let device = Net::new("net:lan", bench.backend.clone(), NetOptions::new(MAC)).unwrap();
    bench.device = device.throttled_by(throttles.clone());
    bench.rx = FakeQueue::new(&bench.memory, 0x1000, 64);
    bench.tx = FakeQueue::new(&bench.memory, 0x4000, 64);
    bench.activate(0);

    bench.memory.write_slice(&frame(100), GuestAddress(TX)).unwrap();
    for _ in 0..2 {
        bench.tx.add(&[Readable(TX, 112)]);
    }
    bench.tx.ring();
    bench.tx.wait_used();
    wait_until("a frame of the driver to wait", || bench.metric("tx_throttle_waits") > 0);
    assert!(bench.tx.take_used().is_none());

    bench.offer(2, 2048);
    for _ in 0..2 {
        bench.backend.wire.send(&frame(100)).unwrap();
    }
    bench.rx.wait_used();
    wait_until("a frame for the driver to wait", || bench.metric("rx_throttle_waits") > 0);
    assert!(bench.rx.take_used().is_none());
    bench.device.pause();
    bench.device.resume();
    assert_eq!((bench.metric("tx_frames"), bench.metric("rx_frames")), (1, 1));

    throttles.transmit.change(Limits::default(), Instant::now());
    bench.device.recheck();
    bench.tx.wait_used();
    throttles.receive.change(Limits::default(), Instant::now());
    bench.device.recheck();
    bench.rx.wait_used();
    assert_eq!((bench.metric("tx_frames"), bench.metric("rx_frames")), (2, 2));
}

#[test]
fn sends_frames_from_any_segments() {
    let mut bench = bench(0);
    let sent = frame(600);
    bench.memory.write_slice(&sent, GuestAddress(TX)).unwrap();
    for cuts in [vec![612], vec![12, 600], vec![5, 300, 307]] {
        let mut at = TX;
        let buffers: Vec<_> = cuts
            .iter()
            .map(|&len| {
                at += u64::from(len);
                Readable(at - u64::from(len), len)
            })
            .collect();
        let head = bench.tx.add(&buffers);
        bench.tx.ring();
        let mut received = vec![0; 2000];
        let len = bench.backend.wire.recv(&mut received).unwrap();
        assert!(received[..len] == sent);
        assert_eq!(bench.tx.wait_used(), (head, 0));
    }
    assert_eq!((bench.metric("tx_frames"), bench.metric("tx_bytes")), (3, 1800));
}

#[test]
fn drops_frames_that_make_no_sense_and_goes_on() {
    let mut bench = bench(F_INDIRECT_DESC);
    // No header, nothing but a header, nothing to read at all, and 4 MiB made of one buffer many times over.
    bench.tx.add(&[Readable(TX, 11)]);
    bench.tx.add(&[Readable(TX, 12)]);
    bench.tx.add(&[Writable(TX, 100)]);
    bench.tx.add_indirect(0x6000, &[Readable(0, 0x8_0000); 8]);
    bench.memory.write_slice(&frame(60), GuestAddress(TX)).unwrap();
    bench.tx.add(&[Readable(TX, 72)]);
    bench.tx.ring();
    let mut received = vec![0; 2000];
    assert_eq!(bench.backend.wire.recv(&mut received).unwrap(), 72);
    for _ in 0..5 {
        bench.tx.wait_used();
    }
    assert_eq!((bench.metric("tx_errors"), bench.metric("tx_frames")), (4, 1));
}

#[test]
fn drops_frames_when_the_back_end_is_full() {
    let mut bench = bench(0);
    bench.memory.write_slice(&frame(600), GuestAddress(TX)).unwrap();
    for _ in 0..50 {
        for _ in 0..40 {
            bench.tx.add(&[Readable(TX, 612)]);
        }
        bench.tx.ring();
        for _ in 0..40 {
            bench.tx.wait_used();
        }
    }
    wait_until("all are counted", || bench.metric("tx_dropped") + bench.metric("tx_frames") == 2000);
    assert!(bench.metric("tx_dropped") > 0);
}

#[test]
fn receives_frames_one_per_buffer() {
    let mut bench = bench(0);
    bench.offer(3, 2048);
    for round in 0..3 {
        bench.backend.wire.send(&frame(300 + round)).unwrap();
        let (head, len) = bench.rx.wait_used();
        assert_eq!((usize::from(head), len as usize), (round, 312 + round));
        let got = bench.bytes(RX + 2048 * round as u64, 312 + round);
        assert!(got[12..] == frame(300 + round)[12..]);
        assert_eq!(got[10..12], [1, 0], "num_buffers is 1 without merging");
        assert_eq!(got[0], 0, "no checksum flags without GUEST_CSUM");
    }
    assert_eq!((bench.metric("rx_frames"), bench.metric("rx_bytes")), (3, 903));
}

#[test]
fn leaves_checksum_flags_to_a_driver_that_takes_them() {
    let mut bench = bench(GUEST_CSUM);
    bench.offer(1, 2048);
    bench.backend.wire.send(&frame(100)).unwrap();
    bench.rx.wait_used();
    assert_eq!(bench.bytes(RX, 1), [2]);
}

#[test]
fn spreads_a_long_frame_over_buffers_and_uses_the_others_later() {
    let mut bench = bench(MRG_RXBUF | GUEST_CSUM | GUEST_TSO4);
    bench.offer(40, 1600);
    let long = frame(4000);
    bench.backend.wire.send(&long).unwrap();
    let used: Vec<_> = (0..3).map(|_| bench.rx.wait_used()).collect();
    assert_eq!(used, [(0, 1600), (1, 1600), (2, 812)]);
    let got = bench.bytes(RX, 4012);
    assert_eq!(got[10..12], [3, 0]);
    assert!(got[12..] == long[12..]);
    bench.backend.wire.send(&frame(100)).unwrap();
    assert_eq!(bench.rx.wait_used(), (3, 112));
    assert_eq!(bench.bytes(RX + 3 * 1600 + 10, 2), [1, 0]);
}

#[test]
fn shows_the_buffers_of_a_frame_all_at_once() {
    let mut bench = bench(MRG_RXBUF | GUEST_CSUM | GUEST_TSO4);
    bench.offer(60, 1600);
    for _ in 0..50 {
        let before = bench.rx.used_index();
        bench.backend.wire.send(&frame(4000)).unwrap();
        wait_until("used", || bench.rx.used_index() != before);
        assert_eq!(bench.rx.used_index(), before.wrapping_add(3));
        for _ in 0..3 {
            bench.rx.wait_used();
        }
        bench.offer(3, 1600);
    }
}

#[test]
fn drops_a_frame_that_does_not_fit_and_keeps_the_buffer() {
    let mut bench = bench(0);
    bench.offer(1, 256);
    bench.backend.wire.send(&frame(1000)).unwrap();
    wait_until("dropped", || bench.metric("rx_dropped") == 1);
    bench.backend.wire.send(&frame(100)).unwrap();
    assert_eq!(bench.rx.wait_used(), (0, 112));
}

/// The smallest buffer a driver may offer without segments (virtio 1.2 §5.1.6.3.1) takes the longest frame of a link.
#[test]
fn gives_a_frame_that_just_fits_and_drops_one_that_is_a_byte_longer() {
    for features in [0, GUEST_CSUM | GUEST_TSO4] {
        let mut bench = bench(features);
        bench.offer(1, 1526);
        bench.backend.wire.send(&frame(1515)).unwrap();
        wait_until("dropped", || bench.metric("rx_dropped") == 1);
        bench.backend.wire.send(&frame(1514)).unwrap();
        assert_eq!(bench.rx.wait_used(), (0, 1526));
        assert!(bench.bytes(RX + 12, 1514) == frame(1514)[12..]);
    }
}

/// A frame whose header names a kind of segment (`gso_type`).
fn segment(gso_type: u8) -> Vec<u8> {
    let mut frame = frame(100);
    frame[1] = gso_type;
    frame
}

#[test]
fn drops_segments_that_the_driver_did_not_agree_to() {
    let (tcp4, udp, tcp6, udp_l4, ecn) = (1, 3, 4, 5, 0x80);
    let cases = [
        (0, vec![tcp4, tcp6, udp, udp_l4, ecn]),
        (GUEST_CSUM, vec![tcp4, tcp6, udp_l4]),
        (GUEST_CSUM | GUEST_TSO4, vec![tcp6, udp, tcp4 | ecn]),
    ];
    for (features, kinds) in cases {
        let mut bench = bench(features);
        bench.offer(1, 2048);
        for kind in &kinds {
            bench.backend.wire.send(&segment(*kind)).unwrap();
        }
        wait_until("dropped", || bench.metric("rx_dropped") == kinds.len() as u64);
        bench.backend.wire.send(&segment(if features & GUEST_TSO4 == 0 { 0 } else { tcp4 })).unwrap();
        assert_eq!(bench.rx.wait_used(), (0, 112));
    }
}

#[test]
fn a_reset_forgets_what_the_last_driver_took_and_what_waits_for_it() {
    for reset in [Net::deactivate, Net::reset] {
        let mut bench = bench(GUEST_CSUM | GUEST_TSO4);
        bench.backend.wire.send(&frame(100)).unwrap();
        reset(&bench.device);
        assert_eq!(bench.backend.accepted(), Some(Offloads::default()));
        bench.rx = FakeQueue::new(&bench.memory, 0x1000, 64);
        bench.tx = FakeQueue::new(&bench.memory, 0x4000, 64);
        bench.activate(0);
        bench.offer(1, 2048);
        bench.backend.wire.send(&frame(200)).unwrap();
        assert_eq!(bench.rx.wait_used(), (0, 212));
    }
}

#[test]
fn waits_without_spinning_when_there_is_no_buffer_and_loses_nothing() {
    for features in [0, F_EVENT_IDX] {
        let mut bench = bench(features);
        bench.backend.wire.send(&frame(100)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let looks = bench.metric("rx_no_buffers");
        assert!((1..=3).contains(&looks), "looked {looks} times");
        bench.offer(1, 2048);
        assert_eq!(bench.rx.wait_used(), (0, 112));
        wait_until("one interrupt", || bench.interrupt.queue(0) == 1);
    }
}

#[test]
fn gives_unused_buffers_back_before_a_pause() {
    let mut bench = bench(MRG_RXBUF | GUEST_CSUM | GUEST_TSO4);
    bench.offer(40, 1600);
    bench.backend.wire.send(&frame(2000)).unwrap();
    bench.rx.wait_used();
    bench.rx.wait_used();
    bench.device.pause();
    let state = bench.device.queues()[0].unwrap();
    assert_eq!((state.next_avail, state.next_used), (2, 2));
    bench.device.resume();
    bench.backend.wire.send(&frame(100)).unwrap();
    assert_eq!(bench.rx.wait_used(), (2, 112));
}

#[test]
fn loses_no_frame_across_a_thousand_pauses() {
    let mut bench = bench(MRG_RXBUF | F_EVENT_IDX);
    bench.offer(60, 2048);
    bench.memory.write_slice(&frame(60), GuestAddress(TX)).unwrap();
    for _ in 0..1000 {
        bench.backend.wire.send(&frame(100)).unwrap();
        bench.tx.add(&[Readable(TX, 72)]);
        bench.tx.ring();
        bench.device.pause();
        bench.device.resume();
        bench.rx.wait_used();
        bench.tx.wait_used();
        bench.offer(1, 2048);
        let mut received = [0; 100];
        assert_eq!(bench.backend.wire.recv(&mut received).unwrap(), 72);
    }
}

#[test]
fn asks_for_a_reset_when_a_buffer_has_no_room_for_the_header() {
    let mut bench = bench(0);
    bench.offer(1, 11);
    wait_until("reset is asked for", || bench.interrupt.is_reset_needed());
    wait_until("counted", || bench.metric("broken_queues") == 1);
    bench.rx.ring();
    bench.device.deactivate();
    assert_eq!(bench.metric("broken_queues"), 1);
    bench.rx = FakeQueue::new(&bench.memory, 0x1000, 64);
    bench.activate(0);
    bench.offer(1, 2048);
    bench.backend.wire.send(&frame(100)).unwrap();
    assert_eq!(bench.rx.wait_used(), (0, 112));
}

#[test]
fn refuses_to_start_without_both_queues() {
    let bench = bench(0);
    bench.device.deactivate();
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: 0,
        queues: vec![Some(bench.rx.activate()), None],
        interrupt: bench.interrupt.clone(),
    };
    assert!(matches!(bench.device.activate(activation), Err(ActivateError::QueueMissing { index: 1 })));
}

#[test]
fn restores_only_what_fits_the_interface() {
    let bench = bench(0);
    let good = bench.device.save().unwrap();
    assert_eq!(good.fields["mac"], serde_json::json!(MAC));
    let other = self::bench(0);
    other.device.restore(&good).unwrap();
    assert_eq!(other.device.save().unwrap(), good);
    for (field, value) in [
        ("mac", serde_json::json!([0x52, 0x54, 0, 0x12, 0x34, 0x57])),
        ("mac", serde_json::json!([1, 2, 3])),
        ("features", serde_json::json!(u64::MAX)),
        ("extra", serde_json::json!(0)),
    ] {
        let mut bad = good.clone();
        bad.fields[field] = value;
        assert!(bench.device.restore(&bad).is_err(), "{field}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn survives_any_rings(
        rx in prop::collection::vec(any::<u8>(), 1..600),
        tx in prop::collection::vec(any::<u8>(), 1..600),
        waiting in any::<u16>(),
        frames in prop::collection::vec(0_usize..3000, 0..5),
    ) {
        let mut bench = bench(F_INDIRECT_DESC | F_EVENT_IDX | MRG_RXBUF);
        bench.device.pause();
        bench.rx.scribble(&rx, waiting);
        bench.tx.scribble(&tx, waiting);
        bench.device.resume();
        for len in frames {
            bench.backend.wire.send(&frame(len)).unwrap();
        }
        bench.rx.ring();
        bench.tx.ring();
        bench.device.pause();
        bench.device.deactivate();
    }

    #[test]
    fn gives_the_driver_what_came_over_the_wire(
        mergeable in any::<bool>(),
        frames in prop::collection::vec(14_usize..1500, 1..20),
    ) {
        let mut bench = bench(if mergeable { MRG_RXBUF } else { 0 });
        let len = if mergeable { 400 } else { 1600 };
        for sent in frames {
            // Enough for the longest frame, from the start of the area again.
            bench.device.pause();
            let missing = u64::from(5 - (bench.rx.available_index().wrapping_sub(bench.rx.used_index())).min(5));
            let first = bench.rx.available_index();
            for number in 0..missing {
                let slot = u64::from(first.wrapping_add(u16::try_from(number).unwrap()) % 64);
                bench.rx.add(&[Writable(RX + slot * 1600, len)]);
            }
            bench.rx.ring();
            bench.device.resume();
            bench.backend.wire.send(&frame(sent)).unwrap();
            let mut got = Vec::new();
            while got.len() < sent + 12 {
                let (head, len) = bench.rx.wait_used();
                got.extend(bench.bytes(RX + u64::from(head) * 1600, len as usize));
            }
            let count = if mergeable { (sent + 12).div_ceil(400) } else { 1 };
            prop_assert_eq!(usize::from(u16::from_le_bytes([got[10], got[11]])), count);
            prop_assert!(got[12..] == frame(sent)[12..]);
        }
    }
}

#[test]
fn reports_the_metrics_that_are_declared() {
    assert_declared("net", &bench(0).device.metrics());
}
