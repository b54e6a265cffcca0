// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Flotilla } from '../src/index.js';

const entry = fileURLToPath(new URL('../../../orchestrator/dist/main.js', import.meta.url));

/** A running orchestrator on the fake hypervisor, and a client for it. */
export interface Running {
  readonly client: Flotilla;
  readonly url: string;
  readonly apiKey: string;
  /** An image file of format `elf` that the fake takes as a kernel. */
  readonly kernelFile: string;
  /** Writes what the DHCP server of a real network would: the leases that guests have taken. */
  writeLeases(text: string): void;
  stop(): Promise<void>;
}

export async function startOrchestrator(): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-sdk-'));
  const dataDir = join(folder, 'data');
  const env = {
    ...process.env,
    FLOTILLA_HYPERVISOR: 'fake',
    FLOTILLA_DATA_DIR: dataDir,
    FLOTILLA_RUNTIME_DIR: join(folder, 'run'),
    FLOTILLA_LISTEN: '127.0.0.1:0',
  };
  const child = spawn(process.execPath, [entry], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise<string>((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8');
      const found = /listening on (http:\S+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new Error(`The orchestrator ended before it listened: ${said}`)));
  });
  const apiKey = readFileSync(join(dataDir, 'admin.key'), 'utf8').trim();
  const kernelFile = join(folder, 'kernel.elf');
  writeFileSync(kernelFile, minimalElf());
  return {
    client: new Flotilla({ baseUrl: url, apiKey }),
    url,
    apiKey,
    kernelFile,
    writeLeases: (text) => writeFileSync(join(folder, 'run/fake/leases'), text),
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A 64-bit x86 ELF executable with one empty segment. */
function minimalElf(): Uint8Array {
  const file = Buffer.alloc(4096);
  file.write('\x7fELF', 0, 'latin1');
  file.set([2, 1, 1], 4);
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(62, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(0x10_0000n, 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64);
  file.writeBigUInt64LE(120n, 72);
  file.writeBigUInt64LE(0x10_0000n, 80);
  file.writeBigUInt64LE(0x10_0000n, 88);
  file.writeBigUInt64LE(16n, 96);
  file.writeBigUInt64LE(16n, 104);
  return file;
}
