// SPDX-License-Identifier: Apache-2.0
import type { CommandControl } from '../../host-agent/host-agent.js';

/** Port to fast file work: the native module (reflink, sparse) or plain Node. */
export abstract class FileTools {
  /** Copies a regular file: to a temporary name, made durable, renamed. Grows to `sizeBytes` when given. */
  abstract copy(source: string, target: string, options: CommandControl & { sizeBytes?: number }): Promise<void>;
  /** SHA-256 in hexadecimal. */
  abstract hash(path: string, control: CommandControl): Promise<string>;
}
