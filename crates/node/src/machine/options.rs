// SPDX-License-Identifier: Apache-2.0
//! What making and adopting a machine takes.

use std::path::PathBuf;

use flotilla_control::Failure;
use flotilla_host::limits;
use flotilla_spec::{MachineSpec, ValidSpec};
use flotilla_vmm::Folders;
use napi_derive::napi;

/// What a new machine is made from.
#[napi(object)]
pub struct CreateOptions {
    /// Its id.
    pub id: String,
    /// Its specification as JSON.
    pub spec: String,
    /// Where run directories are.
    pub runtime_directory: String,
    /// Whether it runs in this process.
    pub in_process: bool,
    /// The worker program; not used in this process.
    pub worker_path: String,
    /// Folders that may be shared, with what is in them; without the list any.
    pub share_roots: Option<Vec<String>>,
}

/// Which machine is adopted.
#[napi(object)]
pub struct AdoptOptions {
    /// Its id.
    pub id: String,
    /// Where run directories are.
    pub runtime_directory: String,
    /// Deliver the events that the worker has kept after this number first.
    pub events_after: Option<f64>,
}

impl CreateOptions {
    /// Which folders may be shared.
    pub fn folders(&self) -> Folders {
        let roots = self.share_roots.as_ref();
        roots.map_or(Folders::Anything, |roots| Folders::Below(roots.iter().map(PathBuf::from).collect()))
    }

    /// The specification, checked against this host.
    pub fn valid_spec(&self) -> Result<ValidSpec, Failure> {
        let spec = MachineSpec::from_json(&self.spec)?;
        spec.validate(&limits()).map_err(Failure::invalid_spec)
    }
}
