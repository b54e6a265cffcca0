// SPDX-License-Identifier: Apache-2.0
//! Disks that the guest reaches as memory.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;

use flotilla_boot::layout::FileSpace;
use flotilla_device_model::bus::Bus;
use flotilla_device_model::pmem::PersistentMemory;
use flotilla_devices::virtio::pmem::device::{Pmem, PmemPlace};
use flotilla_hypervisor::Vm;
use flotilla_memory::{GuestAddress, REGION_ALIGNMENT, SharedFile};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{DiskSpec, Violation};

use super::{hypervisor, layout_fault};
use crate::error::BuildError;
use crate::parts::PMEM_PREFIX;

/// Where files go that are memory.
pub struct FileShelf<'a> {
    /// Gets the slots.
    pub vm: &'a Vm,
    /// Hears of writes that are refused.
    pub mmio: &'a Bus,
    /// The addresses that are left.
    pub space: FileSpace,
}

struct Durable(Arc<SharedFile>);

impl PersistentMemory for Durable {
    fn flush(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl FileShelf<'_> {
    /// Maps the file of a disk, and makes the device that tells of it.
    pub fn put(&mut self, spec: &DiskSpec, file: File, field: &str) -> Result<Pmem, BuildError> {
        let file = Arc::new(map(spec, file, field).map_err(BuildError::Resource)?);
        let window = self.space.take(file.len()).ok_or_else(|| {
            let message = format!("Disk has {} bytes, for which the guest has no addresses", file.file_len());
            let field = format!("{field}.attach");
            BuildError::Resource(Violation::new(ErrorCode::DiskPmemPlace, field, message))
        })?;
        self.vm
            .map_file(GuestAddress(window.start), &file)
            .map_err(hypervisor("let the guest reach a disk as memory"))?;
        let place = PmemPlace { start: window.start, size: window.len, read_only: spec.read_only };
        let name = format!("{PMEM_PREFIX}{}", spec.id);
        let device = Pmem::new(name.clone(), place, Arc::new(Durable(file)));
        if spec.read_only {
            let placed = self.mmio.insert(window.start, window.len, device.refusal());
            placed.map_err(|error| layout_fault(&name, &error))?;
        }
        Ok(device)
    }
}

fn map(spec: &DiskSpec, mut file: File, field: &str) -> Result<SharedFile, Violation> {
    let source = format!("{field}.source");
    // Of a block device, the metadata does not tell it.
    let len = file.seek(SeekFrom::End(0)).map_err(|error| {
        Violation::new(ErrorCode::Io, &source, format!("Cannot tell the size of the disk: {error}"))
    })?;
    if len == 0 {
        return Err(Violation::new(ErrorCode::DiskSize, source, "Disk has no bytes"));
    }
    if !spec.read_only && !len.is_multiple_of(REGION_ALIGNMENT as u64) {
        let message = format!(
            "Disk has {len} bytes, no multiple of 2 MiB: what is written behind its end would be lost"
        );
        return Err(Violation::new(ErrorCode::DiskPmemSize, source, message));
    }
    SharedFile::map(file, len, !spec.read_only).map_err(|error| {
        Violation::new(ErrorCode::DiskPmemMap, source, format!("Host does not map the disk: {error}"))
    })
}
