// SPDX-License-Identifier: Apache-2.0
//! What the kernel should know about guest memory.

use std::io;

use vm_memory::MmapRegion;
use vm_memory::bitmap::AtomicBitmap;

use crate::options::{Backing, Options, TransparentPages};
use crate::{MemoryError, mapping};

/// Gives the kernel all advice on a region. What only costs speed, or a larger core file, when it is refused is no error.
pub(crate) fn advise(region: &MmapRegion<AtomicBitmap>, options: &Options) -> Result<(), MemoryError> {
    // Guest memory is a tenant's data and no part of a core dump.
    try_to(region, libc::MADV_DONTDUMP, "MADV_DONTDUMP");
    if !matches!(options.backing, Backing::HugePages(_)) {
        match options.transparent {
            TransparentPages::Always => try_to(region, libc::MADV_HUGEPAGE, "MADV_HUGEPAGE"),
            TransparentPages::Never => try_to(region, libc::MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"),
            TransparentPages::HostDefault => {}
        }
    }
    if options.mergeable {
        mapping::advise_whole(region, libc::MADV_MERGEABLE)
            .map_err(|source| MemoryError::Mergeable { source })?;
    }
    Ok(())
}

fn try_to(region: &MmapRegion<AtomicBitmap>, advice: i32, name: &str) {
    if let Err(error) = mapping::advise_whole(region, advice) {
        report(name, &error);
    }
}

fn report(advice: &str, error: &io::Error) {
    tracing::debug!(advice, %error, "kernel declined memory advice");
}
