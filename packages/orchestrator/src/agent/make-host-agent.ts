// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../common/log.js';
import type { Config } from '../config/config.js';
import { ConsoleArchive } from './console-archive.js';
import { InstallationMark } from './installation-mark.js';
import { LocalHostAgent } from './local-host-agent.js';
import { CommandRunner } from './runner/command-runner.js';
import { DiskConverter } from './storage/dir/disk-converter.js';
import { DirPlace } from './storage/dir/dir-place.js';
import { DirPool } from './storage/dir/dir-pool.js';
import { HostPools } from './storage/host-pools.js';
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
  const rules = { roots: config.poolRoots, reserved: config.dataDirectory };
  const makePools = (files: FileTools) =>
    new HostPools(new DirPool(poolDirectory, files, config.importRoots, converter), ({ id, config: { path }, guardPercent }) => {
      const defined = { place: new DirPlace(path, id, rules), guardPercent, home: poolDirectory };
      return new DirPool(path, files, [], undefined, defined);
    });
  if (config.hypervisor === 'fake') {
    const { FakeHypervisor } = await import('./hypervisor/fake/fake-hypervisor.js');
    const { FakeMacvtaps } = await import('./network/fake/fake-macvtaps.js');
    const { FakeNetwork } = await import('./network/fake/fake-network.js');
    const { NodeFileTools } = await import('./files/node-file-tools.js');
    return new LocalHostAgent({
      hypervisor: new FakeHypervisor(join(config.runtimeDirectory, 'fake', 'machines')),
      network: new FakeNetwork(join(config.runtimeDirectory, 'fake')),
      macvtaps: new FakeMacvtaps(join(config.runtimeDirectory, 'fake', 'macvtaps'), config.macvtapParents),
      pools: makePools(new NodeFileTools()),
      consoles,
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
      native,
    }),
    macvtaps: new HostMacvtaps(new CommandRunner(log), join(host, 'networks', 'macvtaps'), config.macvtapParents),
    pools: makePools(new NativeFileTools(native)),
    consoles,
    mark,
    log,
  });
}
