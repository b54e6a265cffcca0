// SPDX-License-Identifier: Apache-2.0
//! CPUID features by the names that Linux gives them in `/proc/cpuinfo`. Bits: Intel SDM volume 2A "CPUID", AMD APM volume 3
//! appendix E.

/// An output register of CPUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the registers say it all")]
pub enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// A feature: its name and the bit that tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// EAX on input.
    pub leaf: u32,
    /// ECX on input, zero where the leaf has no subleaves.
    pub subleaf: u32,
    /// Where the bit is.
    pub register: Register,
    /// Number of the bit.
    pub bit: u32,
}

/// The feature of this name.
pub fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

/// The registers that hold nothing but features: a baseline clears in them what it does not name.
pub const GOVERNED: &[(u32, u32, Register)] = &[
    (0x1, 0, Register::Ecx),
    (0x1, 0, Register::Edx),
    (0x7, 0, Register::Ebx),
    (0x7, 0, Register::Ecx),
    (0x7, 0, Register::Edx),
    (0x7, 1, Register::Eax),
    (0x7, 1, Register::Edx),
    (0xd, 1, Register::Eax),
    (0x8000_0001, 0, Register::Ecx),
    (0x8000_0001, 0, Register::Edx),
    (0x8000_0008, 0, Register::Ebx),
];

/// Features that are of no use without another: (feature, what it needs).
pub const DEPENDENCIES: &[(&str, &str)] = &[
    ("xsave", "fxsr"),
    ("xsaveopt", "xsave"),
    ("xsavec", "xsave"),
    ("xgetbv1", "xsave"),
    ("xsaves", "xsavec"),
    ("avx", "xsave"),
    ("pku", "xsave"),
    ("amx_tile", "xsave"),
    ("f16c", "avx"),
    ("fma", "avx"),
    ("xop", "avx"),
    ("fma4", "avx"),
    ("avx2", "avx"),
    ("vaes", "avx2"),
    ("vpclmulqdq", "avx2"),
    ("avx_vnni", "avx2"),
    ("avx512f", "avx2"),
    ("avx512dq", "avx512f"),
    ("avx512ifma", "avx512f"),
    ("avx512cd", "avx512f"),
    ("avx512bw", "avx512f"),
    ("avx512vl", "avx512f"),
    ("avx512vbmi", "avx512bw"),
    ("avx512_vbmi2", "avx512bw"),
    ("avx512_vnni", "avx512f"),
    ("avx512_bitalg", "avx512bw"),
    ("avx512_vpopcntdq", "avx512f"),
    ("avx512_vp2intersect", "avx512f"),
    ("avx512_bf16", "avx512f"),
    ("avx512_fp16", "avx512bw"),
    ("amx_bf16", "amx_tile"),
    ("amx_int8", "amx_tile"),
    ("sse2", "sse"),
    ("pni", "sse2"),
    ("ssse3", "pni"),
    ("sse4_1", "ssse3"),
    ("sse4_2", "sse4_1"),
    ("aes", "sse2"),
    ("pclmulqdq", "sse2"),
    ("sha_ni", "sse2"),
    ("gfni", "sse2"),
];

const fn basic(name: &'static str, register: Register, bit: u32) -> Feature {
    Feature { name, leaf: 0x1, subleaf: 0, register, bit }
}

const fn seven(name: &'static str, register: Register, bit: u32) -> Feature {
    Feature { name, leaf: 0x7, subleaf: 0, register, bit }
}

const fn other(name: &'static str, leaf: u32, subleaf: u32, register: Register, bit: u32) -> Feature {
    Feature { name, leaf, subleaf, register, bit }
}

const fn amd(name: &'static str, register: Register, bit: u32) -> Feature {
    Feature { name, leaf: 0x8000_0001, subleaf: 0, register, bit }
}

const fn sizes(name: &'static str, bit: u32) -> Feature {
    Feature { name, leaf: 0x8000_0008, subleaf: 0, register: Register::Ebx, bit }
}

/// Every feature that has a name here.
pub const FEATURES: &[Feature] = &[
    basic("fpu", Register::Edx, 0),
    basic("vme", Register::Edx, 1),
    basic("de", Register::Edx, 2),
    basic("pse", Register::Edx, 3),
    basic("tsc", Register::Edx, 4),
    basic("msr", Register::Edx, 5),
    basic("pae", Register::Edx, 6),
    basic("mce", Register::Edx, 7),
    basic("cx8", Register::Edx, 8),
    basic("apic", Register::Edx, 9),
    basic("sep", Register::Edx, 11),
    basic("mtrr", Register::Edx, 12),
    basic("pge", Register::Edx, 13),
    basic("mca", Register::Edx, 14),
    basic("cmov", Register::Edx, 15),
    basic("pat", Register::Edx, 16),
    basic("pse36", Register::Edx, 17),
    basic("clflush", Register::Edx, 19),
    basic("mmx", Register::Edx, 23),
    basic("fxsr", Register::Edx, 24),
    basic("sse", Register::Edx, 25),
    basic("sse2", Register::Edx, 26),
    basic("ss", Register::Edx, 27),
    basic("ht", Register::Edx, 28),
    basic("pni", Register::Ecx, 0),
    basic("pclmulqdq", Register::Ecx, 1),
    basic("vmx", Register::Ecx, 5),
    basic("ssse3", Register::Ecx, 9),
    basic("fma", Register::Ecx, 12),
    basic("cx16", Register::Ecx, 13),
    basic("pcid", Register::Ecx, 17),
    basic("sse4_1", Register::Ecx, 19),
    basic("sse4_2", Register::Ecx, 20),
    basic("x2apic", Register::Ecx, 21),
    basic("movbe", Register::Ecx, 22),
    basic("popcnt", Register::Ecx, 23),
    basic("tsc_deadline_timer", Register::Ecx, 24),
    basic("aes", Register::Ecx, 25),
    basic("xsave", Register::Ecx, 26),
    basic("avx", Register::Ecx, 28),
    basic("f16c", Register::Ecx, 29),
    basic("rdrand", Register::Ecx, 30),
    basic("hypervisor", Register::Ecx, 31),
    seven("fsgsbase", Register::Ebx, 0),
    seven("tsc_adjust", Register::Ebx, 1),
    seven("bmi1", Register::Ebx, 3),
    seven("hle", Register::Ebx, 4),
    seven("avx2", Register::Ebx, 5),
    seven("smep", Register::Ebx, 7),
    seven("bmi2", Register::Ebx, 8),
    seven("erms", Register::Ebx, 9),
    seven("invpcid", Register::Ebx, 10),
    seven("rtm", Register::Ebx, 11),
    seven("mpx", Register::Ebx, 14),
    seven("avx512f", Register::Ebx, 16),
    seven("avx512dq", Register::Ebx, 17),
    seven("rdseed", Register::Ebx, 18),
    seven("adx", Register::Ebx, 19),
    seven("smap", Register::Ebx, 20),
    seven("avx512ifma", Register::Ebx, 21),
    seven("clflushopt", Register::Ebx, 23),
    seven("clwb", Register::Ebx, 24),
    seven("avx512cd", Register::Ebx, 28),
    seven("sha_ni", Register::Ebx, 29),
    seven("avx512bw", Register::Ebx, 30),
    seven("avx512vl", Register::Ebx, 31),
    seven("avx512vbmi", Register::Ecx, 1),
    seven("umip", Register::Ecx, 2),
    seven("pku", Register::Ecx, 3),
    seven("avx512_vbmi2", Register::Ecx, 6),
    seven("gfni", Register::Ecx, 8),
    seven("vaes", Register::Ecx, 9),
    seven("vpclmulqdq", Register::Ecx, 10),
    seven("avx512_vnni", Register::Ecx, 11),
    seven("avx512_bitalg", Register::Ecx, 12),
    seven("avx512_vpopcntdq", Register::Ecx, 14),
    seven("la57", Register::Ecx, 16),
    seven("rdpid", Register::Ecx, 22),
    seven("bus_lock_detect", Register::Ecx, 24),
    seven("cldemote", Register::Ecx, 25),
    seven("movdiri", Register::Ecx, 27),
    seven("movdir64b", Register::Ecx, 28),
    seven("fsrm", Register::Edx, 4),
    seven("avx512_vp2intersect", Register::Edx, 8),
    seven("md_clear", Register::Edx, 10),
    seven("serialize", Register::Edx, 14),
    seven("amx_bf16", Register::Edx, 22),
    seven("avx512_fp16", Register::Edx, 23),
    seven("amx_tile", Register::Edx, 24),
    seven("amx_int8", Register::Edx, 25),
    seven("spec_ctrl", Register::Edx, 26),
    seven("intel_stibp", Register::Edx, 27),
    seven("flush_l1d", Register::Edx, 28),
    seven("arch_capabilities", Register::Edx, 29),
    seven("core_capabilities", Register::Edx, 30),
    seven("spec_ctrl_ssbd", Register::Edx, 31),
    other("avx_vnni", 0x7, 1, Register::Eax, 4),
    other("avx512_bf16", 0x7, 1, Register::Eax, 5),
    other("fzrm", 0x7, 1, Register::Eax, 10),
    other("fsrs", 0x7, 1, Register::Eax, 11),
    other("fsrc", 0x7, 1, Register::Eax, 12),
    other("xsaveopt", 0xd, 1, Register::Eax, 0),
    other("xsavec", 0xd, 1, Register::Eax, 1),
    other("xgetbv1", 0xd, 1, Register::Eax, 2),
    other("xsaves", 0xd, 1, Register::Eax, 3),
    amd("lahf_lm", Register::Ecx, 0),
    amd("cmp_legacy", Register::Ecx, 1),
    amd("svm", Register::Ecx, 2),
    amd("cr8_legacy", Register::Ecx, 4),
    amd("abm", Register::Ecx, 5),
    amd("sse4a", Register::Ecx, 6),
    amd("misalignsse", Register::Ecx, 7),
    amd("3dnowprefetch", Register::Ecx, 8),
    amd("osvw", Register::Ecx, 9),
    amd("xop", Register::Ecx, 11),
    amd("fma4", Register::Ecx, 16),
    amd("tbm", Register::Ecx, 21),
    amd("topoext", Register::Ecx, 22),
    amd("perfctr_core", Register::Ecx, 23),
    amd("syscall", Register::Edx, 11),
    amd("nx", Register::Edx, 20),
    amd("mmxext", Register::Edx, 22),
    amd("fxsr_opt", Register::Edx, 25),
    amd("pdpe1gb", Register::Edx, 26),
    amd("rdtscp", Register::Edx, 27),
    amd("lm", Register::Edx, 29),
    amd("3dnowext", Register::Edx, 30),
    amd("3dnow", Register::Edx, 31),
    sizes("clzero", 0),
    sizes("xsaveerptr", 2),
    sizes("wbnoinvd", 9),
    sizes("amd_ibpb", 12),
    sizes("amd_ibrs", 14),
    sizes("amd_stibp", 15),
    sizes("amd_stibp_always_on", 17),
    sizes("amd_ssbd", 24),
    sizes("virt_ssbd", 25),
    sizes("amd_ssb_no", 26),
    sizes("amd_psfd", 28),
    sizes("btc_no", 29),
];
