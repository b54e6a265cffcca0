// SPDX-License-Identifier: Apache-2.0
//! A disk under test: an image in a folder of its own, and a queue on it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_device_model::block::{BlockBackend, BlockQueue, Operation};
use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};

use crate::{
    BackingFile, BackingFormat, EngineChoice, Qcow2, Qcow2Create, Qcow2Error, Qcow2Options, RecordedName,
};

/// RAM of a test.
const RAM: u64 = 8 << 20;

/// A file for writing.
pub fn writable(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// Creates an image.
pub fn create(path: &Path, options: &Qcow2Create) {
    options.write(writable(path)).unwrap();
}

/// A backing file by its path.
pub fn backing(path: &Path, format: BackingFormat) -> BackingFile {
    let recorded = RecordedName::Is(path.to_str().unwrap().to_owned());
    BackingFile { file: File::open(path).unwrap().into(), format, recorded }
}

/// Opens an image with its backing files.
pub fn open(
    path: &Path,
    chain: &[(PathBuf, BackingFormat)],
    engine: EngineChoice,
) -> Result<Qcow2, Qcow2Error> {
    let files: Vec<_> = chain.iter().map(|(path, format)| backing(path, *format)).collect();
    Qcow2::open(writable(path), &files, Qcow2Options { read_only: false, engine })
}

/// A disk and a queue on it.
pub struct Bench {
    pub disk: Option<Qcow2>,
    queue: Option<Box<dyn BlockQueue>>,
    memory: Arc<GuestMemory>,
}

impl Bench {
    pub fn new(disk: Qcow2) -> Self {
        let queue = disk.open_queue(8).unwrap();
        let memory = allocate(&[(GuestAddress(0), RAM)], Backing::Anonymous).unwrap();
        Self { disk: Some(disk), queue: Some(queue), memory }
    }

    pub fn disk(&self) -> &Qcow2 {
        self.disk.as_ref().unwrap()
    }

    /// Closes the disk.
    pub fn close(&mut self) {
        self.queue = None;
        self.disk = None;
    }

    pub fn run(&mut self, operation: Operation) -> io::Result<u64> {
        crate::tests::run(&mut **self.queue.as_mut().unwrap(), &self.memory, operation)
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<u64> {
        self.memory.write_slice(data, GuestAddress(1)).unwrap();
        let segments = pieces(data.len());
        self.run(Operation::Write { offset, segments })
    }

    pub fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        // So that zeroes have to be written.
        self.memory.write_slice(&vec![0xee; len], GuestAddress(1)).unwrap();
        self.run(Operation::Read { offset, segments: pieces(len) })?;
        let mut data = vec![0; len];
        self.memory.read_slice(&mut data, GuestAddress(1)).unwrap();
        Ok(data)
    }

    pub fn flush(&mut self) {
        self.run(Operation::Flush).unwrap();
    }
}

/// A buffer at address 1 in three pieces of odd lengths.
fn pieces(len: usize) -> flotilla_device_model::block::Segments {
    let (first, second) = ((len / 3) | 1, (len / 5) | 1);
    let lengths = [first, second, len - first - second];
    let mut address = 1;
    let mut list = Vec::new();
    for len in lengths {
        list.push((address, u32::try_from(len).unwrap()));
        address += len as u64;
    }
    crate::tests::segments(&list)
}
