// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import { fromNative } from '../src/errors.js';
import { EventHub, type MachineEvent } from '../src/events.js';
import { provokePanic } from '../src/native.js';
import { packageDirectory, packageEntry, scratch } from './support/host.js';

const node = (...args: string[]): string => execFileSync(process.execPath, args, { encoding: 'utf8', cwd: packageDirectory });

describe('The package', () => {
  it('loads as a CommonJS module as well', () => {
    const script = `const { Machine, FlotillaError } = require(${JSON.stringify(packageEntry)}); console.log(typeof Machine.create, new FlotillaError({ code: 'io', message: 'm' }).remedy !== '')`;
    // Node 20 prints a warning about loading ES modules with require, on stderr.
    expect(node('--no-warnings', '-e', script)).to.equal('function true\n');
  });

  it('lets a process end that imports it and has nothing to do', () => {
    const script = `await import(${JSON.stringify(packageEntry)}).then(({ checkHost }) => checkHost())`;
    expect(node('--input-type=module', '-e', script)).to.equal('');
  });

  it('has the declarations and the loader that its build generates', function () {
    this.timeout(900_000);
    const copy = scratch();
    try {
      for (const name of ['package.json']) copyFileSync(join(packageDirectory, name), join(copy.path, name));
      const manifest = join(packageDirectory, '..', '..', 'crates', 'node', 'Cargo.toml');
      const args = ['--no-install', 'napi', 'build', '--platform', '--release', '--esm', '--no-const-enum', '--manifest-path', manifest];
      const places = ['--package-json-path', join(packageDirectory, 'package.json'), '--output-dir', copy.path];
      // As the build has it, so that cargo has nothing left to do.
      const packages = ['--', '--locked', '--package', 'flotilla-worker', '--package', 'flotilla-node'];
      const built = spawnSync('npx', [...args, ...places, ...packages], { cwd: packageDirectory, encoding: 'utf8' });
      expect(built.status, built.stderr).to.equal(0);
      for (const name of ['index.js', 'index.d.ts']) {
        expect(readFileSync(join(copy.path, name), 'utf8'), name).to.equal(readFileSync(join(packageDirectory, name), 'utf8'));
      }
    } finally {
      copy.remove();
    }
  });
});

describe('A panic in the core', () => {
  const provoked = async (place: string): Promise<unknown> => {
    try {
      return await provokePanic(place);
    } catch (error) {
      return fromNative(error);
    }
  };

  it('is an error with our name, and Node goes on', async () => {
    for (const place of ['call', 'sync']) {
      const error = await provoked(place);
      expect(error, place).to.include({ code: 'core.panic', name: 'FlotillaError' });
      expect((error as Error).message).to.include('provoked');
    }
    const rejected = (await provoked('call')) as { message: string; remedy: string };
    expect(rejected.message).to.match(/^Flotilla \d/);
    expect(rejected.remedy).to.include('report');
  });

  it('names us on stderr', () => {
    const script = `const { provokePanic } = await import('#binding'); await provokePanic('call').catch(() => {})`;
    const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: packageDirectory, encoding: 'utf8' });
    expect(done.status).to.equal(0);
    expect(done.stderr)
      .to.match(/^flotilla \d.*internal error/m)
      .and.include('please report');
  });
});

describe('The events of a machine', () => {
  const event = (seq: number): MachineEvent => ({ kind: 'guest-reset', seq });

  it('are counted when a reader is too slow', async () => {
    const hub = new EventHub('stopped');
    const reader = hub.read();
    for (let seq = 1; seq <= 300; seq += 1) hub.push(event(seq));
    hub.push({ kind: 'stopped', reason: 'killed', seq: 301 });
    const read: MachineEvent[] = [];
    for await (const one of reader) read.push(one);
    expect(read[0]).to.deep.equal({ kind: 'lost', count: 45, seq: 45 });
    expect(read).to.have.length(257);
    expect(read.at(-1)).to.include({ kind: 'stopped' });
  });

  it('are the newest for a reader that comes late', async () => {
    const hub = new EventHub('stopped');
    for (let seq = 1; seq <= 300; seq += 1) hub.push(event(seq));
    hub.end();
    const read: MachineEvent[] = [];
    for await (const one of hub.read()) read.push(one);
    expect(read[0]).to.include({ kind: 'lost' });
    expect(read.at(-1)).to.include({ seq: 300 });
  });
});
