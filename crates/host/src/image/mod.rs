// SPDX-License-Identifier: Apache-2.0
//! What a file is, from its magic numbers and its structure, before anything boots it or copies it.
//!
//! A kernel is checked as far as its headers promise bytes; a disk is raw unless it carries the header of another
//! format. Nothing here trusts the file: every offset is checked against the size.

mod bzimage;
mod elf;
mod magic;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Serialize;

use crate::{HostError, file};

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// A kernel: ELF vmlinux or bzImage.
    Kernel,
    /// An initial RAM disk.
    Initrd,
    /// A disk.
    Disk,
}

/// The format of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// x86-64 ELF.
    Elf,
    /// Linux bzImage.
    Bzimage,
    /// cpio, plain or compressed.
    Initrd,
    /// The content of a disk as it is.
    Raw,
}

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageInfo {
    /// Its format.
    pub format: ImageFormat,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// More about it, for a person.
    pub detail: String,
}

/// Says what the file at `path` is, or why it cannot be used as a `kind`.
pub fn inspect(path: &Path, kind: ImageKind) -> Result<ImageInfo, HostError> {
    let (file, size) = file::open_regular(path)?;
    let image = Image { file: &file, path, size };
    let (format, detail) = match kind {
        ImageKind::Kernel => image.kernel()?,
        ImageKind::Initrd => (ImageFormat::Initrd, image.initrd()?),
        ImageKind::Disk => (ImageFormat::Raw, image.disk()?),
    };
    Ok(ImageInfo { format, size_bytes: size, detail })
}

struct Image<'a> {
    file: &'a File,
    path: &'a Path,
    size: u64,
}

/// Why a kernel is refused.
enum Fault {
    Unrecognised(String),
    Truncated(String),
    Failed(HostError),
}

impl Image<'_> {
    fn kernel(&self) -> Result<(ImageFormat, String), HostError> {
        let start = self.read(0, bzimage::HEADER_END)?;
        let checked = if elf::is_elf(&start) {
            elf::check(self, &start).map(|detail| (ImageFormat::Elf, detail))
        } else if bzimage::is_bzimage(&start) {
            bzimage::check(&start, self.size).map(|detail| (ImageFormat::Bzimage, detail))
        } else {
            Err(Fault::Unrecognised(format!(
                "it is {}, neither an ELF vmlinux nor a bzImage",
                magic::describe(&start)
            )))
        };
        let path = self.path.to_owned();
        checked.map_err(|fault| match fault {
            Fault::Unrecognised(reason) => HostError::Unrecognised { path, kernel: true, reason },
            Fault::Truncated(reason) => HostError::Truncated { path, kernel: true, reason },
            Fault::Failed(error) => error,
        })
    }

    fn initrd(&self) -> Result<String, HostError> {
        let start = self.read(0, 512)?;
        match magic::initrd(&start) {
            Some(name) => Ok(name.to_owned()),
            None => Err(self.unrecognised(format!("it is {}, not a cpio archive", magic::describe(&start)))),
        }
    }

    fn disk(&self) -> Result<String, HostError> {
        let start = self.read(0, 4096)?;
        if start.is_empty() {
            return Err(self.unrecognised("it is empty".to_owned()));
        }
        if let Some(name) = magic::other_disk(&start) {
            return Err(self.unrecognised(format!("it holds {name}, not a raw disk")));
        }
        if !self.size.is_multiple_of(512) {
            let reason = format!("{} bytes are no whole number of 512-byte sectors", self.size);
            return Err(HostError::Truncated { path: self.path.to_owned(), kernel: false, reason });
        }
        Ok(magic::describe(&start).to_owned())
    }

    fn unrecognised(&self, reason: String) -> HostError {
        HostError::Unrecognised { path: self.path.to_owned(), kernel: false, reason }
    }

    /// Up to `length` bytes at `offset`: fewer only where the file ends.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, HostError> {
        let mut bytes = vec![0; length];
        let mut have = 0;
        while let Some(rest) = bytes.get_mut(have..).filter(|rest| !rest.is_empty()) {
            let taken =
                self.file.read_at(rest, offset + have as u64).map_err(HostError::file("read", self.path))?;
            if taken == 0 {
                break;
            }
            have += taken;
        }
        bytes.truncate(have);
        Ok(bytes)
    }
}

/// Little-endian numbers at an offset; `None` beyond the end.
fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
