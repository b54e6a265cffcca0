// SPDX-License-Identifier: Apache-2.0
//! Panics on demand, for tests of what happens then.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_control::Failure;
use flotilla_vmm::console::OutputLog;
use flotilla_vmm::{ThreadHook, ThreadRole};
use napi_derive::napi;

/// Panics where the argument says: `call` on the pool that runs calls, `sync` on the thread of JavaScript; `vcpu` at the
/// first output of the next machine made in this process, `device` on the first thread of its devices. For tests of what
/// happens then.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn provoke_panic(
    env: &napi::Env,
    place: String,
) -> napi::Result<napi::bindgen_prelude::PromiseRaw<'_, ()>> {
    assert!(place != "sync", "provoked on the thread of JavaScript");
    let role = match place.as_str() {
        "vcpu" => Some(ThreadRole::Vcpu),
        "device" => Some(ThreadRole::Io),
        _ => None,
    };
    let work = move || match role {
        Some(role) => {
            *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = Some(role);
            Ok(())
        }
        None => provoke(&place),
    };
    crate::job::run(env, work, |()| ())
}

/// On which thread the next machine in this process is to panic.
static NEXT: Mutex<Option<ThreadRole>> = Mutex::new(None);

/// Prepares a machine for the panic that was asked for, if one was: gives what takes its output and what its threads do
/// first.
pub fn prepare(output: Arc<dyn OutputLog>) -> (Arc<dyn OutputLog>, Option<ThreadHook>) {
    match NEXT.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => (output, None),
        Some(ThreadRole::Vcpu) => (Arc::new(PanicsAtOutput), None),
        Some(ThreadRole::Io) => {
            let hook = |role| {
                if role == ThreadRole::Io { provoke("a device").map_err(io::Error::other) } else { Ok(()) }
            };
            (output, Some(Arc::new(hook)))
        }
    }
}

/// Output comes on the thread of the vCPU that writes it.
struct PanicsAtOutput;

impl OutputLog for PanicsAtOutput {
    fn append(&self, _bytes: &[u8]) {
        let _ = provoke("a vCPU");
    }

    fn finish(&self) {}
}

#[expect(clippy::panic, reason = "it is what this function is for")]
fn provoke(place: &str) -> Result<(), Failure> {
    panic!("provoked in {place}")
}
