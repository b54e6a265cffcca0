// SPDX-License-Identifier: Apache-2.0
//! Seed disks: a small FAT file system with the files that cloud-init's data source `NoCloud` reads at a guest's first start.
//!
//! The file system is found by its label, `CIDATA`.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use flotilla_spec::code::ErrorCode;

use crate::HostError;
use crate::partial::Partial;

/// The label in its field of eleven bytes.
const LABEL: [u8; 11] = *b"CIDATA     ";
/// What the file system takes beside the files, with room to spare.
const LEAST_BYTES: u64 = 1 << 20;
const SECTOR_BYTES: u64 = 512;
/// Each file may end in a cluster that it does not fill.
const CLUSTER_BYTES: u64 = 32 << 10;
/// Of all files together.
const MAX_BYTES: usize = 16 << 20;
const MAX_FILES: usize = 16;

/// A file of a seed disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// Its name, such as `user-data`: small letters, digits and hyphens.
    pub name: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// Makes a seed disk at `target`, which is replaced if it exists. It is whole and on the disk, or not there.
pub fn create(target: &Path, files: &[SeedFile]) -> Result<(), HostError> {
    let bytes = checked(files)?;
    let partial = Partial::create(target)?;
    let failed = || HostError::file("write", target);
    partial.file.set_len(size_for(bytes, files.len())).map_err(failed())?;
    let mut disk = Disk(partial.file.try_clone().map_err(failed())?);
    fatfs::format_volume(&mut disk, FormatVolumeOptions::new().volume_label(LABEL)).map_err(failed())?;
    disk.seek(SeekFrom::Start(0)).map_err(failed())?;
    fill(disk, files).map_err(failed())?;
    partial.finish()
}

fn checked(files: &[SeedFile]) -> Result<u64, HostError> {
    let refused = |message: &str| HostError::Argument {
        code: ErrorCode::SpecInvalidValue,
        message: message.to_owned(),
    };
    if files.len() > MAX_FILES {
        return Err(refused("Seed disk has too many files: give at most 16"));
    }
    let named = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if !files.iter().all(|file| named(&file.name)) {
        return Err(refused(
            "Name of a file of a seed disk cannot be used: give small letters, digits and hyphens",
        ));
    }
    let bytes: usize = files.iter().map(|file| file.content.len()).sum();
    if bytes > MAX_BYTES {
        return Err(refused("Files of a seed disk are too large: give at most 16 MiB together"));
    }
    Ok(bytes as u64)
}

fn size_for(bytes: u64, files: usize) -> u64 {
    (LEAST_BYTES + bytes + CLUSTER_BYTES * files as u64).next_multiple_of(SECTOR_BYTES)
}

fn fill(disk: Disk, files: &[SeedFile]) -> std::io::Result<()> {
    let volume = FileSystem::new(disk, FsOptions::new())?;
    for SeedFile { name, content } in files {
        let mut file = BufWriter::with_capacity(1 << 16, volume.root_dir().create_file(name)?);
        file.write_all(content)?;
        file.flush()?;
    }
    volume.unmount()
}

/// What the file system lies on; a type of ours because a file that is lent is not enough.
struct Disk(File);

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Disk {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(name: &str, content: &[u8]) -> SeedFile {
        SeedFile { name: name.to_owned(), content: content.to_owned() }
    }

    fn read(path: &Path) -> (String, Vec<SeedFile>) {
        let volume = FileSystem::new(File::open(path).unwrap(), FsOptions::new()).unwrap();
        let mut files = Vec::new();
        for entry in volume.root_dir().iter() {
            let entry = entry.unwrap();
            let mut content = Vec::new();
            entry.to_file().read_to_end(&mut content).unwrap();
            files.push(SeedFile { name: entry.file_name(), content });
        }
        (volume.volume_label(), files)
    }

    #[test]
    fn a_seed_disk_has_its_label_and_its_files_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        let large = vec![b'x'; MAX_BYTES - 64];
        for content in [&b"#cloud-config\n"[..], b"", &large] {
            let files = [file("user-data", content), file("meta-data", b"{}")];
            create(&path, &files).unwrap();
            assert_eq!(read(&path), ("CIDATA".to_owned(), files.to_vec()));
            assert_eq!(fs::metadata(&path).unwrap().len() % SECTOR_BYTES, 0);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        for name in ["", "..", "a/b", "A", "a.b", &"a".repeat(65)] {
            assert_eq!(create(&path, &[file(name, b"")]).unwrap_err().code(), ErrorCode::SpecInvalidValue);
        }
        let large = [file("a", &vec![0; MAX_BYTES]), file("b", b"b")];
        assert_eq!(create(&path, &large).unwrap_err().code(), ErrorCode::SpecInvalidValue);
        let many = vec![file("a", b""); MAX_FILES + 1];
        assert_eq!(create(&path, &many).unwrap_err().code(), ErrorCode::SpecInvalidValue);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
