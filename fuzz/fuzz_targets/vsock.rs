// SPDX-License-Identifier: Apache-2.0
//! Packets of a hostile guest and lines of hostile host programs.
#![no_main]

use flotilla_devices::fuzzing::fuzz_vsock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_vsock(data));
