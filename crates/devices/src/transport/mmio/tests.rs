// SPDX-License-Identifier: Apache-2.0
//! The transport driven as a guest drives it: through the register page and the doorbells.

use std::sync::Arc;

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::DeviceState;
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::disk::FakeDisk;
use flotilla_testing::doorbells::FakeDoorbells;
use flotilla_testing::driver::{Buffer, Descriptor, FakeQueue, NEXT, wait_until};
use flotilla_testing::interrupts::FakeLine;
use flotilla_testing::memory::guest_memory;

use super::device::{VirtioMmio, VirtioMmioParts};
use crate::declared::assert_declared;
use crate::virtio::block::device::{Block, BlockOptions};
use crate::virtio::rng::device::Rng;
use crate::virtio::rng::source::EntropySource;

const PAGE: u64 = 0xd000_0000;
const NOTIFY: u64 = PAGE + 0x50;
const RINGS: u64 = 0x1000;
const DATA: u64 = 0x9000;

struct Sevens;

impl EntropySource for Sevens {
    fn fill(&self, data: &mut [u8]) -> std::io::Result<()> {
        data.fill(7);
        Ok(())
    }
}

struct Bench {
    memory: Arc<GuestMemory>,
    doorbells: Arc<FakeDoorbells>,
    line: Arc<FakeLine>,
    page: VirtioMmio,
}

fn bench_of(memory: &Arc<GuestMemory>, device: Arc<dyn VirtioDevice>) -> Bench {
    let (doorbells, line) = (Arc::<FakeDoorbells>::default(), Arc::<FakeLine>::default());
    let page = VirtioMmio::new(VirtioMmioParts {
        device,
        memory: Arc::clone(memory),
        line: line.clone(),
        doorbells: doorbells.clone(),
        address: PAGE,
    });
    Bench { memory: Arc::clone(memory), doorbells, line, page: page.unwrap() }
}

fn rng() -> Arc<dyn VirtioDevice> {
    Arc::new(Rng::new("rng0", Arc::new(Sevens)))
}

fn bench() -> Bench {
    bench_of(&guest_memory(0x10_0000), rng())
}

impl Bench {
    fn read(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.page.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&self, offset: u64, value: u32) {
        self.page.write(offset, &value.to_le_bytes());
    }

    fn negotiate(&self, low_features: u32) {
        for status in [0, 1, 3] {
            self.write(0x70, status);
        }
        for (select, features) in [(0, low_features), (1, 1)] {
            self.write(0x24, select);
            self.write(0x20, features);
        }
        self.write(0x70, 11);
        assert_eq!(self.read(0x70), 11);
    }

    fn set_up_queue(&self, index: u32, queue: &FakeQueue) {
        self.write(0x30, index);
        self.write(0x38, queue.size.into());
        for (register, address) in [(0x80, queue.descriptors), (0x90, queue.available), (0xa0, queue.used)] {
            self.write(register, u32::try_from(address & 0xffff_ffff).unwrap());
            self.write(register + 4, u32::try_from(address >> 32).unwrap());
        }
        self.write(0x44, 1);
    }

    fn drive(&self, features: u32, queue: &FakeQueue) {
        self.negotiate(features);
        self.set_up_queue(0, queue);
        self.write(0x70, 15);
        assert_eq!(self.read(0x70), 15);
    }

    fn ring(&self, queue: u32) {
        assert!(self.doorbells.ring(NOTIFY, queue), "the doorbell of queue {queue} is bound");
    }

    fn state(&self) -> serde_json::Value {
        serde_json::to_value(self.page.save().unwrap()).unwrap()
    }

    fn metric(&self, name: &str) -> u64 {
        self.page.metrics().into_iter().find(|(key, _)| *key == name).unwrap().1
    }
}

#[test]
fn says_what_it_is() {
    let bench = bench();
    assert_eq!([0x00, 0x04, 0x08].map(|register| bench.read(register)), [0x7472_6976, 2, 4]);
    assert_eq!((bench.read(0x34), bench.read(0x44), bench.read(0xfc)), (256, 0, 0));
    assert_eq!((bench.read(0xb0), bench.read(0xb4)), (u32::MAX, u32::MAX), "no shared memory");
    bench.write(0x30, 9);
    assert_eq!(bench.read(0x34), 0, "no such queue");
    bench.write(0x14, 1);
    assert_eq!(bench.read(0x10), 1, "version 1");
    bench.write(0x14, 7);
    assert_eq!(bench.read(0x10), 0);
}

#[test]
fn moves_data_and_interrupts_by_edges() {
    let bench = bench();
    let mut queue = FakeQueue::new(&bench.memory, RINGS, 8);
    assert!(!bench.doorbells.ring(NOTIFY, 0), "no doorbell before the device works");
    bench.drive(0, &queue);
    queue.add(&[Buffer::Writable(DATA, 64)]);
    bench.ring(0);
    assert_eq!(queue.wait_used(), (0, 64));
    wait_until("an interrupt", || bench.read(0x60) == 1);
    assert_eq!(bench.line.edges(), 1);
    assert!(!bench.line.is_high(), "an edge leaves nothing behind");
    bench.write(0x64, 1);
    assert_eq!(bench.read(0x60), 0);
    assert_eq!(bench.memory.read_obj::<u64>(GuestAddress(DATA)).unwrap(), 0x0707_0707_0707_0707);
    // A doorbell that the host did not take arrives as a write.
    queue.add(&[Buffer::Writable(DATA, 32)]);
    bench.write(0x50, 0);
    assert_eq!(queue.wait_used().1, 32);
    assert_eq!((bench.metric("mmio_doorbell_exits"), bench.metric("mmio_queue_interrupts")), (1, 2));
}

#[test]
fn a_reset_takes_everything_back() {
    let bench = bench();
    let fresh = bench.state();
    let queue = FakeQueue::new(&bench.memory, RINGS, 8);
    bench.drive(0, &queue);
    assert_eq!(bench.doorbells.addresses(), [NOTIFY]);
    bench.write(0x70, 0);
    assert_eq!(bench.read(0x70), 0);
    assert!(bench.doorbells.addresses().is_empty());
    assert_eq!(bench.state(), fresh);
    let resets = bench.metric("mmio_resets");
    bench.drive(0, &queue);
    assert_eq!((bench.metric("mmio_resets"), bench.metric("mmio_activations")), (resets + 1, 2));
}

#[test]
fn doorbells_that_the_host_refuses_arrive_as_exits() {
    let bench = bench();
    bench.doorbells.refuse_from(Some(0));
    let mut queue = FakeQueue::new(&bench.memory, RINGS, 8);
    bench.drive(0, &queue);
    queue.add(&[Buffer::Writable(DATA, 8)]);
    bench.write(0x50, 0);
    assert_eq!(queue.wait_used().1, 8);
    assert_eq!((bench.metric("mmio_doorbell_failures"), bench.metric("mmio_doorbell_exits")), (1, 1));
}

#[test]
fn what_breaks_the_protocol_is_ignored_and_counted() {
    let bench = bench();
    let queue = FakeQueue::new(&bench.memory, RINGS, 8);
    let refused = |what: &str, act: &dyn Fn()| {
        let before = (bench.state(), bench.metric("mmio_refused_writes"));
        act();
        assert_eq!(bench.state(), before.0, "{what} changed something");
        assert_eq!(bench.metric("mmio_refused_writes"), before.1 + 1, "{what} was not counted");
    };
    refused("a queue before FEATURES_OK", &|| bench.write(0x38, 8));
    refused("DRIVER_OK at once", &|| bench.write(0x70, 4));
    refused("a status that is no byte", &|| bench.write(0x70, 0x100));
    refused("a read-only register", &|| bench.write(0x00, 1));
    refused("half a register", &|| bench.page.write(0x70, &[1, 0]));
    refused("a register across two", &|| bench.page.write(0x72, &[1, 0, 0, 0]));
    refused("eight bytes", &|| bench.page.write(0x70, &[1; 8]));
    bench.negotiate(0);
    bench.write(0x30, 5);
    refused("a queue that is not there", &|| bench.write(0x44, 1));
    bench.write(0x30, 0);
    refused("a size that is no power of two", &|| bench.write(0x38, 7));
    refused("a size that is too large", &|| bench.write(0x38, 512));
    refused("a ready that is neither 0 nor 1", &|| bench.write(0x44, 2));
    bench.set_up_queue(0, &queue);
    refused("a change of a queue that is ready", &|| bench.write(0x80, 0));
    refused("features after they were agreed on", &|| bench.write(0x20, 0));
    bench.write(0x70, 15);
    refused("a doorbell of no queue", &|| {
        bench.write(0x50, 9);
    });
    let mut half = [0xff; 2];
    bench.page.read(0x00, &mut half);
    assert_eq!(half, [0, 0]);
}

#[test]
fn a_queue_outside_memory_asks_for_a_reset() {
    let bench = bench();
    let mut queue = FakeQueue::new(&bench.memory, RINGS, 8);
    queue.used = 0x1_0000_0000;
    bench.negotiate(0);
    bench.set_up_queue(0, &queue);
    bench.write(0x70, 15);
    assert_eq!((bench.read(0x70), bench.read(0x60), bench.line.edges()), (15 | 0x40, 2, 1));
    assert_eq!((bench.read(0xfc), bench.metric("mmio_activation_failures")), (1, 1));
    bench.write(0x70, 0);
    assert_eq!(bench.read(0x70), 0);
}

#[test]
fn a_broken_ring_asks_for_a_reset() {
    let bench = bench();
    let mut queue = FakeQueue::new(&bench.memory, RINGS, 8);
    bench.drive(0, &queue);
    queue.write_descriptor(0, Descriptor { address: DATA, len: 8, flags: NEXT, next: 0 });
    queue.offer(0);
    bench.ring(0);
    wait_until("the wish for a reset", || bench.read(0x70) == 15 | 0x40);
    wait_until("its interrupt", || bench.metric("mmio_config_interrupts") == 1);
    assert_eq!(bench.metric("mmio_needs_resets"), 1);
}

#[test]
fn a_disk_goes_on_in_a_new_device() {
    let content: Vec<u8> = (0..16 * 512_u32).map(|i| (i / 512).to_le_bytes()[0]).collect();
    let disk = || -> Arc<dyn VirtioDevice> {
        let disk = Arc::new(FakeDisk::new(content.clone(), false));
        Arc::new(Block::new("disk:d", disk, BlockOptions::default()).unwrap())
    };
    let read_sector = |queue: &mut FakeQueue, sector: u64| {
        queue.memory.write_obj(0_u64, GuestAddress(0x8000)).unwrap();
        queue.memory.write_obj(sector.to_le(), GuestAddress(0x8008)).unwrap();
        queue.add(&[Buffer::Readable(0x8000, 16), Buffer::Writable(DATA, 512), Buffer::Writable(0xa000, 1)]);
    };
    let first = bench_of(&guest_memory(0x10_0000), disk());
    let mut queue = FakeQueue::new(&first.memory, RINGS, 16);
    first.drive(1 << 9, &queue);
    read_sector(&mut queue, 3);
    first.ring(0);
    assert_eq!(queue.wait_used().1, 513);
    first.page.pause();
    read_sector(&mut queue, 5);
    first.ring(0);
    let state = first.page.save().unwrap();
    let text = serde_json::to_string(&state).unwrap();
    first.page.reset();

    let second = bench_of(&first.memory, disk());
    second.page.restore(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(second.page.save().unwrap(), state, "what was saved is saved again");
    assert_eq!(queue.take_used(), None, "nothing runs before the resume");
    second.page.resume();
    assert_eq!(queue.wait_used().1, 513);
    assert_eq!(second.memory.read_obj::<u8>(GuestAddress(DATA)).unwrap(), 5);
    assert!(second.line.edges() > 0);
    read_sector(&mut queue, 7);
    second.ring(0);
    assert_eq!(queue.wait_used().1, 513);
    assert_eq!(second.memory.read_obj::<u8>(GuestAddress(DATA)).unwrap(), 7);
}

type Edit = fn(&mut serde_json::Value);

#[test]
fn a_state_that_no_driver_could_reach_is_refused() {
    let bench = bench();
    let queue = FakeQueue::new(&bench.memory, RINGS, 8);
    bench.drive(0, &queue);
    bench.page.pause();
    let sound = bench.state();
    let edits: [(&str, Edit); 7] = [
        ("a status that skips steps", |fields| fields["status"] = 4.into()),
        ("features never offered", |fields| fields["driver_features"] = 0x1_8000_0000_u64.into()),
        ("no version 1", |fields| fields["driver_features"] = 0.into()),
        ("a queue too many", |fields| {
            let queue = fields["queues"][0].clone();
            fields["queues"].as_array_mut().unwrap().push(queue);
        }),
        ("an odd size", |fields| fields["queues"][0]["size"] = 7.into()),
        ("a vector", |fields| fields["queues"][0]["vector"] = 0.into()),
        ("an unknown field", |fields| fields["more"] = 1.into()),
    ];
    for (what, edit) in edits {
        let mut state = sound.clone();
        edit(&mut state["fields"]);
        let fresh = bench_of(&bench.memory, rng());
        let before = fresh.state();
        let state: DeviceState = serde_json::from_value(state).unwrap();
        assert!(fresh.page.restore(&state).is_err(), "{what}");
        assert_eq!(fresh.state(), before, "{what} left something behind");
    }
    let state: DeviceState = serde_json::from_value(sound).unwrap();
    assert!(bench.page.restore(&state).is_err(), "an active device takes no state");
    bench_of(&bench.memory, rng()).page.restore(&state).unwrap();
}

#[test]
fn reports_the_metrics_that_are_declared() {
    let mut values = bench().page.metrics();
    values.retain(|(name, _)| name.starts_with("mmio_"));
    assert_declared("mmio", &values);
}
