// SPDX-License-Identifier: Apache-2.0
//! What a client sends to a worker: frames and the JSON-RPC in them.
#![no_main]

use flotilla_control::fuzz_frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz_frame(data));
