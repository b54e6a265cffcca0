// SPDX-License-Identifier: Apache-2.0
//! Baselines for hosts that are not alike: the levels of the x86-64 psABI ("x86-64-ABI", section "Micro-Architecture Levels").
//!
//! A machine with a baseline sees of the instruction set what the level names and nothing else, on every host. What it sees
//! of the host all the same is vendor, family and model, and what protects it against speculative attacks: hiding that would
//! leave the guest open to them.

use crate::CpuModel;

/// The features of a level, all of which a host must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// What each level adds, by name.
    pub required: &'static [&'static [&'static str]],
}

impl Baseline {
    /// Every feature that the host must have.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.required.iter().copied().flatten().copied()
    }
}

/// x86-64 and what a 64-bit operating system needs beside.
const V1: &[&str] =
    &["fpu", "tsc", "msr", "pae", "cx8", "apic", "cmov", "mmx", "fxsr", "sse", "sse2", "syscall", "nx", "lm"];
const V2: &[&str] = &["cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"];
const V3: &[&str] = &["xsave", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"];

/// Beside a baseline a guest keeps what is not part of the instruction set of programs, where the host's KVM has it: the
/// platform, and the means against speculative attacks.
pub const KEPT: &[&str] = &[
    "vme",
    "de",
    "pse",
    "mce",
    "sep",
    "mtrr",
    "pge",
    "mca",
    "pat",
    "pse36",
    "clflush",
    "ht",
    "x2apic",
    "tsc_deadline_timer",
    "hypervisor",
    "tsc_adjust",
    "cmp_legacy",
    "topoext",
    "md_clear",
    "spec_ctrl",
    "intel_stibp",
    "flush_l1d",
    "arch_capabilities",
    "spec_ctrl_ssbd",
    "amd_ibpb",
    "amd_ibrs",
    "amd_stibp",
    "amd_stibp_always_on",
    "amd_ssbd",
    "virt_ssbd",
    "amd_ssb_no",
    "amd_psfd",
    "btc_no",
];

/// The baseline of a model; none for the host's own processor.
pub const fn baseline(model: CpuModel) -> Option<Baseline> {
    match model {
        CpuModel::Host => None,
        CpuModel::X86_64V2 => Some(Baseline { required: &[V1, V2] }),
        CpuModel::X86_64V3 => Some(Baseline { required: &[V1, V2, V3] }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cpu::{DEPENDENCIES, FEATURES, GOVERNED, feature};

    #[test]
    fn every_feature_has_one_name_and_one_bit_in_a_governed_register() {
        let names: BTreeSet<_> = FEATURES.iter().map(|feature| feature.name).collect();
        assert_eq!(names.len(), FEATURES.len());
        let bits: BTreeSet<_> =
            FEATURES.iter().map(|one| (one.leaf, one.subleaf, one.register, one.bit)).collect();
        assert_eq!(bits.len(), FEATURES.len());
        for one in FEATURES {
            assert!(one.bit < 32, "{}", one.name);
            assert!(GOVERNED.contains(&(one.leaf, one.subleaf, one.register)), "{}", one.name);
        }
    }

    #[test]
    fn the_tables_name_only_features_that_there_are() {
        let models = [CpuModel::X86_64V2, CpuModel::X86_64V3];
        let levels = models.into_iter().flat_map(|model| baseline(model).unwrap().names());
        let needs = DEPENDENCIES.iter().flat_map(|&(one, needed)| [one, needed]);
        for name in levels.chain(KEPT.iter().copied()).chain(needs) {
            assert!(feature(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_baseline_holds_what_its_features_need() {
        for model in [CpuModel::X86_64V2, CpuModel::X86_64V3] {
            let names: BTreeSet<_> = baseline(model).unwrap().names().collect();
            for (one, needed) in DEPENDENCIES {
                assert!(!names.contains(one) || names.contains(needed), "{model:?}: {one} without {needed}");
            }
        }
    }
}
