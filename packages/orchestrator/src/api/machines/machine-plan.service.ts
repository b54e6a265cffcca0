// SPDX-License-Identifier: Apache-2.0
import { planThrottling } from './throttle-checks.js';
import { trafficOf } from '../../common/interface-traffic.js';
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { TERMINAL_PORT } from '../../common/console-ports.js';
import { currentContext } from '../../common/context.js';
import { hardwareOf } from '../../common/hardware.js';
import { macFor, newId } from '../../common/ids.js';
import { isUnicastMac } from '../../common/names.js';
import type { Permission } from '../../common/route.js';
import { macvtapOf } from '../../common/macvtap.js';
import { userNetworkOf } from '../../common/user-network.js';
import { Config } from '../../config/config.js';
import { roleAllows } from '../auth/roles.js';
import { HostsService } from '../hosts/hosts.service.js';
import { ImagesService } from '../images/images.service.js';
import { formatIpv4 } from '../../common/ipv4.js';
import { addressIn } from '../networks/network-addresses.js';
import { DEFAULT_NETWORK, type Network } from '../networks/network.js';
import { NetworksService } from '../networks/networks.service.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';
import type { InterfaceDto } from './dto/machine-spec.dto.js';
import { type DiskPlan, DiskPlanner } from './disk-plan.service.js';
import { planBalloon } from './machine-balloon.js';
import { checkHardware } from './machine-hardware.js';
import { MachineMemory } from './machine-memory.service.js';
import { planCloudInit } from './cloud-init-checks.js';
import { planShares } from './share-checks.js';
import { refuseDuplicates } from './duplicates.js';
import { requireOneNetwork } from './network-checks.js';
import { checkUserNetworks } from './user-network-checks.js';
import { type InterfaceSpec, type MachineSpec, toPolicy } from './machine.js';

/** A wished machine with every reference resolved, before anything is stored. */
export interface MachinePlan extends DiskPlan {
  spec: MachineSpec;
  networks: Map<string, Network>;
}

/** Turns the body of a create into a plan, or refuses it with the field at fault. Writes nothing. */
@Injectable()
export class MachinePlanner {
  constructor(
    private readonly images: ImagesService,
    private readonly networks: NetworksService,
    private readonly hosts: HostsService,
    private readonly memory: MachineMemory,
    private readonly config: Config,
    private readonly disks: DiskPlanner,
  ) {}

  async plan(body: CreateMachine): Promise<MachinePlan> {
    requireRights(body);
    const id = newId('mac');
    await this.checkHost(body);
    checkHardware(body);
    refuseDuplicates('disks', body.disks ?? [], 'name');
    refuseDuplicates('interfaces', body.interfaces ?? [], 'name');
    refuseDuplicates('throttleGroups', body.throttleGroups ?? [], 'name');
    requireOneNetwork(body);
    checkPorts(body.console?.ports ?? []);
    checkUserNetworks(body);
    const kernel = await this.images.resolve(body.boot.kernel, 'kernel', 'boot.kernel');
    const initrd = body.boot.initrd === undefined ? undefined : await this.images.resolve(body.boot.initrd, 'initrd', 'boot.initrd');
    const plan: MachinePlan = {
      id,
      images: [
        { id: kernel.id, kind: 'kernel', field: 'boot.kernel' },
        ...(initrd === undefined ? [] : [{ id: initrd.id, kind: 'initrd' as const, field: 'boot.initrd' }]),
      ],
      newVolumes: [],
      disks: [],
      networks: new Map(),
      bounds: new Map(),
      spec: undefined as never,
    };
    const disks = [];
    for (const [index, disk] of (body.disks ?? []).entries()) disks.push(await this.disks.plan(plan, body.name, disk, `disks[${index}]`));
    const interfaces = await this.planInterfaces(plan, body);
    plan.spec = {
      ...planProfile(body),
      cpus: body.cpus,
      memoryMiB: body.memoryMiB,
      ...hardwareOf(body),
      disks,
      interfaces,
      ...planShares(body, this.config.shareRoots),
      rng: body.rng ?? true,
      ...planThrottling(body),
      ...(body.vsock === undefined ? {} : { vsock: { cid: body.vsock.cid ?? 3, maxConnections: body.vsock.maxConnections ?? 1023 } }),
      ...planBalloon(body),
      ...(body.console === undefined ? {} : { console: { ports: (body.console.ports ?? []).map(({ name }) => ({ name })) } }),
      ...(body.watchdog === undefined ? {} : { watchdog: { action: body.watchdog.action ?? 'reset' } }),
      ...planCloudInit(body, body.disks),
      isolation: body.isolation ?? 'process',
      onReboot: body.onReboot ?? 'restart',
      onCrash: body.onCrash ?? 'stop',
      boot: {
        kernel: kernel.id,
        ...(initrd === undefined ? {} : { initrd: initrd.id }),
        ...(body.boot.commandLine === undefined ? {} : { commandLine: body.boot.commandLine }),
      },
      restartPolicy: toPolicy(body.restartPolicy),
    };
    return plan;
  }

  /** Refuses what this host does not have. */
  async checkHost({ memoryMiB = 0 }: { memoryMiB?: number }): Promise<void> {
    const hostMemory = await this.hosts.memoryMiB();
    if (memoryMiB <= hostMemory || this.memory.overcommit) return;
    throw new ApiError('spec.memory_too_large', {
      detail: `The machine asks for ${memoryMiB} MiB; the host has ${hostMemory} MiB.`,
      remedy: `Give at most ${hostMemory} MiB.`,
      field: 'memoryMiB',
    });
  }

  private async planInterfaces(plan: MachinePlan, body: CreateMachine): Promise<InterfaceSpec[]> {
    const specs: InterfaceSpec[] = [];
    for (const [index, link] of (body.interfaces ?? []).entries()) {
      const field = `interfaces[${index}]`;
      if (link.mac !== undefined && !isUnicastMac(link.mac)) {
        throw new ApiError('spec.mac_invalid', {
          detail: `${link.mac} is a multicast address or all zero.`,
          remedy: 'The lowest bit of the first pair must be 0, for example 02:...',
          field: `${field}.mac`,
        });
      }
      if (link.backend === 'vhost' && link.allowSpoofedMac === false) {
        throw new ApiError('spec.spoof_guard_unsupported', {
          detail: 'The backend vhost looks at no address, so that it cannot keep spoofed ones back.',
          remedy: 'Use the backend tap, or allow spoofed addresses.',
          field: `${field}.allowSpoofedMac`,
        });
      }
      const mac = (link.mac ?? macFor(plan.id, link.name)).toLowerCase();
      specs.push({ name: link.name, ...(await this.planNetwork(plan, link, field)), mac, ...trafficOf(link) });
    }
    return specs;
  }

  private async planNetwork(
    plan: MachinePlan,
    link: InterfaceDto,
    field: string,
  ): Promise<Pick<InterfaceSpec, 'network' | 'address' | 'user' | 'macvtap'>> {
    if (link.macvtap !== undefined) return { macvtap: macvtapOf(link.macvtap) };
    if (link.user !== undefined) return { user: userNetworkOf(link.user) };
    const network = await this.networks.load(link.network ?? DEFAULT_NETWORK, `${field}.network`);
    if (network.kind === 'bridge') requireRight('machines:host-link', `${field}.network`, ON_HOST);
    plan.networks.set(network.id, network);
    if (link.address === undefined) return { network: network.id };
    return { network: network.id, address: formatIpv4(addressIn(network, link.address, `${field}.address`)) };
  }
}

const ON_HOST = {
  because: 'such a guest is on the network that the host is on, without any rule in between',
  instead: 'Put the interface on a network of ours',
};

/** What only some may ask for. */
function requireRights(body: CreateMachine): void {
  if (body.isolation === 'in-process') {
    requireRight('machines:in-process', 'isolation', {
      because: 'such a guest runs inside the host agent, outside of any sandbox',
      instead: 'Leave isolation out (a worker process of its own)',
    });
  }
  const index = (body.interfaces ?? []).findIndex((link) => link.user !== undefined);
  if (index >= 0) {
    requireRight('machines:user-network', `interfaces[${index}].user`, {
      because: 'such a guest reaches what the host reaches, and takes ports of the host',
      instead: 'Put the interface on a network',
    });
  }
  if ((body.shares ?? []).length > 0) {
    requireRight('machines:shares', 'shares', {
      because: 'such a guest reads and writes files of the host, in the place of its root user',
      instead: 'Leave shares out, and give the machine a disk',
    });
  }
  const onLink = (body.interfaces ?? []).findIndex((link) => link.macvtap !== undefined);
  if (onLink >= 0) {
    requireRight('machines:host-link', `interfaces[${onLink}].macvtap`, ON_HOST);
  }
}

function requireRight(right: Permission, field: string, { because, instead }: { because: string; instead: string }): void {
  const principal = currentContext()?.principal;
  if (principal === undefined || roleAllows(principal.role, right)) return;
  throw new ApiError('auth.forbidden', {
    detail: `The key "${principal.name}" has the role ${principal.role}, which lacks the permission ${right}: ${because}.`,
    remedy: `${instead}, or use an admin key.`,
    field,
  });
}

/** What a profile brings along, and what it does without. */
function planProfile({ profile = 'standard', acpi, numa = [], watchdog }: CreateMachine): Pick<MachineSpec, 'profile' | 'acpi'> {
  if (profile === 'standard' && acpi === false) {
    throw new ApiError('spec.profile_conflict', {
      detail: 'A machine of the profile standard is described by ACPI tables.',
      remedy: 'Leave acpi out, or use the profile micro.',
      field: 'acpi',
    });
  }
  const described = acpi ?? profile === 'standard';
  if (numa.length > 0 && !described) {
    throw new ApiError('spec.profile_conflict', {
      detail: 'Only ACPI tables tell a guest of NUMA nodes, and this machine has none.',
      remedy: 'Give acpi: true, or leave numa out.',
      field: 'numa',
    });
  }
  if (watchdog !== undefined && !described) {
    throw new ApiError('spec.profile_conflict', {
      detail: 'Only an ACPI table tells a guest of its watchdog, and this machine has none.',
      remedy: 'Give acpi: true, or leave watchdog out.',
      field: 'watchdog',
    });
  }
  return { profile, acpi: described };
}

function checkPorts(ports: { name: string }[]): void {
  refuseDuplicates('console.ports', ports, 'name');
  const index = ports.findIndex(({ name }) => name === TERMINAL_PORT);
  if (index < 0) return;
  throw new ApiError('spec.duplicate_name', {
    detail: `The name "${TERMINAL_PORT}" is that of the terminal of the console.`,
    remedy: 'Give the port another name.',
    field: `console.ports[${index}].name`,
  });
}
