// SPDX-License-Identifier: Apache-2.0
//! The exit statuses, which tell how the machine ended.

use std::process::ExitCode;

use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineExit};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// The guest switched itself off.
    PoweredOff,
    /// The worker failed.
    Internal,
    /// The specification, or a file, disk or tap that it names, cannot be used.
    BadSpec,
    /// There is no usable KVM.
    NoKvm,
    /// The guest kernel panicked.
    Panic,
    /// A virtual CPU met a triple fault.
    TripleFault,
    /// The guest asked for a reset and `onReboot` is `stop`.
    Reset,
    /// The machine was ended from outside.
    Killed,
    /// `serve`: no client configured a machine.
    NeverConfigured,
    /// The guest did not reset its watchdog in time and the action is to power off.
    Watchdog,
    /// The command line is wrong.
    Usage,
}

/// The table that `--help` shows.
pub const HELP: &str = "\
Exit status:
   0  the guest switched itself off
   1  internal error
   2  the specification, or a file, disk or tap it names, cannot be used
   3  no usable KVM: /dev/kvm is missing, denied or lacks what is needed
  10  the guest kernel panicked (and the policy is to stop)
  11  triple fault of a virtual CPU (and the policy is to stop)
  12  the guest asked for a reset and the policy is to stop
  13  the machine was ended from outside: signal, escape or client
  14  serve: no client configured and booted a machine in time
  15  the guest did not reset its watchdog in time and the action is to power off
  64  wrong command line";

impl ExitStatus {
    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::PoweredOff => 0,
            Self::Internal => 1,
            Self::BadSpec => 2,
            Self::NoKvm => 3,
            Self::Panic => 10,
            Self::TripleFault => 11,
            Self::Reset => 12,
            Self::Killed => 13,
            Self::NeverConfigured => 14,
            Self::Watchdog => 15,
            Self::Usage => 64,
        }
    }

    /// The status for the end of a machine.
    pub fn of(exit: &MachineExit) -> Self {
        match exit.reason {
            ExitReason::PoweredOff => Self::PoweredOff,
            ExitReason::Reset => Self::Reset,
            ExitReason::Panic => Self::Panic,
            ExitReason::TripleFault => Self::TripleFault,
            ExitReason::Watchdog => Self::Watchdog,
            ExitReason::Killed => Self::Killed,
            ExitReason::Error => exit.code.map_or(Self::Internal, Self::of_error),
        }
    }

    /// The status for a machine that did not start.
    pub fn of_error(code: ErrorCode) -> Self {
        match code {
            ErrorCode::KvmMissing | ErrorCode::KvmDenied | ErrorCode::KvmUnsupported => Self::NoKvm,
            ErrorCode::WorkerBusy
            | ErrorCode::WorkerGone
            | ErrorCode::WorkerProtocol
            | ErrorCode::MachineState
            | ErrorCode::MachineStuck
            | ErrorCode::HostNoSpace
            | ErrorCode::HostNoMemory
            | ErrorCode::Aborted
            | ErrorCode::CorePanic
            | ErrorCode::Io => Self::Internal,
            _ => Self::BadSpec,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.number().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ExitStatus; 11] = [
        ExitStatus::PoweredOff,
        ExitStatus::Internal,
        ExitStatus::BadSpec,
        ExitStatus::NoKvm,
        ExitStatus::Panic,
        ExitStatus::TripleFault,
        ExitStatus::Reset,
        ExitStatus::Killed,
        ExitStatus::NeverConfigured,
        ExitStatus::Watchdog,
        ExitStatus::Usage,
    ];

    #[test]
    fn help_names_each_status_once() {
        let lines: Vec<&str> = HELP.lines().skip(1).collect();
        let numbers: Vec<u8> = lines.iter().map(|line| line[..4].trim().parse().unwrap()).collect();
        assert_eq!(numbers, ALL.map(ExitStatus::number));
    }

    #[test]
    fn errors_of_the_caller_and_of_the_host_differ() {
        assert_eq!(ExitStatus::of_error(ErrorCode::SpecMemoryTooSmall), ExitStatus::BadSpec);
        assert_eq!(ExitStatus::of_error(ErrorCode::DiskLocked), ExitStatus::BadSpec);
        assert_eq!(ExitStatus::of_error(ErrorCode::KvmDenied), ExitStatus::NoKvm);
        for code in [ErrorCode::Io, ErrorCode::MachineState, ErrorCode::MachineStuck] {
            assert_eq!(ExitStatus::of_error(code), ExitStatus::Internal, "{code}");
        }
    }
}
