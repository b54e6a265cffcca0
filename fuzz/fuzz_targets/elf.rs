// SPDX-License-Identifier: Apache-2.0
//! A hostile vmlinux. The magic number is put in place, so that the fuzzer gets past it at once.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut kernel = data.to_vec();
    if let Some(magic) = kernel.get_mut(..7) {
        magic.copy_from_slice(b"\x7fELF\x02\x01\x01");
    }
    flotilla_fuzz::boot(&kernel);
});
