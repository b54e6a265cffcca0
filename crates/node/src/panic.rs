// SPDX-License-Identifier: Apache-2.0
//! Panics: ours by name, and never the end of Node.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, panic};

use flotilla_control::{BUILD, Failure};
use flotilla_spec::code::ErrorCode;
use flotilla_vmm::console::OutputLog;
use flotilla_vmm::{ThreadHook, ThreadRole};
use napi_derive::{module_init, napi};

/// Where people report faults, as the package's documentation says.
const REPORT: &str =
    "This is a fault in Flotilla: please report it with this message (see README, \"Reporting faults\")";

/// Names us before the message that Rust prints. The hook belongs to this module's own copy of the Rust library, so
/// no other addon is affected.
#[module_init]
fn name_us() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        eprint_line(&format!(
            "flotilla {BUILD}: internal error in thread {:?}",
            thread.name().unwrap_or("?")
        ));
        print(info);
        eprint_line(REPORT);
    }));
}

#[expect(clippy::print_stderr, reason = "a panic hook has nowhere else to write to")]
fn eprint_line(text: &str) {
    eprintln!("{text}");
}

/// The error that stands for a panic.
pub fn to_failure(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure::new(ErrorCode::CorePanic, format!("Flotilla {BUILD} failed inside: {text}")).with_remedy(REPORT)
}

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
