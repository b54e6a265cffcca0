// SPDX-License-Identifier: Apache-2.0
//! Copying an image: a clone where the file system can, else a copy that keeps holes. All or nothing.
//!
//! ```text
//!   partial file       locked, FICLONE ──ok──────────────┐
//!        │ refused                                       ▼
//!        └─▶ data by copy_file_range, holes left ─▶ fsync ─▶ rename to target ─▶ fsync of the directory
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flotilla_spec::code::ErrorCode;
use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

use crate::cancel::Meter;
use crate::partial::Partial;
use crate::{Cancel, HostError, Progress, file};

/// Bytes of one step: small enough that a slow disk still gives progress and can be cancelled.
const STEP: u64 = 1 << 20;

/// What a copy did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Size of the target in bytes.
    pub size: u64,
    /// Whether the file system shares the data of source and target.
    pub reflinked: bool,
}

/// Copies `source` to `target`, which is replaced if it exists. With `size` the target gets that many bytes, the
/// new ones a hole; it cannot be smaller than the source. After an error nothing of the target is left.
pub fn copy(
    source: &Path,
    target: &Path,
    size: Option<u64>,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Copied, HostError> {
    copy_with(|to, from| ioctl_ficlone(to, from).is_ok(), source, target, size, progress, cancel)
}

/// A copy with its way to share data: into the first file, from the second.
fn copy_with(
    clone: impl Fn(&File, &File) -> bool,
    source: &Path,
    target: &Path,
    size: Option<u64>,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<Copied, HostError> {
    let (from, length) = file::open_regular(source)?;
    let size = size.unwrap_or(length);
    if size < length {
        let message = format!("Copy of {size} bytes is smaller than its source of {length}");
        return Err(HostError::Argument { code: ErrorCode::SpecInvalidValue, message });
    }
    let partial = Partial::create(target)?;
    let meter = Meter::start(progress, length);
    let reflinked = clone(&partial.file, &from);
    if reflinked {
        meter.finish();
    } else {
        Transfer { from: &from, source, to: &partial.file, target, length, meter, cancel }.run()?;
    }
    partial.file.set_len(size).map_err(HostError::file("resize", target))?;
    cancel.check()?;
    partial.finish()?;
    Ok(Copied { size, reflinked })
}

struct Transfer<'a> {
    from: &'a File,
    source: &'a Path,
    to: &'a File,
    target: &'a Path,
    length: u64,
    meter: Meter<'a>,
    cancel: &'a Cancel,
}

impl Transfer<'_> {
    fn run(mut self) -> Result<(), HostError> {
        let mut at = 0;
        while let Some((start, end)) = next_data(self.from, self.source, at, self.length)? {
            self.copy_range(start, end)?;
            at = end;
        }
        self.meter.finish();
        Ok(())
    }

    fn copy_range(&mut self, start: u64, end: u64) -> Result<(), HostError> {
        let mut at = start;
        while at < end {
            self.cancel.check()?;
            let copied = self.step(at, (end - at).min(STEP))?;
            if copied == 0 {
                let reason = "it became shorter while it was copied".to_owned();
                return Err(HostError::Truncated { path: self.source.to_owned(), kernel: false, reason });
            }
            at += copied;
            self.meter.at(at);
        }
        Ok(())
    }

    fn step(&self, at: u64, length: u64) -> Result<u64, HostError> {
        let (mut from, mut to) = (at, at);
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        match copy_file_range(self.from, Some(&mut from), self.to, Some(&mut to), wanted) {
            Ok(copied) => Ok(copied as u64),
            Err(Errno::INTR) => self.step(at, length),
            Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) => {
                self.through_memory(at, length)
            }
            Err(error) => Err(HostError::file("write", self.target)(error)),
        }
    }

    fn through_memory(&self, at: u64, length: u64) -> Result<u64, HostError> {
        let mut buffer = Vec::new();
        let mut window = At { file: self.from, offset: at };
        (&mut window).take(length).read_to_end(&mut buffer).map_err(HostError::file("read", self.source))?;
        let mut window = At { file: self.to, offset: at };
        window.write_all(&buffer).map_err(HostError::file("write", self.target))?;
        Ok(buffer.len() as u64)
    }
}

/// The next range of a file that holds data at or after `at`.
pub(crate) fn next_data(
    from: &File,
    source: &Path,
    at: u64,
    length: u64,
) -> Result<Option<(u64, u64)>, HostError> {
    if at >= length {
        return Ok(None);
    }
    let start = match seek(from, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // The file system knows no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, length))),
        Err(error) => return Err(HostError::file("read", source)(error)),
    };
    let end = seek(from, SeekFrom::Hole(start)).map_err(HostError::file("read", source))?;
    // The source may grow or shrink meanwhile; a range is never empty and never beyond the first length.
    let end = end.min(length);
    Ok((start < end).then_some((start, end)))
}

/// Reads and writes at an offset of its own.
pub(crate) struct At<'a> {
    pub(crate) file: &'a File,
    pub(crate) offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.file.read_at(buffer, self.offset)?;
        self.offset += taken as u64;
        Ok(taken)
    }
}

impl Write for At<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = self.file.write_at(buffer, self.offset)?;
        self.offset += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const SILENT: Progress<'static> = &|_, _| {};

    fn entries(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// 1 MiB of data, 64 MiB hole, 3 bytes.
    fn sparse(path: &Path) -> Vec<u8> {
        let mut content = vec![7; 1 << 20];
        content.resize(65 << 20, 0);
        content.extend(b"end");
        let file = File::create(path).unwrap();
        file.write_all_at(&content[..1 << 20], 0).unwrap();
        file.write_all_at(b"end", 65 << 20).unwrap();
        content
    }

    #[test]
    fn keeps_content_and_holes_and_grows() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a"), folder.path().join("b"));
        let content = sparse(&source);
        fs::write(&target, "replaced").unwrap();
        fs::write(folder.path().join(".b.partial"), "left by a crash").unwrap();
        let told = std::sync::Mutex::new(Vec::new());
        let note = |done, total| told.lock().unwrap().push((done, total));
        let size = content.len() as u64 + 4096;
        let copied = copy(&source, &target, Some(size), &note, &Cancel::new()).unwrap();
        assert_eq!(copied.size, size);
        let read = fs::read(&target).unwrap();
        assert_eq!(read.len() as u64, size);
        assert!(read.starts_with(&content));
        assert!(fs::metadata(&target).unwrap().blocks() * 512 < 8 << 20, "holes are kept");
        let told = told.into_inner().unwrap();
        assert_eq!(told.first(), Some(&(0, content.len() as u64)));
        assert_eq!(told.last(), Some(&(content.len() as u64, content.len() as u64)));
        assert_eq!(entries(folder.path()).len(), 2);
    }

    #[test]
    fn tells_of_the_end_of_a_copy_that_shares_its_data() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&source, vec![1; 5000]).unwrap();
        let told = std::sync::Mutex::new(Vec::new());
        let note = |done, total| told.lock().unwrap().push((done, total));
        // As if the file system could.
        let clone = |mut to: &File, mut from: &File| io::copy(&mut from, &mut to).is_ok();
        let copied = copy_with(clone, &source, &target, None, &note, &Cancel::new()).unwrap();
        assert_eq!(copied, Copied { size: 5000, reflinked: true });
        assert_eq!(told.into_inner().unwrap(), [(0, 5000), (5000, 5000)]);
        assert_eq!(fs::read(&target).unwrap().len(), 5000);
    }

    #[test]
    fn copies_between_file_systems() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
        let source = folder.path().join("a");
        let content = sparse(&source);
        let target = other.path().join("b");
        copy(&source, &target, None, SILENT, &Cancel::new()).unwrap();
        assert!(fs::read(&target).unwrap() == content);
    }

    #[test]
    fn leaves_nothing_when_cancelled_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a");
        fs::write(&source, vec![1; 8 << 20]).unwrap();
        let target = folder.path().join("b");
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let result = copy(&source, &target, None, &move |_, _| stop.cancel(), &cancel);
        assert!(matches!(result, Err(HostError::Aborted)), "{result:?}");
        let result = copy(&source, &target, Some(1), SILENT, &Cancel::new());
        assert!(matches!(result, Err(HostError::Argument { .. })));
        let result = copy(folder.path(), &target, None, SILENT, &Cancel::new());
        assert_eq!(result.unwrap_err().code(), ErrorCode::FileNotRegular);
        let result = copy(&folder.path().join("none"), &target, None, SILENT, &Cancel::new());
        assert_eq!(result.unwrap_err().code(), ErrorCode::FileMissing);
        let result = copy(&source, Path::new("/dev/full/x"), None, SILENT, &Cancel::new());
        assert_eq!(result.unwrap_err().code(), ErrorCode::FileNotRegular);
        assert_eq!(entries(folder.path()), ["a"]);
    }

    #[test]
    fn two_copies_to_one_target_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&source, "x").unwrap();
        let held = Partial::create(&target).unwrap();
        assert!(copy(&source, &target, None, SILENT, &Cancel::new()).is_err());
        drop(held);
        copy(&source, &target, None, SILENT, &Cancel::new()).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"x");
    }
}
