// SPDX-License-Identifier: Apache-2.0
// One file instead of a thousand modules: start-up is mostly the loading of modules. tsc has compiled the decorators before;
// esbuild only joins its output. Native and rarely used packages stay outside. The code cache of V8 is made at the first start.
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

const isCache = (name) => name.startsWith('bundle.') && name.includes('.cache');
for (const name of readdirSync(dist).filter(isCache)) rmSync(join(dist, name));

const optional = [
  '@nestjs/microservices',
  '@nestjs/microservices/*',
  '@nestjs/websockets',
  '@nestjs/websockets/*',
  'class-transformer/storage',
  'pg-native',
  'bufferutil',
  'utf-8-validate',
  '@fastify/static',
  'file-type',
];

const result = await build({
  entryPoints: [join(dist, 'src/main.js')],
  outfile: join(dist, 'bundle.cjs'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  keepNames: true,
  minifyWhitespace: true,
  minifySyntax: true,
  supported: { 'dynamic-import': false }, // becomes require: a script from the code cache has no import of its own
  legalComments: 'linked',
  external: ['better-sqlite3', '@flotilla/native', ...optional],
  define: { 'import.meta.url': 'FLOTILLA_BUNDLE_URL' },
  banner: { js: "const FLOTILLA_BUNDLE_URL = require('node:url').pathToFileURL(__filename).href;" },
  metafile: process.env['BUNDLE_META'] !== undefined,
  logLevel: 'warning',
});

// What works on the files of a pool is another program, found beside the one that starts it. It has only modules of ours.
await build({
  entryPoints: [join(dist, 'src/agent/storage/aside/pool-server.js')],
  outfile: join(dist, 'pool-server.js'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  external: ['@flotilla/native'],
  logLevel: 'warning',
});

writeFileSync(
  join(dist, 'main.js'),
  `#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Runs the bundle with the code cache of V8 when there is a fitting one.
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

const directory = dirname(fileURLToPath(import.meta.url));
const file = join(directory, 'bundle.cjs');
const { size, mtimeMs } = statSync(file);
const cacheFile = join(directory, \`bundle.\${process.versions.modules}-\${process.arch}-\${size}-\${Math.floor(mtimeMs)}.cache\`);
let cachedData;
try { cachedData = readFileSync(cacheFile); } catch { /* the first start makes it */ }
const script = new vm.Script(\`(function (exports, require, module, __filename, __dirname) {\${readFileSync(file, 'utf8')}\\n})\`, {
  filename: file, ...(cachedData === undefined ? {} : { cachedData }),
});
globalThis[Symbol.for('flotilla.import')] = (name) => import(name);
const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(file), module, file, directory);
if (cachedData === undefined || script.cachedDataRejected) {
  // After a while the functions of the start are compiled, and with them the cache is worth most. A read-only installation does without.
  setTimeout(() => {
    try {
      const temporary = \`\${cacheFile}.\${process.pid}\`;
      writeFileSync(temporary, script.createCachedData());
      renameSync(temporary, cacheFile);
    } catch { /* no cache */ }
  }, 2000).unref();
}
`,
);
chmodSync(join(dist, 'main.js'), 0o755);
copyFileSync(join(root, '../../openapi/flotilla.v1.json'), join(dist, 'openapi.json'));
if (result.metafile !== undefined) writeFileSync(process.env['BUNDLE_META'], JSON.stringify(result.metafile));

await makeCache();

/** Starts the bundle once on the fake hypervisor, so that the first real start has the code cache already. */
async function makeCache() {
  const directory = mkdtempSync(join(tmpdir(), 'flotilla-bundle-'));
  const child = spawn(process.execPath, [join(dist, 'main.js')], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      FLOTILLA_DATA_DIR: join(directory, 'data'),
      FLOTILLA_RUNTIME_DIR: join(directory, 'run'),
      FLOTILLA_LISTEN: '127.0.0.1:0',
      FLOTILLA_HYPERVISOR: 'fake',
      FLOTILLA_DATABASE_URL: '',
      FLOTILLA_LOG: 'warn',
    },
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (let waited = 0; waited < 30_000 && child.exitCode === null; waited += 100) {
    if (readdirSync(dist).some((name) => isCache(name) && name.endsWith('.cache'))) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  child.kill('SIGTERM');
  await ended;
  rmSync(directory, { recursive: true, force: true });
}
