// SPDX-License-Identifier: Apache-2.0
//! Calls that may block, away from the thread of JavaScript.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flotilla_control::Failure;
use flotilla_spec::code::ErrorCode;
use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, ToNapiValue, spawn_blocking};

use crate::failure::to_error;
use crate::panic;

/// Runs `work` on the blocking pool. The promise resolves with what `convert`, which runs on the thread of
/// JavaScript, makes of its result. A panic rejects it with the code `core.panic`.
pub fn run<T, V>(
    env: &Env,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    convert: impl FnOnce(T) -> V + 'static,
) -> napi::Result<PromiseRaw<'_, V>>
where
    T: Send + 'static,
    V: ToNapiValue,
{
    let task = spawn_blocking(move || {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic::to_failure(&*panic)))
    });
    let future = async move {
        let lost = |_| Err(Failure::new(ErrorCode::CorePanic, "The call was lost at the end of the process"));
        Ok(task.await.unwrap_or_else(lost))
    };
    env.spawn_future_with_callback(future, move |env, outcome: Result<T, Failure>| {
        outcome.map(convert).map_err(|failure| to_error(*env, &failure))
    })
}
