// SPDX-License-Identifier: Apache-2.0
//! Giving a block device its first content: that of an image, and zeroes where the image has none.
//!
//! ```text
//!   device       opened for nobody else (O_EXCL)
//!     │
//!     ├─ reads as zeroes already:   data of the image ──▶ written, zeroes in it passed over
//!     └─ holds what others left:    data ──▶ written, holes and what comes after the image ──▶ zeroed
//!                                                  every 64 MiB, and at the end: fdatasync
//! ```

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flotilla_block::LockKind;
use flotilla_spec::code::ErrorCode;
use rustix::fs::{FallocateFlags, OFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

use crate::cancel::Meter;
use crate::copy::{At, next_data};
use crate::qcow2::failed;
use crate::{Cancel, HostError, Progress, file};

/// Bytes of one step: small enough that a slow disk still gives progress and can be cancelled.
const STEP: u64 = 1 << 20;
/// Zeroes of this size are passed over, which is the smallest block of a thin pool.
const PIECE: usize = 64 << 10;
/// Bytes between two syncs: what the host has not written yet is bounded, and a device that is full says so soon.
const SYNC: u64 = 64 << 20;

/// What a device is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The image at its beginning; none: zeroes alone.
    pub image: Option<PathBuf>,
    /// Whether the device may hold what others left. Else it reads as zeroes where nothing was written.
    pub used: bool,
    /// The byte from which on it is filled. What is before it stays, and whoever uses that has the device open meanwhile.
    pub from: u64,
}

/// Fills a block device, or a file as long as it is, which nobody else may have open by claim. It is durable afterwards.
/// After an error it holds anything.
pub fn fill(
    device: &Path,
    content: &Content,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<(), HostError> {
    let to = open_device(device, content.from == 0)?;
    let size = seek(&to, SeekFrom::End(0)).map_err(HostError::file("read the size of", device))?;
    let image = content.image.as_deref().map(|path| Ok((path, file::open_regular(path)?))).transpose()?;
    let length = image.as_ref().map_or(0, |(_, (_, length))| *length);
    if length > size {
        let message = format!("{} has {size} bytes, fewer than the image of {length}", device.display());
        return Err(HostError::Argument { code: ErrorCode::SpecInvalidValue, message });
    }
    let total = if content.used { size } else { length };
    let meter = Meter::start(progress, total);
    let mut fill = Fill { to: &to, device, used: content.used, meter, cancel, unsynced: 0 };
    let mut at = content.from;
    if let Some((path, (from, _))) = &image {
        while let Some((start, end)) = next_data(from, path, at, length)? {
            fill.zero(at, start)?;
            fill.write(from, path, start, end)?;
            at = end;
        }
    }
    fill.zero(at, size)?;
    fill.finish()
}

struct Fill<'a> {
    to: &'a File,
    device: &'a Path,
    used: bool,
    meter: Meter<'a>,
    cancel: &'a Cancel,
    unsynced: u64,
}

impl Fill<'_> {
    /// Makes a range read as zeroes, which it does already unless the device was used.
    fn zero(&mut self, start: u64, end: u64) -> Result<(), HostError> {
        let mut at = start;
        while self.used && at < end {
            self.cancel.check()?;
            let now = (end - at).min(STEP);
            self.zero_step(at, now)?;
            at += now;
            self.moved(at, now)?;
        }
        Ok(())
    }

    /// By the device itself where it can, and without giving its space back: what is written later must find some.
    fn zero_step(&self, at: u64, len: u64) -> Result<(), HostError> {
        let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        match fallocate(self.to, flags, at, len) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                let zeroes = vec![0; usize::try_from(len).unwrap_or(PIECE)];
                self.to.write_all_at(&zeroes, at).map_err(HostError::file("write", self.device))
            }
            Err(error) => Err(HostError::file("write", self.device)(error)),
        }
    }

    fn write(&mut self, from: &File, path: &Path, start: u64, end: u64) -> Result<(), HostError> {
        let mut at = start;
        let mut buffer = Vec::new();
        while at < end {
            self.cancel.check()?;
            buffer.clear();
            let mut window = At { file: from, offset: at }.take((end - at).min(STEP));
            let taken = window.read_to_end(&mut buffer).map_err(HostError::file("read", path))? as u64;
            if taken == 0 {
                let reason = "it became shorter while it was copied".to_owned();
                return Err(HostError::Truncated { path: path.to_owned(), kernel: false, reason });
            }
            self.write_pieces(&buffer, at)?;
            at += taken;
            self.moved(at, taken)?;
        }
        Ok(())
    }

    fn write_pieces(&self, buffer: &[u8], start: u64) -> Result<(), HostError> {
        let mut at = start;
        for piece in buffer.chunks(PIECE) {
            if self.used || piece.iter().any(|byte| *byte != 0) {
                self.to.write_all_at(piece, at).map_err(HostError::file("write", self.device))?;
            }
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn moved(&mut self, at: u64, len: u64) -> Result<(), HostError> {
        self.unsynced += len;
        if self.unsynced >= SYNC {
            self.sync()?;
        }
        self.meter.at(at);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), HostError> {
        self.unsynced = 0;
        self.to.sync_data().map_err(HostError::file("write", self.device))
    }

    fn finish(mut self) -> Result<(), HostError> {
        self.sync()?;
        self.cancel.check()?;
        self.meter.finish();
        Ok(())
    }
}

/// A block device is claimed: neither a machine nor a file system on it is overwritten.
fn open_device(path: &Path, claim: bool) -> Result<File, HostError> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    let file = opened.map_err(HostError::file("open", path))?;
    let kind = file.metadata().map_err(HostError::file("look at", path))?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    if !kind.is_block_device() {
        return Err(HostError::NotRegular { path: path.to_owned(), what: "no block device" });
    }
    if !claim {
        return Ok(file);
    }
    // It waits for who has just ended, a machine or an earlier filler: the kernel lets go of what they had when it likes.
    flotilla_block::claim(file, LockKind::Exclusive).map_err(|error| failed(path, error.into()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Mutex;

    use super::*;

    const SILENT: Progress<'static> = &|_, _| {};
    const MIB: u64 = 1 << 20;

    struct Places {
        _folder: tempfile::TempDir,
        image: PathBuf,
        device: PathBuf,
    }

    /// An image of 3 MiB and 5 bytes: data, zeroes that are written, a hole, data; and a device of 8 MiB full of ones.
    fn places() -> (Places, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let (image, device) = (folder.path().join("image"), folder.path().join("device"));
        let mut content = vec![7; 1 << 20];
        content.resize(3 << 20, 0);
        content.extend(b"end.\n");
        let file = File::create(&image).unwrap();
        file.write_all_at(&content[..2 << 20], 0).unwrap();
        file.write_all_at(b"end.\n", 3 * MIB).unwrap();
        fs::write(&device, vec![1; 8 << 20]).unwrap();
        content.resize(8 << 20, 0);
        (Places { _folder: folder, image, device }, content)
    }

    #[test]
    fn leaves_nothing_of_what_others_left() {
        let (places, expected) = places();
        let told = Mutex::new(Vec::new());
        let note = |done, total| told.lock().unwrap().push((done, total));
        let content = Content { image: Some(places.image.clone()), used: true, from: 0 };
        fill(&places.device, &content, &note, &Cancel::new()).unwrap();
        assert!(fs::read(&places.device).unwrap() == expected);
        let told = told.into_inner().unwrap();
        assert_eq!((told.first(), told.last()), (Some(&(0, 8 * MIB)), Some(&(8 * MIB, 8 * MIB))));
        let end = Content { image: None, used: true, from: 3 << 20 };
        fill(&places.device, &end, SILENT, &Cancel::new()).unwrap();
        assert!(fs::read(&places.device).unwrap()[..3 << 20] == expected[..3 << 20]);
        fill(&places.device, &Content { from: 0, ..end }, SILENT, &Cancel::new()).unwrap();
        assert!(fs::read(&places.device).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn writes_no_zeroes_to_what_reads_as_zeroes() {
        let (places, expected) = places();
        let fresh = File::create(&places.device).unwrap();
        fresh.set_len(8 * MIB).unwrap();
        let content = Content { image: Some(places.image.clone()), used: false, from: 0 };
        fill(&places.device, &content, SILENT, &Cancel::new()).unwrap();
        assert!(fs::read(&places.device).unwrap() == expected);
        let taken = fs::metadata(&places.device).unwrap().blocks() * 512;
        assert!(taken < 2 * MIB, "{taken} bytes are taken");
    }

    #[test]
    fn refuses_what_is_too_small_or_no_device_and_stops_when_cancelled() {
        let (places, _) = places();
        File::options().write(true).open(&places.device).unwrap().set_len(MIB).unwrap();
        let content = Content { image: Some(places.image.clone()), used: false, from: 0 };
        let small = fill(&places.device, &content, SILENT, &Cancel::new()).unwrap_err();
        assert_eq!(small.code(), ErrorCode::SpecInvalidValue);
        let null = fill(Path::new("/dev/null"), &content, SILENT, &Cancel::new()).unwrap_err();
        assert_eq!(null.code(), ErrorCode::FileNotRegular);
        let none = fill(&places.image.with_file_name("none"), &content, SILENT, &Cancel::new());
        assert_eq!(none.unwrap_err().code(), ErrorCode::FileMissing);
        let cancel = Cancel::new();
        cancel.cancel();
        let withdrawn = fill(&places.device, &Content { image: None, used: true, from: 0 }, SILENT, &cancel);
        assert!(matches!(withdrawn, Err(HostError::Aborted)), "{withdrawn:?}");
    }
}
