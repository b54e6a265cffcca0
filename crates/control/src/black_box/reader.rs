// SPDX-License-Identifier: Apache-2.0
//! The end of whoever comes after the worker. Everything read is untrusted.

use std::fs::File;
use std::os::unix::fs::FileExt;

use flotilla_spec::report::MachineExit;

use super::{
    BlackBoxError, EXIT_AT, KEPT, LEN, MAGIC, MAX_END, MAX_EXIT, RING, RING_AT, VERSION, checksum, exit,
};

/// Console output that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsoleRecord {
    /// Offset of the first byte, counted from the first output of the machine.
    pub offset: u64,
    /// At most [`KEPT`] bytes.
    pub bytes: Vec<u8>,
}

/// The last output. Whole once the worker is gone or its machine has stopped; before that it may lag behind.
///
/// # Errors
/// When it is no black box, or damaged.
pub fn read_console(file: &File) -> Result<ConsoleRecord, BlackBoxError> {
    let end = Head::read(file)?.end;
    if end > MAX_END {
        return Err(BlackBoxError::Counter(end));
    }
    let offset = end.saturating_sub(KEPT as u64);
    let mut bytes = vec![0; usize::try_from(end - offset).unwrap_or_default().min(KEPT)];
    let at = offset % RING;
    let room = usize::try_from(RING - at).unwrap_or(usize::MAX);
    let before_wrap = room.min(bytes.len());
    let (first, rest) = bytes.split_at_mut(before_wrap);
    let read = BlackBoxError::file("read");
    file.read_exact_at(first, RING_AT + at).and_then(|()| file.read_exact_at(rest, RING_AT)).map_err(read)?;
    Ok(ConsoleRecord { offset, bytes })
}

/// How the machine ended; `None` when its worker ended without leaving a word, as by a signal.
///
/// # Errors
/// When it is no black box, or the report is not one that a worker writes.
pub fn read_exit(file: &File) -> Result<Option<MachineExit>, BlackBoxError> {
    let head = Head::read(file)?;
    let length = match head.exit_length {
        0 => return Ok(None),
        length if length > MAX_EXIT as u64 => return Err(BlackBoxError::Exit("it is too long")),
        length => usize::try_from(length).unwrap_or_default(),
    };
    let mut report = vec![0; length];
    file.read_exact_at(&mut report, EXIT_AT).map_err(BlackBoxError::file("read"))?;
    if checksum(&report) != head.exit_checksum {
        return Err(BlackBoxError::Exit("its checksum does not fit"));
    }
    exit::decode(&report).map(Some)
}

struct Head {
    end: u64,
    exit_length: u64,
    exit_checksum: u64,
}

impl Head {
    fn read(file: &File) -> Result<Self, BlackBoxError> {
        let metadata = file.metadata().map_err(BlackBoxError::file("look at"))?;
        if !metadata.is_file() || metadata.len() != LEN {
            return Err(BlackBoxError::Shape);
        }
        let mut words = [[0; 8]; 4];
        file.read_exact_at(words.as_flattened_mut(), 0).map_err(BlackBoxError::file("read"))?;
        let [start, end, exit_length, exit_checksum] = words.map(u64::from_le_bytes);
        if start != u64::from(MAGIC) | u64::from(VERSION) << 32 {
            return Err(BlackBoxError::Foreign);
        }
        Ok(Self { end, exit_length, exit_checksum })
    }
}
