// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../../common/api-error.js';
import { MountRefused } from './mounts.js';

const AWAY_REMEDY =
  'Look at the server and at the network to it. The pool comes back by itself; until then machines on it wait, or see I/O errors, as its mode says.';
/** What the program that mounts says when the export is at fault, and not the way to it. */
const AT_THE_EXPORT = /access denied|No such file|not exported|Not a directory/i;

/** What is said of a pool on an export. */
export class NfsErrors {
  constructor(private readonly source: string) {}

  /** What the process that works on it says of it. */
  get setup(): { known: string; field: string; remedy: string } {
    return { known: `The NFS export ${this.source}`, field: 'nfs.path', remedy: AWAY_REMEDY };
  }

  away(why: string, cause?: unknown): ApiError {
    return new ApiError('pool.unavailable', { detail: `The NFS export ${this.source} cannot be used. ${why}`, remedy: AWAY_REMEDY, cause });
  }

  /** It is to be unmounted. */
  unanswered(error: unknown): ApiError {
    const { message: detail, code } = this.from(error);
    return new ApiError(code, {
      detail,
      remedy: 'Wait for the server, or stop the pool with force: what was not yet written there is lost.',
      cause: error,
    });
  }

  foreign(point: string, found: string): ApiError {
    return new ApiError('pool.unavailable', {
      detail: `${point} is where the NFS export ${this.source} is to be mounted, and ${found} is mounted there.`,
      remedy: `Unmount it: umount ${point}`,
    });
  }

  rooted(): ApiError {
    return new ApiError('pool.outside_roots', {
      detail: 'Storage pools of this host may be below directories of its own only.',
      remedy: 'Start it without `--pool-root`, or mount the export below such a directory and define a pool of the kind dir there.',
      field: 'nfs',
    });
  }

  /** Why it cannot be defined, by the field that is at fault. */
  atDefinition(error: unknown): ApiError {
    if (!(error instanceof MountRefused)) return this.from(error);
    if (error.why !== 'refused' || !AT_THE_EXPORT.test(error.said)) return this.from(error).at('nfs.server');
    return new ApiError('pool.place_invalid', {
      detail: `${this.source} is not mounted: ${error.said}.`,
      remedy: 'Have the server export that directory to this host: read-write, with no_root_squash.',
      field: 'nfs.path',
    });
  }

  from(error: unknown): ApiError {
    if (!(error instanceof MountRefused)) return ApiError.from(error);
    const { why, said } = error;
    if (why === 'busy')
      return new ApiError('pool.in_use', {
        detail: `Something on the host has files of ${this.source} open: ${said}.`,
        remedy: 'End what has them open (fuser -m finds it), or stop the pool with force.',
      });
    if (why === 'missing-program')
      return new ApiError('pool.unavailable', {
        detail: `The NFS export ${this.source} cannot be mounted: ${said}.`,
        remedy: 'Install it: apt-get install nfs-common',
      });
    return this.away(`The host says: ${said}.`, error);
  }
}
