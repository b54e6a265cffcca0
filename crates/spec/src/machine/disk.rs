// SPDX-License-Identifier: Apache-2.0
//! Disks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::ThrottleSpec;
use crate::id::DiskId;
use crate::{FileSource, MAX_BACKING, MAX_DISK_QUEUES};

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("if" = { "properties": { "format": { "const": "raw" } } }))]
#[schemars(extend("then" = { "properties": { "backing": { "type": "array", "maxItems": 0 } } }))]
#[schemars(extend("allOf" = [{
    "if": { "properties": { "attach": { "const": "pmem" } }, "required": ["attach"] },
    "then": { "properties": {
        "format": { "const": "raw" }, "serial": { "const": null }, "queues": { "const": null },
        "cache": { "const": "writeback" }, "engine": { "const": "auto" }, "blockSize": { "const": null },
        "onNoSpace": { "const": "report" }, "throttle": { "const": null }
    } }
}]))]
pub struct DiskSpec {
    /// Unique among the disks of the machine.
    pub id: DiskId,
    /// The file or block device that holds the content.
    pub source: FileSource,
    /// What the guest finds it as. Default: block.
    #[serde(default)]
    #[ts(as = "Option<DiskAttachment>", optional)]
    pub attach: DiskAttachment,
    /// How the content is stored. Never guessed: a guest could write another format's header.
    pub format: DiskFormat,
    /// The files that the image is based on, the nearest first; they are only read. The image must name each of them, and
    /// none besides. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<BackingSpec>>", optional)]
    #[schemars(length(max = MAX_BACKING))]
    pub backing: Vec<BackingSpec>,
    /// Whether the guest may not write. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub read_only: bool,
    /// What the guest reads as the serial number, 1 to 20 printable ASCII characters. Default: the id, cut to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[schemars(regex(pattern = r"^[!-~]{1,20}$"))]
    pub serial: Option<String>,
    /// Queues that the guest can use at the same time, 1 to 16; each is served by a thread of its own. Default: one for
    /// each vCPU, at most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[schemars(range(min = 1, max = MAX_DISK_QUEUES))]
    pub queues: Option<u16>,
    /// What becomes of the guest's writes before it asks for durability. Default: writeback.
    #[serde(default)]
    #[ts(as = "Option<DiskCache>", optional)]
    pub cache: DiskCache,
    /// How the host reads and writes. Default: auto.
    #[serde(default)]
    #[ts(as = "Option<DiskEngine>", optional)]
    pub engine: DiskEngine,
    /// Bytes of a block as the guest sees it: 512 or 4096. Default: 512, or what direct I/O demands with cache none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[schemars(extend("enum" = [512, 4096, null]))]
    pub block_size: Option<u32>,
    /// What follows when the host has no space for what the guest writes. Default: report.
    #[serde(default)]
    #[ts(as = "Option<SpacePolicy>", optional)]
    pub on_no_space: SpacePolicy,
    /// Limits of its requests and of the bytes that they read, write or make zero. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub throttle: Option<ThrottleSpec>,
}

/// What the guest finds a disk as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum DiskAttachment {
    /// A block device, which reads and writes by requests.
    #[default]
    Block,
    /// Memory: the file is mapped where the guest reaches it by itself, and several machines that map one file share the
    /// host's cache of it. Only for raw disks; what tunes requests has no meaning there. One that the guest may write has a
    /// multiple of 2 MiB.
    Pmem,
}

/// How the content of a disk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// Byte for byte.
    Raw,
    /// An image in QEMU's format, version 2 or 3.
    Qcow2,
}

/// A file that an image is based on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackingSpec {
    /// The file or block device.
    pub source: FileSource,
    /// How its content is stored.
    pub format: DiskFormat,
    /// The name under which the image above records this file; `*` takes any name. Default: the path of the source, of
    /// which a relative name need only be the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name: Option<String>,
}

impl BackingSpec {
    /// The name that stands for any.
    pub const ANY_NAME: &'static str = "*";

    /// The name that the image above has to record. Empty, which no image records, if nobody said.
    pub fn recorded_name(&self) -> String {
        match (&self.name, &self.source) {
            (Some(name), _) => name.clone(),
            (None, FileSource::Path(path)) => path.to_string_lossy().into_owned(),
            (None, FileSource::Descriptor(_)) => String::new(),
        }
    }
}

/// What becomes of the guest's writes before it asks for durability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum DiskCache {
    /// They pass the host's page cache by (direct I/O), and are durable after the guest's next flush.
    None,
    /// They are in the host's page cache, and are durable after the guest's next flush.
    #[default]
    Writeback,
    /// Each is durable when it ends. The guest may choose writeback instead.
    Writethrough,
}

/// What follows when the host has no space for what a guest writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum SpacePolicy {
    /// The guest is told that the write failed; most turn the file system read-only.
    #[default]
    Report,
    /// The machine is paused, and the guest hears nothing. The write is tried again when the machine is resumed.
    Pause,
}

/// How the host reads and writes a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum DiskEngine {
    /// System calls for files in memory (tmpfs), elsewhere `io_uring` where the host allows it.
    #[default]
    Auto,
    /// `io_uring`; an error where the host refuses it.
    IoUring,
    /// System calls.
    Direct,
}
