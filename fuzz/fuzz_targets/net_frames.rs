// SPDX-License-Identifier: Apache-2.0
//! Frames that a guest sends, and that come to it, with their virtio headers.
#![no_main]

use flotilla_devices::virtio::net::fuzz::fuzz_frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_frames(data));
