// SPDX-License-Identifier: Apache-2.0
//! A driver that uses the control queue, several pairs, and rings that are served elsewhere.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::net::{Offloads, RingBackend};
use flotilla_device_model::ring::Ring;
use flotilla_device_model::state::DeviceState;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::{FakeQueue, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use flotilla_testing::packets::FakePackets;
use proptest::prelude::*;
use vm_memory::bitmap::Bitmap;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, MmapRegion};
use vmm_sys_util::eventfd::EventFd;

use super::device::{Net, NetError, NetOptions};
use super::features::VIRTIO_NET_F_GUEST_ANNOUNCE;

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const OTHER: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x57];
const ALL: Offloads = Offloads { checksum: true, tso4: true, tso6: true, ecn: true, ufo: true, uso: true };
const MRG_RXBUF: u64 = 1 << 15;
const MQ: u64 = 1 << 22;
const PAIRS: u16 = 3;
const RING: u64 = 0x1000;
const COMMAND: u64 = 0x1_0000;
const TX: u64 = 0x2_0000;
const RX: u64 = 0x3_0000;

struct Bench {
    memory: Arc<GuestMemory>,
    queues: Vec<FakeQueue>,
    interrupt: Arc<FakeVirtioInterrupt>,
    backend: Arc<FakePackets>,
    device: Net,
    features: u64,
}

fn options() -> NetOptions {
    NetOptions::new(MAC)
}

/// An interface with three pairs and everything it offers, but for `without`.
fn bench(options: NetOptions, without: u64) -> Bench {
    let mut bench = idle(options, without);
    bench.activate();
    bench
}

fn idle(options: NetOptions, without: u64) -> Bench {
    let memory = guest_memory(0x10_0000);
    let backend = Arc::new(FakePackets::with_pairs(ALL, PAIRS));
    let device = Net::new("net:lan", backend.clone(), options).unwrap();
    let features = device.device_features() & !without;
    let mut bench =
        Bench { memory, queues: Vec::new(), interrupt: Arc::default(), backend, device, features };
    bench.lay_rings();
    bench
}

impl Bench {
    fn lay_rings(&mut self) {
        self.queues =
            (1..=2 * u64::from(PAIRS) + 1).map(|at| FakeQueue::new(&self.memory, RING * at, 64)).collect();
    }

    fn activate(&mut self) {
        self.activate_on(&self.device);
    }

    fn activate_on(&self, device: &Net) {
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            features: self.features,
            queues: self.queues.iter().map(|queue| Some(queue.activate())).collect(),
            interrupt: self.interrupt.clone(),
        };
        device.activate(activation).unwrap();
    }

    fn control(&mut self) -> &mut FakeQueue {
        let at = if self.features & MQ == 0 { 2 } else { 2 * usize::from(PAIRS) };
        &mut self.queues[at]
    }

    /// Gives a command and returns the answer.
    fn command(&mut self, bytes: &[u8]) -> u8 {
        self.memory.write_slice(bytes, GuestAddress(COMMAND)).unwrap();
        self.memory.write_obj(0xee_u8, GuestAddress(COMMAND + 0xfff)).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        let control = self.control();
        control.add(&[Readable(COMMAND, len), Writable(COMMAND + 0xfff, 1)]);
        control.ring();
        assert_eq!(control.wait_used().1, 1);
        self.memory.read_obj(GuestAddress(COMMAND + 0xfff)).unwrap()
    }

    fn config(&self) -> [u8; 12] {
        let mut config = [0; 12];
        self.device.read_config(0, &mut config);
        config
    }

    fn status(&self) -> u8 {
        self.config()[6]
    }

    fn metric(&self, name: &str) -> u64 {
        self.device.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn offer(&mut self, pair: usize) {
        self.queues[2 * pair].add(&[Writable(RX + 0x1000 * pair as u64, 0x1000)]);
        self.queues[2 * pair].ring();
    }

    fn receives(&mut self, pair: usize) -> u32 {
        self.queues[2 * pair].wait_used().1
    }

    fn send(&mut self, pair: usize, frame: &[u8]) {
        self.memory.write_slice(frame, GuestAddress(TX)).unwrap();
        let queue = &mut self.queues[2 * pair + 1];
        queue.add(&[Readable(TX, 14), Readable(TX + 14, u32::try_from(frame.len()).unwrap() - 14)]);
        queue.ring();
        queue.wait_used();
    }
}

fn frame(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    [&[0; 12][..], &to, &from, &[0x88, 0xb5], &[7; 60]].concat()
}

#[test]
fn puts_the_control_queue_where_the_driver_expects_it() {
    for without in [0, MQ] {
        let mut bench = bench(options(), without);
        assert_eq!(bench.command(&[0, 0, 1]), 0);
        assert_eq!(bench.command(&[9, 9, 9]), 1);
        assert_eq!((bench.metric("ctrl_commands"), bench.metric("ctrl_refused")), (1, 1));
    }
}

#[test]
fn a_command_without_room_for_an_answer_is_carried_out_and_used_up() {
    let mut bench = bench(options(), 0);
    bench.memory.write_slice(&[0, 0, 0], GuestAddress(COMMAND)).unwrap();
    let control = bench.control();
    control.add(&[Readable(COMMAND, 3)]);
    control.add(&[Writable(COMMAND, 1)]);
    control.ring();
    assert_eq!((control.wait_used().1, control.wait_used().1), (0, 1));
    assert_eq!((bench.metric("ctrl_commands"), bench.metric("ctrl_refused")), (1, 1));
}

#[test]
fn filters_received_frames_as_the_driver_asks() {
    let mut bench = bench(options(), 0);
    assert_eq!(bench.command(&[0, 0, 0]), 0);
    bench.offer(0);
    for to in [OTHER, [0x33, 0x33, 0, 0, 0, 1]] {
        bench.backend.wire.send(&frame(to, OTHER)).unwrap();
    }
    wait_until("both are kept out", || bench.metric("rx_filtered") == 2);
    let table = [&[1, 0, 1, 0, 0, 0][..], &OTHER, &[0; 4]].concat();
    assert_eq!(bench.command(&table), 0);
    bench.backend.wire.send(&frame(OTHER, MAC)).unwrap();
    assert_eq!(bench.receives(0), 86);
    bench.offer(0);
    bench.backend.wire.send(&frame(MAC, OTHER)).unwrap();
    assert_eq!(bench.receives(0), 86);
}

#[test]
fn takes_another_address_and_forgets_it_at_a_reset() {
    let mut bench = bench(options(), 0);
    assert_eq!(bench.command(&[&[1, 1][..], &OTHER].concat()), 0);
    assert_eq!(bench.config()[..6], OTHER);
    assert_eq!(bench.command(&[0, 0, 0]), 0);
    bench.offer(0);
    bench.backend.wire.send(&frame(OTHER, MAC)).unwrap();
    assert_eq!(bench.receives(0), 86);
    bench.device.deactivate();
    assert_eq!(bench.config()[..6], MAC);
}

#[test]
fn drops_and_counts_frames_from_other_addresses_when_asked_to() {
    let mut bench = bench(NetOptions { allow_spoofed_mac: false, ..options() }, 0);
    bench.send(0, &frame(OTHER, OTHER));
    bench.send(1, &frame(OTHER, OTHER));
    bench.send(0, &frame(OTHER, MAC));
    let mut received = [0; 200];
    assert_eq!(bench.backend.wire.recv(&mut received).unwrap(), 86);
    assert_eq!(received[..86], frame(OTHER, MAC));
    assert_eq!((bench.metric("tx_spoofed"), bench.metric("tx_frames")), (2, 1));
    assert_eq!(bench.command(&[&[1, 1][..], &OTHER].concat()), 1, "a driver that takes another address");
    assert_eq!(bench.command(&[&[1, 1][..], &MAC].concat()), 0);
    // Too short to say where it comes from.
    bench.send(0, &frame(OTHER, MAC)[..20]);
    assert_eq!(bench.metric("tx_errors"), 1);
}

#[test]
fn serves_as_many_pairs_as_the_driver_uses() {
    let mut bench = bench(options(), 0);
    assert_eq!((bench.backend.used_pairs(), bench.config()[8]), (1, 3));
    for pair in 0..3 {
        bench.offer(pair);
    }
    bench.backend.others[1].send(&frame(MAC, OTHER)).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(bench.queues[4].used_index(), 0, "a pair that is not in use");
    assert_eq!(bench.command(&[4, 0, 3, 0]), 0);
    assert_eq!((bench.backend.used_pairs(), bench.receives(2)), (3, 86));
    bench.backend.others[0].send(&frame(MAC, OTHER)).unwrap();
    assert_eq!(bench.receives(1), 86);
    for pair in 0..3 {
        bench.send(pair, &frame(OTHER, MAC));
    }
    for bad in [0, 4, 0xff] {
        assert_eq!(bench.command(&[4, 0, bad, 0]), 1);
    }
    assert_eq!(bench.command(&[4, 0, 1, 0]), 0);
    assert_eq!(bench.backend.used_pairs(), 1);
}

#[test]
fn a_driver_of_one_pair_gets_one() {
    let mut bench = bench(options(), MQ);
    assert_eq!(bench.command(&[4, 0, 2, 0]), 1);
    assert_eq!(bench.device.queues().iter().flatten().count(), 3);
}

#[test]
fn switches_offloads_that_were_agreed_on() {
    let mut bench = bench(options(), 1 << 8);
    assert_eq!(bench.backend.accepted(), Some(Offloads { tso6: false, ..ALL }));
    assert_eq!(bench.command(&[&[5, 0][..], &0b10_u64.to_le_bytes()].concat()), 0);
    assert_eq!(bench.backend.accepted(), Some(Offloads { checksum: true, ..Offloads::default() }));
    assert_eq!(bench.command(&[&[5, 0][..], &(1_u64 << 8).to_le_bytes()].concat()), 1, "not agreed on");
    assert_eq!(bench.command(&[&[5, 0][..], &0_u64.to_le_bytes()].concat()), 0);
    assert_eq!(bench.backend.accepted(), Some(Offloads::default()));
}

#[test]
fn tells_the_driver_of_the_link_and_carries_nothing_while_it_is_down() {
    let mut bench = bench(options(), 0);
    bench.offer(0);
    bench.device.set_link(false);
    assert_eq!((bench.status(), bench.interrupt.config(), bench.device.is_link_up()), (0, 1, false));
    bench.device.set_link(false);
    assert_eq!(bench.interrupt.config(), 1, "nothing changed");
    bench.send(0, &frame(OTHER, MAC));
    assert_eq!(bench.metric("tx_dropped"), 1);
    bench.backend.wire.send(&frame(MAC, OTHER)).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(bench.queues[0].used_index(), 0);
    bench.device.set_link(true);
    assert_eq!((bench.status(), bench.interrupt.config()), (1, 2));
    std::thread::sleep(Duration::from_millis(20));
    let long = [frame(MAC, OTHER), vec![0; 100]].concat();
    bench.backend.wire.send(&long).unwrap();
    assert_eq!(bench.receives(0), 186, "what came meanwhile is not delivered late");
    bench.send(0, &frame(OTHER, MAC));
    assert_eq!(bench.metric("tx_frames"), 1);
}

#[test]
fn a_driver_announces_itself_when_it_is_asked_and_can() {
    let mut bench = bench(options(), 0);
    let before = bench.interrupt.config();
    assert!(bench.device.announce());
    assert_eq!((bench.status(), bench.interrupt.config()), (3, before + 1));
    assert!(bench.device.announce(), "it has not answered yet, and may be asked again");
    assert_eq!(bench.command(&[3, 0]), 0);
    assert_eq!((bench.status(), bench.metric("announcements")), (1, 2));
    bench.device.set_link(false);
    assert!(!bench.device.announce(), "nobody would hear of it");
    bench.device.set_link(true);
    bench.device.deactivate();
    assert!(!bench.device.announce(), "there is no driver");
    let device = Net::new("net:lan", bench.backend.clone(), options()).unwrap();
    bench.device = device;
    bench.features &= !VIRTIO_NET_F_GUEST_ANNOUNCE;
    bench.lay_rings();
    bench.activate();
    assert!(!bench.device.announce(), "it does not know how");
    assert_eq!(bench.status(), 1);
}

#[test]
fn a_cable_that_is_out_at_first_is_out() {
    let bench = bench(NetOptions { link_up: false, mtu: Some(9000), ..options() }, 0);
    assert_eq!(bench.config()[6..], [0, 0, 3, 0, 0x28, 0x23]);
}

#[test]
fn refuses_what_no_interface_can_be() {
    let new = |options| Net::new("n", Arc::new(FakePackets::new(ALL)), options).map(|_| ());
    assert_eq!(new(NetOptions { mtu: Some(67), ..options() }), Err(NetError::Mtu { mtu: 67 }));
    let rings: Arc<dyn RingBackend> = Arc::new(FakeRings::default());
    let unguarded = NetOptions { rings: Some(rings), allow_spoofed_mac: false, ..options() };
    assert_eq!(new(unguarded), Err(NetError::Unguarded));
    let many = Arc::new(FakePackets::with_pairs(ALL, 17));
    assert!(matches!(Net::new("n", many, options()), Err(NetError::Pairs { pairs: 17 })));
}

/// Saves a device and brings another one up from that, with the queues where they stood.
fn move_to(bench: &mut Bench, target: &Net, state: &DeviceState) {
    let positions = bench.device.queues();
    target.restore(state).unwrap();
    let queues = bench.queues.iter().zip(positions).map(|(queue, position)| {
        let position = position.unwrap();
        let mut active = queue.activate();
        virtio_queue::QueueT::set_next_avail(&mut active.queue, position.next_avail);
        virtio_queue::QueueT::set_next_used(&mut active.queue, position.next_used);
        Some(active)
    });
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: bench.features,
        queues: queues.collect(),
        interrupt: bench.interrupt.clone(),
    };
    bench.device.deactivate();
    target.activate(activation).unwrap();
}

#[test]
fn a_restored_interface_goes_on_as_it_was_and_announces_itself() {
    let mut bench = bench(options(), 0);
    for command in
        [&[4, 0, 2, 0][..], &[0, 0, 0], &[&[1, 1][..], &OTHER].concat(), &[5, 0, 2, 0, 0, 0, 0, 0, 0, 0]]
    {
        assert_eq!(bench.command(command), 0);
    }
    bench.offer(0);
    bench.offer(1);
    bench.device.pause();
    let state = bench.device.save().unwrap();
    let target = Net::new("net:lan", bench.backend.clone(), options()).unwrap();
    move_to(&mut bench, &target, &state);
    bench.device = target;
    assert_eq!(bench.backend.used_pairs(), 2);
    assert_eq!(bench.backend.accepted(), Some(Offloads { checksum: true, ..Offloads::default() }));
    assert_eq!((bench.config()[..6].to_vec(), bench.status()), (OTHER.to_vec(), 3));
    bench.backend.wire.send(&frame(MAC, MAC)).unwrap();
    wait_until("its filter is there", || bench.metric("rx_filtered") == 1);
    bench.backend.others[0].send(&frame(OTHER, MAC)).unwrap();
    assert_eq!(bench.receives(1), 86);
    assert_eq!(bench.command(&[3, 0]), 0);
    assert_eq!(bench.status(), 1);
    assert_eq!(bench.command(&[3, 0]), 1, "it was not asked again");
    assert_eq!(bench.metric("announcements"), 1);
    // The next driver begins anew.
    bench.device.deactivate();
    bench.lay_rings();
    bench.activate();
    assert_eq!(
        (bench.config()[..6].to_vec(), bench.status(), bench.backend.used_pairs()),
        (MAC.to_vec(), 1, 1)
    );
}

#[test]
fn takes_no_saved_agreement_that_no_driver_could_have_made() {
    let mut bench = bench(options(), 0);
    assert_eq!(bench.command(&[0, 0, 0]), 0);
    bench.device.pause();
    let good = bench.device.save().unwrap();
    let target = || idle(NetOptions { allow_spoofed_mac: true, ..options() }, 0).device;
    target().restore(&good).unwrap();
    for (field, value) in [
        ("mac", serde_json::json!([1, 0, 0, 0, 0, 1])),
        ("mac", serde_json::json!([0, 0, 0, 0, 0, 0])),
        ("pairs", serde_json::json!(0)),
        ("pairs", serde_json::json!(4)),
        ("offloads", serde_json::json!(1)),
        ("offloads", serde_json::json!(u64::MAX)),
        ("extra", serde_json::json!(1)),
    ] {
        let mut bad = good.clone();
        bad.fields["agreement"][field] = value;
        assert!(target().restore(&bad).is_err(), "{field}");
    }
    let mut bad = good.clone();
    bad.fields["agreement"]["filter"]["unicast"] = serde_json::json!(vec![MAC; 65]);
    assert!(target().restore(&bad).is_err());
    for (field, value) in [("pairs", serde_json::json!(2)), ("mtu", serde_json::json!(1500))] {
        let mut bad = good.clone();
        bad.fields[field] = value;
        assert!(target().restore(&bad).is_err(), "{field}");
    }
    let mut moved = good.clone();
    moved.fields["agreement"]["mac"] = serde_json::json!(OTHER);
    let guarded = idle(NetOptions { allow_spoofed_mac: false, ..options() }, 0).device;
    guarded.restore(&good).unwrap();
    assert!(guarded.restore(&moved).is_err());
}

/// Remembers what rings it was given, with events that a test can signal.
#[derive(Default)]
struct FakeRings {
    served: Mutex<Vec<Served>>,
    fail: bool,
}

struct Served {
    pair: u16,
    next_avail: [u16; 2],
    call: EventFd,
    error: EventFd,
    running: bool,
    memory: Arc<GuestMemory>,
}

impl RingBackend for FakeRings {
    fn features(&self) -> u64 {
        MRG_RXBUF | 1 << 29
    }

    fn start(
        &self,
        pair: u16,
        _features: u64,
        memory: &Arc<GuestMemory>,
        receive: Ring<'_>,
        transmit: Ring<'_>,
    ) -> io::Result<()> {
        if self.fail {
            return Err(io::Error::other("made to fail"));
        }
        let next_avail = [receive.state.next_avail, transmit.state.next_avail];
        let (call, error) = (receive.call.try_clone()?, transmit.error.try_clone()?);
        let mut served = self.served.lock().unwrap();
        assert!(!served.iter().any(|served| served.pair == pair && served.running), "started twice");
        served.push(Served { pair, next_avail, call, error, running: true, memory: Arc::clone(memory) });
        Ok(())
    }

    fn stop(&self, pair: u16) -> io::Result<[u16; 2]> {
        let mut served = self.served.lock().unwrap();
        let served = served.iter_mut().rev().find(|served| served.pair == pair);
        let served = served.ok_or_else(|| io::Error::other("never started"))?;
        served.running = false;
        // Somebody reads the dirty log, and only then the last frame is written.
        for region in served.memory.iter() {
            MmapRegion::bitmap(region).reset();
        }
        Ok([7, 9])
    }
}

impl FakeRings {
    fn running(&self) -> usize {
        self.served.lock().unwrap().iter().filter(|served| served.running).count()
    }
}

fn bench_on_rings(fail: bool) -> (Bench, Arc<FakeRings>) {
    let rings = Arc::new(FakeRings { fail, ..FakeRings::default() });
    let bench = bench(NetOptions { rings: Some(rings.clone()), ..options() }, 0);
    (bench, rings)
}

#[test]
fn rings_that_are_served_elsewhere_are_started_stopped_and_heard() {
    let (mut bench, rings) = bench_on_rings(false);
    assert_eq!(bench.features & (1 << 28 | 1 << 29 | MRG_RXBUF), 1 << 29 | MRG_RXBUF);
    assert_eq!(bench.features & (1 << 18 | 1 << 20), 0, "nobody filters");
    wait_until("all pairs are served", || rings.running() == 3);
    assert_eq!(bench.command(&[4, 0, 2, 0]), 0);
    assert_eq!(bench.backend.used_pairs(), 2);
    rings.served.lock().unwrap()[1].call.write(1).unwrap();
    wait_until("the interrupt is passed on", || bench.interrupt.queue(2) == 1);

    bench.device.set_link(false);
    wait_until("they stand still", || rings.running() == 0);
    let is_dirty =
        || bench.memory.iter().all(|region| region.bitmap().dirty_at(usize::try_from(RX).unwrap()));
    wait_until("what they wrote is known as dirty", is_dirty);
    bench.device.set_link(true);
    wait_until("they go on", || rings.running() == 3);
    assert_eq!(rings.served.lock().unwrap()[3].next_avail, [7, 9]);

    bench.device.pause();
    assert_eq!(rings.running(), 0);
    let positions = bench.device.queues();
    assert_eq!((positions[0].unwrap().next_avail, positions[3].unwrap().next_avail), (7, 9));
    bench.device.resume();
    wait_until("they go on", || rings.running() == 3);

    rings.served.lock().unwrap().last().unwrap().error.write(1).unwrap();
    wait_until("a broken ring is told of", || bench.interrupt.is_reset_needed());
    assert_eq!(bench.metric("broken_queues"), 1);
    bench.device.deactivate();
    assert_eq!(rings.running(), 0);
}

#[test]
fn a_driver_whose_rings_nobody_can_serve_is_asked_for_a_reset() {
    let (bench, rings) = bench_on_rings(true);
    wait_until("it is asked", || bench.interrupt.is_reset_needed());
    assert_eq!(rings.running(), 0);
    bench.device.deactivate();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_commanded_leaves_an_interface_that_can_be_saved(
        data in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        super::fuzz::fuzz_control(&data);
    }

    #[test]
    fn whatever_is_sent_from_either_side_leaves_an_interface_that_pauses(
        data in prop::collection::vec(any::<u8>(), 0..4000),
    ) {
        super::fuzz::fuzz_frames(&data);
    }
}
