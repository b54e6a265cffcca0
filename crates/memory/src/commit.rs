// SPDX-License-Identifier: Apache-2.0
//! Commits guest memory before the guest asks for it, and keeps it.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::options::{Backing, Options};
use crate::{GuestMemory, MemoryError};

/// Bytes that a thread commits at once, a multiple of a 2 MiB page. A smaller memory needs no second thread.
const CHUNK: usize = 64 << 20;
/// More threads than this wait for each other in the kernel.
const MOST_THREADS: usize = 16;

/// A part of this process's address space that is guest memory.
#[derive(Debug, Clone, Copy)]
struct Part {
    address: usize,
    len: usize,
}

/// Commits and locks all of `memory` as the options say.
pub(crate) fn commit(memory: &GuestMemory, options: &Options) -> Result<(), MemoryError> {
    // Pages of the pool that are bound to nodes were reserved wherever there were some: whether these nodes have them shows
    // only now, or later by a signal that ends the process.
    let bound = matches!(options.backing, Backing::HugePages(_)) && !options.bindings.is_empty();
    if options.prefault || bound {
        populate_parts(&parts(memory), threads()).map_err(|source| not_committed(options.backing, source))?;
    }
    if options.lock && !matches!(options.backing, Backing::HugePages(_)) {
        lock(&parts(memory), options.prefault)?;
    }
    Ok(())
}

/// Commits `len` bytes at `address`, which were given back. A refusal costs speed only.
pub fn populate(memory: &GuestMemory, address: GuestAddress, len: u64) {
    let slices =
        GuestMemoryBackend::get_slices(memory, address, usize::try_from(len).unwrap_or(usize::MAX)).flatten();
    let parts: Vec<Part> = slices
        .filter_map(|slice| {
            // Whole pages: the parts of pages at the ends were written, hence are there.
            let start = slice.ptr_guard_mut().as_ptr().addr().checked_next_multiple_of(PAGE)?;
            let end = (slice.ptr_guard_mut().as_ptr().addr() + slice.len()) / PAGE * PAGE;
            (end > start).then(|| Part { address: start, len: end - start })
        })
        .collect();
    if let Err(error) = populate_parts(&parts, 1) {
        tracing::debug!(%error, "guest memory is not committed in advance");
    }
}

const PAGE: usize = 4096;

fn parts(memory: &GuestMemory) -> Vec<Part> {
    let part = |region: &vm_memory::GuestRegionMmap<_>| Part {
        address: region.as_ptr().addr(),
        len: usize::try_from(region.len()).unwrap_or_default(),
    };
    memory.iter().map(part).collect()
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
}

fn not_committed(backing: Backing, source: io::Error) -> MemoryError {
    match backing {
        Backing::HugePages(size) => MemoryError::HugePages { page: size.bytes(), source },
        Backing::Anonymous | Backing::Memfd => MemoryError::Prefault { source },
    }
}

/// Commits the parts, with as many threads as help. The first refusal ends all of it.
fn populate_parts(parts: &[Part], threads: usize) -> io::Result<()> {
    let pieces: Vec<Part> = parts.iter().flat_map(|part| cut(*part)).collect();
    let (next, refused) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = populate_piece(*piece) {
                next.store(pieces.len(), Ordering::Relaxed);
                refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(pieces.len()) {
            // Without a helper this thread does more.
            let _ = thread::Builder::new().name("prefault".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    match refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn cut(part: Part) -> impl Iterator<Item = Part> {
    (0..part.len)
        .step_by(CHUNK)
        .map(move |from| Part { address: part.address + from, len: CHUNK.min(part.len - from) })
}

fn populate_piece(piece: Part) -> io::Result<()> {
    loop {
        let address = std::ptr::with_exposed_provenance_mut::<libc::c_void>(piece.address);
        // SAFETY: the range lies in a live mapping of guest memory, which the caller holds; its content stays as it is, and the
        // kernel checks the range.
        let result = unsafe { libc::madvise(address, piece.len, libc::MADV_POPULATE_WRITE) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR | libc::EAGAIN) => {}
            Some(libc::EINVAL) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "it needs Linux 5.14"));
            }
            _ => return Err(error),
        }
    }
}

/// Locks the parts. Those that are not committed yet stay so: each page is locked when it comes.
fn lock(parts: &[Part], committed: bool) -> Result<(), MemoryError> {
    let flags = if committed { 0 } else { libc::MLOCK_ONFAULT };
    for part in parts {
        let address = std::ptr::with_exposed_provenance::<libc::c_void>(part.address);
        // SAFETY: locking changes neither content nor place of a mapping, whatever the range.
        let result = unsafe { libc::mlock2(address, part.len, flags) };
        if result != 0 {
            let source = io::Error::last_os_error();
            return Err(MemoryError::Lock { len: part.len as u64, limit: lock_limit(), source });
        }
    }
    Ok(())
}

/// Bytes that this process may lock.
fn lock_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes the two numbers of a structure that is ours.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 0 }
}
