// SPDX-License-Identifier: Apache-2.0
import { trafficOf } from '../../common/interface-traffic.js';
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { currentContext } from '../../common/context.js';
import { hardwareOf } from '../../common/hardware.js';
import { macFor, newId } from '../../common/ids.js';
import { isUnicastMac } from '../../common/names.js';
import { diskTuning } from '../../host-agent/disk-tuning.js';
import { roleAllows } from '../auth/roles.js';
import { HostsService } from '../hosts/hosts.service.js';
import type { ImageKind } from '../images/image.js';
import { ImagesService } from '../images/images.service.js';
import type { Network } from '../networks/network.js';
import { DEFAULT_NETWORK, NetworksService } from '../networks/networks.service.js';
import { DEFAULT_POOL } from '../pools/pools.service.js';
import type { Volume } from '../volumes/volume.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';
import type { DiskDto, RestartPolicyDto } from './dto/machine-spec.dto.js';
import { checkHardware } from './machine-hardware.js';
import { MachineMemory } from './machine-memory.service.js';
import type { DiskSpec, InterfaceSpec, MachineDisk, MachineSpec, RestartPolicy } from './machine.js';

const MEBIBYTE = 1024 * 1024;

/** An image that the machine is made from, and the field that asked for it. */
export interface PlannedImage {
  id: string;
  kind: ImageKind;
  field: string;
}

/** A wished machine with every reference resolved, before anything is stored. */
export interface MachinePlan {
  id: string;
  spec: MachineSpec;
  images: PlannedImage[];
  /** Volumes to make, each with the image it is copied from. */
  newVolumes: Volume[];
  disks: MachineDisk[];
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
  ) {}

  async plan(body: CreateMachine): Promise<MachinePlan> {
    requireInProcessRight(body);
    const id = newId('mac');
    const hostMemory = await this.hosts.memoryMiB();
    if (body.memoryMiB > hostMemory && !this.memory.overcommit) {
      throw new ApiError('spec.memory_too_large', {
        detail: `The machine asks for ${body.memoryMiB} MiB; the host has ${hostMemory} MiB.`,
        remedy: `Give at most ${hostMemory} MiB.`,
        field: 'memoryMiB',
      });
    }
    checkHardware(body);
    refuseDuplicates('disks', body.disks ?? []);
    refuseDuplicates('interfaces', body.interfaces ?? []);
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
      spec: undefined as never,
    };
    const disks = [];
    for (const [index, disk] of (body.disks ?? []).entries()) disks.push(await this.planDisk(plan, body.name, disk, `disks[${index}]`));
    const interfaces = await this.planInterfaces(plan, body);
    plan.spec = {
      ...planProfile(body),
      cpus: body.cpus,
      memoryMiB: body.memoryMiB,
      ...hardwareOf(body),
      disks,
      interfaces,
      rng: body.rng ?? true,
      ...(body.vsock === undefined ? {} : { vsock: { cid: body.vsock.cid ?? 3, maxConnections: body.vsock.maxConnections ?? 1023 } }),
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

  private async planDisk(plan: MachinePlan, machineName: string, disk: DiskDto, field: string): Promise<DiskSpec> {
    const extras = {
      readOnly: disk.readOnly ?? false,
      ...(disk.serial === undefined ? {} : { serial: disk.serial }),
      ...(disk.sizeMiB === undefined ? {} : { sizeMiB: disk.sizeMiB }),
      ...diskTuning(disk),
    };
    if (
      (disk.image === undefined && disk.volume === undefined && disk.sizeMiB === undefined) ||
      (disk.image !== undefined && disk.volume !== undefined)
    ) {
      throw new ApiError('spec.disk_invalid', {
        detail: 'A disk comes from an image, from a volume, or is empty with a size.',
        remedy: 'Give one of image and volume, or sizeMiB alone.',
        field,
      });
    }
    if (disk.volume !== undefined) {
      plan.disks.push({ name: disk.name, volume: disk.volume });
      return { name: disk.name, volume: disk.volume, ...extras };
    }
    const image = disk.image === undefined ? undefined : await this.images.resolve(disk.image, 'disk', `${field}.image`);
    const sizeBytes = Math.max(image?.sizeBytes ?? 0, (disk.sizeMiB ?? 0) * MEBIBYTE);
    if (disk.sizeMiB !== undefined && disk.sizeMiB * MEBIBYTE < (image?.sizeBytes ?? 0)) {
      throw new ApiError('spec.disk_invalid', {
        detail: `The image has ${image?.sizeBytes} bytes; a disk cannot be smaller.`,
        remedy: 'Give a larger sizeMiB, or leave it out.',
        field: `${field}.sizeMiB`,
      });
    }
    const volume: Volume = {
      id: newId('vol'),
      name: `${machineName}-${disk.name}`,
      pool: DEFAULT_POOL,
      sizeBytes,
      format: 'raw',
      machine: plan.id,
      state: 'creating',
      createdAt: new Date().toISOString(),
    };
    plan.newVolumes.push(volume);
    plan.disks.push({ name: disk.name, volume: volume.id });
    if (image !== undefined) plan.images.push({ id: image.id, kind: 'disk', field: `${field}.image` });
    return { name: disk.name, ...(image === undefined ? {} : { image: image.id }), ...extras };
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
      const network = await this.networks.load(link.network ?? DEFAULT_NETWORK, `${field}.network`);
      plan.networks.set(network.id, network);
      if (link.backend === 'vhost' && link.allowSpoofedMac === false) {
        throw new ApiError('spec.spoof_guard_unsupported', {
          detail: 'The backend vhost looks at no address, so that it cannot keep spoofed ones back.',
          remedy: 'Use the backend tap, or allow spoofed addresses.',
          field: `${field}.allowSpoofedMac`,
        });
      }
      const mac = (link.mac ?? macFor(plan.id, link.name)).toLowerCase();
      specs.push({ name: link.name, network: network.id, mac, ...trafficOf(link) });
    }
    return specs;
  }
}

/** Such a guest shares the address space of the host agent, often root's, and no sandbox holds it. */
function requireInProcessRight(body: CreateMachine): void {
  const principal = currentContext()?.principal;
  if (body.isolation !== 'in-process' || principal === undefined || roleAllows(principal.role, 'machines:in-process')) return;
  throw new ApiError('auth.forbidden', {
    detail: `The key "${principal.name}" has the role ${principal.role}, which lacks the permission machines:in-process: such a guest runs inside the host agent, outside of any sandbox.`,
    remedy: 'Leave isolation out (a worker process of its own), or use an admin key.',
    field: 'isolation',
  });
}

/** What a profile brings along, and what it does without. */
function planProfile({ profile = 'standard', acpi, numa = [] }: CreateMachine): Pick<MachineSpec, 'profile' | 'acpi'> {
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
  return { profile, acpi: described };
}

/** Fills in the defaults of a restart policy. */
export function toPolicy(policy: RestartPolicyDto | undefined): RestartPolicy {
  return { mode: policy?.mode ?? 'on-failure', maxRetries: policy?.maxRetries ?? 5, backoffSeconds: policy?.backoffSeconds ?? 1 };
}

function refuseDuplicates(field: string, list: { name: string }[]): void {
  const index = list.findIndex((one, at) => list.findIndex((other) => other.name === one.name) !== at);
  if (index < 0) return;
  throw new ApiError('spec.duplicate_name', {
    detail: `The name "${list[index]?.name}" is used twice in ${field}.`,
    remedy: 'Give each entry a name of its own.',
    field: `${field}[${index}].name`,
  });
}
