// SPDX-License-Identifier: Apache-2.0
//! Accesses to the configuration space and BAR of a virtio-pci function.
#![no_main]

use flotilla_devices::fuzzing::fuzz_virtio_pci;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_virtio_pci(data));
