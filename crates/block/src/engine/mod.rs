// SPDX-License-Identifier: Apache-2.0
//! Two ways to move the bytes; both do every operation.

pub(crate) mod direct;
pub(crate) mod uring;
