// SPDX-License-Identifier: Apache-2.0
// Generated from crates/spec by `npm run gen`. Do not edit.

import type { ErrorCode } from './error-codes.js';
import type { WatchdogAction } from './spec.js';

/**
 * The state of a machine.
 *
 * ```text
 *   configured ──boot──▶ running ◀──resume── pause──▶ paused
 *        └───────────────────┴──────────┬───────────────┘
 *                                       ▼
 *                                    stopped
 * ```
 */
export type MachineState = "configured" | "running" | "paused" | "stopped";

/**
 * Why a machine stopped.
 */
export type ExitReason = "powered-off" | "reset" | "panic" | "triple-fault" | "watchdog" | "killed" | "error";

/**
 * The registers of one virtual CPU at the moment of a report.
 */
export type CpuReport = {
/**
 * Number of the virtual CPU, from 0.
 */
cpu: number,
/**
 * Whether the virtual CPU was reset before its registers could be read, so that they tell nothing of what it did.
 * At a triple fault KVM does that on processors by AMD.
 */
afterReset?: boolean,
/**
 * Values by register name, as hexadecimal text (`rip` → `0xffffffff81000000`): most do not fit a number.
 */
registers: Record<string, string>, };

/**
 * The end of a machine.
 */
export type MachineExit = {
/**
 * Why it stopped.
 */
reason: ExitReason,
/**
 * The code of the error, with the reason `error`.
 */
code?: ErrorCode,
/**
 * What went wrong, with the reason `error`.
 */
message?: string,
/**
 * The registers of the virtual CPU that crashed.
 */
registers?: CpuReport, };

/**
 * Something that happened to a machine, told apart by `kind`. A reader ignores kinds it does not know.
 */
export type MachineEvent = { "kind": "state",
/**
 * The new state.
 */
state: MachineState, } | { "kind": "guest-reset" } | { "kind": "panic",
/**
 * The registers of the virtual CPU that reported it.
 */
registers?: CpuReport, } | { "kind": "triple-fault",
/**
 * The registers of that virtual CPU.
 */
registers?: CpuReport, } | { "kind": "disk-full",
/**
 * The id of the disk.
 */
disk: string, } | { "kind": "watchdog",
/**
 * What follows.
 */
action: WatchdogAction, } | { "kind": "link-lost",
/**
 * The id of the interface.
 */
interface: string, } | { "kind": "share-lost",
/**
 * The tag of the share.
 */
share: string, } | { "kind": "stopped" } & MachineExit;

/**
 * What a worker tells about its machine.
 */
export type MachineInfo = {
/**
 * The state of the machine.
 */
state: MachineState,
/**
 * Process id of the process that runs the machine.
 */
pid: number,
/**
 * Milliseconds since the machine was booted; zero before.
 */
uptimeMs: number,
/**
 * Number of virtual CPUs.
 */
vcpus: number,
/**
 * The build of the process that runs the machine.
 */
build: string,
/**
 * The version of the control protocol it speaks.
 */
protocol: number,
/**
 * How the machine ended, once it is stopped.
 */
exit?: MachineExit, };

/**
 * The balloon of a machine at one moment.
 */
export type BalloonReport = {
/**
 * Bytes that the guest shall give up.
 */
target: number,
/**
 * Bytes that it has given up, as it says.
 */
actual: number,
/**
 * How it says it is off for memory, once it has.
 */
statistics?: BalloonStatistics, };

/**
 * How a guest says it is off for memory. What it does not tell is absent; what it tells is not checked.
 */
export type BalloonStatistics = {
/**
 * Milliseconds since the guest told this.
 */
ageMs: number,
/**
 * Bytes that nothing uses.
 */
freeMemory?: number,
/**
 * Bytes that programs can have without swapping.
 */
availableMemory?: number,
/**
 * Bytes there are, those in the balloon left out where they are not taken back by themselves.
 */
totalMemory?: number,
/**
 * Bytes of files kept in memory.
 */
diskCaches?: number,
/**
 * Bytes swapped in since the guest started.
 */
swapIn?: number,
/**
 * Bytes swapped out since the guest started.
 */
swapOut?: number,
/**
 * Page faults that waited for a disk, since the guest started.
 */
majorFaults?: number,
/**
 * Page faults that did not, since the guest started.
 */
minorFaults?: number,
/**
 * Huge pages taken from the guest's pool, since it started.
 */
hugetlbAllocations?: number,
/**
 * Huge pages the guest's pool did not have, since it started.
 */
hugetlbFailures?: number, };

/**
 * What a guest gave back when it was asked for all that nothing in it uses.
 */
export type ReclaimReport = {
/**
 * Bytes that the host has back.
 */
released: number,
/**
 * Whether the guest said that there is no more. Otherwise it did not answer, or was not done, within 4 seconds.
 */
complete: boolean, };
