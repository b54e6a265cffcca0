// SPDX-License-Identifier: Apache-2.0
//! What the CPUs are like, and where they run.

use super::Faults;
use crate::code::ErrorCode;
use crate::{CpuSpec, TopologySpec, cpu};

/// The last number that can be a CPU or node of a host.
pub const LAST_HOST_NUMBER: u32 = 1023;
/// The most features in a list: more than there are.
pub const MAX_FEATURES: usize = 256;
/// A name of a feature is quoted up to here.
const MAX_QUOTE: usize = 40;

pub(super) fn check_cpu(faults: &mut Faults, cpus: u32, cpu: &CpuSpec) {
    if let Some(topology) = cpu.topology {
        check_topology(faults, cpus, topology);
    }
    let bounded = check_features(faults, "$.cpu.enable", &cpu.enable)
        & check_features(faults, "$.cpu.disable", &cpu.disable);
    for (index, name) in cpu.enable.iter().enumerate().filter(|_| bounded) {
        if cpu.disable.contains(name) {
            let path = format!("$.cpu.enable[{index}]");
            faults.add(ErrorCode::SpecCpuFeature, path, "Feature is enabled and disabled at once");
        } else if !cpu.nested && matches!(name.as_str(), "vmx" | "svm") {
            let path = format!("$.cpu.enable[{index}]");
            faults.add(ErrorCode::SpecCpuFeature, path, format!("Feature {name} needs nested to be on"));
        }
    }
    let vcpus = &cpu.pin.vcpus;
    if !vcpus.is_empty() && u32::try_from(vcpus.len()) != Ok(cpus) {
        let message = format!("{} lists are not one for each of {cpus} CPUs", vcpus.len());
        faults.add(ErrorCode::SpecPinInvalid, "$.cpu.pin.vcpus", message);
    }
    for (index, list) in vcpus.iter().enumerate() {
        check_list(faults, &format!("$.cpu.pin.vcpus[{index}]"), list);
    }
    check_list(faults, "$.cpu.pin.io", &cpu.pin.io);
}

fn check_topology(faults: &mut Faults, cpus: u32, topology: TopologySpec) {
    let TopologySpec { sockets, cores, threads } = topology;
    let product = sockets.checked_mul(cores).and_then(|cores| cores.checked_mul(threads));
    if product != Some(cpus) || cpus == 0 {
        let message = format!("{sockets} sockets of {cores} cores of {threads} threads are not {cpus} CPUs");
        faults.add(ErrorCode::SpecCpuTopology, "$.cpu.topology", message);
    }
}

/// Whether there are few enough of them to look at each.
fn check_features(faults: &mut Faults, path: &str, names: &[String]) -> bool {
    if names.len() > MAX_FEATURES {
        let message = format!("{} features are more than there are", names.len());
        faults.add(ErrorCode::SpecCpuFeature, path, message);
        return false;
    }
    for (index, name) in names.iter().enumerate() {
        if cpu::feature(name).is_none() {
            let short: String = name.chars().take(MAX_QUOTE).collect();
            let message = format!("{short:?} is not a CPU feature that is known here");
            faults.add(ErrorCode::SpecCpuFeature, format!("{path}[{index}]"), message);
        }
    }
    true
}

fn check_list(faults: &mut Faults, path: &str, list: &[u32]) {
    for (index, number) in list.iter().enumerate() {
        if *number > LAST_HOST_NUMBER {
            let message = format!("{number} cannot be a CPU of a host: they count from 0");
            faults.add(ErrorCode::SpecPinInvalid, format!("{path}[{index}]"), message);
        }
    }
}
