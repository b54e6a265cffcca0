// SPDX-License-Identifier: Apache-2.0
//! Threads of connections, and what they share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// Bytes of stack: less than a huge page, which the kernel otherwise may give to a stack at its first touch.
const STACK: usize = 1 << 20;

pub(crate) fn named(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(STACK)
}

/// What a mutex guards, also after a thread has panicked with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
