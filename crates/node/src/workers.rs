// SPDX-License-Identifier: Apache-2.0
//! Run directories: what is there, and clearing what is dead.

use std::path::PathBuf;

use flotilla_control::Failure;
use flotilla_host::run;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use serde_json::Value;

use crate::job;

/// Every run directory below `runtimeDirectory`, with who runs the machine and whether that process lives.
#[napi(catch_unwind, ts_return_type = "Promise<unknown>")]
pub fn list_workers(env: &Env, runtime_directory: String) -> napi::Result<PromiseRaw<'_, Value>> {
    let work = move || {
        let found = run::list(&PathBuf::from(runtime_directory))?;
        serde_json::to_value(found).map_err(|error| Failure::new(ErrorCode::Io, error.to_string()))
    };
    job::run(env, work, |found| found)
}

/// Removes the run directory of a dead worker; a live one is refused with `worker.busy`.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn remove_stale(env: &Env, runtime_directory: String, id: String) -> napi::Result<PromiseRaw<'_, ()>> {
    let work = move || {
        let id = machine_id(&id)?;
        Ok(run::remove_stale(&PathBuf::from(runtime_directory), &id)?)
    };
    job::run(env, work, |()| ())
}

/// A machine id, or why the text is none.
pub fn machine_id(text: &str) -> Result<MachineId, Failure> {
    text.parse().map_err(|error: flotilla_spec::id::IdError| {
        Failure::new(ErrorCode::SpecIdInvalid, error.to_string()).at("$.id")
    })
}
