// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { KeyedQueue } from '../../../common/async.js';
import type { NetworkKind } from '../../../common/network.js';
import type { EnsureBridgeCommand, EnsureNetworkCommand, HostLease, LaunchInterface } from '../../../host-agent/host-agent.js';
import type { CommandRunner } from '../../runner/command-runner.js';
import { bridgeMissing, requireNamed } from '../host-bridge.js';
import { isThere, linkLabel } from '../host-link.js';
import { NetworkDriver } from '../network-driver.js';
import { tapName } from '../tap-name.js';
import { leasesOf } from '../leases/host-leases.js';
import { readLeases } from '../leases/lease-file.js';
import { LeaseWatcher } from '../leases/lease-watcher.js';
import { formatTapNote, readTapNote } from '../leases/tap-note.js';
import { TapOwners } from '../leases/tap-owners.js';
import { Dnsmasq } from './dnsmasq.js';
import { Forwarding } from './forwarding.js';
import { note, noteChange, noted, notedNow } from '../notes.js';
import { NetworkTables } from './network-tables.js';
import type { Keep } from '../../touched.js';

/** The part of the native package that makes taps. */
export interface TapTools {
  createTap(options: { name: string; multiQueue?: boolean }): Promise<void>;
  deleteTap(name: string): Promise<void>;
}

export interface NatOptions {
  /** What was made, noted before it is made: survives a crash and a host reboot. */
  stateDirectory: string;
  /** Files of the running programs. */
  runtimeDirectory: string;
  native: TapTools;
  /** Bridges of the host that guests may be on. */
  hostBridges?: readonly string[];
}

interface Link {
  ifname: string;
  ifalias?: string;
  flags?: string[];
  master?: string;
  mtu?: number;
  linkinfo?: { info_kind?: string };
  addr_info?: { local?: string }[];
}
interface Route {
  dst?: string;
}

/** MTU of links that are made without one. */
const DEFAULT_MTU = 1500;

/** Networks of ours: a bridge, our own nftables table and a dnsmasq each. All of it is noted on disk and carries our label. */
export class NatNetwork extends NetworkDriver {
  private readonly taps: string;
  private readonly owners = new TapOwners();
  private readonly networks: string;
  private readonly dnsmasq: Dnsmasq;
  private readonly tables: NetworkTables;
  private readonly forwarding: Forwarding;
  private readonly watcher = new LeaseWatcher();
  private readonly queue = new KeyedQueue();

  constructor(
    private readonly runner: CommandRunner,
    private readonly options: NatOptions,
  ) {
    super();
    this.taps = join(options.stateDirectory, 'taps');
    this.networks = join(options.stateDirectory, 'networks');
    for (const path of [this.taps, this.networks]) mkdirSync(path, { recursive: true, mode: 0o700 });
    mkdirSync(options.runtimeDirectory, { recursive: true, mode: 0o755 });
    this.dnsmasq = new Dnsmasq(runner, options.runtimeDirectory);
    this.tables = new NetworkTables(runner);
    this.forwarding = new Forwarding(join(options.stateDirectory, 'ip-forward'));
  }

  override async usedSubnets(): Promise<string[]> {
    const { stdout } = await this.runner.run('ip', ['-j', '-4', 'route', 'show', 'table', 'all']);
    const routes = JSON.parse(stdout === '' ? '[]' : stdout) as Route[];
    return routes.map((route) => route.dst ?? 'default').filter((destination) => destination !== 'default');
  }

  /** Looks at the host and makes what is missing there, by whatever it went. */
  override async ensureNetwork(command: EnsureNetworkCommand | EnsureBridgeCommand): Promise<void> {
    await this.queue.run(command.id, async () => {
      if (command.kind === 'bridge') return this.joinBridge(command);
      await noteChange(join(this.networks, command.id), JSON.stringify(command));
      await this.ensureBridge(command);
      if (forwards(command)) await this.forwarding.enable();
      await this.tables.ensure(command);
      await this.dnsmasq.ensure(command);
      this.watcher.add(command.id, this.dnsmasq.leaseFile(command.id));
    });
  }

  override async removeNetwork(id: string): Promise<void> {
    await this.queue.run(id, async () => {
      const network = await this.find(id);
      if (network === undefined) return;
      this.watcher.remove(id);
      if (network.kind === 'bridge') return rm(join(this.networks, id), { force: true });
      await this.dnsmasq.remove(id);
      const link = await this.link(network.bridge);
      if (link !== undefined && isOurs(link, id)) await this.runner.run('ip', ['link', 'delete', 'dev', network.bridge]);
      await this.tables.remove(network);
      await rm(join(this.networks, id), { force: true });
      await this.forwarding.restore(async () => {
        const left = await Promise.all((await noted(this.networks)).map((one) => this.find(one)));
        return left.some((one) => one !== undefined && forwards(one));
      });
    });
  }

  override async attach(machineId: string, link: LaunchInterface): Promise<string> {
    const name = tapName(machineId, link.name);
    const { bridge, mtu, address } = await this.placeOf(link);
    const found = await this.link(name);
    if (found?.ifalias === linkLabel(machineId) && found.master === bridge) return name;
    await note(join(this.taps, name), formatTapNote({ machine: machineId, mac: link.mac, network: link.networkId }));
    if (found === undefined) await this.options.native.createTap({ name, ...((link.queues ?? 1) > 1 ? { multiQueue: true } : {}) });
    const lines = [
      `link set dev ${name} alias ${linkLabel(machineId)} mtu ${mtu}${address === undefined ? '' : ` address ${address}`}`,
      `link set dev ${name} master ${bridge} up`,
    ];
    await this.runner.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
    return name;
  }

  override async detach(machineId: string): Promise<void> {
    for (const name of await noted(this.taps)) {
      if ((await this.owners.of(join(this.taps, name))) === machineId) await this.removeTap(name);
    }
  }

  override async leases(): Promise<HostLease[]> {
    const taps = (await Promise.all((await noted(this.taps)).map((name) => readTapNote(join(this.taps, name))))).filter(
      (tap) => tap !== undefined,
    );
    const found = await Promise.all(
      (await noted(this.networks)).map(async (id) => leasesOf(id, await readLeases(this.dnsmasq.leaseFile(id)), taps)),
    );
    return found.flat();
  }

  /** Networks that an earlier process made are watched from now on too. */
  override onLeases(changed: () => void): () => void {
    for (const id of notedNow(this.networks)) this.watcher.add(id, this.dnsmasq.leaseFile(id));
    return this.watcher.listen(changed);
  }

  override async collect(owned: { machines: Keep; networks: Keep }): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await noted(this.taps)) {
      const machine = await this.owners.of(join(this.taps, name));
      if (machine === undefined || owned.machines.has(machine)) continue;
      await this.removeTap(name);
      removed.push(`tap ${name}`);
    }
    for (const id of await noted(this.networks)) {
      if (owned.networks.has(id)) continue;
      await this.removeNetwork(id);
      removed.push(`network ${id}`);
    }
    return removed;
  }

  override close(): Promise<void> {
    this.watcher.close();
    return Promise.resolve();
  }

  /** Sees to it that the taps of a network are on a bridge of the host; nothing else of that is ours. */
  private async joinBridge(command: EnsureBridgeCommand): Promise<void> {
    const { hostBridge } = command;
    requireNamed(hostBridge, this.options.hostBridges ?? []);
    await this.requireBridge(hostBridge);
    await noteChange(join(this.networks, command.id), JSON.stringify(command));
    const lines = (await this.presentTaps(command.id)).map((tap) => `link set dev ${tap} master ${hostBridge} up\n`);
    if (lines.length > 0) await this.runner.run('ip', ['-batch', '-'], { input: lines.join('') });
  }

  private async requireBridge(name: string): Promise<Link> {
    const found = await this.link(name);
    if (found?.linkinfo?.info_kind !== 'bridge') throw bridgeMissing(name);
    return found;
  }

  /**
   * The bridge that a tap goes to, its MTU, and the address of the host's end. A tap with a smaller MTU would make that of a bridge of the
   * host smaller, and one with the lowest address of all ports would give it to that bridge.
   */
  private async placeOf({ networkId, bridge, mac }: LaunchInterface): Promise<{ bridge: string; mtu: number; address?: string }> {
    const network = await this.find(networkId);
    if (network?.kind !== 'bridge') return { bridge, mtu: network?.mtu ?? DEFAULT_MTU };
    requireNamed(network.hostBridge, this.options.hostBridges ?? []);
    const { mtu = DEFAULT_MTU } = await this.requireBridge(network.hostBridge);
    return { bridge: network.hostBridge, mtu, address: `fe${mac.slice(2)}` };
  }

  private async ensureBridge(command: EnsureNetworkCommand): Promise<void> {
    const { bridge, gateway, mtu = DEFAULT_MTU } = command;
    const found = await this.link(bridge);
    // A crash between the two first lines below leaves a bridge without a label: it has our name, so it is ours.
    if (found !== undefined && !isOurs(found, command.id)) {
      throw new ApiError('network.place_taken', {
        detail: `The link ${bridge} is there already and is not ours (label "${found.ifalias ?? ''}").`,
        remedy: `If nothing uses it, remove it: ip link delete dev ${bridge}.`,
      });
    }
    if (found !== undefined && isMade(found, gateway, mtu)) return;
    // Up comes last: what a failure leaves undone is seen by the next call.
    const prefix = command.subnet.split('/')[1] ?? '24';
    const lines = [
      ...(found === undefined ? [`link add name ${bridge} type bridge stp_state 0 forward_delay 0`] : []),
      `link set dev ${bridge} alias ${linkLabel(command.id)}`,
      `link set dev ${bridge} mtu ${mtu}`,
      `address replace ${gateway}/${prefix} dev ${bridge}`,
      ...(await this.presentTaps(command.id)).map((tap) => `link set dev ${tap} mtu ${mtu} master ${bridge} up`),
      `link set dev ${bridge} up`,
    ];
    await this.runner.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  /** A network as it was last made. */
  private async find(id: string): Promise<EnsureNetworkCommand | EnsureBridgeCommand | undefined> {
    const text = await readFile(join(this.networks, id), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as EnsureNetworkCommand | EnsureBridgeCommand);
  }

  /** Taps of a network that are on the host: a bridge that somebody took away has left them without one. */
  private async presentTaps(id: string): Promise<string[]> {
    const names = await noted(this.taps);
    if (names.length === 0) return [];
    const { stdout } = await this.runner.run('ip', ['-j', 'link', 'show']);
    const present = new Set((JSON.parse(stdout === '' ? '[]' : stdout) as Link[]).map((link) => link.ifname));
    const notes = await Promise.all(names.map(async (name) => ({ name, tap: await readTapNote(join(this.taps, name)) })));
    return notes.filter(({ name, tap }) => present.has(name) && tap?.network === id).map(({ name }) => name);
  }

  private async link(name: string): Promise<Link | undefined> {
    if (!isThere(name)) return undefined;
    const { status, stdout } = await this.runner.run('ip', ['-j', '-d', 'address', 'show', 'dev', name], { accept: [1] });
    if (status !== 0) return undefined;
    return (JSON.parse(stdout) as Link[]).find((link) => link.ifname === name);
  }

  private async removeTap(name: string): Promise<void> {
    if ((await this.link(name)) !== undefined) await this.options.native.deleteTap(name);
    await rm(join(this.taps, name), { force: true });
    this.owners.forget(name);
    this.watcher.soon();
  }
}

/** Whether a link is the bridge of a network. One that was made and not yet labelled when the process died is: it has our name. */
function isOurs({ ifalias, linkinfo }: Link, id: string): boolean {
  return linkinfo?.info_kind === 'bridge' && (ifalias ?? linkLabel(id)) === linkLabel(id);
}

function isMade({ addr_info: addresses = [], flags = [], mtu: found }: Link, gateway: string, mtu: number): boolean {
  return addresses.some((one) => one.local === gateway) && flags.includes('UP') && found === mtu;
}

/** Whether packets of its machines pass the host; of those that an earlier version noted they do. */
function forwards({ kind }: { kind?: NetworkKind }): boolean {
  return kind !== 'isolated' && kind !== 'bridge';
}
