// SPDX-License-Identifier: Apache-2.0
//! The control queue of a network interface: commands one after the other, each behind its length.
#![no_main]

use flotilla_devices::virtio::net::fuzz::fuzz_control;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_control(data));
