// SPDX-License-Identifier: Apache-2.0
//! A hostile bzImage. The signature is put in place, so that the fuzzer gets past it at once.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut kernel = data.to_vec();
    if let Some(signature) = kernel.get_mut(0x202..0x206) {
        signature.copy_from_slice(b"HdrS");
    }
    flotilla_fuzz::boot(&kernel);
});
