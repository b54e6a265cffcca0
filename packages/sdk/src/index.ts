// SPDX-License-Identifier: Apache-2.0
export { Flotilla } from './client.js';
export { Console, type ConsoleOptions } from './core/console.js';
export {
  AbortedError,
  ApiError,
  AuthenticationError,
  ConflictError,
  ConnectionError,
  FlotillaError,
  InvalidRequestError,
  NotFoundError,
  OperationError,
  PermissionError,
  PreconditionError,
  ServerError,
} from './core/errors.js';
export { type EventFilter, EventStream } from './core/event-stream.js';
export type { ClientOptions, RequestOptions } from './core/options.js';
export { List, Page } from './core/pagination.js';
export { type OperationOptions, Pending } from './core/pending.js';
export type { UploadParams } from './resources/images.js';
export { MachineHandle, type MachineState } from './resources/machine-handle.js';
export type { MachineFilter } from './resources/machines.js';
export type * from './schema.gen.js';
