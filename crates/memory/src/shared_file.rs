// SPDX-License-Identifier: Apache-2.0
//! Files that a guest reaches as memory.
//!
//! ```text
//!   host    |--- file, MAP_SHARED ---|- zeroes -|      one range, aligned to 2 MiB
//!   guest   |------------- one memory slot -----|      whole huge pages
//! ```
//!
//! Nothing in this process reads or writes the range; only KVM resolves it, for the guest. So a file that is cut short while it is mapped
//! raises no SIGBUS here: KVM finds no page, and the run of the vCPU that wanted it fails.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use crate::REGION_ALIGNMENT;
use crate::mapping::Reservation;

const PAGE: usize = 4096;

/// A mapped file. All mappings of one file show the same pages of the host's cache.
#[derive(Debug)]
pub struct SharedFile {
    file: File,
    file_len: usize,
    start: usize,
    len: usize,
    writable: bool,
    /// Gives the range back, with all that lies in it.
    _range: Reservation,
}

impl SharedFile {
    /// Maps `file_len` bytes of a file from its start on, to read or to read and write. What lacks to whole huge pages of 2 MiB
    /// reads as zeroes; a mapping that can be written must be whole, for what is written behind the file would be lost.
    pub fn map(file: File, file_len: u64, writable: bool) -> io::Result<Self> {
        let file_len = usize::try_from(file_len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let len = file_len.checked_next_multiple_of(REGION_ALIGNMENT).ok_or(io::ErrorKind::OutOfMemory)?;
        if file_len == 0 || (writable && len != file_len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let range = len.checked_add(REGION_ALIGNMENT).ok_or(io::ErrorKind::OutOfMemory)?;
        let range = Reservation::new(range)?;
        let start = range.start().next_multiple_of(REGION_ALIGNMENT);
        let backed = file_len.next_multiple_of(PAGE);
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        place(start, backed, protection, libc::MAP_SHARED, file.as_raw_fd())?;
        if len > backed {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            place(start.saturating_add(backed), len - backed, libc::PROT_READ, flags, -1)?;
        }
        Ok(Self { file, file_len, start, len, writable, _range: range })
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.file_len as u64
    }

    /// Bytes of the mapping: whole huge pages.
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// Never: an empty file is not mapped.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the mapping begins in the host's address space. Not to be looked at.
    pub fn host_address(&self) -> u64 {
        self.start as u64
    }

    /// Whether it may be written.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Makes durable what was written, through whatever mapping.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Puts a mapping into a range that is reserved.
fn place(start: usize, len: usize, protection: i32, flags: i32, descriptor: i32) -> io::Result<()> {
    let address = ptr::without_provenance_mut(start);
    // SAFETY: the range lies in a reservation of the caller, which holds nothing and which nobody else knows of; the result is
    // checked.
    let placed = unsafe { libc::mmap(address, len, protection, flags | libc::MAP_FIXED, descriptor, 0) };
    if placed == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        file
    }

    /// What the kernel says of the mapping at an address: its permissions and the file.
    fn told(address: u64) -> String {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.starts_with(&format!("{address:x}-")));
        let fields: Vec<_> = line.unwrap().split_whitespace().collect();
        format!("{} {}", fields[1], if fields[4] == "0" { "nothing" } else { "file" })
    }

    #[test]
    fn is_aligned_whole_and_shared() {
        let read = SharedFile::map(file(3 * MIB + 5), 3 * MIB + 5, false).unwrap();
        assert_eq!((read.len(), read.file_len(), read.is_writable()), (4 * MIB, 3 * MIB + 5, false));
        assert!(read.host_address().is_multiple_of(2 * MIB));
        assert_eq!(told(read.host_address()), "r--s file");
        assert_eq!(told(read.host_address() + 3 * MIB + 4096), "r--p nothing");
        let write = SharedFile::map(file(2 * MIB), 2 * MIB, true).unwrap();
        assert_eq!((told(write.host_address()).as_str(), write.len()), ("rw-s file", 2 * MIB));
        write.sync().unwrap();
    }

    #[test]
    fn gives_its_range_back() {
        let address = SharedFile::map(file(MIB), MIB, false).unwrap().host_address();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.lines().any(|line| line.starts_with(&format!("{address:x}-"))
            && line.contains("r--s")
            && line.contains("deleted")));
    }

    #[test]
    fn refuses_what_cannot_be_mapped_as_asked() {
        let refusal = |file, len, writable| SharedFile::map(file, len, writable).unwrap_err().kind();
        assert_eq!(refusal(file(0), 0, false), io::ErrorKind::InvalidInput);
        assert_eq!(refusal(file(3 * MIB), 3 * MIB, true), io::ErrorKind::InvalidInput);
        assert_eq!(refusal(file(MIB), u64::MAX, false), io::ErrorKind::OutOfMemory);
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(b"text").unwrap();
        let only_read = OpenOptions::new().read(true).open(named.path()).unwrap();
        assert_eq!(refusal(only_read, 2 * MIB, true), io::ErrorKind::PermissionDenied);
    }
}
