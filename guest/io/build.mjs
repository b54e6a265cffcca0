// SPDX-License-Identifier: Apache-2.0
// The user land of the guest that measures: busybox, fio, iperf3 and ping of Debian, with the libraries they load.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cached, contentKey, isCached } from '../../scripts/lib/cache.mjs';
import { Archive } from '../../scripts/lib/cpio.mjs';
import { Failure } from '../../scripts/lib/failure.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const BUSYBOX = '/bin/busybox';
const PROGRAMS = { fio: '/usr/bin/fio', iperf3: '/usr/bin/iperf3', ping: '/bin/ping' };
const KIND = 'guest/io';
/** Where Debian's dynamic linker looks first. */
const LIBRARIES = 'lib/x86_64-linux-gnu';
const LOADER = 'ld-linux-x86-64.so.2';

/**
 * Libraries of fio's network and storage engines that no job here uses. With all that they load in turn they are 80 MB, which each
 * start of a guest would have to unpack and fio to link: they are stood in for by empty ones.
 */
const UNUSED = [
  'libgfapi.so.0',
  'libnbd.so.0',
  'libibverbs.so.1',
  'librdmacm.so.1',
  'librados.so.2',
  'librbd.so.1',
  'libpmemblk.so.1',
  'libpmem.so.1',
];

function key() {
  const sizes = [BUSYBOX, ...Object.values(PROGRAMS)].map((file) => (existsSync(file) ? String(statSync(file).size) : 'absent'));
  return contentKey(sizes, [HERE]);
}

export function isIoReady() {
  return isCached(KIND, key());
}

/**
 * @param {import('../../scripts/lib/steps.mjs').Steps} steps
 * @returns {Promise<{ initramfs: string }>} an uncompressed cpio archive
 */
export async function buildIo(steps) {
  const directory = await cached(KIND, key(), (partial) =>
    steps.step('Measuring guest: make its initramfs', async () => {
      const missing = [BUSYBOX, ...Object.values(PROGRAMS)].find((file) => !existsSync(file));
      if (missing !== undefined) throw new Failure(`${missing} is missing`, 'apt-get install busybox-static fio iperf3 iputils-ping');
      writeFileSync(join(partial, 'initramfs.cpio'), archive());
    }),
  );
  return { initramfs: join(directory, 'initramfs.cpio') };
}

function archive() {
  const archive = new Archive();
  for (const name of ['bin', 'dev', 'proc', 'sys', 'run', 'tmp', 'lib', LIBRARIES, 'lib64']) archive.directory(name);
  archive.character('dev/console', 5, 1).character('dev/null', 1, 3, 0o666);
  archive.file('bin/busybox', readFileSync(BUSYBOX), 0o755).link('bin/sh', 'busybox');
  archive.file('init', readFileSync(join(HERE, 'init')), 0o755);
  const libraries = new Map();
  for (const [name, program] of Object.entries(PROGRAMS)) {
    archive.file(`bin/${name}`, readFileSync(program), 0o755);
    collect(program, libraries);
  }
  for (const [name, path] of libraries) {
    archive.file(name === LOADER ? `lib64/${name}` : `${LIBRARIES}/${name}`, readFileSync(path), 0o755);
  }
  for (const [name, content] of standIns([...libraries.values()])) archive.file(`${LIBRARIES}/${name}`, content, 0o755);
  return archive.finish();
}

/** Adds what `file` loads, by name, but for what is unused and what only that loads. */
function collect(file, libraries) {
  const paths = new Map(
    [...execFileSync('ldd', [file], { encoding: 'utf8' }).matchAll(/(\S+) => (\/\S+)/g)].map(([, name, path]) => [name, path]),
  );
  libraries.set(LOADER, realpathSync(`/lib64/${LOADER}`));
  const visit = (of) => {
    for (const name of needed(of)) {
      if (UNUSED.includes(name) || libraries.has(name)) continue;
      const path = paths.get(name);
      if (path === undefined)
        throw new Failure(`ldd finds no ${name}, which ${of} needs`, 'Is the package complete? apt-get install --reinstall fio');
      libraries.set(name, realpathSync(path));
      visit(path);
    }
  };
  visit(file);
}

function needed(file) {
  return [...execFileSync('readelf', ['-d', file], { encoding: 'utf8' }).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
}

/**
 * Stand-ins by name. Debian's fio is linked to resolve all functions at its start, so each must exist; calling one ends the program.
 * They are in a library of their own: in one of the names, the linker would insist on versions.
 */
function standIns(present) {
  const defined = new Set(present.flatMap((file) => symbols(file, '--defined-only')));
  const absent = symbols(PROGRAMS.fio, '--undefined-only').filter((name) => !defined.has(name));
  const work = mkdtempSync(join(tmpdir(), 'flotilla-io-'));
  const link = (name, assembly, ...libraries) => {
    const [source, output] = [join(work, 'source.s'), join(work, name)];
    writeFileSync(source, `${assembly}\n.section .note.GNU-stack,"",@progbits\n`);
    execFileSync('gcc', [
      '-shared',
      '-nostdlib',
      '-Wl,--no-as-needed,--build-id=none',
      `-Wl,-soname,${name}`,
      '-o',
      output,
      source,
      ...libraries,
    ]);
    return output;
  };
  try {
    const all = link(
      'libunused.so',
      `.text\n${absent.map((name) => `.globl ${name}\n.type ${name}, @function\n${name}:`).join('\n')}\nud2`,
    );
    return [all, ...UNUSED.map((name) => link(name, '.text', all))].map((file) => [basename(file), readFileSync(file)]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Names without versions; weak ones may stay undefined. */
function symbols(file, which) {
  return [...execFileSync('nm', ['-D', which, file], { encoding: 'utf8' }).matchAll(/ ([A-Zi]) ([^\s@]+)/g)]
    .filter(([, type]) => which === '--defined-only' || type === 'U')
    .map(([, , name]) => name);
}
