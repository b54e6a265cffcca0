// SPDX-License-Identifier: Apache-2.0
//! The order in which the open files of a machine are passed to its worker.
//!
//! ```text
//!   0 /dev/kvm · 1 kernel · initrd? · disks… · interfaces… · shares… · serial file? · listening socket of vsock?
//! ```
//!
//! Each disk is followed by its backing files, the nearest first. An interface has a descriptor for each queue of its tap,
//! then with vhost-net one more for each; its source is the index of the first. One with user-mode networking has the socket that
//! its process is at, and so has a shared folder.
//!
//! Both ends compute the same order from the specification; the one that arrives names no path any more.

use crate::code::ErrorCode;
use crate::{FileSource, InterfaceBackend, InterfaceSpec, MachineSpec, SerialSpec, TapSource, Violation};

/// The index of the descriptor of /dev/kvm.
pub const KVM: u32 = 0;

impl MachineSpec {
    /// The same specification with each source replaced by its index, and the number of descriptors that go along.
    #[must_use]
    pub fn to_descriptors(&self) -> (Self, u32) {
        let mut spec = self.clone();
        for backing in spec.disks.iter_mut().flat_map(|disk| &mut disk.backing) {
            // The path goes, and with it the default of the name.
            backing.name = Some(backing.recorded_name());
        }
        let mut next = KVM + 1;
        for source in sources(&mut spec) {
            let count = source.count;
            source.set(next);
            next = next.saturating_add(count);
        }
        (spec, next)
    }

    /// Checks that every source is the descriptor that [`MachineSpec::to_descriptors`] makes of it, out of `count`.
    ///
    /// # Errors
    /// Every source that is a path, a name or an index out of order.
    pub fn check_descriptors(&self, count: u32) -> Result<(), Vec<Violation>> {
        let mut spec = self.clone();
        let mut faults = Vec::new();
        let mut next = KVM + 1;
        for source in sources(&mut spec) {
            if source.index() != Some(next) {
                let message = format!("Source is not the descriptor {next}");
                faults.push(Violation::new(ErrorCode::SpecDescriptorInvalid, source.path, message));
            }
            next = next.saturating_add(source.count);
        }
        if count != next {
            let message = format!("{count} descriptors came along, {next} are needed");
            faults.push(Violation::new(ErrorCode::SpecDescriptorInvalid, "$", message));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

impl InterfaceSpec {
    /// How many descriptors its tap takes.
    fn descriptors(&self) -> u32 {
        let each = match self.backend {
            InterfaceBackend::Tap => 1,
            InterfaceBackend::Vhost => 2,
        };
        each * u32::from(self.queues)
    }
}

enum Place<'a> {
    File(&'a mut FileSource),
    Tap(&'a mut TapSource),
    Socket(&'a mut Option<u32>),
}

struct Source<'a> {
    path: String,
    place: Place<'a>,
    /// How many descriptors it is.
    count: u32,
}

impl Source<'_> {
    fn index(&self) -> Option<u32> {
        match &self.place {
            Place::File(FileSource::Descriptor(index)) | Place::Tap(TapSource::Descriptor(index)) => {
                Some(*index)
            }
            Place::Socket(index) => **index,
            Place::File(FileSource::Path(_)) | Place::Tap(TapSource::Name(_)) => None,
        }
    }

    fn set(self, index: u32) {
        match self.place {
            Place::File(file) => *file = FileSource::Descriptor(index),
            Place::Tap(tap) => *tap = TapSource::Descriptor(index),
            Place::Socket(socket) => *socket = Some(index),
        }
    }
}

/// Every source in the order of its descriptor.
fn sources(spec: &mut MachineSpec) -> Vec<Source<'_>> {
    fn file(path: impl Into<String>, file: &mut FileSource) -> Source<'_> {
        Source { path: path.into(), place: Place::File(file), count: 1 }
    }
    let mut all = vec![file("$.boot.kernel", &mut spec.boot.kernel)];
    all.extend(spec.boot.initrd.as_mut().map(|initrd| file("$.boot.initrd", initrd)));
    for (index, disk) in spec.disks.iter_mut().enumerate() {
        all.push(file(format!("$.disks[{index}].source"), &mut disk.source));
        for (place, backing) in disk.backing.iter_mut().enumerate() {
            all.push(file(format!("$.disks[{index}].backing[{place}].source"), &mut backing.source));
        }
    }
    for (index, interface) in spec.interfaces.iter_mut().enumerate() {
        let count = interface.descriptors();
        all.extend(interface.tap.as_mut().map(|tap| Source {
            path: format!("$.interfaces[{index}].tap"),
            count,
            place: Place::Tap(tap),
        }));
        all.extend(interface.user.as_mut().map(|user| Source {
            path: format!("$.interfaces[{index}].user.descriptor"),
            count: 1,
            place: Place::Socket(&mut user.descriptor),
        }));
    }
    for (index, share) in spec.shares.iter_mut().enumerate() {
        all.push(file(format!("$.shares[{index}].source"), &mut share.source));
    }
    if let SerialSpec::File(source) = &mut spec.serial {
        all.push(file("$.serial.file", source));
    }
    all.extend(spec.vsock.as_mut().map(|vsock| file("$.vsock.socket", &mut vsock.socket)));
    all
}
