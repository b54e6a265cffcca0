// SPDX-License-Identifier: Apache-2.0
//! The processor that a guest sees: what the host's KVM offers, less what the model leaves out.

use std::collections::BTreeSet;

use flotilla_boot::acpi::Processor;
use flotilla_hypervisor::{CpuTopology, Cpuid, CpuidRegister, Kvm};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::cpu::{self, DEPENDENCIES, Feature, GOVERNED, KEPT, Register};
use flotilla_spec::{CpuSpec, MachineSpec, Profile, Violation};

use super::hypervisor;
use crate::error::BuildError;

/// Leaves that describe features which no baseline has: processor trace, key locker, matrix tiles and vector extensions 10.
const BEYOND: &[u32] = &[0x14, 0x19, 0x1d, 0x1e, 0x24];
/// Bits of leaf 0x80000001 EDX that AMD repeats there.
const COPIED: u32 = 0x0183_f3ff;

/// The CPUID leaves of a machine.
pub fn cpuid(kvm: &Kvm, spec: &CpuSpec) -> Result<Cpuid, BuildError> {
    let mut cpuid = kvm.guest_cpuid().map_err(hypervisor("list the CPUID leaves"))?;
    shape(&mut cpuid, spec).map_err(BuildError::Resource)?;
    Ok(cpuid)
}

/// The topology as CPUID tells it.
pub fn topology(spec: &MachineSpec) -> CpuTopology {
    let cpu::Topology { sockets, cores, threads } = spec.topology();
    CpuTopology { sockets, cores, threads }
}

/// The CPUs as firmware tables tell of them.
pub fn processors(spec: &MachineSpec) -> Vec<Processor> {
    let topology = spec.topology();
    let node_of = |index| spec.numa.iter().position(|node| node.cpus.contains(&index)).unwrap_or_default();
    (0..spec.cpus)
        .map(|index| Processor {
            apic_id: topology.apic_id(index),
            node: u32::try_from(node_of(index)).unwrap_or_default(),
        })
        .collect()
}

/// Takes from what the host offers what the specification leaves out, and checks that the rest has all it asks for.
fn shape(cpuid: &mut Cpuid, spec: &CpuSpec) -> Result<(), Violation> {
    if !spec.nested {
        cpuid.hide_virtualization();
    } else if !cpuid.has_virtualization() {
        return Err(lacks("$.cpu.nested", &["vmx or svm (nested virtualization of the host)"]));
    }
    let baseline = cpu::baseline(spec.model);
    if let Some(baseline) = baseline {
        let mut visible: BTreeSet<&str> = spec.enable.iter().map(String::as_str).collect();
        for name in baseline.names().chain(KEPT.iter().copied()).chain(["vmx", "svm"]) {
            visible.insert(name);
        }
        keep(cpuid, &visible);
    }
    for feature in spec.disable.iter().filter_map(|name| cpu::feature(name)) {
        clear(cpuid, feature);
    }
    clear_dependents(cpuid);
    cpuid.settle();
    let left_out = left_out(&spec.disable);
    let required = baseline.iter().flat_map(cpu::Baseline::names);
    let missing: Vec<&str> =
        required.filter(|name| !left_out.contains(name) && !has_named(cpuid, name)).collect();
    if !missing.is_empty() {
        return Err(lacks("$.cpu.model", &missing));
    }
    let missing: Vec<&str> =
        spec.enable.iter().map(String::as_str).filter(|name| !has_named(cpuid, name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(lacks("$.cpu.enable", &missing)) }
}

fn lacks(path: &str, features: &[&str]) -> Violation {
    let message = format!("This host's processor and KVM cannot give the guest: {}", features.join(", "));
    Violation::new(ErrorCode::HostCpuFeatures, path, message)
}

/// Leaves of all features those with a name in `visible`.
fn keep(cpuid: &mut Cpuid, visible: &BTreeSet<&str>) {
    for &(leaf, subleaf, register) in GOVERNED {
        let here = |feature: &&Feature| {
            (feature.leaf, feature.subleaf, feature.register) == (leaf, subleaf, register)
        };
        let named = cpu::FEATURES.iter().filter(here).filter(|feature| visible.contains(feature.name));
        let mut kept = named.fold(0, |kept, feature| kept | 1 << feature.bit);
        if (leaf, register) == (0x8000_0001, Register::Edx) {
            kept |= COPIED;
        }
        cpuid.mask(leaf, subleaf, in_cpuid(register), kept);
    }
    cpuid.remove(BEYOND);
}

fn clear(cpuid: &mut Cpuid, feature: &Feature) {
    cpuid.mask(feature.leaf, feature.subleaf, in_cpuid(feature.register), !(1 << feature.bit));
}

/// Clears what lacks something it needs, until nothing more does.
fn clear_dependents(cpuid: &mut Cpuid) {
    loop {
        let lost =
            DEPENDENCIES.iter().find(|(one, needed)| has_named(cpuid, one) && !has_named(cpuid, needed));
        let Some(feature) = lost.and_then(|(one, _)| cpu::feature(one)) else { return };
        clear(cpuid, feature);
    }
}

/// The disabled features, and all that need one of them.
fn left_out(disabled: &[String]) -> BTreeSet<&str> {
    let mut all: BTreeSet<&str> = disabled.iter().map(String::as_str).collect();
    loop {
        let next = DEPENDENCIES.iter().find(|(one, needed)| all.contains(needed) && !all.contains(one));
        let Some((one, _)) = next else { return all };
        all.insert(one);
    }
}

fn has_named(cpuid: &Cpuid, name: &str) -> bool {
    cpu::feature(name).is_some_and(|one| cpuid.has(one.leaf, one.subleaf, in_cpuid(one.register), one.bit))
}

fn in_cpuid(register: Register) -> CpuidRegister {
    match register {
        Register::Eax => CpuidRegister::Eax,
        Register::Ebx => CpuidRegister::Ebx,
        Register::Ecx => CpuidRegister::Ecx,
        Register::Edx => CpuidRegister::Edx,
    }
}

/// A micro machine leaves out the interval timer, for whose end its own would wait, unless its guest had no other.
pub fn needs_interval_timer(profile: Profile, cpuid: &Cpuid) -> bool {
    profile == Profile::Standard || !cpuid.has_timers_of_its_own()
}

#[cfg(test)]
mod tests {
    use flotilla_hypervisor::CpuidEntry;
    use flotilla_spec::CpuModel;
    use flotilla_spec::cpu::FEATURES;
    use proptest::prelude::*;

    use super::*;

    /// A host with these features.
    fn host(has: impl Fn(&Feature) -> bool) -> Cpuid {
        let mut cpuid = Cpuid::default();
        for &(function, index, _) in GOVERNED {
            if cpuid.leaf(function, index).is_none() {
                cpuid.entries.push(CpuidEntry { function, index, ..CpuidEntry::default() });
            }
        }
        for feature in FEATURES.iter().filter(|feature| has(feature)) {
            let entry = cpuid
                .entries
                .iter_mut()
                .find(|entry| entry.function == feature.leaf && entry.index == feature.subleaf)
                .unwrap();
            let register = match feature.register {
                Register::Eax => &mut entry.eax,
                Register::Ebx => &mut entry.ebx,
                Register::Ecx => &mut entry.ecx,
                Register::Edx => &mut entry.edx,
            };
            *register |= 1 << feature.bit;
        }
        let state = CpuidEntry { function: 0xd, eax: 0x600ff, ecx: 0x2b00, ..CpuidEntry::default() };
        cpuid.entries.push(state);
        cpuid
    }

    fn visible(cpuid: &Cpuid) -> BTreeSet<&'static str> {
        FEATURES.iter().map(|feature| feature.name).filter(|name| has_named(cpuid, name)).collect()
    }

    fn model(model: CpuModel) -> CpuSpec {
        CpuSpec { model, ..CpuSpec::default() }
    }

    #[test]
    fn the_host_model_shows_all_but_virtualization() {
        let mut cpuid = host(|_| true);
        shape(&mut cpuid, &model(CpuModel::Host)).unwrap();
        let hidden: Vec<_> =
            FEATURES.iter().map(|one| one.name).filter(|name| !visible(&cpuid).contains(name)).collect();
        assert_eq!(hidden, ["vmx", "svm"]);
        let mut cpuid = host(|_| true);
        shape(&mut cpuid, &CpuSpec { nested: true, ..CpuSpec::default() }).unwrap();
        assert!(cpuid.has_virtualization());
    }

    #[test]
    fn a_baseline_is_the_same_on_a_newer_host() {
        let kept: BTreeSet<_> = KEPT.iter().copied().collect();
        for level in [CpuModel::X86_64V2, CpuModel::X86_64V3] {
            let names: BTreeSet<_> = cpu::baseline(level).unwrap().names().collect();
            let mut old = host(|feature| names.contains(feature.name) || kept.contains(feature.name));
            let mut new = host(|_| true);
            shape(&mut old, &model(level)).unwrap();
            shape(&mut new, &model(level)).unwrap();
            assert_eq!(old, new, "{level:?}");
            let shown: BTreeSet<_> = visible(&new).difference(&kept).copied().collect();
            assert_eq!(shown, names.difference(&kept).copied().collect(), "{level:?}");
        }
    }

    #[test]
    fn what_the_host_lacks_is_named() {
        let mut cpuid = host(|feature| !["avx2", "fma"].contains(&feature.name));
        let fault = shape(&mut cpuid, &model(CpuModel::X86_64V3)).unwrap_err();
        assert_eq!((fault.code, fault.path.as_str()), (ErrorCode::HostCpuFeatures, "$.cpu.model"));
        assert!(fault.message.ends_with("avx2, fma"), "{}", fault.message);
        let mut cpuid = host(|feature| feature.name != "avx512f");
        let enable = CpuSpec { enable: vec!["avx512dq".to_owned()], ..CpuSpec::default() };
        let fault = shape(&mut cpuid, &enable).unwrap_err();
        assert_eq!((fault.code, fault.path.as_str()), (ErrorCode::HostCpuFeatures, "$.cpu.enable"));
        assert!(fault.message.contains("avx512dq"), "{}", fault.message);
        let mut cpuid = host(|feature| !["vmx", "svm"].contains(&feature.name));
        let fault = shape(&mut cpuid, &CpuSpec { nested: true, ..CpuSpec::default() }).unwrap_err();
        assert_eq!(fault.path, "$.cpu.nested");
    }

    #[test]
    fn a_mask_adds_to_a_baseline_and_takes_away_with_all_that_follows() {
        let spec = CpuSpec {
            model: CpuModel::X86_64V3,
            enable: vec!["aes".to_owned()],
            disable: vec!["avx".to_owned()],
            ..CpuSpec::default()
        };
        let mut cpuid = host(|_| true);
        shape(&mut cpuid, &spec).unwrap();
        let shown = visible(&cpuid);
        assert!(shown.contains("aes") && shown.contains("bmi2") && shown.contains("xsave"));
        for gone in ["avx", "avx2", "fma", "f16c"] {
            assert!(!shown.contains(gone), "{gone}");
        }
        assert_eq!(cpuid.leaf(0xd, 0).unwrap().eax, 3, "no state of AVX is kept");
    }

    proptest! {
        #[test]
        fn a_guest_sees_nothing_that_the_host_lacks_or_that_lacks_what_it_needs(
            had in proptest::collection::vec(any::<bool>(), FEATURES.len()),
            disabled in proptest::collection::vec(0..FEATURES.len(), 0..6),
            level in prop_oneof![Just(CpuModel::Host), Just(CpuModel::X86_64V2), Just(CpuModel::X86_64V3)],
            nested in any::<bool>(),
        ) {
            let index = |name: &str| FEATURES.iter().position(|one| one.name == name).unwrap();
            let mut cpuid = host(|feature| had[index(feature.name)]);
            let before = visible(&cpuid);
            let disable: Vec<String> = disabled.iter().map(|at| FEATURES[*at].name.to_owned()).collect();
            let spec = CpuSpec { model: level, nested, disable: disable.clone(), ..CpuSpec::default() };
            if shape(&mut cpuid, &spec).is_ok() {
                let shown = visible(&cpuid);
                prop_assert!(shown.is_subset(&before));
                prop_assert!(disable.iter().all(|name| !shown.contains(name.as_str())));
                prop_assert!(DEPENDENCIES.iter().all(|(one, needed)| !shown.contains(one) || shown.contains(needed)));
                prop_assert!(nested || !cpuid.has_virtualization());
            }
        }
    }

    #[test]
    fn only_a_micro_machine_whose_processor_has_timers_goes_without_the_interval_timer() {
        let leaf = |function, eax, ecx| CpuidEntry { function, eax, ecx, ..CpuidEntry::default() };
        let timers = [leaf(0x4000_0001, 1 << 3, 0), leaf(1, 0, 1 << 24), leaf(6, 1 << 2, 0)];
        let whole = Cpuid { entries: timers.to_vec() };
        assert!(!needs_interval_timer(Profile::Micro, &whole));
        assert!(needs_interval_timer(Profile::Standard, &whole));
        for (index, timer) in timers.iter().enumerate() {
            let mut less = whole.clone();
            less.entries.remove(index);
            assert!(needs_interval_timer(Profile::Micro, &less), "without {:#x}", timer.function);
        }
    }
}
