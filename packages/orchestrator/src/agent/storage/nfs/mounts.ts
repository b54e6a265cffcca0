// SPDX-License-Identifier: Apache-2.0

/** What is mounted somewhere. */
export interface Mounted {
  /** What was named when it was mounted. */
  source: string;
  /** Where its files are. */
  directory: string;
}

/** What is to be mounted. */
export interface WantedMount {
  source: string;
  /** Directory to mount at; it is made, and goes when nothing is mounted there any more. */
  point: string;
  options: readonly string[];
}

/** Port to the mounts of the host. Nothing here waits for a server without a bound. */
export abstract class Mounts {
  /** What is mounted at a place, found without looking into it. */
  abstract find(point: string): Promise<Mounted | undefined>;
  /** Fails with what was said, see `MountRefused`. */
  abstract mount(wanted: WantedMount): Promise<void>;
  /** `force`: what waits for the server fails, and the mount goes though something has it open. */
  abstract unmount(point: string, force: boolean): Promise<void>;
}

/** Why something is not mounted, or stays mounted. */
export class MountRefused extends Error {
  override name = 'MountRefused';

  constructor(
    readonly why: 'missing-program' | 'refused' | 'no-answer' | 'busy',
    /** What was said, without a full stop. */
    readonly said: string,
  ) {
    super(said);
  }
}
