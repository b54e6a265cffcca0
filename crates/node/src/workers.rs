// SPDX-License-Identifier: Apache-2.0
//! Run directories: what is there, and clearing what is dead.

use std::path::{Path, PathBuf};

use flotilla_control::Failure;
use flotilla_host::run::{self, RunDirectory};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use napi::Env;
use napi::bindgen_prelude::{Buffer, PromiseRaw};
use napi_derive::napi;
use serde_json::Value;

use crate::job;
use crate::numbers::to_js;

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

/// Ends a worker that does not answer, by what its record says of the process; what it leaves stays.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn end_worker(env: &Env, runtime_directory: String, id: String) -> napi::Result<PromiseRaw<'_, ()>> {
    let work = move || {
        let id = machine_id(&id)?;
        Ok(run::end_worker(&PathBuf::from(runtime_directory), &id)?)
    };
    job::run(env, work, |()| ())
}

/// Console output that was kept.
#[napi(object)]
pub struct ConsoleRecord {
    /// Offset of the first byte, counted from the first output of the machine.
    pub offset: f64,
    /// The output.
    pub bytes: Buffer,
}

/// What is left of the console of a machine; null when nothing is.
#[napi(catch_unwind, ts_return_type = "Promise<ConsoleRecord | null>")]
pub fn last_console(
    env: &Env,
    runtime_directory: String,
    id: String,
) -> napi::Result<PromiseRaw<'_, Option<ConsoleRecord>>> {
    let work = move || Ok(run_directory(&runtime_directory, &id)?.last_console()?);
    job::run(env, work, |found| {
        found.map(|found| ConsoleRecord { offset: to_js(found.offset), bytes: found.bytes.into() })
    })
}

/// How a machine ended, as its worker has left it; null when it left no word.
#[napi(catch_unwind, ts_return_type = "Promise<unknown>")]
pub fn last_exit(env: &Env, runtime_directory: String, id: String) -> napi::Result<PromiseRaw<'_, Value>> {
    let work = move || {
        let exit = run_directory(&runtime_directory, &id)?.last_exit()?;
        serde_json::to_value(exit).map_err(|error| Failure::new(ErrorCode::Io, error.to_string()))
    };
    job::run(env, work, |exit| exit)
}

fn run_directory(runtime_directory: &str, id: &str) -> Result<RunDirectory, Failure> {
    Ok(RunDirectory::of(Path::new(runtime_directory), &machine_id(id)?))
}

/// A machine id, or why the text is none.
pub fn machine_id(text: &str) -> Result<MachineId, Failure> {
    text.parse().map_err(|error: flotilla_spec::id::IdError| {
        Failure::new(ErrorCode::SpecIdInvalid, error.to_string()).at("$.id")
    })
}
