// SPDX-License-Identifier: Apache-2.0
// Runs in network and process namespaces of its own: breaks a NAT network as an administrator or a crash does, lets the reconciler
// look at it, and tells as JSON what was there each time.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import type { AddressHolder } from '../../src/api/networks/address-holders.js';
import { KyselyForwardRepository } from '../../src/api/networks/forward.repository.js';
import { KyselyNetworkRepository } from '../../src/api/networks/network.repository.js';
import { NetworksReconciler } from '../../src/api/networks/networks.reconciler.js';
import { NetworksService } from '../../src/api/networks/networks.service.js';
import { Database } from '../../src/database/database.js';
import type { HostAgent } from '../../src/host-agent/host-agent.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-mend-'));
chmodSync(directory, 0o711); // dnsmasq gives root up
mkdirSync(join(directory, 'data'));
const log = pino({ level: 'warn' }, pino.destination(2));
const runner = new CommandRunner(pino({ level: 'silent' }));
const native = {
  createTap: async ({ name }: { name: string }) => {
    await runner.run('ip', ['tuntap', 'add', 'dev', name, 'mode', 'tap']);
  },
  deleteTap: async (name: string) => {
    await runner.run('ip', ['link', 'delete', 'dev', name]);
  },
};
const nat = new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });

const database = Database.openSqlite(join(directory, 'data/db'));
await database.migrate();
const repository = new KyselyNetworkRepository(database);
const holders = {
  idOf: () => Promise.resolve(undefined),
  find: (ids: readonly string[]) =>
    Promise.resolve(new Map<string, AddressHolder>(ids.map((id) => [id, { name: id.replace('mac-', ''), heldUntil: new Map() }]))),
};
const agent: Pick<HostAgent, 'usedSubnets' | 'ensureNetwork' | 'removeNetwork'> = {
  usedSubnets: () => nat.usedSubnets(),
  ensureNetwork: (command) => nat.ensureNetwork(command),
  removeNetwork: ({ id }) => nat.removeNetwork(id),
};
const networks = new NetworksService(repository, holders, database, agent as HostAgent, new KyselyForwardRepository(database), log);
const reconciler = new NetworksReconciler(networks, log);
const network = await networks.load('default');
const addresses = new Map<string, string>();
for (const [index, machine] of ['mac-one', 'mac-two'].entries()) {
  const owner = { machine, interface: 'eth0', mac: `02:f1:00:00:00:0${index + 1}` };
  addresses.set(machine, (await networks.reserve(network, owner, 'interfaces[0]', database.db)).ip);
}

await networks.ensureOnHost(network.id);
const link = { name: 'eth0', networkId: network.id, bridge: network.bridge, mac: '02:f1:00:00:00:01', ip: addresses.get('mac-one') ?? '' };
const tap = await nat.attach('mac-one', link);
const first = await look();
const counted = await rulesHandle();

await reconciler.reconcile();
const untouched = (await rulesHandle()) === counted; // what is as it should be is not made anew

await runner.run('nft', ['flush', 'ruleset']);
await runner.run('ip', ['link', 'delete', 'dev', network.bridge]);
process.kill(dnsmasqPid(), 'SIGKILL');
const broken = await look();
await reconciler.reconcile();
const mended = await look();

await runner.run('nft', ['flush', 'chain', 'inet', `flotilla-${network.name}`, 'forward']);
await reconciler.reconcile();
const refilled = await look();

await repository.releaseAll('mac-two', database.db);
const alone = await reconciler.reconcile().then(look);

await nat.detach('mac-one');
await repository.releaseAll('mac-one', database.db);
await networks.releaseUnused();
await reconciler.reconcile();
const unused = await look();

process.stdout.write(JSON.stringify({ first, untouched, broken, mended, refilled, alone, unused }));
await nat.close();
await database.close();
rmSync(directory, { recursive: true, force: true });

async function look() {
  const links = JSON.parse((await runner.run('ip', ['-j', 'address'])).stdout) as {
    ifname: string;
    master?: string;
    addr_info: { local: string }[];
  }[];
  return {
    rules: (await runner.run('nft', ['-s', 'list', 'ruleset'])).stdout,
    bridge: links.find(({ ifname }) => ifname === network.bridge)?.addr_info.some(({ local }) => local === network.ipv4?.gateway) ?? false,
    master: links.find(({ ifname }) => ifname === tap)?.master ?? '',
    names: await Promise.all(['one', 'two'].map(resolved)),
  };
}

/** The address that the DNS of the network gives for a machine. */
async function resolved(name: string): Promise<string> {
  const resolver = new Resolver({ timeout: 500, tries: 4 });
  resolver.setServers([network.ipv4?.gateway ?? '']);
  return resolver.resolve4(`${name}.flotilla.internal`).then(
    ([address = '']) => address,
    () => 'none',
  );
}

/** A handle that a table made anew does not have. */
async function rulesHandle(): Promise<string> {
  return (await runner.run('nft', ['-a', 'list', 'ruleset'])).stdout;
}

function dnsmasqPid(): number {
  return Number(readFileSync(join(directory, 'run', network.id, 'pid'), 'utf8'));
}
