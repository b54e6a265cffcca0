// SPDX-License-Identifier: Apache-2.0
//! Machines, in a worker process or in this one, behind one class.

mod backend;
mod events;
mod in_process;
mod life;
mod options;
mod process;

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_control::message::SetThrottle;
use flotilla_spec::LinkState;
use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use serde_json::Value;

use crate::cancel::CancelToken;
use crate::job;
use crate::numbers::{from_js, to_js};
use backend::{Backend, Verb};
use events::OnEvent;
use options::{AdoptOptions, CreateOptions};

/// A machine. It stays until it is closed or collected.
#[napi]
pub struct NativeMachine {
    backend: Arc<dyn Backend>,
}

/// Makes a machine. `onEvent` is called with each event until the last one.
#[napi(
    catch_unwind,
    ts_return_type = "Promise<NativeMachine>",
    ts_args_type = "options: CreateOptions, cancel: CancelToken, onEvent: (event: any) => void"
)]
pub fn create_machine<'env>(
    env: &'env Env,
    options: CreateOptions,
    cancel: &CancelToken,
    on_event: OnEvent,
) -> napi::Result<PromiseRaw<'env, NativeMachine>> {
    let cancel = cancel.inner();
    let create = if options.in_process { in_process::create } else { process::create };
    let work = move || create(&options, &cancel, on_event);
    job::run(env, work, |backend| NativeMachine { backend })
}

/// Takes control over a worker that runs already.
#[napi(
    catch_unwind,
    ts_return_type = "Promise<NativeMachine>",
    ts_args_type = "options: AdoptOptions, cancel: CancelToken, onEvent: (event: any) => void"
)]
pub fn adopt_machine<'env>(
    env: &'env Env,
    options: AdoptOptions,
    cancel: &CancelToken,
    on_event: OnEvent,
) -> napi::Result<PromiseRaw<'env, NativeMachine>> {
    let cancel = cancel.inner();
    job::run(env, move || process::adopt(&options, &cancel, on_event), |backend| NativeMachine { backend })
}

#[napi]
impl NativeMachine {
    /// The process that runs the machine.
    #[napi(getter, catch_unwind)]
    pub fn pid(&self) -> u32 {
        self.backend.pid()
    }

    /// The path of the console socket.
    #[napi(getter, catch_unwind)]
    pub fn console_path(&self) -> String {
        self.backend.directory().console_socket().to_string_lossy().into_owned()
    }

    /// Starts the guest.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn boot<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.perform(env, Verb::Boot)
    }

    /// Stops the virtual CPUs; resolves once all have stopped.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn pause<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.perform(env, Verb::Pause)
    }

    /// Lets the virtual CPUs go on.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn resume<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.perform(env, Verb::Resume)
    }

    /// Presses the power button.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn power_button<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.perform(env, Verb::PowerButton)
    }

    /// Resets the machine.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn reset<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.perform(env, Verb::Reset)
    }

    /// Plugs the cable of the interface with this id in, or pulls it out.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn set_link<'env>(
        &self,
        env: &'env Env,
        interface: String,
        up: bool,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let link = if up { LinkState::Up } else { LinkState::Down };
        self.on_pool(env, move |backend| backend.set_link(&interface, link), |()| ())
    }

    /// Has the guest tell the network of the interface with this id where it is.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn announce<'env>(&self, env: &'env Env, interface: String) -> napi::Result<PromiseRaw<'env, ()>> {
        self.on_pool(env, move |backend| backend.announce(&interface), |()| ())
    }

    /// Changes what a device, or a group of them, may do: `{ target, limits }`.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn set_throttle<'env>(&self, env: &'env Env, change: Value) -> napi::Result<PromiseRaw<'env, ()>> {
        let throttle = move |backend: &dyn Backend| {
            let SetThrottle { target, limits } = SetThrottle::parse(change)?;
            backend.set_throttle(target, limits)
        };
        self.on_pool(env, throttle, |()| ())
    }

    /// Sets the bytes that the guest shall give up.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn set_balloon<'env>(&self, env: &'env Env, target: f64) -> napi::Result<PromiseRaw<'env, ()>> {
        self.on_pool(env, move |backend| backend.set_balloon(from_js(target)), |()| ())
    }

    /// The balloon, and how the guest is off for memory.
    #[napi(catch_unwind, ts_return_type = "Promise<unknown>")]
    pub fn balloon<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Value>> {
        self.on_pool(env, |backend| backend.balloon(), |report| report)
    }

    /// Asks the guest for all that nothing in it uses, for the host to have back.
    #[napi(catch_unwind, ts_return_type = "Promise<unknown>")]
    pub fn reclaim_memory<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Value>> {
        self.on_pool(env, |backend| backend.reclaim_memory(), |report| report)
    }

    /// Ends the machine and what runs it now; its run directory stays. Idempotent.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn end<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.on_pool(env, |backend| backend.end(), |()| ())
    }

    /// Ends the machine and what runs it now, and removes its run directory. Idempotent.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn kill<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.on_pool(env, |backend| backend.kill(), |()| ())
    }

    /// Lets go of the machine; one in this process ends. Idempotent.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        self.on_pool(env, |backend| backend.close(), |()| ())
    }

    /// State and identity.
    #[napi(catch_unwind, ts_return_type = "Promise<unknown>")]
    pub fn info<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Value>> {
        self.on_pool(env, |backend| backend.info(), |info| info)
    }

    /// Counters by name.
    #[napi(catch_unwind, ts_return_type = "Promise<Record<string, number>>")]
    pub fn metrics<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, BTreeMap<String, f64>>> {
        self.on_pool(env, |backend| backend.metrics(), in_numbers)
    }

    /// Looks how large a disk is now and tells the guest. The size in bytes.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn refresh_disk<'env>(&self, env: &'env Env, disk: String) -> napi::Result<PromiseRaw<'env, f64>> {
        self.on_pool(env, move |backend| backend.refresh_disk(&disk), to_js)
    }

    /// Makes a disk larger whose image keeps its size itself, and tells the guest. The size in bytes.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn grow_disk<'env>(
        &self,
        env: &'env Env,
        disk: String,
        size_bytes: f64,
    ) -> napi::Result<PromiseRaw<'env, f64>> {
        let size = from_js(size_bytes);
        self.on_pool(env, move |backend| backend.grow_disk(&disk, size), to_js)
    }

    fn perform<'env>(&self, env: &'env Env, verb: Verb) -> napi::Result<PromiseRaw<'env, ()>> {
        self.on_pool(env, move |backend| backend.perform(verb), |()| ())
    }

    fn on_pool<'env, T: Send + 'static, V: napi::bindgen_prelude::ToNapiValue>(
        &self,
        env: &'env Env,
        act: impl FnOnce(&dyn Backend) -> Result<T, flotilla_control::Failure> + Send + 'static,
        convert: impl FnOnce(T) -> V + 'static,
    ) -> napi::Result<PromiseRaw<'env, V>> {
        let backend = Arc::clone(&self.backend);
        job::run(env, move || act(&*backend), convert)
    }
}

fn in_numbers(metrics: BTreeMap<String, u64>) -> BTreeMap<String, f64> {
    metrics.into_iter().map(|(name, value)| (name, to_js(value))).collect()
}
