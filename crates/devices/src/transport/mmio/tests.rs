// SPDX-License-Identifier: Apache-2.0
//! The transport driven as a guest drives it: through the register page and the doorbells.
