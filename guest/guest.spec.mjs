// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Steps } from '../scripts/lib/steps.mjs';
import { buildInitramfs } from './initramfs/build.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));

describe('guest recipes', () => {
  it('says each kernel option once', () => {
    const names = readFileSync(join(HERE, 'kernel/config.fragment'), 'utf8')
      .split('\n')
      .map((line) => /^(?:# )?(CONFIG_\w+)(?:=| is not set)/.exec(line)?.[1])
      .filter(Boolean);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
    for (const needed of ['CONFIG_PVH', 'CONFIG_VIRTIO_BLK', 'CONFIG_VIRTIO_NET', 'CONFIG_PVPANIC_MMIO'])
      assert.ok(names.includes(needed), needed);
  });

  it('lists nothing twice for Debian, and masks nothing that it enables', () => {
    const recipe = JSON.parse(readFileSync(join(HERE, 'debian/recipe.json'), 'utf8'));
    for (const [name, list] of Object.entries(recipe).filter(([, value]) => Array.isArray(value))) {
      assert.equal(new Set(list).size, list.length, name);
    }
    assert.deepEqual(
      recipe.enabledUnits.filter((unit) => recipe.maskedUnits.includes(unit)),
      [],
    );
  });

  for (const script of ['initramfs/init', 'initramfs/udhcpc', 'io/init', 'debian/customize.sh']) {
    it(`${script} is a valid shell script`, () => {
      execFileSync('sh', ['-n', join(HERE, script)]);
    });
  }

  it('makes an initramfs that the tools of the trade can read', async function () {
    if (!existsSync('/bin/busybox') || !existsSync('/usr/bin/cpio')) this.skip();
    const cache = mkdtempSync(join(tmpdir(), 'flotilla-guest-'));
    const before = process.env.FLOTILLA_CACHE;
    process.env.FLOTILLA_CACHE = cache;
    try {
      const { initramfs } = await buildInitramfs(new Steps('guest-spec', { output: new PassThrough() }));
      const listing = execFileSync('cpio', ['-tv', '--quiet'], { input: readFileSync(initramfs), encoding: 'utf8' });
      assert.match(listing, /^-rwxr-xr-x .* init$/m);
      assert.match(listing, /^-rwxr-xr-x .* bin\/busybox$/m);
      assert.match(listing, /^crw------- .* 5, +1 .* dev\/console$/m);
      assert.match(listing, /bin\/sh -> busybox$/m);
    } finally {
      if (before === undefined) delete process.env.FLOTILLA_CACHE;
      else process.env.FLOTILLA_CACHE = before;
      rmSync(cache, { recursive: true, force: true });
    }
  });
});
