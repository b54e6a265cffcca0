// SPDX-License-Identifier: Apache-2.0
import { withSignal } from './abort.js';
import { settled } from './errors.js';
import * as native from './native.js';
import { requireAnyText, requireBytes, requireText, requireUser } from './validate.js';

/** One thing `checkHost` looked at. */
export interface HostCheck {
  /** Stable name: `cpu`, `kvm`, `kvm-kind`, `kvm-capabilities`, `kernel`, `seccomp`, `landlock`, `io-uring`, `cgroup`, `tun`, `nf-tables`, `vhost-net`, `passt`, `virtiofsd`, `mount-nfs`, `lvm`, `hugepages`, `iommu`, `ksm`, `disk-space`, `program-<name>`. */
  id: string;
  title: string;
  /** `degraded`: works with the loss that `meaning` names. `missing`: what `meaning` names does not work. */
  status: 'ok' | 'degraded' | 'missing';
  /** What was found. */
  detail: string;
  meaning: string;
  /** Absent when all is well. */
  remedy?: string;
}

export interface HostReport {
  checks: HostCheck[];
  /** Found out by running a few guest instructions. */
  kvm: { kind: 'hardware' | 'software' | 'none'; detail: string };
}

export interface CheckHostOptions {
  /** Where data will be kept. Default: /var/lib. */
  dataDirectory?: string;
  /** Bytes that should be free there. Default: 5 GiB. */
  freeBytes?: number;
  /** Programs that are needed. Default: ip, nft, dnsmasq. */
  programs?: string[];
}

/** Says what this host can do and how to mend what it cannot. Changes nothing. */
export async function checkHost(options: CheckHostOptions = {}): Promise<HostReport> {
  const { dataDirectory, freeBytes, programs } = options;
  const wanted: native.CheckHostOptions = {};
  if (dataDirectory !== undefined) wanted.dataDirectory = requireText(dataDirectory, '$.dataDirectory');
  if (freeBytes !== undefined) wanted.freeBytes = requireBytes(freeBytes, '$.freeBytes');
  if (programs !== undefined) wanted.programs = programs.map((name, index) => requireText(name, `$.programs[${index}]`));
  return settled(() => native.checkHost(wanted));
}

/** Creates a tap interface that stays until it is deleted; one that exists is left as it is. `owner`: user id that may use it without privilege; with `multiQueue` a machine may have several queues on it. */
export async function createTap(options: { name: string; owner?: number; multiQueue?: boolean }): Promise<void> {
  const name = requireText(options.name, '$.name');
  const owner = requireUser(options.owner, '$.owner');
  return settled(() => native.createTap(name, owner, options.multiQueue ?? false));
}

/** Deletes a tap interface; one that does not exist is no error, one in use is `tap.busy`. */
export async function deleteTap(name: string): Promise<void> {
  const checked = requireText(name, '$.name');
  return settled(() => native.deleteTap(checked));
}

/** The tap interfaces whose names begin with `prefix`, sorted. */
export async function listTaps(prefix: string): Promise<string[]> {
  return settled(() => native.listTaps(prefix));
}

export type ImageKind = 'kernel' | 'initrd' | 'disk';

export interface ImageInfo {
  format: 'elf' | 'bzimage' | 'initrd' | 'raw';
  sizeBytes: number;
  /** A few words more, for a person. */
  detail: string;
}

/**
 * Says what a file is. Rejects with `kernel.unrecognised`, `kernel.truncated`, `image.unrecognised` or
 * `image.truncated` when it cannot be used as that kind.
 */
export async function inspectImage(options: { path: string; kind: ImageKind }): Promise<ImageInfo> {
  const path = requireText(options.path, '$.path');
  return settled(() => native.inspectImage(path, options.kind));
}

/** How far a copy or a hash is. */
export interface FileProgress {
  bytes: number;
  totalBytes: number;
}

export interface CopyFileOptions {
  source: string;
  /** Replaced if it exists. */
  target: string;
  /** Size of the target, at least that of the source; what is added is a hole. Default: that of the source. */
  sizeBytes?: number;
  /** Called at least every 250 ms while bytes move. An error it throws ends the copy. */
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}

/**
 * Copies a file: a clone that shares its data where the file system can, else a copy that keeps holes. The target is
 * whole and on the disk, or not there; a full disk is `host.no_space`.
 */
export async function copyFile(options: CopyFileOptions): Promise<{ sizeBytes: number; reflinked: boolean }> {
  const source = requireText(options.source, '$.source');
  const target = requireText(options.target, '$.target');
  const size = options.sizeBytes === undefined ? undefined : requireBytes(options.sizeBytes, '$.sizeBytes');
  return watched(options, (cancel, tell) => native.copyFile(source, target, size, cancel, tell));
}

export interface FillDeviceOptions {
  /** A block device that nothing else has claimed, or a file that is as long as it is to be. */
  device: string;
  /** A regular file that comes to its beginning. Default: none. */
  image?: string;
  /** Whether it may hold what others left, which is then overwritten everywhere; else it reads as zeroes now. Default: true. */
  used?: boolean;
  /** The byte from which on it is filled; what is before it stays, and may be in use. Default: 0, of a device that nothing has claimed. */
  fromBytes?: number;
  /** Called at least every 250 ms while bytes move. An error it throws ends the work. */
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}

/** Gives a block device its first content: an image, and zeroes where that has none. Durable afterwards; after an error it holds anything. */
export async function fillDevice(options: FillDeviceOptions): Promise<void> {
  const device = requireText(options.device, '$.device');
  const image = options.image === undefined ? undefined : requireText(options.image, '$.image');
  const from = options.fromBytes === undefined ? 0 : requireBytes(options.fromBytes, '$.fromBytes');
  return watched(options, (cancel, tell) => native.fillDevice(device, image, options.used ?? true, from, cancel, tell));
}

/** A backing file as a qcow2 image records it. */
export interface RecordedBacking {
  /** Whoever opens the image must say which file this is: the name is compared, and never opened. 1 to 1023 bytes. */
  name: string;
  format: 'raw' | 'qcow2';
}

export interface CreateQcow2Options {
  /** Replaced if it exists. */
  target: string;
  /** Size of the disk, a multiple of 512. It takes no space. */
  sizeBytes: number;
  /** What the disk shows where nothing was written. Default: zeroes. */
  backing?: RecordedBacking;
}

/** Makes an empty qcow2 image. It is whole and on the disk, or not there. */
export async function createQcow2(options: CreateQcow2Options): Promise<void> {
  const target = requireText(options.target, '$.target');
  const size = requireBytes(options.sizeBytes, '$.sizeBytes');
  const backing = options.backing === undefined ? undefined : recorded(options.backing, '$.backing');
  return settled(() => native.createQcow2(target, size, backing));
}

export interface CreateSeedDiskOptions {
  /** Replaced if it exists. */
  target: string;
  /** At most 16 files of 16 MiB together; names of small letters, digits and hyphens. */
  files: readonly { name: string; content: string }[];
}

/**
 * Makes a disk for cloud-init's data source NoCloud: a FAT file system with the label `CIDATA` that holds these files. It is whole and on the
 * disk, or not there, and readable for its owner alone.
 */
export async function createSeedDisk(options: CreateSeedDiskOptions): Promise<void> {
  const target = requireText(options.target, '$.target');
  const files = options.files.map(({ name, content }, index) => ({
    name: requireText(name, `$.files[${index}].name`),
    content: requireAnyText(content, `$.files[${index}].content`),
  }));
  return settled(() => native.createSeedDisk(target, files));
}

export interface GrowQcow2Options {
  path: string;
  /** Size of the disk, a multiple of 512. One that is as large or larger stays as it is. */
  sizeBytes: number;
  /** The files that the image is based on, the nearest first. */
  backing?: readonly (RecordedBacking & { path: string })[];
}

/**
 * Makes the disk of a qcow2 image larger that no machine uses, else rejects with `disk.locked` (`Machine.growDisk` is for those).
 * Resolves to its size in bytes.
 */
export async function growQcow2(options: GrowQcow2Options): Promise<number> {
  const path = requireText(options.path, '$.path');
  const size = requireBytes(options.sizeBytes, '$.sizeBytes');
  const backing = (options.backing ?? []).map((file, index) => ({
    ...recorded(file, `$.backing[${index}]`),
    path: requireText(file.path, `$.backing[${index}].path`),
  }));
  return settled(() => native.growQcow2(path, size, backing));
}

function recorded({ name, format }: RecordedBacking, field: string): RecordedBacking {
  return { name: requireText(name, `${field}.name`), format };
}

export interface HashFileOptions {
  path: string;
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}

/** The SHA-256 of a file, as 64 hexadecimal digits. */
export async function hashFile(options: HashFileOptions): Promise<string> {
  const path = requireText(options.path, '$.path');
  return watched(options, (cancel, tell) => native.hashFile(path, cancel, tell));
}

interface Watched {
  onProgress?: (progress: FileProgress) => void;
  signal?: AbortSignal;
}

/** A call with progress. A listener that throws would end the process: instead the call is withdrawn and rejects with that error. */
async function watched<T>(
  { onProgress, signal }: Watched,
  call: (cancel: native.CancelToken, tell: (progress: FileProgress) => void) => Promise<unknown>,
): Promise<T> {
  let thrown: { error: unknown } | undefined;
  try {
    return await withSignal<T>(signal, (cancel) =>
      call(cancel, (progress) => {
        if (thrown !== undefined) return;
        try {
          onProgress?.(progress);
        } catch (error) {
          thrown = { error };
          cancel.cancel();
        }
      }),
    );
  } catch (error) {
    throw thrown === undefined ? error : thrown.error;
  }
}
