// SPDX-License-Identifier: Apache-2.0
//! A virtio-blk request: the start of guest memory, with the descriptor table in front.
#![no_main]

use flotilla_devices::virtio::block::fuzz::fuzz_request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_request(data));
