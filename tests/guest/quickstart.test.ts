// SPDX-License-Identifier: Apache-2.0
// What `npm run quickstart` does once everything is installed and built: its second stage, with this build and the same Debian.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type HostState, hostState } from './lib/host.js';
import { builtImages } from './lib/images.js';

const secondStage = fileURLToPath(new URL('../../../scripts/quickstart/second-stage.mjs', import.meta.url));
const steps = [
  'Build something',
  'Start the orchestrator',
  'Import kernel, initrd and disk',
  'Create and start the machine',
  'Wait until Debian answers on its console',
  'Wait until the machine has its address',
  'Run "uname -a" in the machine',
  'Run "ip addr" in the machine',
  'Ping the machine from the host',
  'Remove everything',
];

describe('The quickstart', function () {
  this.timeout(900_000);
  let held: HostState;
  let shown: string;
  let told: string;
  let status: number | null;

  before(async () => {
    held = hostState();
    const lab = process.env['FLOTILLA_LAB'] === '1';
    const settings = { keep: false, lab, debian: builtImages().debian, steps: [{ title: steps[0], seconds: 1 }], handedOverAt: Date.now() };
    const child = spawn(process.execPath, [secondStage], {
      env: { ...process.env, FLOTILLA_QUICKSTART: JSON.stringify(settings) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const outputs = [textOf(child.stdout), textOf(child.stderr)] as const;
    [status] = (await once(child, 'exit')) as [number | null];
    [shown, told] = await Promise.all(outputs);
    expect(status, `${shown}\n${told}`).to.equal(0);
  });

  it('prints what `uname -a` and `ip addr` say in a Debian machine, and that it answers a ping', () => {
    expect(shown).to.match(/^Linux \S+ 6\.1\.\S+cloud-amd64 .*x86_64 GNU\/Linux/m);
    const address = /inet (10\.\d+\.\d+\.\d+)\/24 .*scope global/.exec(shown)?.[1];
    expect(shown)
      .to.contain(`PING ${address} `)
      .and.to.match(/3 packets transmitted, 3 received, 0% packet loss/);
  });

  it('prints a table of how long each step took', () => {
    const [, table = ''] = shown.split(/^rtt .*$/m);
    const lines = table.split('\n');
    for (const step of steps)
      expect(
        lines.filter((line) => line.includes(step) && /\d s\b/.test(line)),
        step,
      ).to.have.length(1);
  });

  it('leaves nothing on the host', () => {
    expect(shown).to.contain('Everything was removed again');
    expect(hostState()).to.deep.equal(held);
    for (const place of ['/var/tmp', '/run'])
      expect(readdirSync(place).filter((name) => name.startsWith('flotilla-quickstart'))).to.deep.equal([]);
  });
});

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
