// SPDX-License-Identifier: Apache-2.0
//! Numbers across the border: JavaScript has none but `f64`, whole up to 2^53.

/// A number of JavaScript as one of ours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked before it crosses; `as` saturates"
)]
pub fn from_js(number: f64) -> u64 {
    number as u64
}

/// One of ours for JavaScript.
#[expect(
    clippy::cast_precision_loss,
    reason = "a counter beyond 2^53 may lose its last digits; no size is so large"
)]
pub fn to_js(number: u64) -> f64 {
    number as f64
}
