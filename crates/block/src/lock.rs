// SPDX-License-Identifier: Apache-2.0
//! Advisory locks that keep two machines from writing one disk.
//!
//! Open-file-description locks (fcntl(2), `F_OFD_SETLK`): they survive `dup` and the passing of descriptors, and end
//! with the last descriptor of the open file. They cover the bytes of the disk and not "the whole file", because
//! some network file systems turn whole-file locks into mandatory ones.
//!
//! On a block device they are those of one device file, and a device may have several, in containers too. So it is
//! also claimed (open(2), `O_EXCL`): a claim is the device's, whatever name it was opened by, and excludes a file system of the
//! host on it. A claim is the open file's as well, and goes with its last descriptor.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crate::{BlockError, size};

/// Who else may use the disk meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Nobody: for writers. The descriptor must be open for writing.
    Exclusive,
    /// Readers: for read-only disks. The descriptor must be open for reading.
    Shared,
}

impl LockKind {
    fn name(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// How often, and how far apart, a lock that is held is tried again. The kernel lets go of the files of an `io_uring`
/// some milliseconds after its process was killed, so a machine that is started again at once would find its own
/// disk in use.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// The same of a claim, which nobody can give back before its last descriptor: the kernel closes that of a ring when it likes.
const CLAIM_ATTEMPTS: u32 = 200;

/// Takes the lock of a disk, or changes its kind. Fails after 0.2 s if it is held by another. The lock ends with the
/// last descriptor of the open file, in whichever process.
pub fn lock(disk: &impl AsFd, kind: LockKind) -> Result<(), BlockError> {
    let mut attempt = 0;
    loop {
        match try_lock(disk, kind) {
            Err(BlockError::InUse { .. }) if attempt < ATTEMPTS => {
                attempt += 1;
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// Opens a disk anew, if it is a block device, by a descriptor that requests can wait on; for a writer with a claim. A file
/// stays as it is. Fails after 2 s if somebody else has claimed it.
pub fn claim(disk: File, kind: LockKind) -> Result<File, BlockError> {
    if !size::is_device(disk.as_fd())? {
        return Ok(disk);
    }
    // The very device that is open, whatever its name leads to by now. Not O_NONBLOCK, which it may be open with: on devices
    // that cannot say "not now", such as thin volumes, io_uring would fail each request with EAGAIN.
    let itself = format!("/proc/self/fd/{}", disk.as_raw_fd());
    let writer = kind == LockKind::Exclusive;
    let flags = if writer { libc::O_EXCL } else { 0 };
    for attempt in 0..=CLAIM_ATTEMPTS {
        match OpenOptions::new().read(true).write(writer).custom_flags(flags).open(&itself) {
            Ok(claimed) => return Ok(claimed),
            Err(error) if error.raw_os_error() != Some(libc::EBUSY) => {
                return Err(BlockError::Host { step: "claim the device", source: error });
            }
            Err(_) if attempt < CLAIM_ATTEMPTS => std::thread::sleep(PAUSE),
            Err(_) => {}
        }
    }
    Err(BlockError::InUse { wanted: kind.name() })
}

/// As [`lock`], but at once.
pub(crate) fn try_lock(disk: &impl AsFd, kind: LockKind) -> Result<(), BlockError> {
    let lock_type = match kind {
        LockKind::Exclusive => libc::F_WRLCK,
        LockKind::Shared => libc::F_RDLCK,
    };
    match set(disk, lock_type)? {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => BlockError::InUse { wanted: kind.name() },
            Some(libc::EBADF) => {
                BlockError::Access { found: "for the other direction only", wanted: kind.name() }
            }
            Some(libc::EINVAL | libc::ENOLCK | libc::EOPNOTSUPP) => BlockError::LockUnsupported(error),
            _ => BlockError::Host { step: "take the lock", source: error },
        }),
    }
}

/// Gives the lock back before the descriptors are closed.
pub fn unlock(disk: &impl AsFd) -> Result<(), BlockError> {
    set(disk, libc::F_UNLCK)?.map_err(|source| BlockError::Host { step: "give back the lock", source })
}

fn set(disk: &impl AsFd, lock_type: libc::c_int) -> Result<io::Result<()>, BlockError> {
    // An image may have any length. At least one byte: a length of 0 would mean "to the end of time".
    let len = size::len(disk.as_fd())?.max(1);
    let range = |value: u64| libc::off_t::try_from(value).map_err(|_| BlockError::Size { len });
    let request = libc::flock {
        l_type: libc::c_short::try_from(lock_type).unwrap_or_default(),
        l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: range(len)?,
        // Must be 0 for locks of an open file.
        l_pid: 0,
    };
    loop {
        // SAFETY: F_OFD_SETLK reads one `flock`, which lives through the call.
        let answer = unsafe { libc::fcntl(disk.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &raw const request) };
        if answer == 0 {
            return Ok(Ok(()));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Ok(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Disk(tempfile::NamedTempFile);

    impl Disk {
        fn new() -> Self {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(4096).unwrap();
            Self(file)
        }

        fn open(&self) -> File {
            OpenOptions::new().read(true).write(true).open(self.0.path()).unwrap()
        }
    }

    #[test]
    fn a_writer_excludes_writers_and_readers() {
        let disk = Disk::new();
        let (writer, other) = (disk.open(), disk.open());
        lock(&writer, LockKind::Exclusive).unwrap();
        for kind in [LockKind::Exclusive, LockKind::Shared] {
            let error = lock(&other, kind).unwrap_err();
            assert_eq!(error.code(), "disk.locked");
            assert!(error.to_string().contains("Stop that machine"), "{error}");
        }
    }

    #[test]
    fn readers_share_and_keep_writers_out() {
        let disk = Disk::new();
        let (one, two, writer) = (disk.open(), disk.open(), disk.open());
        lock(&one, LockKind::Shared).unwrap();
        lock(&two, LockKind::Shared).unwrap();
        assert_eq!(lock(&writer, LockKind::Exclusive).unwrap_err().code(), "disk.locked");
    }

    #[test]
    fn the_lock_lives_as_long_as_any_descriptor_of_the_open_file() {
        let disk = Disk::new();
        let (writer, other) = (disk.open(), disk.open());
        lock(&writer, LockKind::Exclusive).unwrap();
        let duplicate = writer.try_clone().unwrap();
        drop(writer);
        assert!(lock(&other, LockKind::Exclusive).is_err());
        drop(duplicate);
        lock(&other, LockKind::Exclusive).unwrap();
    }

    #[test]
    fn another_descriptor_that_closes_does_not_end_the_lock() {
        let disk = Disk::new();
        let (writer, other) = (disk.open(), disk.open());
        lock(&writer, LockKind::Exclusive).unwrap();
        drop(disk.open());
        assert!(lock(&other, LockKind::Shared).is_err());
    }

    #[test]
    fn unlock_lets_the_next_one_in() {
        let disk = Disk::new();
        let (writer, other) = (disk.open(), disk.open());
        lock(&writer, LockKind::Exclusive).unwrap();
        unlock(&writer).unwrap();
        lock(&other, LockKind::Exclusive).unwrap();
    }

    #[test]
    fn a_read_only_descriptor_cannot_hold_a_writers_lock() {
        let disk = Disk::new();
        let reader = File::open(disk.0.path()).unwrap();
        assert_eq!(lock(&reader, LockKind::Exclusive).unwrap_err().code(), "file.denied");
        lock(&reader, LockKind::Shared).unwrap();
    }
}
