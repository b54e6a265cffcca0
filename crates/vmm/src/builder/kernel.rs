// SPDX-License-Identifier: Apache-2.0
//! What boots: the plan, and whether this host's KVM can run it.

use std::arch::x86_64::__cpuid;
use std::fs::File;

use flotilla_boot::{Image, PlanOptions, Sources};
use flotilla_hypervisor::Kvm;
use flotilla_hypervisor::probe::{KvmKind, kvm_kind};
use flotilla_memory::GuestMemory;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{ValidSpec, Violation};

use crate::error::BuildError;
use crate::parts::Guest;

/// Every Linux kernel holds this, followed by its release.
const LINUX_BANNER: &[u8] = b"Linux version ";
const ELF_MAGIC: &[u8] = b"\x7fELF";
const CHUNK: usize = 1 << 20;

/// First of the extended CPUID leaves; its EAX is the last one.
const EXTENDED: u32 = 0x8000_0000;
const VMX: u32 = 1 << 5;
const SVM: u32 = 1 << 2;

/// Plans the boot of the guest.
pub fn plan(
    spec: &ValidSpec,
    kernel: File,
    initrd: Option<File>,
    memory: &GuestMemory,
    options: &PlanOptions<'_>,
) -> Result<Guest, BuildError> {
    let initrd_image = initrd.as_ref().map(|file| -> &dyn Image { file });
    let sources = Sources { kernel: &kernel, initrd: initrd_image };
    let plan =
        flotilla_boot::plan(&sources, &spec.boot.command_line, memory, options).map_err(BuildError::Boot)?;
    Ok(Guest { kernel, initrd, plan, committed: spec.memory_options.prefault })
}

/// Refuses an operating system on a KVM that cannot run one. Small bare-metal programs run on any KVM.
///
/// The probe runs guests of its own and takes a while, so it is left to processors that do not even claim to have
/// virtualization.
pub fn refuse_without_hardware(kvm: &Kvm, kernel: &File, allowed: bool) -> Result<(), BuildError> {
    if allowed || processor_claims_virtualization() || !is_operating_system(kernel) {
        return Ok(());
    }
    let why = match kvm_kind(kvm) {
        KvmKind::Hardware => return Ok(()),
        KvmKind::Software(why) | KvmKind::None(why) => why,
    };
    let message =
        format!("KVM on this host has no hardware support and cannot run an operating system: {why}");
    Err(BuildError::Resource(Violation::new(ErrorCode::KvmUnsupported, "$", message)))
}

/// Whether this processor shows VMX (Intel SDM vol. 2A, CPUID leaf 1) or SVM (AMD APM vol. 3, leaf `0x8000_0001`). Asked of
/// the processor itself: in a jail there is no `/proc/cpuinfo`.
fn processor_claims_virtualization() -> bool {
    __cpuid(1).ecx & VMX != 0 || (__cpuid(EXTENDED).eax > EXTENDED && __cpuid(EXTENDED + 1).ecx & SVM != 0)
}

/// Whether an image is an operating system's kernel: anything but an ELF file without Linux's banner. An image that
/// cannot be read is left to the loader, which names the fault.
fn is_operating_system(image: &dyn Image) -> bool {
    let mut magic = [0; 4];
    let read = image.read_at(0, &mut magic).unwrap_or(0);
    if magic.get(..read) != Some(ELF_MAGIC) {
        return looks_like_bzimage(image);
    }
    contains(image, LINUX_BANNER)
}

/// The setup header's magic (Linux `Documentation/arch/x86/boot.rst`).
fn looks_like_bzimage(image: &dyn Image) -> bool {
    let mut magic = [0; 4];
    matches!(image.read_at(0x202, &mut magic), Ok(4)) && magic == *b"HdrS"
}

fn contains(image: &dyn Image, text: &[u8]) -> bool {
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    loop {
        let read = image.read_at(offset, &mut buffer).unwrap_or(0);
        let part = buffer.get(..read).unwrap_or_default();
        if part.windows(text.len()).any(|window| window == text) {
            return true;
        }
        // The next part overlaps, so that a text across the border is found; the end of the image is shorter.
        let step = read.saturating_sub(text.len());
        if step == 0 {
            return false;
        }
        offset += step as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use flotilla_test_guests::guest;

    use super::*;
    use crate::tests::{kvm_is_there, spec_with, valid};
    use crate::{Console, IgnoreEvents, Machine, MachineOptions, Resources};

    fn elf(len: usize, banner_at: Option<usize>) -> Vec<u8> {
        let mut image = vec![0; len];
        image[..4].copy_from_slice(ELF_MAGIC);
        if let Some(at) = banner_at {
            image[at..at + LINUX_BANNER.len()].copy_from_slice(LINUX_BANNER);
        }
        image
    }

    fn is_one(image: &[u8]) -> bool {
        struct Bytes<'a>(&'a [u8]);
        impl Image for Bytes<'_> {
            fn size(&self) -> std::io::Result<u64> {
                Ok(self.0.len() as u64)
            }
            fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.read_at(offset, buffer)
            }
        }
        is_operating_system(&Bytes(image))
    }

    #[test]
    fn knows_linux_by_its_banner_wherever_it_lies() {
        assert!(is_one(&elf(4 * CHUNK, Some(CHUNK - 3))));
        assert!(is_one(&elf(4 * CHUNK, Some(4 * CHUNK - LINUX_BANNER.len()))));
        assert!(!is_one(&elf(4 * CHUNK, None)));
        assert!(!is_one(&elf(64, None)));
    }

    /// A bzImage of one setup sector and an empty payload (Linux `Documentation/arch/x86/boot.rst`).
    fn bzimage() -> Vec<u8> {
        let mut image = vec![0; 0x800];
        for (at, bytes) in [
            (0x1f1, &[1][..]),      // setup_sects
            (0x1f4, &[64]),         // syssize
            (0x1fe, &[0x55, 0xaa]), // boot_flag
            (0x202, b"HdrS"),       // header
            (0x206, &[0x0f, 0x02]), // version
            (0x211, &[1]),          // loadflags: LOADED_HIGH
            (0x22c, &[0xff; 3]),    // initrd_addr_max
            (0x230, &[0, 0, 0x20]), // kernel_alignment
            (0x234, &[1, 0, 1]),    // relocatable_kernel, xloadflags: XLF_KERNEL_64
            (0x238, &[0xff, 0x07]), // cmdline_size
            (0x258, &[0, 0, 0, 1]), // pref_address
            (0x260, &[0, 0, 1]),    // init_size
        ] {
            image[at..at + bytes.len()].copy_from_slice(bytes);
        }
        image
    }

    fn built(image: &[u8], allow_software_kvm: bool) -> Result<Machine, BuildError> {
        let (spec, _directory) = spec_with(image);
        let spec = valid(spec);
        let mut options = MachineOptions::new(Arc::new(IgnoreEvents), Console::new());
        options.allow_software_kvm = allow_software_kvm;
        let resources = Resources::open(&spec).unwrap();
        Machine::build(spec, resources, options)
    }

    #[test]
    fn an_operating_system_is_refused_without_hardware_and_the_text_says_what_to_do() {
        if !kvm_is_there() {
            return;
        }
        let kvm =
            Kvm::from_descriptor(File::options().read(true).write(true).open("/dev/kvm").unwrap().into());
        if processor_claims_virtualization() || matches!(kvm_kind(&kvm.unwrap()), KvmKind::Hardware) {
            let _ = writeln!(std::io::stderr(), "SKIPPED: KVM has hardware support here");
            return;
        }
        let bare = guest("hello").unwrap().image();
        let linux = [&bare[..], LINUX_BANNER, b"6.12.0"].concat();
        for (name, image) in [("bzImage", bzimage()), ("ELF", linux)] {
            let error = built(&image, false).map(drop).unwrap_err();
            assert_eq!((error.code(), error.field()), (ErrorCode::KvmUnsupported, Some("$")), "{name}");
            let text = error.describe();
            assert!(
                text.contains("no hardware support and cannot run an operating system: "),
                "{name}: {text}"
            );
            let remedy = error.remedy();
            assert!(remedy.contains("lab") && remedy.contains("flotilla doctor"), "{name}: {remedy}");
            built(&image, true).unwrap();
        }
        built(&bare, false).unwrap();
    }

    #[test]
    fn the_processor_says_what_the_kernel_says_of_it() {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap();
        let said = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
        // The kernel hides what the firmware has switched off.
        assert!(processor_claims_virtualization() || !said);
    }

    #[test]
    fn knows_a_bzimage_by_its_header() {
        let mut image = vec![0; 0x400];
        assert!(!is_one(&image));
        image[0x202..0x206].copy_from_slice(b"HdrS");
        assert!(is_one(&image));
        assert!(!is_one(b""));
    }
}
