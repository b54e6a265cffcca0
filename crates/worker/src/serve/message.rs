// SPDX-License-Identifier: Apache-2.0
//! From the threads of the worker to its main thread.

use flotilla_spec::report::MachineExit;
use flotilla_vmm::Machine;

/// What the main thread is told.
pub enum Message {
    Configured(Machine),
    Stopped(MachineExit),
    Signal,
}
