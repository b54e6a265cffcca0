// SPDX-License-Identifier: Apache-2.0
//! Panics: ours by name, and never the end of Node.

use std::any::Any;
use std::panic;

use flotilla_control::{BUILD, Failure};
use flotilla_spec::code::ErrorCode;
use napi_derive::module_init;

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
