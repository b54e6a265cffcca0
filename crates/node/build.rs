// SPDX-License-Identifier: Apache-2.0
//! Lets the linker resolve the Node-API symbols at load time.

fn main() {
    napi_build::setup();
}
