// SPDX-License-Identifier: Apache-2.0
//! qcow2 images of disks: new ones, and ones that grow while no machine uses them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flotilla_block::{
    BackingFile, BackingFormat, BlockError, LockKind, Qcow2, Qcow2Create, Qcow2Error, Qcow2Options,
    RecordedName, inspect_qcow2, lock,
};
use flotilla_spec::DiskFormat;
use flotilla_spec::code::ErrorCode;
use rustix::fs::OFlags;

use crate::partial::Partial;
use crate::{HostError, file};

/// A backing file as an image records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its name, which whoever opens the image compares and never opens.
    pub name: String,
    /// How its content is stored.
    pub format: DiskFormat,
}

/// A backing file of an image that is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// The file.
    pub path: PathBuf,
    /// What the image above it must record.
    pub recorded: Recorded,
}

/// Makes an empty image of a disk of `size` bytes at `target`, which is replaced if it exists. The image is whole and on
/// the disk, or not there.
pub fn create(target: &Path, size: u64, backing: Option<Recorded>) -> Result<(), HostError> {
    let backing = backing.map(|Recorded { name, format }| (name, name_of(format).to_owned()));
    let partial = Partial::create(target)?;
    let file = partial.file.try_clone().map_err(HostError::file("write", target))?;
    Qcow2Create { backing, ..Qcow2Create::new(size) }.write(file).map_err(|error| failed(target, error))?;
    partial.finish()
}

/// Makes the disk of an image `size` bytes large; one that is as large or larger stays as it is. Returns its size. Fails if
/// a machine uses the image. `backing`: its backing files, the nearest first.
pub fn grow(path: &Path, size: u64, backing: &[Backing]) -> Result<u64, HostError> {
    let image = open_image(path)?;
    lock(&image, LockKind::Exclusive).map_err(|error| failed(path, error.into()))?;
    let backing = backing.iter().map(open_backing).collect::<Result<Vec<_>, _>>()?;
    let copy = image.try_clone().map_err(HostError::file("open", path))?;
    let now = inspect_qcow2(copy).map_err(|error| failed(path, error))?.size;
    if now >= size {
        return Ok(now);
    }
    let disk = Qcow2::open(image, &backing, Qcow2Options::default()).map_err(|error| failed(path, error))?;
    disk.grow(size).and_then(|()| disk.flush()).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidInput => {
            HostError::Argument { code: ErrorCode::DiskSize, message: source.to_string() }
        }
        _ => HostError::File { step: "make larger", path: path.to_owned(), source },
    })?;
    Ok(size)
}

fn open_image(path: &Path) -> Result<File, HostError> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    opened.map_err(HostError::file("open", path))
}

fn open_backing(Backing { path, recorded }: &Backing) -> Result<BackingFile, HostError> {
    let (file, _) = file::open_regular(path)?;
    lock(&file, LockKind::Shared).map_err(|error| failed(path, error.into()))?;
    let format = match recorded.format {
        DiskFormat::Raw => BackingFormat::Raw,
        DiskFormat::Qcow2 => BackingFormat::Qcow2,
    };
    Ok(BackingFile { file: file.into(), format, recorded: RecordedName::Is(recorded.name.clone()) })
}

fn name_of(format: DiskFormat) -> &'static str {
    match format {
        DiskFormat::Raw => "raw",
        DiskFormat::Qcow2 => "qcow2",
    }
}

pub(crate) fn failed(path: &Path, error: Qcow2Error) -> HostError {
    match error {
        Qcow2Error::Host { step, source } | Qcow2Error::File(BlockError::Host { step, source }) => {
            HostError::File { step, path: path.to_owned(), source }
        }
        error => {
            let code = ErrorCode::ALL.iter().copied().find(|code| code.text() == error.code());
            let message = format!("{} cannot be used: {error}", path.display());
            HostError::Argument { code: code.unwrap_or(ErrorCode::Io), message }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SIZE: u64 = 1 << 20;

    fn base(folder: &Path) -> (PathBuf, Recorded) {
        let path = folder.join("base");
        fs::write(&path, vec![7; usize::try_from(SIZE).unwrap()]).unwrap();
        (path, Recorded { name: "base".to_owned(), format: DiskFormat::Raw })
    }

    fn content(image: &Path, base: &Path) -> Vec<u8> {
        let recorded = RecordedName::Is("base".to_owned());
        let backing =
            BackingFile { file: File::open(base).unwrap().into(), format: BackingFormat::Raw, recorded };
        let options = Qcow2Options { read_only: true, ..Qcow2Options::default() };
        let disk = Qcow2::open(File::open(image).unwrap(), &[backing], options).unwrap();
        let size = inspect_qcow2(File::open(image).unwrap()).unwrap().size;
        let mut content = vec![1; usize::try_from(size).unwrap()];
        disk.read_at(&mut content, 0).unwrap();
        content
    }

    #[test]
    fn an_image_shows_its_base_and_then_zeroes_and_grows_by_more_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let (path, recorded) = base(folder.path());
        let image = folder.path().join("image");
        create(&image, 2 * SIZE, Some(recorded.clone())).unwrap();
        let shown = content(&image, &path);
        let (first, second) = shown.split_at(usize::try_from(SIZE).unwrap());
        assert!(first.iter().all(|&byte| byte == 7) && second.iter().all(|&byte| byte == 0));
        assert!(fs::metadata(&image).unwrap().len() < SIZE, "it holds nothing of its base");
        let backing = [Backing { path: path.clone(), recorded }];
        assert_eq!(grow(&image, 4 * SIZE, &backing).unwrap(), 4 * SIZE);
        assert_eq!(grow(&image, 3 * SIZE, &backing).unwrap(), 4 * SIZE, "it never shrinks");
        let larger = content(&image, &path);
        assert!(larger.starts_with(&shown));
        assert_eq!(larger.len() as u64, 4 * SIZE);
        assert!(larger.get(shown.len()..).unwrap().iter().all(|&byte| byte == 0));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        for size in [0, 513, u64::MAX] {
            assert_eq!(create(&image, size, None).unwrap_err().code(), ErrorCode::DiskSize);
        }
        let recorded = Recorded { name: String::new(), format: DiskFormat::Raw };
        assert!(create(&image, SIZE, Some(recorded)).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_image_that_is_in_use_or_names_another_base_does_not_grow() {
        let folder = tempfile::tempdir().unwrap();
        let (path, recorded) = base(folder.path());
        let image = folder.path().join("image");
        create(&image, SIZE, Some(recorded.clone())).unwrap();
        let before = fs::read(&image).unwrap();
        let code = |backing: &[Backing]| grow(&image, 2 * SIZE, backing).unwrap_err().code();
        assert_eq!(code(&[]), ErrorCode::DiskBacking);
        let other = Recorded { name: "other".to_owned(), format: DiskFormat::Raw };
        assert_eq!(code(&[Backing { path: path.clone(), recorded: other }]), ErrorCode::DiskBacking);
        let backing = [Backing { path: path.clone(), recorded }];
        let held = open_image(&image).unwrap();
        lock(&held, LockKind::Exclusive).unwrap();
        assert_eq!(code(&backing), ErrorCode::DiskLocked);
        drop(held);
        let held = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        lock(&held, LockKind::Exclusive).unwrap();
        assert_eq!(code(&backing), ErrorCode::DiskLocked, "nobody may be writing to the base");
        drop(held);
        assert_eq!(fs::read(&image).unwrap(), before);
        assert_eq!(grow(&path, 2 * SIZE, &[]).unwrap_err().code(), ErrorCode::DiskFormat);
        assert_eq!(grow(&folder.path().join("no"), SIZE, &[]).unwrap_err().code(), ErrorCode::FileMissing);
    }
}
