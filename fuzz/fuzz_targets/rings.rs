// SPDX-License-Identifier: Apache-2.0
//! Rings in guest memory, written by a hostile driver.
#![no_main]

use flotilla_devices::fuzzing::fuzz_rings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_rings(data));
