// SPDX-License-Identifier: Apache-2.0
// Pools on an NFS export. One form from the API to the mount.

/** Version 3 is left out: its locks are kept by daemons of the host, beside the protocol. */
export const NFS_VERSIONS = ['4.1', '4.2'] as const;
export type NfsVersion = (typeof NFS_VERSIONS)[number];

/** While the server is away, guests wait (`hard`), or see I/O errors after `timeo` and `retrans` (`soft`). */
export const NFS_MODES = ['hard', 'soft'] as const;
export type NfsMode = (typeof NFS_MODES)[number];

/** As in nfs(5): tenths of a second, tries, connections. */
export const NFS_RANGES = {
  timeo: { min: 1, max: 6000 },
  retrans: { min: 0, max: 100 },
  nconnect: { min: 1, max: 16 },
} as const;

/** The options of a mount that can be chosen, named as in nfs(5). */
export interface NfsOptions {
  mode?: NfsMode;
  timeo?: number;
  retrans?: number;
  nconnect?: number;
}

/** A directory that a server exports. */
export interface NfsPoolConfig {
  server: string;
  path: string;
  version?: NfsVersion;
  options?: NfsOptions;
}

/** A host name, an IPv4 or an IPv6 address; neither an option nor a path can be mistaken for one. */
export const NFS_SERVER = /^(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)$/;
/** Absolute, without `.` and `..`; the root of an NFSv4 server is one. */
export const NFS_PATH = /^(\/|(\/(?!\.{1,2}(\/|$))[^/\0\n\r]{1,255}){1,16})$/;

/** What is mounted, as mount.nfs takes it and the kernel shows it. */
export function nfsSource({ server, path }: Pick<NfsPoolConfig, 'server' | 'path'>): string {
  return `${server.includes(':') ? `[${server}]` : server}:${path}`;
}

/**
 * Options of the mount. One try each: who wants it mounted tries again. Nothing on the export is a program, a device or gives rights
 * to the host.
 */
export function nfsMountOptions({ version = '4.2', options = {} }: NfsPoolConfig): string[] {
  const { mode = 'hard', ...numbers } = options;
  const chosen = Object.entries(numbers).map(([name, value]) => `${name}=${value}`);
  return [`vers=${version}`, mode, ...chosen, 'sec=sys', 'proto=tcp', 'retry=0', 'nosuid', 'nodev', 'noexec'];
}
