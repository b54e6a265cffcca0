// SPDX-License-Identifier: Apache-2.0
//! Accesses to the register page of a virtio-mmio device.
#![no_main]

use flotilla_devices::fuzzing::fuzz_virtio_mmio;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_virtio_mmio(data));
