// SPDX-License-Identifier: Apache-2.0
//! Host services.

use std::path::PathBuf;

use flotilla_control::Failure;
use flotilla_host::image::ImageKind;
use flotilla_host::{copy, doctor, fill, hash, image, qcow2, seed, tap};
use flotilla_spec::DiskFormat;
use flotilla_spec::code::ErrorCode;
use napi::bindgen_prelude::PromiseRaw;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use serde::Serialize;
use serde_json::Value;

use crate::cancel::CancelToken;
use crate::job;
use crate::numbers::{from_js, to_js};

/// How far a long call is.
#[napi(object)]
pub struct Progress {
    /// Bytes done.
    pub bytes: f64,
    /// Bytes in all.
    pub total_bytes: f64,
}

/// Weak, and drops what JavaScript is too busy to take.
type OnProgress = ThreadsafeFunction<Progress, (), Progress, Status, false, true, 16>;

/// What `checkHost` looks at.
#[napi(object)]
pub struct CheckHostOptions {
    /// Where data will be kept.
    pub data_directory: Option<String>,
    /// Bytes that should be free there.
    pub free_bytes: Option<f64>,
    /// Programs that are needed.
    pub programs: Option<Vec<String>>,
}

/// What this host can do.
#[napi(catch_unwind, ts_return_type = "Promise<unknown>")]
pub fn check_host(env: &Env, options: CheckHostOptions) -> napi::Result<PromiseRaw<'_, Value>> {
    let defaults = doctor::Wanted::default();
    let wanted = doctor::Wanted {
        data_directory: options.data_directory.map_or(defaults.data_directory, PathBuf::from),
        free_bytes: options.free_bytes.map_or(defaults.free_bytes, from_js),
        programs: options.programs.unwrap_or(defaults.programs),
    };
    job::run(env, move || to_json(&doctor::check(&wanted)), |report| report)
}

/// Creates a persistent tap; one that exists is left as it is. `owner` is a user id; with `multiQueue` a machine may have
/// several queues on it.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn create_tap(
    env: &Env,
    name: String,
    owner: Option<u32>,
    multi_queue: Option<bool>,
) -> napi::Result<PromiseRaw<'_, ()>> {
    job::run(env, move || Ok(tap::create(&name, owner, multi_queue.unwrap_or(false))?), |()| ())
}

/// Deletes a tap; one that does not exist is no error.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn delete_tap(env: &Env, name: String) -> napi::Result<PromiseRaw<'_, ()>> {
    job::run(env, move || Ok(tap::delete(&name)?), |()| ())
}

/// The taps whose names begin with `prefix`, sorted.
#[napi(catch_unwind, ts_return_type = "Promise<string[]>")]
pub fn list_taps(env: &Env, prefix: String) -> napi::Result<PromiseRaw<'_, Vec<String>>> {
    job::run(env, move || Ok(tap::list(&prefix)?), |names| names)
}

/// What an image is; `kind` is `kernel`, `initrd` or `disk`.
#[napi(catch_unwind, ts_return_type = "Promise<unknown>")]
pub fn inspect_image(env: &Env, path: String, kind: String) -> napi::Result<PromiseRaw<'_, Value>> {
    let work = move || {
        let kind = match kind.as_str() {
            "kernel" => ImageKind::Kernel,
            "initrd" => ImageKind::Initrd,
            "disk" => ImageKind::Disk,
            other => {
                let message = format!("{other:?} is no kind of image: use kernel, initrd or disk");
                return Err(Failure::new(ErrorCode::SpecInvalidValue, message).at("$.kind"));
            }
        };
        to_json(&image::inspect(&PathBuf::from(path), kind)?)
    };
    job::run(env, work, |info| info)
}

/// What `copyFile` did.
#[napi(object)]
pub struct CopyResult {
    /// Size of the target in bytes.
    pub size_bytes: f64,
    /// Whether source and target share their data.
    pub reflinked: bool,
}

/// Copies a file as a whole or not at all.
#[napi(catch_unwind, ts_return_type = "Promise<CopyResult>")]
pub fn copy_file<'env>(
    env: &'env Env,
    source: String,
    target: String,
    size_bytes: Option<f64>,
    cancel: &CancelToken,
    on_progress: OnProgress,
) -> napi::Result<PromiseRaw<'env, CopyResult>> {
    let cancel = cancel.inner();
    let work = move || {
        let (source, target) = (PathBuf::from(source), PathBuf::from(target));
        let tell = |done, total| tell(&on_progress, done, total);
        Ok(copy::copy(&source, &target, size_bytes.map(from_js), &tell, &cancel)?)
    };
    job::run(env, work, |copied| CopyResult { size_bytes: to_js(copied.size), reflinked: copied.reflinked })
}

/// Gives a block device its first content.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn fill_device<'env>(
    env: &'env Env,
    device: String,
    image: Option<String>,
    used: bool,
    from: f64,
    cancel: &CancelToken,
    on_progress: OnProgress,
) -> napi::Result<PromiseRaw<'env, ()>> {
    let cancel = cancel.inner();
    let work = move || {
        let content = fill::Content { image: image.map(PathBuf::from), used, from: from_js(from) };
        let tell = |done, total| tell(&on_progress, done, total);
        Ok(fill::fill(&PathBuf::from(device), &content, &tell, &cancel)?)
    };
    job::run(env, work, |()| ())
}

/// The SHA-256 of a file in hexadecimal.
#[napi(catch_unwind, ts_return_type = "Promise<string>")]
pub fn hash_file<'env>(
    env: &'env Env,
    path: String,
    cancel: &CancelToken,
    on_progress: OnProgress,
) -> napi::Result<PromiseRaw<'env, String>> {
    let cancel = cancel.inner();
    let work = move || {
        let tell = |done, total| tell(&on_progress, done, total);
        Ok(hash::sha256(&PathBuf::from(path), &tell, &cancel)?)
    };
    job::run(env, work, |hash| hash)
}

/// A backing file of a qcow2 image.
#[napi(object)]
pub struct BackingImage {
    /// The file; without it only the name is recorded.
    pub path: Option<String>,
    /// `raw` or `qcow2`.
    pub format: String,
    /// What the image records of it.
    pub name: String,
}

impl BackingImage {
    fn recorded(&self) -> Result<qcow2::Recorded, Failure> {
        let format = match self.format.as_str() {
            "raw" => DiskFormat::Raw,
            "qcow2" => DiskFormat::Qcow2,
            other => {
                let message = format!("{other:?} is no format of a backing file: use raw or qcow2");
                return Err(Failure::new(ErrorCode::SpecInvalidValue, message).at("$.backing.format"));
            }
        };
        Ok(qcow2::Recorded { name: self.name.clone(), format })
    }

    fn opened(self) -> Result<qcow2::Backing, Failure> {
        let recorded = self.recorded()?;
        let missing =
            || Failure::new(ErrorCode::SpecMissingField, "Backing file has no path").at("$.backing");
        Ok(qcow2::Backing { path: self.path.map(PathBuf::from).ok_or_else(missing)?, recorded })
    }
}

/// Makes an empty qcow2 image as a whole or not at all.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn create_qcow2(
    env: &Env,
    target: String,
    size_bytes: f64,
    backing: Option<BackingImage>,
) -> napi::Result<PromiseRaw<'_, ()>> {
    let work = move || {
        let backing = backing.as_ref().map(BackingImage::recorded).transpose()?;
        Ok(qcow2::create(&PathBuf::from(target), from_js(size_bytes), backing)?)
    };
    job::run(env, work, |()| ())
}

/// Makes the disk of a qcow2 image larger that no machine uses. The size in bytes.
#[napi(catch_unwind, ts_return_type = "Promise<number>")]
pub fn grow_qcow2(
    env: &Env,
    path: String,
    size_bytes: f64,
    backing: Vec<BackingImage>,
) -> napi::Result<PromiseRaw<'_, f64>> {
    let work = move || {
        let backing = backing.into_iter().map(BackingImage::opened).collect::<Result<Vec<_>, _>>()?;
        Ok(qcow2::grow(&PathBuf::from(path), from_js(size_bytes), &backing)?)
    };
    job::run(env, work, to_js)
}

/// A file of a seed disk.
#[napi(object)]
pub struct SeedFile {
    /// Its name: small letters, digits and hyphens.
    pub name: String,
    /// What it holds.
    pub content: String,
}

/// Makes a disk with the files that cloud-init reads at a guest's first start, as a whole or not at all.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub fn create_seed_disk(env: &Env, target: String, files: Vec<SeedFile>) -> napi::Result<PromiseRaw<'_, ()>> {
    let file = |SeedFile { name, content }| seed::SeedFile { name, content: content.into_bytes() };
    let files: Vec<_> = files.into_iter().map(file).collect();
    job::run(env, move || Ok(seed::create(&PathBuf::from(target), &files)?), |()| ())
}

fn tell(listener: &OnProgress, done: u64, total: u64) {
    let progress = Progress { bytes: to_js(done), total_bytes: to_js(total) };
    let _ = listener.call(progress, ThreadsafeFunctionCallMode::NonBlocking);
}

fn to_json<T: Serialize>(value: &T) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::new(ErrorCode::Io, error.to_string()))
}
