// SPDX-License-Identifier: Apache-2.0
import type { VolumeFormat } from '../../common/volume-storage.js';
import type { CommandControl } from '../../host-agent/host-agent.js';

/** A backing file as an image records it. The name is compared by whoever opens the image, and never opened. */
export interface NamedBacking {
  name: string;
  format: VolumeFormat;
}
/** A backing file of an image that is opened. */
export interface BackingFile extends NamedBacking {
  path: string;
}

/** Port to fast file work: the native module (reflink, sparse) or plain Node. */
export abstract class FileTools {
  /** Copies a regular file: to a temporary name, made durable, renamed. Grows to `sizeBytes` when given. */
  abstract copy(source: string, target: string, options: CommandControl & { sizeBytes?: number }): Promise<void>;
  /** Makes an empty qcow2 image: to a temporary name, made durable, renamed. */
  abstract createQcow2(target: string, options: { sizeBytes: number; backing: NamedBacking }): Promise<void>;
  /** Makes the disk of a qcow2 image larger that nobody has open, never smaller; answers its size. */
  abstract growQcow2(path: string, options: { sizeBytes: number; backing: BackingFile[] }): Promise<number>;
  /** SHA-256 in hexadecimal. */
  abstract hash(path: string, control: CommandControl): Promise<string>;
}
