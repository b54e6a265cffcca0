// SPDX-License-Identifier: Apache-2.0
//! One fault of a specification.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use ts_rs::TS;

use crate::code::ErrorCode;

/// One fault of a specification, with the place it is at and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize, JsonSchema, TS)]
#[error("{path}: {message}. {remedy}")]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// What kind of fault it is.
    #[ts(type = "ErrorCode")]
    pub code: ErrorCode,
    /// The JSON path of the value at fault, such as `$.disks[0].source`; `$` is the whole specification.
    pub path: String,
    /// What is wrong, for a person.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Violation {
    /// A fault with the general remedy of its code.
    pub fn new(code: ErrorCode, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, path: path.into(), message: message.into(), remedy: code.remedy().to_owned() }
    }
}
