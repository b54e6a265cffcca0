// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
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

  it('is none when its process is gone, or when another has its number', async () => {
    record(2 ** 22 + 1, url);
    assert.equal(await runningIn(folder), undefined);
    record(process.pid, 'http://127.0.0.1:9');
    assert.equal(await runningIn(folder), undefined);
  });
});
