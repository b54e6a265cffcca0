// SPDX-License-Identifier: Apache-2.0
//! System call filters, one for each kind of thread.
//!
//! A thread begins with the filter of the one that started it, and filters only ever add up. The device threads are
//! started by vCPU threads (the driver's `DRIVER_OK` starts a device), and those by the control side. So the lists
//! are nested, and each thread narrows what it inherited:
//!
//! ```text
//!   control  ⊇  vCPU  ⊇  I/O
//! ```
//!
//! A call that is on no list ends the process. Some are answered with an error instead, because libraries try them
//! and do without: see [`lists::REFUSED`].

mod lists;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use crate::SandboxError;
use lists::{Allowed, Only};

/// What a thread does for its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadKind {
    /// Talks to the orchestrator, builds and drives the machine. Start no thread before it that is to be filtered.
    Control,
    /// Runs a vCPU, handles its exits and starts devices.
    Vcpu,
    /// Serves the queues of a device.
    Io,
}

impl ThreadKind {
    fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Vcpu => "vCPU",
            Self::Io => "I/O",
        }
    }

    fn lists(self) -> &'static [&'static [Allowed]] {
        match self {
            Self::Control => &[lists::IO, lists::VCPU, lists::CONTROL],
            Self::Vcpu => &[lists::IO, lists::VCPU],
            Self::Io => &[lists::IO],
        }
    }
}

/// What happens to a call that is on no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Violation {
    /// The process ends at once (`SIGSYS`).
    #[default]
    Kill,
    /// The kernel writes it to its log and lets it pass. For finding what a list lacks.
    Log,
}

/// Filters the calling thread and the threads it starts from now on. Gives up new privileges as well.
pub fn apply(kind: ThreadKind) -> Result<(), SandboxError> {
    apply_with(kind, Violation::Kill)
}

/// As [`apply`], with a choice of what happens to a violation.
pub fn apply_with(kind: ThreadKind, violation: Violation) -> Result<(), SandboxError> {
    let failed = |source| SandboxError::Filter { kind: kind.name(), source: Box::new(source) };
    // The strictest answer of all filters counts, so the refusals win over the list that lets the same calls pass.
    for errno in [libc::ENOSYS, libc::EACCES] {
        apply_filter(&refusals(kind, errno)?).map_err(failed)?;
    }
    apply_filter(&allowances(kind, violation)?).map_err(failed)
}

fn allowances(kind: ThreadKind, violation: Violation) -> Result<BpfProgram, SandboxError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        lists::REFUSED.iter().map(|(call, _)| (*call, Vec::new())).collect();
    for allowed in kind.lists().iter().copied().flatten() {
        rules.entry(allowed.call).or_default().extend(conditions(kind, allowed.only)?);
    }
    let otherwise = match violation {
        Violation::Kill => SeccompAction::KillProcess,
        Violation::Log => SeccompAction::Log,
    };
    compile(kind, rules, otherwise, SeccompAction::Allow)
}

fn refusals(kind: ThreadKind, errno: i32) -> Result<BpfProgram, SandboxError> {
    let listed = lists::REFUSED.iter().filter(|(_, answer)| *answer == errno);
    // What the thread may do is not refused: the control side may look for files, and find none.
    let rules = listed
        .filter(|(call, _)| !kind.lists().iter().copied().flatten().any(|allowed| allowed.call == *call))
        .map(|(call, _)| (*call, Vec::new()))
        .collect();
    compile(kind, rules, SeccompAction::Allow, SeccompAction::Errno(errno.unsigned_abs()))
}

fn compile(
    kind: ThreadKind,
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, SandboxError> {
    let failed = |source| SandboxError::FilterList { kind: kind.name(), source: Box::new(source) };
    let arch = if cfg!(target_arch = "aarch64") { TargetArch::aarch64 } else { TargetArch::x86_64 };
    SeccompFilter::new(rules, otherwise, listed, arch).and_then(TryInto::try_into).map_err(failed)
}

/// One rule for each value that an argument may have; none if it may have any.
fn conditions(kind: ThreadKind, only: Only) -> Result<Vec<SeccompRule>, SandboxError> {
    let failed = |source| SandboxError::FilterList { kind: kind.name(), source: Box::new(source) };
    let rule = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(failed)
    };
    match only {
        Only::Any => Ok(Vec::new()),
        Only::Values { argument, values } => {
            values.iter().map(|value| rule(argument, SeccompCmpOp::Eq, *value)).collect()
        }
        Only::Bits { argument, mask, value } => {
            Ok(vec![rule(argument, SeccompCmpOp::MaskedEq(mask), value)?])
        }
        Only::OwnProcess { argument } => {
            Ok(vec![rule(argument, SeccompCmpOp::Eq, u64::from(std::process::id()))?])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_filter_compiles() {
        for kind in [ThreadKind::Control, ThreadKind::Vcpu, ThreadKind::Io] {
            for violation in [Violation::Kill, Violation::Log] {
                assert!(!allowances(kind, violation).unwrap().is_empty());
            }
            assert!(!refusals(kind, libc::EACCES).unwrap().is_empty());
        }
    }

    #[test]
    fn no_call_is_listed_twice_in_the_nested_lists_without_a_condition() {
        let mut seen = BTreeSet::new();
        for allowed in ThreadKind::Control.lists().iter().copied().flatten() {
            let conditional = !matches!(allowed.only, Only::Any);
            assert!(seen.insert((allowed.call, conditional)) || conditional, "call {}", allowed.call);
        }
        // An unconditional entry would make a conditional one of the same call meaningless.
        for (call, conditional) in &seen {
            assert!(!conditional || !seen.contains(&(*call, false)), "call {call}");
        }
    }

    #[test]
    fn dangerous_calls_are_on_no_list() {
        let dangerous = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_ptrace,
            libc::SYS_mount,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_bpf,
            libc::SYS_kexec_load,
            libc::SYS_process_vm_writev,
            libc::SYS_userfaultfd,
            libc::SYS_keyctl,
            libc::SYS_perf_event_open,
            libc::SYS_init_module,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_setuid,
        ];
        for allowed in ThreadKind::Control.lists().iter().copied().flatten() {
            assert!(!dangerous.contains(&allowed.call), "call {}", allowed.call);
        }
    }

    /// Workers run as one user in one process id namespace: between them stands nothing else on older kernels.
    #[test]
    fn a_call_that_acts_on_a_process_acts_on_its_own() {
        let acting = [
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_tgkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_pidfd_send_signal,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_process_madvise,
            libc::SYS_process_mrelease,
            libc::SYS_kcmp,
            libc::SYS_move_pages,
            libc::SYS_migrate_pages,
            libc::SYS_prlimit64,
            libc::SYS_sched_setaffinity,
            libc::SYS_sched_setattr,
            libc::SYS_sched_setparam,
            libc::SYS_sched_setscheduler,
            libc::SYS_setpriority,
            libc::SYS_ioprio_set,
            libc::SYS_setpgid,
            libc::SYS_get_robust_list,
            libc::SYS_perf_event_open,
        ];
        for allowed in ThreadKind::Control.lists().iter().copied().flatten() {
            let own = match allowed.only {
                Only::OwnProcess { argument: 0 } => allowed.call == libc::SYS_tgkill,
                Only::Values { argument: 0, values: &[0] } => {
                    [libc::SYS_prlimit64, libc::SYS_sched_setscheduler, libc::SYS_sched_setaffinity]
                        .contains(&allowed.call)
                }
                Only::Any | Only::Values { .. } | Only::Bits { .. } | Only::OwnProcess { .. } => false,
            };
            assert!(own || !acting.contains(&allowed.call), "call {}", allowed.call);
        }
    }

    #[test]
    fn threads_that_a_guest_drives_make_no_rings() {
        let ring = [libc::SYS_io_uring_setup, libc::SYS_io_uring_register];
        for kind in [ThreadKind::Vcpu, ThreadKind::Io] {
            assert!(!kind.lists().iter().copied().flatten().any(|allowed| ring.contains(&allowed.call)));
        }
        for call in ring {
            assert!(lists::REFUSED.contains(&(call, libc::EACCES)), "call {call}");
        }
    }
}
