// SPDX-License-Identifier: Apache-2.0
//! How large a disk is.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;

use crate::BlockError;

/// Bytes in a sector (virtio 1.2 §5.2.4: always 512, whatever the medium has).
pub(crate) const SECTOR: u64 = 512;

/// `BLKGETSIZE64` of linux/fs.h: `_IOR(0x12, 114, size_t)`.
const BLKGETSIZE64: libc::c_ulong = 0x8008_1272;

/// The size in bytes of a regular file or block device; a whole number of sectors, at least one.
pub(crate) fn of(disk: BorrowedFd<'_>) -> Result<u64, BlockError> {
    match len(disk)? {
        0 => Err(BlockError::Empty),
        len if len.is_multiple_of(SECTOR) => Ok(len),
        len => Err(BlockError::Size { len }),
    }
}

/// The length in bytes of a regular file or block device, whatever it is.
pub(crate) fn len(disk: BorrowedFd<'_>) -> Result<u64, BlockError> {
    let host = |source| BlockError::Host { step: "read the size", source };
    let file = File::from(disk.try_clone_to_owned().map_err(host)?);
    let metadata = file.metadata().map_err(host)?;
    let kind = metadata.file_type();
    if kind.is_file() {
        Ok(metadata.len())
    } else if kind.is_block_device() {
        device_len(&file).map_err(host)
    } else {
        Err(BlockError::NotRegular)
    }
}

/// `TMPFS_MAGIC`, `RAMFS_MAGIC` and `HUGETLBFS_MAGIC` of linux/magic.h.
const IN_MEMORY: [libc::c_long; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];

/// Whether it is a block device, not a file.
pub(crate) fn is_device(disk: BorrowedFd<'_>) -> Result<bool, BlockError> {
    let host = |source| BlockError::Host { step: "read the type", source };
    let file = File::from(disk.try_clone_to_owned().map_err(host)?);
    Ok(file.metadata().map_err(host)?.file_type().is_block_device())
}

/// Whether the file system of a file keeps its content in memory.
pub(crate) fn is_on_memory(disk: BorrowedFd<'_>) -> Result<bool, BlockError> {
    let mut found = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the result, which lives through the call, has the size of a statfs.
    let answer = unsafe { libc::fstatfs(disk.as_raw_fd(), found.as_mut_ptr()) };
    if answer < 0 {
        return Err(BlockError::Host { step: "read the file system", source: io::Error::last_os_error() });
    }
    // SAFETY: it was zeroed, which is a value of each of its fields.
    let found = unsafe { found.assume_init() };
    Ok(IN_MEMORY.contains(&found.f_type))
}

fn device_len(device: &File) -> io::Result<u64> {
    let mut len: u64 = 0;
    // SAFETY: the request writes one u64, which lives through the call.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), BLKGETSIZE64, &raw mut len) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(len) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn size(len: u64) -> Result<u64, BlockError> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        of(file.as_fd())
    }

    #[test]
    fn is_the_length_of_a_file() {
        assert_eq!(size(512).unwrap(), 512);
        assert_eq!(size(1 << 40).unwrap(), 1 << 40);
    }

    #[test]
    fn refuses_part_of_a_sector_and_says_what_to_do() {
        let error = size(1000).unwrap_err();
        assert_eq!(error.code(), "disk.size");
        assert!(error.to_string().contains("truncate --size=1024"), "{error}");
        assert!(matches!(size(0), Err(BlockError::Empty)));
    }

    #[test]
    fn refuses_what_is_no_disk() {
        for path in ["/dev/null", "/tmp"] {
            let file = File::open(path).unwrap();
            assert!(matches!(of(file.as_fd()), Err(BlockError::NotRegular)), "{path}");
        }
    }

    #[test]
    fn asks_a_block_device_for_its_size() {
        // Any disk of the host will do: /sys knows the size in sectors.
        let devices = std::fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
        for name in devices.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            let sectors = std::fs::read_to_string(format!("/sys/class/block/{name}/size")).unwrap();
            let sectors: u64 = sectors.trim().parse().unwrap();
            let Ok(device) = File::open(format!("/dev/{name}")) else { continue };
            match of(device.as_fd()) {
                Ok(len) => assert_eq!(len, sectors * SECTOR, "{name}"),
                Err(error) => assert_eq!(sectors, 0, "{name}: {error}"),
            }
        }
    }
}
