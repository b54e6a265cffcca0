// SPDX-License-Identifier: Apache-2.0
// The smallest guest user land that is of use: static busybox and one script.

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cached, contentKey, isCached } from '../../scripts/lib/cache.mjs';
import { Archive } from '../../scripts/lib/cpio.mjs';
import { Failure } from '../../scripts/lib/failure.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const BUSYBOX = '/bin/busybox';
const KIND = 'guest/initramfs';

function key() {
  return contentKey([existsSync(BUSYBOX) ? String(statSync(BUSYBOX).size) : 'absent'], [HERE]);
}

export function isInitramfsReady() {
  return isCached(KIND, key());
}

/**
 * @param {import('../../scripts/lib/steps.mjs').Steps} steps
 * @returns {Promise<{ initramfs: string }>} an uncompressed cpio archive
 */
export async function buildInitramfs(steps) {
  const directory = await cached(KIND, key(), (partial) =>
    steps.step('Small guest: make its initramfs', async () => {
      if (!existsSync(BUSYBOX)) throw new Failure(`${BUSYBOX} is missing`, 'apt-get install busybox-static');
      const archive = new Archive();
      for (const name of ['bin', 'dev', 'etc', 'etc/acpi', 'etc/acpi/PWRF', 'proc', 'sys', 'run', 'tmp']) archive.directory(name);
      archive.character('dev/console', 5, 1).character('dev/null', 1, 3, 0o666);
      archive.file('bin/busybox', readFileSync(BUSYBOX), 0o755).link('bin/sh', 'busybox');
      archive.file('init', readFileSync(join(HERE, 'init')), 0o755);
      archive.file('etc/udhcpc', readFileSync(join(HERE, 'udhcpc')), 0o755);
      archive.file('etc/acpi/PWRF/00000080', '#!/bin/sh\npoweroff -f\n', 0o755);
      archive.file('etc/passwd', 'root::0:0:root:/:/bin/sh\n').file('etc/group', 'root:x:0:\n');
      writeFileSync(join(partial, 'initramfs.cpio'), archive.finish());
    }),
  );
  return { initramfs: join(directory, 'initramfs.cpio') };
}
