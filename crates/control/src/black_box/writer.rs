// SPDX-License-Identifier: Apache-2.0
//! The worker's end: appends and never reads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{io, mem};

use flotilla_spec::report::MachineExit;

use super::{
    BlackBoxError, END_AT, EXIT_AT, EXIT_HEAD_AT, GATHER, LEN, MAGIC, RING, RING_AT, STEP, VERSION, checksum,
    exit,
};

/// An open black box. It writes with `pwrite` and maps nothing, so a full file system is an error and no signal.
pub struct BlackBox(Mutex<Output>);

struct Output {
    /// Until it is closed.
    file: Option<File>,
    /// Bytes of output in the file.
    end: u64,
    gathered: Vec<u8>,
    /// Nothing is written after a failure, so that what is there stays right.
    failed: bool,
    exited: bool,
}

impl BlackBox {
    /// Starts an empty black box in a file that is [`LEN`] bytes long.
    ///
    /// # Errors
    /// When the file is something else, or cannot be written.
    pub fn start(file: File) -> Result<Self, BlackBoxError> {
        let metadata = file.metadata().map_err(BlackBoxError::file("look at"))?;
        if !metadata.is_file() || metadata.len() != LEN {
            return Err(BlackBoxError::Shape);
        }
        let mut head = [0; 32];
        for (slot, byte) in head.iter_mut().zip(MAGIC.to_le_bytes().into_iter().chain(VERSION.to_le_bytes()))
        {
            *slot = byte;
        }
        file.write_all_at(&head, 0).map_err(BlackBoxError::file("start"))?;
        let file = Some(file);
        Ok(Self(Mutex::new(Output { file, end: 0, gathered: Vec::new(), failed: false, exited: false })))
    }

    /// Takes output of the guest. See the module for when it is in the file.
    pub fn append(&self, bytes: &[u8]) {
        let mut output = self.lock();
        let full = output.gathered.len().saturating_add(bytes.len()) >= GATHER;
        output.gathered.extend(bytes);
        if full || bytes.contains(&b'\n') {
            output.write_out();
        }
    }

    /// Writes out what is gathered.
    pub fn flush(&self) {
        self.lock().write_out();
    }

    /// Writes out what is gathered and closes the file. What comes later is dropped.
    pub fn close(&self) {
        let mut output = self.lock();
        output.write_out();
        output.file = None;
    }

    /// Leaves how the machine ended. The first report counts.
    pub fn record_exit(&self, exit: &MachineExit) {
        let mut output = self.lock();
        output.write_out();
        let Some(file) = &output.file else { return };
        if output.exited {
            return;
        }
        if let Err(error) = write_exit(file, &exit::encode(exit)) {
            tracing::warn!(%error, "the exit report cannot be kept");
        }
        output.exited = true;
    }

    fn lock(&self) -> MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    fn write_out(&mut self) {
        let mut gathered = mem::take(&mut self.gathered);
        let Some(file) = &self.file else { return };
        for part in gathered.chunks(STEP) {
            if self.failed {
                return;
            }
            match write_part(file, self.end, part) {
                Ok(end) => self.end = end,
                Err(error) => {
                    self.failed = true;
                    tracing::warn!(%error, "console output is no longer kept for after the end");
                }
            }
        }
        // The buffer is used again unless a long write made it large.
        if gathered.capacity() <= 4 * GATHER {
            gathered.clear();
            self.gathered = gathered;
        }
    }
}

fn write_exit(file: &File, report: &[u8]) -> io::Result<()> {
    file.write_all_at(report, EXIT_AT)?;
    // The head makes it valid, in one write.
    let length = u64::try_from(report.len()).unwrap_or_default();
    let head = u128::from(length) | u128::from(checksum(report)) << 64;
    file.write_all_at(&head.to_le_bytes(), EXIT_HEAD_AT)
}

/// Writes at most [`STEP`] bytes and then the counter that makes them count.
fn write_part(file: &File, end: u64, part: &[u8]) -> io::Result<u64> {
    let at = end % RING;
    let room = usize::try_from(RING - at).unwrap_or(usize::MAX);
    let (first, rest) = part.split_at(room.min(part.len()));
    file.write_all_at(first, RING_AT + at)?;
    if !rest.is_empty() {
        file.write_all_at(rest, RING_AT)?;
    }
    let end = end.saturating_add(u64::try_from(part.len()).unwrap_or_default());
    file.write_all_at(&end.to_le_bytes(), END_AT)?;
    Ok(end)
}
