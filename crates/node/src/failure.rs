// SPDX-License-Identifier: Apache-2.0
//! The one way an error crosses to JavaScript: an `Error` with `code`, `field`, `remedy` and `violations`.

use flotilla_control::Failure;
use napi::bindgen_prelude::{JsObjectValue, JsValue};
use napi::{Env, Error, Status};

/// The JavaScript error of a failure.
pub fn to_error(env: Env, failure: &Failure) -> Error {
    decorated(env, failure).unwrap_or_else(|error| error)
}

fn decorated(env: Env, failure: &Failure) -> napi::Result<Error> {
    let mut error = env.create_error(Error::new(Status::GenericFailure, failure.message.clone()))?;
    error.set_named_property("code", failure.code.text())?;
    error.set_named_property("remedy", failure.remedy.as_str())?;
    if let Some(path) = &failure.path {
        error.set_named_property("field", path.as_str())?;
    }
    if !failure.violations.is_empty() {
        error.set_named_property("violations", serde_json::to_value(&failure.violations)?)?;
    }
    Ok(Error::from(error.to_unknown()))
}
