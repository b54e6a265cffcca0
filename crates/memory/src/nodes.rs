// SPDX-License-Identifier: Apache-2.0
//! Binds guest memory to NUMA nodes of the host.

use std::io;

use vm_memory::GuestMemoryBackend;

use crate::options::Binding;
use crate::{GuestMemory, MemoryError};

/// `MPOL_BIND` (linux/mempolicy.h): from these nodes and no others.
const BIND: libc::c_ulong = 2;
/// Nodes that a mask holds: more than any kernel is built for.
const NODES: usize = 1024;
const WORD: usize = libc::c_ulong::BITS as usize;

/// Binds each part before its first page is there.
pub(crate) fn bind(memory: &GuestMemory, bindings: &[Binding]) -> Result<(), MemoryError> {
    for binding in bindings.iter().filter(|binding| !binding.nodes.is_empty()) {
        let mask =
            mask(&binding.nodes).ok_or_else(|| refused(binding, io::ErrorKind::InvalidInput.into()))?;
        let len = usize::try_from(binding.len).unwrap_or(usize::MAX);
        for slice in GuestMemoryBackend::get_slices(memory, binding.start, len) {
            let slice = slice.map_err(|error| refused(binding, io::Error::other(error)))?;
            let guard = slice.ptr_guard_mut();
            // The kernel reads one bit less than it is told.
            let bits = NODES + 1;
            // SAFETY: a policy changes where pages come from, not their content; the range is a live mapping of guest memory
            // and the mask has as many bits as the kernel reads.
            let result = unsafe {
                libc::syscall(libc::SYS_mbind, guard.as_ptr(), slice.len(), BIND, mask.as_ptr(), bits, 0)
            };
            if result != 0 {
                return Err(refused(binding, io::Error::last_os_error()));
            }
        }
    }
    Ok(())
}

fn refused(binding: &Binding, source: io::Error) -> MemoryError {
    MemoryError::Node { nodes: binding.nodes.clone(), source }
}

fn mask(nodes: &[u32]) -> Option<[libc::c_ulong; NODES / WORD]> {
    let mut mask = [0; NODES / WORD];
    for node in nodes {
        let node = usize::try_from(*node).ok()?;
        *mask.get_mut(node / WORD)? |= 1 << (node % WORD);
    }
    Some(mask)
}
