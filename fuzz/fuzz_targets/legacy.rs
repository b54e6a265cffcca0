// SPDX-License-Identifier: Apache-2.0
//! Port accesses to the legacy devices: serial, RTC, i8042, ACPI power management, reset.
#![no_main]

use flotilla_devices::fuzzing::fuzz_legacy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_legacy(data));
