// SPDX-License-Identifier: Apache-2.0
//! What the kernel should know about guest memory. Advice: a refusal costs speed or a larger core file, nothing else.

use std::io;

use vm_memory::MmapRegion;
use vm_memory::bitmap::AtomicBitmap;

/// Asks for huge pages and keeps guest memory, which is a tenant's data, out of core dumps.
pub(crate) fn advise(region: &MmapRegion<AtomicBitmap>) {
    for (advice, name) in [(libc::MADV_HUGEPAGE, "MADV_HUGEPAGE"), (libc::MADV_DONTDUMP, "MADV_DONTDUMP")] {
        // SAFETY: the range is one live mapping that `region` owns, and neither advice changes its content.
        let result = unsafe { libc::madvise(region.as_ptr().cast(), region.size(), advice) };
        if result != 0 {
            tracing::debug!(advice = name, error = %io::Error::last_os_error(), "kernel declined memory advice");
        }
    }
}
