// SPDX-License-Identifier: Apache-2.0
//! `--disk`.

use flotilla_spec::id::DiskId;
use flotilla_spec::{DiskFormat, DiskSpec, FileSource};

/// `--disk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    path: String,
    read_only: bool,
    serial: Option<String>,
    id: Option<String>,
}

impl Disk {
    /// The disk at position `index`.
    pub fn into_spec(self, index: usize) -> DiskSpec {
        DiskSpec {
            id: DiskId(self.id.unwrap_or_else(|| format!("disk{index}"))),
            source: FileSource::Path(self.path.into()),
            format: DiskFormat::Raw,
            read_only: self.read_only,
            serial: self.serial,
        }
    }
}

pub(super) fn disk(text: &str) -> Result<Disk, String> {
    let (mut path, mut format) = (None, None);
    let mut disk = Disk { path: String::new(), read_only: false, serial: None, id: None };
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("path", value)) => path = Some(value.to_owned()),
            Some(("format", value)) => format = Some(value),
            Some(("serial", value)) => disk.serial = Some(value.to_owned()),
            Some(("id", value)) => disk.id = Some(value.to_owned()),
            None if part == "readonly" => disk.read_only = true,
            _ => return Err(format!("{part:?} is no option of a disk: path, format, readonly, serial, id")),
        }
    }
    disk.path = path.ok_or("path= is missing")?;
    match format {
        Some("raw") => Ok(disk),
        Some(other) => Err(format!("format {other:?} is unknown: raw is the one there is")),
        None => Err("format=raw is missing: the format of a disk is never guessed".to_owned()),
    }
}
