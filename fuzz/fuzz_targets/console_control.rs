// SPDX-License-Identifier: Apache-2.0
//! The control queue of a console device and its ports, while programs of the host come and go.
#![no_main]

use flotilla_devices::virtio::console::fuzz::fuzz_console_control;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_console_control(data));
