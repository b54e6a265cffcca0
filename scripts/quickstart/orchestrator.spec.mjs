// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runningIn } from './orchestrator.mjs';

describe('the orchestrator that quickstart finds', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-quickstart-'));
  const server = createServer((_request, response) => response.writeHead(401).end());
  const record = (pid, url) => writeFileSync(join(folder, 'orchestrator.json'), JSON.stringify({ pid, url }));
  let url;
  before(async () => {
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${server.address().port}`;
    writeFileSync(join(folder, 'admin.key'), 'flo_key\n');
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is none where none has been', async () => assert.equal(await runningIn(join(folder, 'nothing')), undefined));

  it('is the one that answers, and it is not stopped', async () => {
    record(process.pid, url);
    const found = await runningIn(folder);
    assert.deepEqual([found.url, found.apiKey], [url, 'flo_key']);
    await found.stop();
    assert.equal((await fetch(url)).status, 401);
  });

  it('is not another user who listens there, whatever process has its number', async function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: another user is needed, whom only root can become');
      this.skip();
    }
    const listener =
      "require('http').createServer((_, answer) => answer.end()).listen(0, '127.0.0.1', function () { console.log(this.address().port); })";
    const stranger = spawn(process.execPath, ['-e', listener], { uid: 65534, gid: 65534, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [port] = await once(stranger.stdout, 'data');
      record(process.pid, `http://127.0.0.1:${String(port).trim()}`);
      await assert.rejects(runningIn(folder), { name: 'Failure', message: /belongs to user 65534/, remedy: /--api-key/ });
    } finally {
      stranger.kill();
    }
  });

  it('is none when its process is gone, or when another has its number', async () => {
    record(2 ** 22 + 1, url);
    assert.equal(await runningIn(folder), undefined);
    record(process.pid, 'http://127.0.0.1:9');
    assert.equal(await runningIn(folder), undefined);
  });
});
