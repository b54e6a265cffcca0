// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../common/log.js';
import type { Config } from '../config/config.js';
import { ConsoleArchive } from './console-archive.js';
import { Downloads } from './download/downloads.js';
import { InstallationMark } from './installation-mark.js';
import { LocalHostAgent } from './local-host-agent.js';
import { CommandRunner } from './runner/command-runner.js';
import { DiskConverter } from './storage/dir/disk-converter.js';
import { DirPlace } from './storage/dir/dir-place.js';
import { DirPool } from './storage/dir/dir-pool.js';
import { SeedDisks } from './seed-disks.js';
import { HostPools } from './storage/host-pools.js';
import { HostMounts } from './storage/nfs/host-mounts.js';
import type { Mounts } from './storage/nfs/mounts.js';
import { NfsPool } from './storage/nfs/nfs-pool.js';
import { HostVolumes } from './storage/lvm/host-volumes.js';
import type { LogicalVolumes } from './storage/lvm/logical-volumes.js';
import { LvmPool } from './storage/lvm/lvm-pool.js';
import type { FileTools } from './files/file-tools.js';

/** Builds the host side as configured. Each adapter is loaded only when it is used. */
export async function makeHostAgent(config: Config, log: Log): Promise<LocalHostAgent> {
  mkdirSync(config.runtimeDirectory, { recursive: true });
  // dnsmasq gives root up and then reads its reservations again on SIGHUP: it must get through. What is secret lies in 0700 below.
  chmodSync(config.runtimeDirectory, 0o711);
  const host = join(config.dataDirectory, 'host');
  const consoles = new ConsoleArchive(join(host, 'consoles'));
  const mark = new InstallationMark(host);
  const poolDirectory = join(host, 'pools', 'default');
  const converter = new DiskConverter(new CommandRunner(log));
  const seeds = join(host, 'seeds');
  const points = join(host, 'mounts');
  mkdirSync(points, { recursive: true, mode: 0o700 });
  const makePools = (files: FileTools, mounts: Mounts, volumes: LogicalVolumes) => {
    const home = new DirPool(poolDirectory, files, {
      roots: config.importRoots,
      downloads: new Downloads(config.downloadHosts),
      converter,
    });
    const native = config.hypervisor === 'native';
    const rooted = config.poolRoots.length > 0;
    const nfs = { mounts, points: realpathSync(points), home: poolDirectory, native, rooted };
    return new HostPools(home, (ref) => {
      if (ref.kind === 'nfs') return new NfsPool(ref, nfs);
      if (ref.kind === 'lvm-thin' || ref.kind === 'lvm') return new LvmPool(ref, { volumes, native, rooted });
      const { id, guardPercent } = ref;
      const { path } = ref.config;
      const remedy = `Mount the file system that the pool is on at ${path}, then refresh the pool.`;
      const place = new DirPlace(path, id, { roots: config.poolRoots, reserved: config.dataDirectory, field: 'dir.path', remedy });
      return new DirPool(path, files, undefined, { place, guardPercent, home: poolDirectory });
    });
  };
  if (config.hypervisor === 'fake') {
    const { FakeHypervisor } = await import('./hypervisor/fake/fake-hypervisor.js');
    const { FakeMacvtaps } = await import('./network/fake/fake-macvtaps.js');
    const { FakeNetwork } = await import('./network/fake/fake-network.js');
    const { NodeFileTools } = await import('./files/node-file-tools.js');
    const { FakeMounts } = await import('./storage/fake/fake-mounts.js');
    const { FakeVolumes } = await import('./storage/fake/fake-volumes.js');
    return new LocalHostAgent({
      hypervisor: new FakeHypervisor(join(config.runtimeDirectory, 'fake', 'machines')),
      network: new FakeNetwork(join(config.runtimeDirectory, 'fake'), config.macvtapParents),
      macvtaps: new FakeMacvtaps(join(config.runtimeDirectory, 'fake', 'macvtaps'), config.macvtapParents),
      pools: makePools(
        new NodeFileTools(),
        new FakeMounts(join(config.runtimeDirectory, 'fake', 'exports')),
        new FakeVolumes(join(config.runtimeDirectory, 'fake', 'groups')),
      ),
      consoles,
      seeds: new SeedDisks(seeds, new NodeFileTools()),
      mark,
      log,
    });
  }
  const { loadNative } = await import('./hypervisor/native/load.js');
  const { NativeHypervisor } = await import('./hypervisor/native/native-hypervisor.js');
  const { NativeFileTools } = await import('./hypervisor/native/native-file-tools.js');
  const { HostMacvtaps } = await import('./network/macvtap/host-macvtaps.js');
  const { NatNetwork } = await import('./network/nat/nat-network.js');
  const native = await loadNative();
  return new LocalHostAgent({
    hypervisor: new NativeHypervisor(native, {
      runtimeDirectory: config.runtimeDirectory,
      workerPath: config.workerPath,
      shareRoots: config.shareRoots,
      log,
    }),
    network: new NatNetwork(new CommandRunner(log), {
      stateDirectory: join(host, 'networks'),
      runtimeDirectory: join(config.runtimeDirectory, 'networks'),
      hostBridges: config.macvtapParents,
      native,
    }),
    macvtaps: new HostMacvtaps(new CommandRunner(log), join(host, 'networks', 'macvtaps'), config.macvtapParents),
    pools: makePools(new NativeFileTools(native), new HostMounts(new CommandRunner(log)), new HostVolumes(new CommandRunner(log))),
    consoles,
    seeds: new SeedDisks(seeds, new NativeFileTools(native)),
    mark,
    log,
  });
}
