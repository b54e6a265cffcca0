// SPDX-License-Identifier: Apache-2.0
//! Where the bytes of a kernel or initrd come from.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flotilla_memory::{Bytes, GuestAddress, GuestMemory, read_file_at};

/// Bytes of an image that is no file copied at once.
const CHUNK: usize = 256 << 10;

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The kernel.
    Kernel,
    /// The initial RAM disk.
    Initrd,
}

impl fmt::Display for FileKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
        })
    }
}

/// Random access to an image. Reads carry their position, so that one open file may serve several machines.
pub trait Image {
    /// Length in bytes. A directory, pipe or device is an error.
    fn size(&self) -> io::Result<u64>;
    /// Reads at `offset`; fewer bytes than asked for mean the end of the image.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads exactly `len` bytes at `offset` into guest memory; the image ending too soon is `UnexpectedEof`.
    fn load(&self, offset: u64, memory: &GuestMemory, address: GuestAddress, len: u64) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK.min(usize::try_from(len).unwrap_or(CHUNK))];
        let mut done = 0;
        while done < len {
            let count = usize::try_from(len - done).unwrap_or(CHUNK).min(chunk.len());
            let part = chunk.get_mut(..count).unwrap_or_default();
            read_exact_at(self, offset.saturating_add(done), part)?;
            let to = GuestAddress(address.0.saturating_add(done));
            memory
                .write_slice(part, to)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            done += count as u64;
        }
        Ok(())
    }
}

impl Image for File {
    fn size(&self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(metadata.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn load(&self, offset: u64, memory: &GuestMemory, address: GuestAddress, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        read_file_at(memory, address, len, self, offset)
    }
}

impl Image for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }
}

impl Image for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buffer)
    }
}

/// Fills `buffer` from `offset` on; the image ending too soon is `UnexpectedEof`.
pub(crate) fn read_exact_at<I: Image + ?Sized>(image: &I, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match image.read_at(offset.saturating_add(done as u64), rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
