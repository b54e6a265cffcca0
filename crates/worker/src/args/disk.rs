// SPDX-License-Identifier: Apache-2.0
//! `--disk`.

use flotilla_spec::id::DiskId;
use flotilla_spec::{
    BackingSpec, DiskAttachment, DiskCache, DiskEngine, DiskFormat, DiskSpec, FileSource, SpacePolicy,
    ThrottleSpec,
};

use super::throttle;

/// `--disk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    path: String,
    attach: DiskAttachment,
    format: DiskFormat,
    backing: Vec<BackingSpec>,
    read_only: bool,
    serial: Option<String>,
    id: Option<String>,
    queues: Option<u16>,
    cache: DiskCache,
    engine: DiskEngine,
    block_size: Option<u32>,
    on_no_space: SpacePolicy,
    throttle: Option<ThrottleSpec>,
}

impl Disk {
    /// The disk at position `index`.
    pub fn into_spec(self, index: usize) -> DiskSpec {
        DiskSpec {
            id: DiskId(self.id.unwrap_or_else(|| format!("disk{index}"))),
            source: FileSource::Path(self.path.into()),
            attach: self.attach,
            format: self.format,
            backing: self.backing,
            read_only: self.read_only,
            serial: self.serial,
            queues: self.queues,
            cache: self.cache,
            engine: self.engine,
            block_size: self.block_size,
            on_no_space: self.on_no_space,
            throttle: self.throttle,
        }
    }
}

const OPTIONS: &str = "path, attach, format, backing, backing-name, readonly, serial, id, queues, cache, engine, blocksize, \
                       on-no-space, bps, bps-burst, iops, iops-burst, throttle";

pub(super) fn disk(text: &str) -> Result<Disk, String> {
    let (mut path, mut format) = (None, None);
    let mut disk = Disk {
        path: String::new(),
        attach: DiskAttachment::default(),
        format: DiskFormat::Raw,
        backing: Vec::new(),
        read_only: false,
        serial: None,
        id: None,
        queues: None,
        cache: DiskCache::default(),
        engine: DiskEngine::default(),
        block_size: None,
        on_no_space: SpacePolicy::default(),
        throttle: None,
    };
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("path", value)) => path = Some(value.to_owned()),
            Some(("attach", value)) => disk.attach = attachment(value)?,
            Some(("format", value)) => format = Some(disk_format(value)?),
            Some(("backing", value)) => disk.backing.push(backing_file(value)?),
            Some(("backing-name", value)) => name_last(&mut disk.backing, value)?,
            Some(("serial", value)) => disk.serial = Some(value.to_owned()),
            Some(("id", value)) => disk.id = Some(value.to_owned()),
            Some(("queues", value)) => disk.queues = Some(number(value, "queues")?),
            Some(("blocksize", value)) => disk.block_size = Some(number(value, "blocksize")?),
            Some(("cache", value)) => disk.cache = cache(value)?,
            Some(("engine", value)) => disk.engine = engine(value)?,
            Some(("on-no-space", value)) => disk.on_no_space = on_no_space(value)?,
            Some(option) if throttle::take(&mut disk.throttle, "", "iops", option)? => {}
            None if part == "readonly" => disk.read_only = true,
            _ => return Err(format!("{part:?} is no option of a disk: {OPTIONS}")),
        }
    }
    disk.path = path.ok_or("path= is missing")?;
    disk.format =
        format.ok_or("format=raw or format=qcow2 is missing: the format of a disk is never guessed")?;
    Ok(disk)
}

fn attachment(text: &str) -> Result<DiskAttachment, String> {
    match text {
        "block" => Ok(DiskAttachment::Block),
        "pmem" => Ok(DiskAttachment::Pmem),
        other => Err(format!("attach {other:?} is unknown: block or pmem")),
    }
}

fn disk_format(text: &str) -> Result<DiskFormat, String> {
    match text {
        "raw" => Ok(DiskFormat::Raw),
        "qcow2" => Ok(DiskFormat::Qcow2),
        other => Err(format!("format {other:?} is unknown: there are raw and qcow2")),
    }
}

fn number<T: std::str::FromStr>(text: &str, option: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{option}={text:?} is no number that fits"))
}

fn cache(text: &str) -> Result<DiskCache, String> {
    match text {
        "none" => Ok(DiskCache::None),
        "writeback" => Ok(DiskCache::Writeback),
        "writethrough" => Ok(DiskCache::Writethrough),
        other => Err(format!("cache {other:?} is unknown: none, writeback or writethrough")),
    }
}

fn on_no_space(text: &str) -> Result<SpacePolicy, String> {
    match text {
        "report" => Ok(SpacePolicy::Report),
        "pause" => Ok(SpacePolicy::Pause),
        other => Err(format!("on-no-space {other:?} is unknown: report or pause")),
    }
}

fn engine(text: &str) -> Result<DiskEngine, String> {
    match text {
        "auto" => Ok(DiskEngine::Auto),
        "io-uring" => Ok(DiskEngine::IoUring),
        "direct" => Ok(DiskEngine::Direct),
        other => Err(format!("engine {other:?} is unknown: auto, io-uring or direct")),
    }
}

/// `FORMAT:FILE`.
fn backing_file(text: &str) -> Result<BackingSpec, String> {
    let (format, path) =
        text.split_once(':').ok_or("backing= has no format: write backing=raw:FILE or backing=qcow2:FILE")?;
    Ok(BackingSpec { source: FileSource::Path(path.into()), format: disk_format(format)?, name: None })
}

/// `backing-name=` speaks of the `backing=` before it.
fn name_last(backing: &mut [BackingSpec], name: &str) -> Result<(), String> {
    let last = backing.last_mut().ok_or("backing-name= has no backing= before it")?;
    last.name = Some(name.to_owned());
    Ok(())
}
