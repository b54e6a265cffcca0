// SPDX-License-Identifier: Apache-2.0
//! Entry point for a fuzzer.

use std::sync::Arc;

use flotilla_device_model::console::PortHost;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress};
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::FakeQueue;
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use flotilla_testing::ports::FakePort;

use super::device::{ConsoleDevice, Port};

const RAM: usize = 1 << 20;
const MESSAGES: u64 = 0x2_0000;
const BUFFERS: u64 = 0x4_0000;
/// Most steps of one run: a queue has entries for so many.
const MAX_STEPS: usize = 30;
/// Queues of a device with a terminal and one further port.
const QUEUES: u64 = 6;

/// Takes `data` for what a driver writes to the control queue and what a host program does meanwhile: one byte that says what it
/// is, two of length, and the bytes. Saves the device at the end and restores it on another one.
///
/// # Panics
/// If a device does not accept what another one like it saved.
pub fn fuzz_console_control(data: &[u8]) {
    let Some((&multiport, mut rest)) = data.split_first() else { return };
    let memory = guest_memory(RAM);
    let hosts = [Arc::new(FakePort::default()), Arc::new(FakePort::default())];
    let device = || {
        let [terminal, stream] = &hosts;
        let host: Arc<dyn PortHost> = Arc::<FakePort>::clone(stream);
        ConsoleDevice::new(
            "console",
            Arc::<FakePort>::clone(terminal),
            vec![Port { name: "a".to_owned(), host }],
        )
    };
    let (Ok(device), Ok(other)) = (device(), device()) else { return };
    let mut queues: Vec<_> = (1..=QUEUES).map(|index| FakeQueue::new(&memory, 0x1000 * index, 64)).collect();
    for (queue, at) in queues.iter_mut().step_by(2).zip((BUFFERS..).step_by(0x1_0000)) {
        for slot in 0..32 {
            queue.add(&[Writable(at + 0x100 * slot, 0x100)]);
        }
    }
    let features = device.device_features() & if multiport & 1 == 0 { u64::MAX } else { !2 };
    let activation = Activation {
        memory: Arc::clone(&memory),
        features,
        queues: queues.iter().map(|queue| Some(queue.activate())).collect(),
        interrupt: Arc::new(FakeVirtioInterrupt::default()),
    };
    if device.activate(activation).is_err() {
        return;
    }
    for number in 0..MAX_STEPS {
        let Some((&[what, low, high], after)) = rest.split_first_chunk::<3>() else { break };
        let (bytes, later) =
            after.split_at(usize::from(u16::from_le_bytes([low, high & 1])).min(after.len()));
        rest = later;
        let at = MESSAGES + 0x400 * u64::try_from(number).unwrap_or(0);
        let host = if what & 1 == 0 { hosts.first() } else { hosts.last() };
        let (Some(host), Ok(len)) = (host, u32::try_from(bytes.len())) else { return };
        match what >> 1 & 7 {
            0 => host.open(what & 0x80 != 0),
            1 => host.resize(low.into(), high.into()),
            2 => host.send(bytes),
            3 => host.fill(what & 0x80 != 0),
            to if !bytes.is_empty() && memory.write_slice(bytes, GuestAddress(at)).is_ok() => {
                // The control queue mostly, sometimes that of a port.
                let queue = if to == 7 { queues.get_mut(1) } else { queues.get_mut(3) };
                queue.into_iter().for_each(|queue| {
                    queue.add(&[Readable(at, len)]);
                    queue.ring();
                });
            }
            _ => {}
        }
    }
    device.pause();
    if let Ok(state) = device.save() {
        assert!(other.restore(&state).is_ok(), "a device does not accept what one like it saved");
    }
    device.resume();
    device.deactivate();
}
