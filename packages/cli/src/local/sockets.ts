// SPDX-License-Identifier: Apache-2.0
// Who owns the other end of a TCP connection to this very host, read from the kernel's tables (proc(5), /proc/net/tcp and tcp6).

/** One end of a TCP connection, as Node names it. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** The texts of /proc/net/tcp and /proc/net/tcp6, each from one read: the kernel lists what listens before what is connected. */
export type SocketTables = readonly string[];

interface Row {
  readonly local: End;
  readonly remote: End;
  readonly state: string;
  readonly uid: number;
}

/** States of the kernel, include/net/tcp_states.h. A connection that nobody has accepted may still be in `synReceived`. */
const State = { established: '01', synReceived: '03', listen: '0A' } as const;

/**
 * The users who may read what is sent to `server` over the connection that began at `client`: the owner of its socket there, and the
 * owners of what listens at that address. Both count: Linux 6.1 shows a connection as root's until it is accepted, whoever listens; and
 * once it is accepted, its listener may be closed. Undefined when the other end is not on this host.
 */
export function ownersOf(server: End, client: End, tables: SocketTables): ReadonlySet<number> | undefined {
  for (const table of tables) {
    const rows = rowsOf(table);
    const connection = rows.find(
      ({ local, remote, state }) =>
        (state === State.established || state === State.synReceived) && isSame(local, server) && isSame(remote, client),
    );
    if (connection === undefined) continue;
    // A connection is in the table of its listener, so those of the other family are not asked.
    const listeners = rows.filter(({ local, state }) => state === State.listen && listensAt(local, server));
    return new Set([connection, ...listeners].map(({ uid }) => uid));
  }
  return undefined;
}

function rowsOf(table: string): Row[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, remote, state, , , , uid] = line.trim().split(/\s+/);
      if (local === undefined || remote === undefined || state === undefined || !/^\d+$/.test(uid ?? '')) return [];
      return [{ local: endOf(local), remote: endOf(remote), state, uid: Number(uid) }];
    });
}

/** `0100007F:1B9E` → 127.0.0.1, 7070. Each word of an address is printed as the host's processor reads it: little-endian on ours. */
function endOf(text: string): End {
  const [address = '', port = ''] = text.split(':');
  const bytes = (address.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex')].reverse());
  return { address: addressOf(bytes), port: Number.parseInt(port, 16) };
}

function addressOf(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16));
  return canonical(groups.join(':'));
}

/** One spelling for each address; IPv4 within IPv6 is IPv4. */
function canonical(address: string): string {
  if (!address.includes(':')) return address;
  const url = `http://[${address}]`;
  const short = URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : address;
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  return [high, low].flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]).join('.');
}

function isSame(one: End, other: End): boolean {
  return one.port === other.port && canonical(one.address) === canonical(other.address);
}

function listensAt(listener: End, server: End): boolean {
  return isSame(listener, server) || (listener.port === server.port && ['0.0.0.0', '::'].includes(listener.address));
}
