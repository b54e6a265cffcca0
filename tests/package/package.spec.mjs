// SPDX-License-Identifier: Apache-2.0
// What a user installs, from packed tarballs, in projects of each kind, against a running server.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

import { packAll } from '../../scripts/release/pack.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));
/** The kind of project that talks to no server. */
const native = 'native';
const projects = fileURLToPath(new URL('projects', import.meta.url));

describe('The packed packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-package-'));
  const data = join(folder, 'data');
  let tarballs;
  let server;
  let env;

  before(async () => {
    tarballs = packAll(join(folder, 'packed'));
    const home = join(folder, 'server');
    mkdirSync(home);
    writeFileSync(join(home, 'package.json'), '{ "private": true }');
    install(home, tarballs);
    const settings = {
      FLOTILLA_HYPERVISOR: 'fake',
      FLOTILLA_DATA_DIR: data,
      FLOTILLA_RUNTIME_DIR: join(folder, 'run'),
      FLOTILLA_LISTEN: '127.0.0.1:0',
    };
    server = spawn(join(home, 'node_modules', '.bin', 'flotilla'), ['up'], {
      env: { ...process.env, ...settings },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const url = await listening(server);
    env = { ...process.env, FLOTILLA_URL: url, FLOTILLA_API_KEY: readFileSync(join(data, 'admin.key'), 'utf8').trim() };
    await upload(env, 'kernel', kernel());
  });

  after(async () => {
    server?.kill('SIGTERM');
    if (server) await once(server, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });

  it('hold no source map, test or compiled part that does not belong', () => {
    for (const tarball of tarballs) {
      const names = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).split('\n');
      expect(
        names.filter((name) => /\.(spec|test)\.|\.(tsbuildinfo|map)$/.test(name)),
        tarball,
      ).to.deep.equal([]);
      const compiled = names.filter((name) => /\.node$|\/flotilla-vmm$/.test(name));
      expect(compiled, tarball).to.have.length(tarball.includes('native-linux') ? 2 : 0);
    }
  });

  it('carry the licence, what they are for, and the notices of what is bundled', () => {
    const license = readFileSync(join(top, 'LICENSE'), 'utf8');
    for (const tarball of tarballs) {
      expect(packed(tarball, 'LICENSE'), tarball).to.equal(license);
      if (!tarball.includes('native-linux')) expect(packed(tarball, 'README.md'), tarball).to.match(/^# @flotilla\//);
    }
    const orchestrator = tarballs.find((path) => path.includes('flotilla-orchestrator'));
    const [, notices] = /^\/\*! For license information please see (\S+) \*\/$/m.exec(packed(orchestrator, 'dist/bundle.cjs')) ?? [];
    expect(packed(orchestrator, `dist/${notices}`)).to.match(/\bMIT\b/);
  });

  it('start a server whose doctor runs, addon and worker included', () => {
    const bin = join(folder, 'server', 'node_modules', '.bin', 'flotilla');
    // Its status says whether this host is fit; its report says whether it runs.
    const report = JSON.parse(runAnyway(bin, ['doctor', '-o', 'json'], folder));
    expect(report.checks.length).to.be.greaterThan(5);
    const platform = realpathSync(join(folder, 'server', 'node_modules', '@flotilla', 'native-linux-x64-gnu'));
    expect(found(join(folder, 'server'))).to.deep.equal({
      addon: join(platform, 'flotilla.linux-x64-gnu.node'),
      worker: join(platform, 'flotilla-vmm'),
    });
    expect(execFileSync(join(platform, 'flotilla-vmm'), ['run', '--help'], { encoding: 'utf8' })).to.contain('--kernel');
  });

  for (const kind of readdirSync(projects).filter((name) => name !== native)) {
    it(`serve a project of kind ${kind}: machine, console, events`, () => runProject(kind, 'flotilla-sdk', env));
  }

  it('boot machines without any server, in both isolations, in a project that installs @flotilla/native alone', function () {
    requireKvm(this);
    const guests = join(folder, 'guests');
    const make = ['run', '--quiet', '--locked', '-p', 'flotilla-test-guests', '--bin', 'make-guests', '--', guests];
    execFileSync('cargo', make, { cwd: top, stdio: ['ignore', 'ignore', 'inherit'] });
    // Its worker must be the one of the package.
    const { FLOTILLA_WORKER: _ours, ...others } = process.env;
    const runtimeDirectory = join(folder, 'native-run');
    mkdirSync(runtimeDirectory);
    runProject(native, 'flotilla-native', { ...others, HELLO_KERNEL: join(guests, 'hello.elf'), RUNTIME_DIRECTORY: runtimeDirectory });
    expect(readdirSync(join(runtimeDirectory, 'machines'))).to.deep.equal([]);
  });

  it('give a CommonJS project in TypeScript the types of CommonJS', () => {
    const project = join(folder, 'typescript-commonjs');
    const files = execFileSync('npx', ['tsc', '--listFilesOnly'], { cwd: project, encoding: 'utf8' }).split('\n');
    const ours = files.filter((path) => path.includes('@flotilla/sdk'));
    expect(ours.length).to.be.greaterThan(5);
    expect(ours.filter((path) => !path.includes('/dist/cjs/'))).to.deep.equal([]);
  });

  /** Runs the steps of a project in a clean folder, with the packages installed whose tarball's name holds `wanted`. */
  function runProject(kind, wanted, environment) {
    const project = join(folder, kind);
    cpSync(join(projects, kind), project, { recursive: true });
    install(
      project,
      tarballs.filter((path) => path.includes(wanted)),
    );
    for (const [program, ...args] of JSON.parse(readFileSync(join(project, 'steps.json'), 'utf8'))) {
      execFileSync(program, args, { cwd: project, env: environment, stdio: ['ignore', 'ignore', 'inherit'] });
    }
  }

  function install(project, packages) {
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...packages], {
      cwd: project,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }

  /** The addon and the worker that @flotilla/native takes when a program in `project` imports it. */
  function found(project) {
    const program = `import { resolveWorkerPath } from '@flotilla/native';
      const addon = process.report.getReport().sharedObjects.find((path) => path.endsWith('.node'));
      console.log(JSON.stringify({ addon, worker: resolveWorkerPath() }));`;
    const { FLOTILLA_WORKER: _ours, ...others } = process.env;
    return JSON.parse(
      execFileSync(process.execPath, ['--input-type=module', '--eval', program], { cwd: project, env: others, encoding: 'utf8' }),
    );
  }

  function packed(tarball, name) {
    return execFileSync('tar', ['-xOzf', tarball, `package/${name}`], { encoding: 'utf8', maxBuffer: 64 << 20 });
  }

  function runAnyway(program, args, cwd) {
    try {
      return execFileSync(program, args, { cwd, encoding: 'utf8' });
    } catch (error) {
      return error.stdout;
    }
  }
});

/** Skips a test where no machine can run; with REQUIRE_KVM=1 that is a failure. */
function requireKvm(test) {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    if (process.env.REQUIRE_KVM === '1') throw error;
    console.log(`SKIPPED: no usable /dev/kvm: ${error.message}`);
    test.skip();
  }
}

/** Uploads the kernel that the projects boot their machines from. */
async function upload({ FLOTILLA_URL: url, FLOTILLA_API_KEY: key }, name, content) {
  const answer = await fetch(`${url}/v1/images/${name}/content?kind=kernel&format=elf`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/octet-stream' },
    body: content,
  });
  expect(answer.status).to.equal(201);
}

/** The header of a 64-bit x86 ELF file: enough for the fake. */
function kernel() {
  const header = Buffer.alloc(4096);
  header.write('\x7fELF', 0, 'latin1');
  header.set([2, 1], 4);
  header.writeUInt16LE(62, 18);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(56, 54);
  return header;
}

function listening(child) {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
      const found = /listening on (http:\S+)/.exec(said)?.[1];
      if (found) resolve(found);
    });
    child.once('exit', (status) => reject(new Error(`The server ended with ${status}: ${said}`)));
  });
}
