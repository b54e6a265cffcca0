// SPDX-License-Identifier: Apache-2.0
//! What a driver tells the memory balloon: frames, statistics, unused memory, configuration.
#![no_main]

use flotilla_devices::virtio::balloon::fuzz::fuzz_balloon;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_balloon(data));
