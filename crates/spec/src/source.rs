// SPDX-License-Identifier: Apache-2.0
//! Where files and taps come from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::validate::MAX_PATH;

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum FileSource {
    /// A path on this host. A worker that serves a control socket refuses it.
    Path(
        #[ts(type = "string")]
        #[schemars(length(min = 1, max = MAX_PATH), regex(pattern = r"^[^\u0000]*$"))]
        PathBuf,
    ),
    /// Index into the descriptors passed along. Only the control protocol of the worker uses it.
    Descriptor(u32),
}

/// Where a tap interface comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum TapSource {
    /// The name of a tap interface of this host. A worker that serves a control socket refuses it.
    Name(#[schemars(regex(pattern = r"^(?!\.{1,2}$)[!-$&-.0-9;-~]{1,15}$"))] String),
    /// Index into the descriptors passed along. Only the control protocol of the worker uses it.
    Descriptor(u32),
}
