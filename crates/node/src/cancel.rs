// SPDX-License-Identifier: Apache-2.0
//! Withdrawing a call.

use flotilla_host::Cancel;
use napi_derive::napi;

/// Withdraws the calls it was given to. Each call takes one of its own.
#[napi]
#[derive(Default)]
pub struct CancelToken(Cancel);

#[napi]
impl CancelToken {
    /// Not cancelled.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Withdraws the call: it rejects with the code `aborted`, unless it is done already.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl CancelToken {
    /// The core's side of it.
    pub fn inner(&self) -> Cancel {
        self.0.clone()
    }
}
