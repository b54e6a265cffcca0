// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatIpv4 } from '../../../common/ipv4.js';
import type { EnsureNetworkCommand } from '../../../host-agent/host-agent.js';
import type { CommandRunner } from '../../runner/command-runner.js';
import { LEASE_SECONDS } from '../leases/host-leases.js';
import { readLeases, type TakenLease } from '../leases/lease-file.js';
import { noteChange } from '../notes.js';

type Reservation = EnsureNetworkCommand['reservations'][number];

/** Names that in a reservation mean something else to dnsmasq: serve nobody, a lease without an end, the length of a lease. */
const KEYWORD = /^(ignore|infinite|\d+[smhdw]?)$/;

/** Questions about names of others would be one. */
const NO_WAY_OUT = 'no-resolv\n';

/** One dnsmasq for each network: an address for each MAC we know, and names. It outlives this process and is found again by its pid file. */
export class Dnsmasq {
  constructor(
    private readonly runner: CommandRunner,
    private readonly directory: string,
  ) {}

  /** Writes reservations and names; starts the program or lets it read them anew. */
  async ensure(network: EnsureNetworkCommand): Promise<void> {
    const files = this.files(network.id);
    await mkdir(files.directory, { recursive: true, mode: 0o755 });
    const hosts = reservations(network.reservations, await readLeases(files.leases));
    const changed = [
      await noteChange(files.hosts, hosts, 0o644),
      await noteChange(files.names, network.reservations.map((one) => `${one.ip} ${one.hostname}\n`).join(''), 0o644),
    ].includes(true);
    const newConfig = await noteChange(files.config, config(network, files), 0o644);
    const pid = await this.pid(network.id);
    if (pid !== undefined && !newConfig) {
      if (changed) process.kill(pid, 'SIGHUP');
      return;
    }
    if (pid !== undefined) await this.stop(network.id);
    await this.runner.run('dnsmasq', [`--conf-file=${files.config}`]);
  }

  async stop(id: string): Promise<void> {
    const pid = await this.pid(id);
    if (pid !== undefined) process.kill(pid, 'SIGTERM');
    for (let waited = 0; waited < 100 && (await this.pid(id)) !== undefined; waited += 1)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async remove(id: string): Promise<void> {
    await this.stop(id);
    await rm(this.files(id).directory, { recursive: true, force: true });
  }

  /** Where it writes the addresses that guests have taken. */
  leaseFile(id: string): string {
    return this.files(id).leases;
  }

  /** Process id of the running program; a pid that some other program got meanwhile does not count. */
  private async pid(id: string): Promise<number | undefined> {
    const files = this.files(id);
    const pid = Number(await readFile(files.pid, 'utf8').catch(() => ''));
    if (!Number.isInteger(pid) || pid <= 1) return undefined;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return command.includes(`--conf-file=${files.config}`) ? pid : undefined;
  }

  private files(id: string) {
    const directory = join(this.directory, id);
    return {
      directory,
      config: join(directory, 'dnsmasq.conf'),
      hosts: join(directory, 'hosts'),
      names: join(directory, 'names'),
      leases: join(directory, 'leases'),
      pid: join(directory, 'pid'),
    };
  }
}

function config(network: EnsureNetworkCommand, files: { hosts: string; names: string; leases: string; pid: string }): string {
  const [address = '', prefix = ''] = network.subnet.split('/');
  const { domain, gateway, mtu } = network;
  const isolated = network.kind === 'isolated';
  return `# flotilla ${network.id}
interface=${network.bridge}
except-interface=lo
bind-dynamic
no-hosts
domain-needed
bogus-priv
domain=${domain}
local=/${domain}/
expand-hosts
dhcp-authoritative
dhcp-range=${address},static,${netmask(prefix)},${LEASE_SECONDS}
dhcp-option=option:router${isolated ? '' : `,${gateway}`}
dhcp-option=option:dns-server,${gateway}
dhcp-hostsfile=${files.hosts}
addn-hosts=${files.names}
dhcp-leasefile=${files.leases}
pid-file=${files.pid}
${isolated ? NO_WAY_OUT : ''}${mtu === undefined ? '' : `dhcp-option=option:mtu,${mtu}\n`}`;
}

function netmask(prefix: string): string {
  return formatIpv4(2 ** 32 - 2 ** (32 - Number(prefix)));
}

/**
 * The lines of the DHCP server, one for each machine. It remembers a lease for its whole time and gives the address to nobody else meanwhile,
 * unless the reservation names the MAC that has it as well: one that no machine has now.
 */
export function reservations(wanted: readonly Reservation[], leases: readonly TakenLease[]): string {
  const present = new Set(wanted.map(({ mac }) => mac));
  const former = new Map(leases.filter(({ mac }) => !present.has(mac)).map(({ ip, mac }) => [ip, mac]));
  return wanted.map((one) => reservation(one, former.get(one.ip))).join('');
}

/** A machine with a name that is a keyword has its address and its name in DNS all the same. */
function reservation({ mac, ip, hostname }: Reservation, former: string | undefined): string {
  return `${[mac, ...(former === undefined ? [] : [former]), ip, ...(KEYWORD.test(hostname) ? [] : [hostname])].join(',')}\n`;
}
