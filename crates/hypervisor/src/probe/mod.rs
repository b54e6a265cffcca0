// SPDX-License-Identifier: Apache-2.0
//! What kind of KVM this is, found out by running guest code and not by believing names.
//!
//! A `/dev/kvm` may exist where the processor has no virtualization: some kernels run guests by other means. There a
//! guest's user mode runs on the processor, but its kernel mode is interpreted, instruction by instruction, and
//! unmodified operating systems do not get far. So the probe runs one loop twice, in ring 3 and in ring 0 after a few
//! instructions that only a kernel may use. With hardware virtualization both take the same time, on a fast machine
//! as on an emulated one; where kernel mode is interpreted the second takes many times as long, or fails.

mod guest;

use std::time::Duration;

use crate::{Exit, HypervisorError, Kvm};
use guest::{Mode, Outcome};

/// What kind of KVM a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvmKind {
    /// Hardware virtualization: unmodified operating systems run.
    Hardware,
    /// Guests run by other means, for the reason given; unmodified operating systems do not work.
    Software(String),
    /// No machine can be run at all, for the reason given.
    None(String),
}

/// How many times longer the loop may take in ring 0. Interpretation costs a factor beyond 100; noise on a busy host
/// stays far below this.
const MAX_RATIO: u32 = 20;
/// Each mode is measured this often, and the fastest time counts.
const ROUNDS: usize = 3;

/// Finds out what kind of KVM `kvm` is. Takes milliseconds with hardware virtualization, at most some seconds
/// without.
pub fn kvm_kind(kvm: &Kvm) -> KvmKind {
    if let Err(error) = kvm.check().require() {
        return KvmKind::None(error.to_string());
    }
    match (fastest(kvm, Mode::User), fastest(kvm, Mode::Kernel)) {
        (Ok(user), Ok(kernel)) => judge(&user, &kernel),
        (Err(error), _) | (_, Err(error)) => KvmKind::None(error.to_string()),
    }
}

fn judge(user: &Outcome, kernel: &Outcome) -> KvmKind {
    match (user, kernel) {
        (Outcome::Failed(how), _) => KvmKind::None(format!("a guest that only counts failed with {how}")),
        (Outcome::TooLong, _) => KvmKind::None("a guest that only counts did not come to an end".to_owned()),
        (_, Outcome::Failed(how)) => {
            KvmKind::Software(format!("guest kernel instructions failed with {how}{}", flags()))
        }
        (_, Outcome::TooLong) => KvmKind::Software(format!("guest kernel code hardly runs{}", flags())),
        (Outcome::Done(user), Outcome::Done(kernel)) => {
            let ratio = kernel.as_nanos() / user.as_nanos().max(1);
            if ratio <= u128::from(MAX_RATIO) {
                return KvmKind::Hardware;
            }
            KvmKind::Software(format!("guest kernel code is interpreted, {ratio} times slower{}", flags()))
        }
    }
}

/// The best of some rounds; a failure ends them.
fn fastest(kvm: &Kvm, mode: Mode) -> Result<Outcome, HypervisorError> {
    let mut best: Option<Duration> = None;
    for _ in 0..ROUNDS {
        match guest::run(kvm, mode)? {
            Outcome::Done(time) => best = Some(best.map_or(time, |best| best.min(time))),
            other => return Ok(other),
        }
    }
    Ok(Outcome::Done(best.unwrap_or_default()))
}

/// Whether the processor claims to have virtualization, as an addition to a reason.
fn flags() -> &'static str {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    if flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm") {
        return "";
    }
    "; the processor shows neither vmx nor svm"
}

/// How an unexpected exit is named in a reason.
fn describe(exit: &Exit<'_>) -> String {
    match exit {
        Exit::Shutdown => "a triple fault".to_owned(),
        Exit::InternalError { suberror, .. } => format!("KVM internal error {suberror}"),
        Exit::FailEntry { reason, .. } => format!("entry failure {reason:#x}"),
        Exit::PortIn { .. }
        | Exit::PortOut { .. }
        | Exit::MmioRead { .. }
        | Exit::MmioWrite { .. }
        | Exit::Halt
        | Exit::SystemEvent { .. }
        | Exit::MemoryFault { .. }
        | Exit::Interrupted
        | Exit::Debug { .. }
        | Exit::Unknown(_) => format!("an unexpected exit ({exit:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(micros: u64) -> Outcome {
        Outcome::Done(Duration::from_micros(micros))
    }

    #[test]
    fn equal_speed_in_both_modes_means_hardware() {
        assert_eq!(judge(&done(100), &done(90)), KvmKind::Hardware);
        assert_eq!(judge(&done(5000), &done(9000)), KvmKind::Hardware);
    }

    #[test]
    fn slow_or_failing_kernel_mode_means_software() {
        for kernel in [done(100_000), Outcome::TooLong, Outcome::Failed("a triple fault".to_owned())] {
            assert!(matches!(judge(&done(100), &kernel), KvmKind::Software(_)), "{kernel:?}");
        }
    }

    #[test]
    fn a_guest_that_cannot_count_means_none() {
        assert!(matches!(judge(&Outcome::TooLong, &done(1)), KvmKind::None(_)));
    }
}
