// SPDX-License-Identifier: Apache-2.0
//! Names of machines and of their parts.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use ts_rs::TS;

/// The longest id in bytes.
pub const MAX_ID: usize = 64;

/// What [`is_valid`] accepts, for the JSON schema.
const PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// The longest tag of a shared folder in bytes (virtio 1.2 §5.11.4).
pub const MAX_SHARE_TAG: usize = 36;
const SHARE_TAG: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$";

/// A text that cannot be an id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("Id must be 1 to 64 letters, digits, '-', '_' or '.', the first a letter or digit")]
pub struct IdError;

/// Whether a text can be an id. An id can be a file name: it has no '/', and does not begin with a dot.
pub fn is_valid(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= MAX_ID
        && text.bytes().all(allowed)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// The id of a machine: unique on its host, usable as a file name. Always valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(try_from = "String", into = "String")]
#[ts(type = "string")]
pub struct MachineId(String);

impl MachineId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MachineId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_valid(text) { Ok(Self(text.to_owned())) } else { Err(IdError) }
    }
}

impl TryFrom<String> for MachineId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        if is_valid(&text) { Ok(Self(text)) } else { Err(IdError) }
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.0
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! part_id {
    ($(#[$doc:meta])+ $name:ident, $pattern:ident) => {
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
        #[serde(transparent)]
        #[ts(type = "string")]
        #[schemars(extend("pattern" = $pattern))]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

part_id! {
    /// The id of a disk, unique in its machine. Checked by the validation of the specification.
    DiskId, PATTERN
}
part_id! {
    /// The id of a network interface, unique in its machine. Checked by the validation of the specification.
    InterfaceId, PATTERN
}
part_id! {
    /// The tag of a shared folder, unique in its machine. Checked by the validation of the specification.
    ShareTag, SHARE_TAG
}
