// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../common/api-error.js';
import { hardwareOf } from '../common/hardware.js';
import { trafficOf } from '../common/interface-traffic.js';
import { throttlingOf } from '../common/throttle.js';
import { isShared } from '../common/volume-storage.js';
import { diskTuning } from '../host-agent/disk-tuning.js';
import type { LaunchCommand, LaunchDisk } from '../host-agent/host-agent.js';
import type { HypervisorSpec } from './hypervisor/hypervisor.js';
import { networkOf } from './network/host-links.js';
import type { HostPools } from './storage/host-pools.js';

/** The specification of a machine with paths and link names of this host. */
export async function launchSpec(command: LaunchCommand, pools: HostPools): Promise<HypervisorSpec> {
  const { home } = pools;
  return {
    id: command.id,
    profile: command.profile,
    acpi: command.acpi,
    cpus: command.cpus,
    memoryMiB: command.memoryMiB,
    memoryOvercommit: command.memoryOvercommit,
    ...hardwareOf(command),
    kernelPath: home.imagePath(command.kernelImageId),
    ...(command.initrdImageId === undefined ? {} : { initrdPath: home.imagePath(command.initrdImageId) }),
    ...(command.commandLine === undefined ? {} : { commandLine: command.commandLine }),
    disks: await Promise.all(command.disks.map((disk) => diskOf(disk, command, pools))),
    interfaces: command.interfaces.map((link) => ({
      name: link.name,
      ...networkOf(command.id, link),
      mac: link.mac,
      ...trafficOf(link),
    })),
    ...(command.shares === undefined ? {} : { shares: command.shares }),
    rng: command.rng,
    ...throttlingOf(command),
    ...(command.vsock === undefined ? {} : { vsock: command.vsock }),
    ...(command.balloon === undefined ? {} : { balloon: command.balloon }),
    ...(command.console === undefined ? {} : { console: command.console }),
    ...(command.watchdog === undefined ? {} : { watchdog: command.watchdog }),
    isolation: command.isolation,
    onReboot: command.onReboot,
    onCrash: command.onCrash,
  };
}

async function diskOf(disk: LaunchDisk, { isolation }: LaunchCommand, pools: HostPools): Promise<HypervisorSpec['disks'][number]> {
  if (isolation === 'in-process' && disk.pool?.kind === 'nfs') throw waitsInside(disk.name);
  const onDevice = disk.pool?.kind === 'lvm-thin' || disk.pool?.kind === 'lvm';
  return {
    name: disk.name,
    ...(await pools.opened(disk.pool)).diskFiles(disk.volumeId, disk),
    // Whatever was asked for: an image is for many.
    readOnly: disk.readOnly || isShared(disk),
    ...(disk.serial === undefined ? {} : { serial: disk.serial }),
    // What is in the cache of the host when a thin pool is full is lost; what passes it by can wait for space.
    ...(onDevice && disk.attach !== 'pmem' ? { cache: 'none' as const } : {}),
    ...diskTuning(disk),
  };
}

function waitsInside(name: string): ApiError {
  return new ApiError('spec.disk_invalid', {
    detail: `Disk "${name}" is on an NFS server: while that is away, the process of a machine waits in the kernel, and this machine has no process of its own.`,
    remedy: 'Make the machine without `isolation`, or its disks in a pool of another kind.',
    field: 'isolation',
  });
}
