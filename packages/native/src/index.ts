// SPDX-License-Identifier: Apache-2.0
export {
  type ConsoleConnection,
  type ConsoleRecord,
  type OpenConsoleOptions,
  openConsole,
  type ReadConsoleOptions,
  readConsole,
} from './console.js';
export { FlotillaError, type FlotillaErrorDetails, type FlotillaErrorInit } from './errors.js';
export type { LostEvent, MachineEvent, WorkerExitedEvent } from './events.js';
export { ERROR_CODES, type ErrorCode, isErrorCode } from './generated/error-codes.js';
export { type Metric, METRICS } from './generated/metrics.js';
export type {
  BalloonReport,
  BalloonStatistics,
  CpuReport,
  ExitReason,
  MachineExit,
  MachineInfo,
  MachineState,
  ReclaimReport,
} from './generated/report.js';
export type * from './generated/spec.js';
export * from './host.js';
export { type AdoptOptions, type CreateOptions, type Isolation, Machine } from './machine.js';
export { resolveWorkerPath } from './worker-path.js';
export { endWorker, listWorkers, readExit, removeStale, type WorkerRecord } from './workers.js';
