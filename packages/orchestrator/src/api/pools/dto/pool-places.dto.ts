// SPDX-License-Identifier: Apache-2.0
// Where a pool is, by its kind.
import { EnumField, IntField, ObjectField, StringField } from '../../../common/dto/fields.js';
import { LVM_NAME } from '../../../common/lvm.js';
import { NFS_MODES, NFS_PATH, NFS_RANGES, NFS_SERVER, NFS_VERSIONS, type NfsMode, type NfsVersion } from '../../../common/nfs.js';
import { POOL_PATH } from '../../../common/pool.js';

const code = 'pool.config_invalid';

/** Where a pool of the kind `dir` is. */
export class DirPoolDto {
  @StringField({
    description:
      'Absolute path of a directory of the host: an empty one, or one that is made. A file in it, `.flotilla-pool`, says that it is the ' +
      'pool; without it, as when its file system is not mounted, nothing is written there.',
    maxLength: 4095,
    pattern: POOL_PATH,
    code,
    remedy: 'Give an absolute path without . and .. and not the root directory.',
  })
  path: string;
}

/** Options of the mount, as in nfs(5). */
export class NfsOptionsDto {
  @EnumField({
    description:
      'While the server is away, guests wait (`hard`), or see I/O errors after `timeo` and `retrans` (`soft`), which may cost them data.',
    values: NFS_MODES,
    optional: true,
    default: 'hard',
  })
  mode?: NfsMode;
  @IntField({ description: 'Tenths of a second until a request is sent again.', optional: true, ...NFS_RANGES.timeo, code }) timeo?: number;
  @IntField({ description: 'How often it is sent again before it is an error, or a message.', optional: true, ...NFS_RANGES.retrans, code })
  retrans?: number;
  @IntField({ description: 'Connections to the server.', optional: true, ...NFS_RANGES.nconnect, code }) nconnect?: number;
}

/** What a pool of the kind `nfs` is on. */
export class NfsPoolDto {
  @StringField({
    description: 'Name or address of the server.',
    maxLength: 253,
    pattern: NFS_SERVER,
    code,
    remedy: 'Give a host name, an IPv4 or an IPv6 address.',
  })
  server: string;
  @StringField({
    description:
      'Absolute path of an empty directory that it exports to this host with `no_root_squash`. A file in it, `.flotilla-pool`, says that ' +
      'it is the pool.',
    maxLength: 4095,
    pattern: NFS_PATH,
    code,
    remedy: 'Give an absolute path without . and ..',
  })
  path: string;
  @EnumField({ description: 'Version of the protocol.', values: NFS_VERSIONS, optional: true, default: '4.2' }) version?: NfsVersion;
  @ObjectField(() => NfsOptionsDto, { description: 'Options of the mount.', optional: true }) options?: NfsOptionsDto;
}

const NAME = { maxLength: 127, pattern: LVM_NAME, code, remedy: 'Give the name that `vgs` or `lvs` shows, not a path or a tag.' } as const;

/** Where a pool of the kind `lvm-thin` is. */
export class LvmThinPoolDto {
  @StringField({ description: 'Name of a volume group that there is.', ...NAME }) volumeGroup: string;
  @StringField({
    description:
      'Name of a thin pool in it, which zeroes its blocks (`lvchange -Zy`). A tag of the thin pool says that it is the pool; other ' +
      'volumes in it are left alone.',
    ...NAME,
  })
  thinPool: string;
}

/** Where a pool of the kind `lvm` is. */
export class LvmPoolDto {
  @StringField({
    description: 'Name of a volume group that there is. A tag of it says that it is the pool; other volumes in it are left alone.',
    ...NAME,
  })
  volumeGroup: string;
}
