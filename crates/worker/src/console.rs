// SPDX-License-Identifier: Apache-2.0
//! The console of a machine as the console server sees it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flotilla_control::console::{Chunk, Endpoint};
use flotilla_control::{BlackBox, black_box};
use flotilla_vmm::Console;
use flotilla_vmm::console::{OutputLog, RING_LEN};

const _: () = assert!(RING_LEN == black_box::KEPT, "what is kept after the end is what is kept before");

/// The console of a machine.
pub struct MachineConsole(pub Arc<Console>);

impl Endpoint for MachineConsole {
    fn capacity(&self) -> u32 {
        u32::try_from(RING_LEN).unwrap_or(u32::MAX)
    }

    fn bounds(&self) -> (u64, u64) {
        (self.0.start(), self.0.end())
    }

    fn snapshot(&self, offset: u64) -> (u64, Vec<u8>) {
        let mut bytes = vec![0; RING_LEN];
        let chunk = self.0.read_from(offset, &mut bytes, Duration::ZERO);
        bytes.truncate(chunk.len);
        (chunk.offset, bytes)
    }

    fn read(&self, offset: u64, buffer: &mut [u8], wait: Duration) -> Chunk {
        let chunk = self.0.read_from(offset, buffer, wait);
        match chunk.len {
            _ if chunk.offset != offset => Chunk::Missed,
            0 if chunk.ended => Chunk::Ended,
            len => Chunk::Bytes(len),
        }
    }

    fn write(&self, bytes: &[u8], wait: Duration) -> usize {
        let deadline = Instant::now() + wait;
        loop {
            let taken = self.0.send_input(bytes);
            if taken > 0 || bytes.is_empty() || Instant::now() >= deadline {
                return taken;
            }
            // The queue holds 64 KiB that the guest has not read yet: typing is not delayed by this.
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Takes output to the black box.
pub struct ToBlackBox(pub Arc<BlackBox>);

impl OutputLog for ToBlackBox {
    fn append(&self, bytes: &[u8]) {
        self.0.append(bytes);
    }

    fn finish(&self) {
        self.0.flush();
    }
}
