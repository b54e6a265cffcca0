// SPDX-License-Identifier: Apache-2.0
//! The console of a machine as the console server sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flotilla_control::console::{Chunk, Endpoint};
use flotilla_control::{BlackBox, black_box};
use flotilla_vmm::console::{OutputLog, RING_LEN};
use flotilla_vmm::{Console, Machine};

const _: () = assert!(RING_LEN == black_box::KEPT, "what is kept after the end is what is kept before");

/// How long a writer waits before it tries a full input queue again. The queue holds 64 KiB that the guest has not read
/// yet: typing is not delayed by this.
const AGAIN: Duration = Duration::from_millis(10);

/// The console of a machine.
pub struct MachineConsole(pub Arc<Console>);

/// The consoles behind the ports of a machine's console device, by their names.
pub fn ports(machine: &Machine) -> BTreeMap<String, Arc<dyn Endpoint>> {
    let endpoint =
        |console: &Arc<Console>| -> Arc<dyn Endpoint> { Arc::new(MachineConsole(Arc::clone(console))) };
    machine.consoles().iter().map(|(name, console)| (name.clone(), endpoint(console))).collect()
}

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

    fn enter_writer(&self, offset: u64) {
        self.0.enter_writer(offset);
    }

    fn writer_has(&self, offset: u64) {
        self.0.writer_has(offset);
    }

    fn leave_writer(&self) {
        self.0.leave_writer();
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.0.set_size(columns, rows);
    }

    fn write(&self, bytes: &[u8], wait: Duration) -> usize {
        let deadline = Instant::now() + wait;
        loop {
            let taken = self.0.send_input(bytes);
            if taken > 0 || bytes.is_empty() || Instant::now() >= deadline {
                return taken;
            }
            thread::sleep(AGAIN);
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

#[cfg(test)]
mod tests {
    use flotilla_vmm::console::INPUT_LEN;

    use super::*;

    fn console(output: &[u8]) -> MachineConsole {
        let console = Console::new();
        console.write_output(output);
        MachineConsole(console)
    }

    #[test]
    fn a_reader_that_fell_behind_is_told_so() {
        let mut output = vec![b'x'; RING_LEN];
        output.extend(b"abc");
        let (console, mut buffer) = (console(&output), [0; 4]);
        let (start, end) = console.bounds();
        assert_eq!((start, end), (3, RING_LEN as u64 + 3));
        assert_eq!(console.read(2, &mut buffer, Duration::ZERO), Chunk::Missed);
        assert_eq!(console.read(end + 1, &mut buffer, Duration::ZERO), Chunk::Missed);
        assert_eq!(console.read(end - 2, &mut buffer, Duration::ZERO), Chunk::Bytes(2));
        assert_eq!(&buffer[..2], b"bc");
        let (from, kept) = console.snapshot(0);
        assert_eq!((from, kept.as_slice()), (3, &output[3..]));
    }

    #[test]
    fn the_end_comes_after_the_last_byte() {
        let (console, mut buffer) = (console(b"ab"), [0; 4]);
        assert_eq!(console.read(2, &mut buffer, Duration::ZERO), Chunk::Bytes(0));
        console.0.close();
        assert_eq!(console.read(0, &mut buffer, Duration::ZERO), Chunk::Bytes(2));
        assert_eq!(console.read(2, &mut buffer, Duration::ZERO), Chunk::Ended);
    }

    #[test]
    fn a_writer_waits_for_room_and_not_for_ever() {
        let console = console(b"");
        assert_eq!(console.write(&vec![b'x'; INPUT_LEN + 1], Duration::ZERO), INPUT_LEN);
        let started = Instant::now();
        assert_eq!(console.write(b"y", Duration::from_millis(30)), 0);
        assert!(started.elapsed() >= Duration::from_millis(30));
        assert_eq!(console.write(b"", Duration::from_mins(1)), 0);
    }
}
