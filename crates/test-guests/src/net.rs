// SPDX-License-Identifier: Apache-2.0
//! Guests that work on a network interface with two pairs of queues as a driver should (virtio 1.2 §5.1): one command or
//! frame after the other, each announced by the doorbell and awaited in the used ring.

use crate::hostile::driver::{
    DEVICE_CONFIG, FIRST, NOTIFY, QUEUE_DESC, QUEUE_DEVICE, QUEUE_DRIVER, QUEUE_ENABLE, QUEUE_SELECT,
    QUEUE_SIZE, QUEUE_VECTOR, STATUS, negotiate, place,
};
use crate::script::{Script, Width};

/// The address of the interface.
pub const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// One that it does not have.
pub const OTHER_MAC: [u8; 6] = [0x52, 0x54, 0, 0x99, 0x99, 0x99];
/// Bytes of a frame that the guest sends.
pub const FRAME_LEN: u32 = 60;

/// `VIRTIO_NET_F_MAC` and `STATUS`.
const ONE_PAIR: u32 = 1 << 5 | 1 << 16;
/// `VIRTIO_NET_F_MTU`, `MAC`, `STATUS`, `CTRL_VQ`, `CTRL_RX`, `MQ` and `CTRL_MAC_ADDR`.
const FEATURES: u32 = 1 << 3 | 1 << 5 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 22 | 1 << 23;
const RECEIVE: u32 = 0;
const TRANSMIT: [u32; 2] = [1, 3];
const CONTROL: u32 = 4;
const QUEUES: u32 = 5;
const QUEUE_ENTRIES: u32 = 8;
const NO_VECTOR: u32 = 0xffff;
const NEXT: u32 = 1;
const DEVICE_WRITES: u32 = 2;
const HEADER_LEN: u32 = 12;

// Fields of the configuration space (virtio 1.2 §5.1.4).
const LINK_STATUS: u32 = DEVICE_CONFIG + 6;
const PAIRS: u32 = DEVICE_CONFIG + 8;
const MTU: u32 = DEVICE_CONFIG + 10;

/// Memory of the driver: for each queue a page each of descriptors, available ring, used ring and buffer.
const QUEUE_MEMORY: u32 = 0x40_0000;
const PAGE: u32 = 0x1000;
/// Where in its buffer a command has the place for its answer.
const ANSWER: u32 = 0x100;

/// The interface in the first virtio slot.
struct Interface {
    script: Script,
    base: u32,
    /// Chains offered on each queue.
    offered: [u32; QUEUES as usize],
}

/// `page` 0: descriptors, 1: available ring, 2: used ring, 3: buffer.
fn memory(queue: u32, page: u32) -> u32 {
    QUEUE_MEMORY + (queue * 4 + page) * PAGE
}

impl Interface {
    fn new() -> Self {
        Self::with(FEATURES, QUEUES)
    }

    /// The same with these features and the first `queues` queues.
    fn with(features: u32, queues: u32) -> Self {
        let mut script = Script::default();
        let base = place(&mut script, FIRST);
        negotiate(&mut script, base, features);
        for queue in 0..queues {
            script.store(base + QUEUE_SELECT, Width::Word, queue);
            script.store(base + QUEUE_SIZE, Width::Word, QUEUE_ENTRIES);
            script.store(base + QUEUE_VECTOR, Width::Word, NO_VECTOR);
            for (register, page) in [(QUEUE_DESC, 0), (QUEUE_DRIVER, 1), (QUEUE_DEVICE, 2)] {
                script.store(base + register, Width::Dword, memory(queue, page));
                script.store(base + register + 4, Width::Dword, 0);
            }
            // No interrupts: the guest looks for itself.
            script.store(memory(queue, 1), Width::Dword, 1);
            script.store(memory(queue, 2), Width::Dword, 0);
            script.store(base + QUEUE_ENABLE, Width::Word, 1);
        }
        script.store(base + STATUS, Width::Byte, 0xf);
        Self { script, base, offered: [0; QUEUES as usize] }
    }

    /// Offers a chain of (offset in the queue's buffer, length, whether the device writes).
    fn offer(&mut self, queue: u32, chain: &[(u32, u32, bool)]) {
        for (index, (offset, len, writable)) in (0..).zip(chain) {
            let at = memory(queue, 0) + index * 16;
            let is_last = usize::try_from(index + 1) == Ok(chain.len());
            let flags = if is_last { 0 } else { NEXT } | if *writable { DEVICE_WRITES } else { 0 };
            let words = [memory(queue, 3) + offset, 0, *len, flags | (index + 1) << 16];
            for (word, value) in (at..).step_by(4).zip(words) {
                self.script.store(word, Width::Dword, value);
            }
        }
        let Some(offered) = usize::try_from(queue).ok().and_then(|queue| self.offered.get_mut(queue)) else {
            return;
        };
        let slot = *offered % QUEUE_ENTRIES;
        *offered += 1;
        let offered = *offered;
        self.script.store(memory(queue, 1) + 4 + slot * 2, Width::Word, 0);
        self.script.store(memory(queue, 1) + 2, Width::Word, offered);
        self.script.store(self.base + NOTIFY + 4 * queue, Width::Word, queue);
    }

    /// Waits until the device has used all that was offered.
    fn used(&mut self, queue: u32) {
        let offered = usize::try_from(queue).ok().and_then(|queue| self.offered.get(queue));
        self.script.wait(memory(queue, 2) + 2, offered.copied().unwrap_or(0));
    }

    fn fill(&mut self, queue: u32, offset: u32, bytes: &[u8]) {
        for (at, byte) in (memory(queue, 3) + offset..).zip(bytes) {
            self.script.store(at, Width::Byte, u32::from(*byte));
        }
    }

    /// Gives a command, which must be answered so.
    fn command(&mut self, command: &[u8], answer: u32) {
        let len = u32::try_from(command.len()).unwrap_or(0);
        self.fill(CONTROL, 0, command);
        self.script.store(memory(CONTROL, 3) + ANSWER, Width::Word, 0xff);
        self.offer(CONTROL, &[(0, len, false), (ANSWER, 1, true)]);
        self.used(CONTROL);
        self.script.wait(memory(CONTROL, 3) + ANSWER, answer);
    }

    /// Sends a broadcast with this address of the sender.
    fn send(&mut self, queue: u32, from: [u8; 6]) {
        let mut frame = vec![0; 12];
        frame.extend([0xff; 6]);
        frame.extend(from);
        // An EtherType for experiments (IEEE 802).
        frame.extend([0x88, 0xb5]);
        self.fill(queue, 0, &frame);
        self.offer(queue, &[(0, HEADER_LEN + FRAME_LEN, false)]);
        self.used(queue);
    }

    /// Waits for a frame to the interface.
    fn receive(&mut self) {
        self.offer(RECEIVE, &[(0, PAGE, true)]);
        self.used(RECEIVE);
        let receiver = memory(RECEIVE, 3) + HEADER_LEN;
        for (at, pair) in (receiver..).step_by(2).zip(MAC.chunks(2)) {
            let value = pair.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            self.script.wait(at, value);
        }
    }
}

/// A script that finds the link up, two pairs of queues and this MTU in the configuration, and prints a dot; asks for frames
/// to its own address only, waits for one, and prints a dot; is refused another address, takes both pairs into use, and
/// prints a dot; sends a frame by each pair, and one from [`OTHER_MAC`], and prints a dot. It stands still at the first
/// thing that is wrong.
pub fn exchange(mtu: u16) -> Script {
    let mut net = Interface::new();
    for (field, value) in [(LINK_STATUS, 1), (PAIRS, 2), (MTU, mtu.into())] {
        net.script.wait(net.base + field, value);
    }
    net.script.mark();
    // VIRTIO_NET_CTRL_RX_PROMISC: off.
    net.command(&[0, 0, 0], 0);
    net.receive();
    net.script.mark();
    // VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET.
    net.command(&[&[1, 1], &OTHER_MAC[..]].concat(), 1);
    net.command(&[4, 0, 2, 0], 0);
    net.script.mark();
    for queue in TRANSMIT {
        net.send(queue, MAC);
    }
    net.send(TRANSMIT[0], OTHER_MAC);
    net.script.mark();
    net.script
}

/// A script for an interface with one pair: it finds the link up, sends a frame, and prints a dot; waits for a frame to its own
/// address, and prints a dot; waits until the link is down, and prints a dot; sends a frame that leads nowhere, and prints a dot.
pub fn lose_network() -> Script {
    let mut net = Interface::with(ONE_PAIR, 2);
    net.script.wait(net.base + LINK_STATUS, 1);
    net.send(TRANSMIT[0], MAC);
    net.script.mark();
    net.receive();
    net.script.mark();
    net.offer(RECEIVE, &[(0, PAGE, true)]);
    net.script.wait(net.base + LINK_STATUS, 0);
    net.script.mark();
    net.send(TRANSMIT[0], MAC);
    net.script.mark();
    net.script
}

/// A script that prints a dot when it sees the link up, one when it is down, and one when it is up again.
pub fn watch_link() -> Script {
    let mut net = Interface::new();
    for up in [1, 0, 1] {
        net.script.wait(net.base + LINK_STATUS, up);
        net.script.mark();
    }
    net.script
}
