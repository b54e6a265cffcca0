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

/** What a block device is to hold. */
export interface DeviceContent {
  device: string;
  /** A file that comes to its beginning; zeroes are after it. Absent: zeroes alone. */
  image?: string;
  /** Whether it may hold what others left. Else it reads as zeroes now, and zeroes are not written. */
  used: boolean;
  /** The byte from which on it is filled; what is before it stays, and may be in use. Absent: all of it, which nothing else has open. */
  fromBytes?: number;
}

/** A file of a seed disk. */
export interface SeedFile {
  name: string;
  content: string;
}

/** Port to fast file work: the native module (reflink, sparse) or plain Node. */
export abstract class FileTools {
  /** Whether the core does it. */
  abstract readonly native: boolean;
  /** Copies a regular file: to a temporary name, made durable, renamed. Grows to `sizeBytes` when given. */
  abstract copy(source: string, target: string, options: CommandControl & { sizeBytes?: number }): Promise<void>;
  /** Makes an empty qcow2 image: to a temporary name, made durable, renamed. */
  abstract createQcow2(target: string, options: { sizeBytes: number; backing?: NamedBacking }): Promise<void>;
  /** Makes the disk of a qcow2 image larger that nobody has open, never smaller; answers its size. */
  abstract growQcow2(path: string, options: { sizeBytes: number; backing: BackingFile[] }): Promise<number>;
  /** Gives a block device its first content, see `DeviceContent`; it is durable then, and holds anything after an error. */
  abstract fill(content: DeviceContent, control: CommandControl): Promise<void>;
  /** Makes a seed disk for cloud-init with these files, whole or not at all; a disk that is there is replaced. */
  abstract createSeedDisk(target: string, files: readonly SeedFile[]): Promise<void>;
  /** SHA-256 in hexadecimal. */
  abstract hash(path: string, control: CommandControl): Promise<string>;
}
