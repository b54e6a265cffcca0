// SPDX-License-Identifier: Apache-2.0
//! Saved device state: named fields under a kind and a version, so that it can evolve.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// State of one device as plain data.
///
/// Fields may be added with a default and never change their meaning; what cannot be expressed so raises `version`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceState {
    /// What wrote it, for example `serial16550`.
    pub kind: String,
    /// Version of the layout of `fields`, from 1.
    pub version: u32,
    /// The named fields.
    pub fields: serde_json::Value,
}

/// Why a state could not be saved or taken over.
#[derive(Debug, Error)]
pub enum StateError {
    /// The state belongs to another kind of device.
    #[error(
        "Saved state is of kind {found}, this device takes {expected}: restore it on the machine it was saved from"
    )]
    WrongKind {
        /// Kind this device takes.
        expected: &'static str,
        /// Kind found in the state.
        found: String,
    },
    /// The state was written in a layout this build does not know.
    #[error(
        "Saved state of {kind} has version {found}, this build knows up to {known}: use the build that wrote it"
    )]
    UnknownVersion {
        /// Kind of device.
        kind: &'static str,
        /// Version found.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// The fields do not have the expected shape.
    #[error("Saved state of {kind} does not have the expected fields: the file is damaged or was changed")]
    Shape {
        /// Kind of device.
        kind: &'static str,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A part of the state is in another process, which cannot tell it.
    #[error(
        "State of {kind} is in a process of its own, which cannot save it: use a machine without such a device"
    )]
    Elsewhere {
        /// Kind of device.
        kind: &'static str,
    },
    /// A field holds a value the device can never have had.
    #[error("Saved state of {kind} holds an impossible {field}: the file is damaged or was changed")]
    Impossible {
        /// Kind of device.
        kind: &'static str,
        /// The field at fault.
        field: &'static str,
    },
    /// The device cannot be saved in its present condition.
    #[error("Device cannot be saved now: {reason}")]
    NotNow {
        /// What stands in the way.
        reason: &'static str,
    },
}

impl DeviceState {
    /// Packs the fields of a device.
    pub fn pack<T: Serialize>(kind: &'static str, version: u32, fields: &T) -> Result<Self, StateError> {
        let fields = serde_json::to_value(fields).map_err(|source| StateError::Shape { kind, source })?;
        Ok(Self { kind: kind.to_owned(), version, fields })
    }

    /// Unpacks the fields if kind and version fit. The values themselves are still unchecked.
    pub fn unpack<T: DeserializeOwned>(&self, kind: &'static str, known: u32) -> Result<T, StateError> {
        if self.kind != kind {
            return Err(StateError::WrongKind {
                expected: kind,
                found: self.kind.chars().take(64).collect(),
            });
        }
        if self.version == 0 || self.version > known {
            return Err(StateError::UnknownVersion { kind, found: self.version, known });
        }
        T::deserialize(&self.fields).map_err(|source| StateError::Shape { kind, source })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        level: u8,
        #[serde(default)]
        added_later: u16,
    }

    #[test]
    fn comes_back_as_it_was() {
        let fields = Fields { level: 3, added_later: 9 };
        let state = DeviceState::pack("lamp", 2, &fields).unwrap();
        let text = serde_json::to_string(&state).unwrap();
        let state: DeviceState = serde_json::from_str(&text).unwrap();
        assert_eq!(state.unpack::<Fields>("lamp", 2).unwrap(), fields);
        assert_eq!(state.unpack::<Fields>("lamp", 5).unwrap(), fields, "an older state");
    }

    #[test]
    fn fills_in_fields_that_were_added_later() {
        let state =
            DeviceState { kind: "lamp".into(), version: 1, fields: serde_json::json!({ "level": 1 }) };
        assert_eq!(state.unpack::<Fields>("lamp", 1).unwrap(), Fields { level: 1, added_later: 0 });
    }

    #[test]
    fn refuses_the_wrong_kind_version_and_shape() {
        let state = DeviceState::pack("lamp", 2, &Fields { level: 3, added_later: 0 }).unwrap();
        assert!(matches!(state.unpack::<Fields>("door", 2), Err(StateError::WrongKind { .. })));
        assert!(matches!(
            state.unpack::<Fields>("lamp", 1),
            Err(StateError::UnknownVersion { found: 2, known: 1, .. })
        ));
        let zero = DeviceState { version: 0, ..state.clone() };
        assert!(matches!(zero.unpack::<Fields>("lamp", 2), Err(StateError::UnknownVersion { .. })));
        let surprising = DeviceState { fields: serde_json::json!({ "level": 1, "x": 1 }), ..state };
        assert!(matches!(surprising.unpack::<Fields>("lamp", 2), Err(StateError::Shape { .. })));
    }

    #[test]
    fn does_not_repeat_an_endless_kind_in_its_error() {
        let state = DeviceState { kind: "x".repeat(1 << 20), version: 1, fields: serde_json::Value::Null };
        assert!(state.unpack::<Fields>("lamp", 1).unwrap_err().to_string().len() < 300);
    }

    proptest! {
        #[test]
        fn survives_any_text(text in ".{0,200}") {
            if let Ok(state) = serde_json::from_str::<DeviceState>(&text) {
                let _ = state.unpack::<Fields>("lamp", 1);
            }
        }
    }
}
