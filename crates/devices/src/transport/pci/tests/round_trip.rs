// SPDX-License-Identifier: Apache-2.0
//! Each virtio device at work, saved and taken over by a new one: the driver notices nothing.

use flotilla_device_model::net::Offloads;
use flotilla_memory::{Bytes, GuestAddress};
use flotilla_testing::disk::FakeDisk;
use flotilla_testing::packets::FakePackets;

use super::*;
use crate::virtio::block::device::{Block, BlockOptions};
use crate::virtio::net::device::{Net, NetOptions};
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

const RINGS: u64 = 0x1000;
const MORE_RINGS: u64 = 0x4000;
const HEADER: u64 = 0x8000;
const DATA: u64 = 0x9000;
const STATUS: u64 = 0xa000;
const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const ALL: Offloads = Offloads { checksum: true, tso4: true, tso6: true, ecn: true, ufo: true, uso: true };
const MRG_RXBUF: u64 = 1 << 15;
const GUEST_CSUM: u64 = 1 << 1;
const BLK_FLUSH: u64 = 1 << 9;
const BLK_MQ: u64 = 1 << 12;

/// A function around `device`.
fn holding(memory: &Arc<GuestMemory>, device: Arc<dyn VirtioDevice>) -> Bench {
    bench_of(memory, device, Arc::default())
}

/// Brings the driver up with these features on these queues.
fn drive(bench: &Bench, features: u64, queues: &[&FakeQueue]) {
    bench.decode();
    bench.enable_msix();
    bench.negotiate(features);
    for (index, queue) in (0..).zip(queues) {
        bench.set_up_queue_at(index, queue);
    }
    bench.write::<1>(0x14, 15);
    assert_eq!(bench.status(), 15);
}

/// Rings the doorbell of a queue, which must be bound.
fn ring(bench: &Bench, queue: u64) {
    assert!(bench.doorbells.ring(bench.bar() + NOTIFY + 4 * queue, 0), "doorbell {queue} is bound");
}

/// Moves the state of a paused function into a new one with the same kind of device, through text.
fn take_over(from: &Bench, device: Arc<dyn VirtioDevice>) -> Bench {
    let state = from.function.save().unwrap();
    let text = serde_json::to_string(&state).unwrap();
    from.function.reset();
    let to = holding(&from.memory, device);
    assert_ne!(to.function.save().unwrap(), state, "nothing was at work");
    to.function.restore(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(to.function.save().unwrap(), state, "what was saved is saved again");
    to
}

fn ring_positions(bench: &Bench, queue: usize) -> (u64, u64) {
    let state = bench.function.save().unwrap();
    let position = |name: &str| state.fields["queues"][queue][name].as_u64().unwrap();
    (position("next_available"), position("next_used"))
}

/// Offers a read of one sector without ringing.
fn offer_read(queue: &mut FakeQueue, sector: u64) {
    queue.memory.write_obj(0_u64, GuestAddress(HEADER)).unwrap();
    queue.memory.write_obj(sector.to_le(), GuestAddress(HEADER + 8)).unwrap();
    queue.memory.write_obj(0xee_u8, GuestAddress(STATUS)).unwrap();
    queue.add(&[Buffer::Readable(HEADER, 16), Buffer::Writable(DATA, 512), Buffer::Writable(STATUS, 1)]);
}

/// The read has succeeded and given what is in that sector of `content`.
fn has_read(queue: &mut FakeQueue, content: &[u8], sector: usize) {
    assert_eq!(queue.wait_used().1, 513);
    assert_eq!(queue.memory.read_obj::<u8>(GuestAddress(STATUS)).unwrap(), 0);
    let mut data = [0; 512];
    queue.memory.read_slice(&mut data, GuestAddress(DATA)).unwrap();
    assert!(data[..] == content[512 * sector..512 * (sector + 1)], "sector {sector}");
}

#[test]
fn a_disk_goes_on_in_a_new_device() {
    let content: Vec<u8> = (0..64 * 512_u32).map(|i| (i / 512 + i % 7).to_le_bytes()[0]).collect();
    let backend = Arc::new(FakeDisk::new(content.clone(), false));
    let disk = |backend: &Arc<FakeDisk>| {
        Arc::new(Block::new("disk:d", backend.clone(), BlockOptions::default()).unwrap())
    };
    let first = holding(&guest_memory(0x10_0000), disk(&backend));
    let mut queue = FakeQueue::new(&first.memory, RINGS, 16);
    drive(&first, BLK_FLUSH | F_EVENT_IDX | F_INDIRECT_DESC, &[&queue]);
    // More than once around the ring.
    for sector in 0..21 {
        offer_read(&mut queue, sector);
        ring(&first, 0);
        has_read(&mut queue, &content, usize::try_from(sector).unwrap());
    }
    // One that the device has taken, which is finished before the pause is over, and one that it has not seen.
    backend.hold(true);
    offer_read(&mut queue, 30);
    ring(&first, 0);
    wait_until("taken", || {
        first.function.device.queues()[0].as_ref().is_some_and(|queue| queue.next_avail == 22)
    });
    first.function.pause();
    has_read(&mut queue, &content, 30);
    offer_read(&mut queue, 31);
    ring(&first, 0);
    assert_eq!(ring_positions(&first, 0), (22, 22));

    let second = take_over(&first, disk(&Arc::new(FakeDisk::new(content.clone(), false))));
    assert_eq!(queue.take_used(), None, "nothing runs before the resume");
    second.function.resume();
    has_read(&mut queue, &content, 31);
    offer_read(&mut queue, 32);
    ring(&second, 0);
    has_read(&mut queue, &content, 32);
    assert!(!second.queue_vector().take_delivered().is_empty(), "by the vector of the saved driver");
    second.function.pause();
    assert_eq!(ring_positions(&second, 0), (24, 24));
}

#[test]
fn a_disk_goes_on_with_each_of_its_queues() {
    let content: Vec<u8> = (0..64 * 512_u32).map(|i| (i / 512 + i % 7).to_le_bytes()[0]).collect();
    let disk = || {
        let options = BlockOptions { queues: 3, ..BlockOptions::default() };
        Arc::new(Block::new("disk:d", Arc::new(FakeDisk::new(content.clone(), false)), options).unwrap())
    };
    let first = holding(&guest_memory(0x10_0000), disk());
    let rings = |index: u64| FakeQueue::new(&first.memory, RINGS + 0x400 * index, 16);
    let mut queues = [rings(0), rings(1), rings(2)];
    let [a, b, c] = &queues;
    drive(&first, BLK_FLUSH | BLK_MQ | F_EVENT_IDX | F_INDIRECT_DESC, &[a, b, c]);
    for (index, queue) in queues.iter_mut().enumerate() {
        for sector in 0..=index {
            offer_read(queue, sector as u64);
            ring(&first, index as u64);
            has_read(queue, &content, sector);
        }
    }
    first.function.pause();
    assert_eq!([0, 1, 2].map(|queue| ring_positions(&first, queue)), [(1, 1), (2, 2), (3, 3)]);
    offer_read(&mut queues[1], 40);
    ring(&first, 1);
    let second = take_over(&first, disk());
    second.function.resume();
    has_read(&mut queues[1], &content, 40);
    for (index, queue) in queues.iter_mut().enumerate() {
        offer_read(queue, 50 + index as u64);
        ring(&second, index as u64);
        has_read(queue, &content, 50 + index);
    }
    second.function.pause();
    assert_eq!([0, 1, 2].map(|queue| ring_positions(&second, queue)), [(2, 2), (4, 4), (4, 4)]);
}

#[test]
fn a_network_interface_goes_on_in_a_new_device() {
    let wire = || Arc::new(FakePackets::new(ALL));
    let net = |backend: &Arc<FakePackets>| {
        Arc::new(Net::new("net:n", backend.clone(), NetOptions::new(MAC)).unwrap())
    };
    let (before, after) = (wire(), wire());
    let first = holding(&guest_memory(0x10_0000), net(&before));
    let mut rx = FakeQueue::new(&first.memory, RINGS, 16);
    let mut tx = FakeQueue::new(&first.memory, MORE_RINGS, 16);
    drive(&first, MRG_RXBUF | GUEST_CSUM | F_EVENT_IDX, &[&rx, &tx]);
    let mut received = [0; 200];
    for _ in 0..19 {
        tx.add(&[Buffer::Readable(HEADER, 112)]);
        ring(&first, 1);
        tx.wait_used();
        assert_eq!(before.wire.recv(&mut received).unwrap(), 112);
    }
    // Two buffers for what comes, of which one is used before the move and one after it.
    for slot in 0..2 {
        rx.add(&[Buffer::Writable(DATA + 0x800 * slot, 0x800)]);
    }
    ring(&first, 0);
    before.wire.send(&[0; 100]).unwrap();
    assert_eq!(rx.wait_used(), (0, 100));
    first.function.pause();
    tx.add(&[Buffer::Readable(HEADER, 80)]);
    ring(&first, 1);
    assert_eq!((ring_positions(&first, 0), ring_positions(&first, 1)), ((1, 1), (19, 19)));

    let second = take_over(&first, net(&after));
    assert_eq!(after.accepted(), None, "nothing runs before the resume");
    second.function.resume();
    assert_eq!(after.wire.recv(&mut received).unwrap(), 80, "what was waiting is sent, on the new wire");
    tx.wait_used();
    assert_eq!(after.accepted(), Some(Offloads { checksum: true, ..Offloads::default() }));
    after.wire.send(&[0; 90]).unwrap();
    assert_eq!(rx.wait_used(), (1, 90), "the buffer that was offered before");
    rx.add(&[Buffer::Writable(DATA, 0x800)]);
    ring(&second, 0);
    after.wire.send(&[0; 70]).unwrap();
    assert_eq!(rx.wait_used(), (2, 70));
    second.function.pause();
    assert_eq!((ring_positions(&second, 0), ring_positions(&second, 1)), ((3, 3), (20, 20)));
}

#[test]
fn an_entropy_device_goes_on_in_a_new_device() {
    let rng = || Arc::new(Rng::new("rng0", Arc::<Sevens>::default()));
    let first = holding(&guest_memory(0x10_0000), rng());
    let mut queue = FakeQueue::new(&first.memory, RINGS, 8);
    drive(&first, F_EVENT_IDX | F_INDIRECT_DESC, &[&queue]);
    for _ in 0..11 {
        first.request(&mut queue);
    }
    first.function.pause();
    queue.add(&[Buffer::Writable(DATA, 33)]);
    ring(&first, 0);
    let second = take_over(&first, rng());
    assert_eq!((queue.take_used(), ring_positions(&second, 0)), (None, (11, 11)));
    second.function.resume();
    assert_eq!(queue.wait_used().1, 33);
    second.request(&mut queue);
    second.function.pause();
    assert_eq!(ring_positions(&second, 0), (13, 13));
}
