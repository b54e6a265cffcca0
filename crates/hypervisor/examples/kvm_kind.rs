// SPDX-License-Identifier: Apache-2.0
//! Tells what kind of KVM this host has.

use flotilla_hypervisor::Kvm;
use flotilla_hypervisor::probe::kvm_kind;

#[expect(clippy::print_stdout, reason = "the example's purpose")]
fn main() -> Result<(), flotilla_hypervisor::HypervisorError> {
    let start = std::time::Instant::now();
    println!("{:?} after {:?}", kvm_kind(&Kvm::open()?), start.elapsed());
    Ok(())
}
