// SPDX-License-Identifier: Apache-2.0
//! An error as it crosses the socket.

use flotilla_spec::Violation;
use flotilla_spec::code::ErrorCode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a call failed: a stable code, a text for people, the value at fault and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What kind of failure it is.
    pub code: ErrorCode,
    /// What went wrong.
    pub message: String,
    /// The JSON path of the value at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What to do about it.
    pub remedy: String,
    /// Every fault of a specification, when there is more to say than the first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

impl Failure {
    /// A failure with the general remedy of its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let remedy = code.remedy().to_owned();
        Self { code, message: message.into(), path: None, remedy, violations: Vec::new() }
    }

    /// The same failure with the JSON path of the value at fault.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// The same failure with a remedy of its own.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    /// The failure that stands for the faults of a specification; the first one gives code and path.
    pub fn invalid_spec(violations: Vec<Violation>) -> Self {
        let Some(first) = violations.first().cloned() else {
            return Self::new(ErrorCode::SpecInvalidValue, "Specification is not valid");
        };
        let more = if violations.len() > 1 { violations } else { Vec::new() };
        let Violation { code, path, message, remedy } = first;
        Self { code, message, path: Some(path), remedy, violations: more }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::invalid_spec(vec![violation])
    }
}
