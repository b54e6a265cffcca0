// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import { crateEdges, unsafeCrates, wrappers } from './crate-edges.mjs';
import { ourFiles, read, run } from './lib.mjs';

const metadata = () => JSON.parse(run('cargo', ['metadata', '--no-deps', '--format-version', '1', '--locked']));
const shortName = (name) => name.replace(/^flotilla-/, '');

describe('The layers of crates/', () => {
  it('are the ones of the table: no crate is missing from it', () => {
    const names = metadata().packages.map(({ name }) => shortName(name));
    expect(names.sort()).to.deep.equal(Object.keys(crateEdges).sort());
  });

  it('have no edge that the table does not draw', () => {
    const wrong = [];
    for (const { name, dependencies } of metadata().packages) {
      const from = shortName(name);
      for (const { name: to, kind } of dependencies) {
        if (kind === 'dev' || !to.startsWith('flotilla-')) continue;
        if (!crateEdges[from]?.includes(shortName(to))) wrong.push(`${from} → ${shortName(to)}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('leave each wrapped library to the crate that wraps it', () => {
    const wrong = [];
    for (const { name, dependencies } of metadata().packages) {
      for (const dependency of dependencies) {
        const allowed = wrappers[dependency.name];
        if (allowed !== undefined && !allowed.includes(shortName(name))) wrong.push(`${name} → ${dependency.name}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('forbid unsafe code but for the crates that wrap the kernel or Node', () => {
    const roots = ourFiles((path) => /^crates\/[^/]+\/src\/(lib|main)\.rs$/.test(path));
    const open = roots.filter((path) => !read(path).includes('#![forbid(unsafe_code)]')).map((path) => path.split('/')[1]);
    expect(open.filter((name) => !unsafeCrates.includes(name))).to.deep.equal([]);
  });
});

describe('The layers of packages/', () => {
  const sources = ourFiles((path) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path));
  const imports = (path) => [...read(path).matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, name]) => name);
  const offenders = (inside, forbidden) =>
    sources.filter(inside).flatMap((path) => imports(path).filter(forbidden).map((name) => `${path}: ${name}`));

  it('let only the host side of the orchestrator load the native module', () => {
    const outside = (path) => path.startsWith('packages/orchestrator/') && !path.startsWith('packages/orchestrator/src/agent/');
    expect(offenders(outside, (name) => name === '@flotilla/native')).to.deep.equal([]);
  });

  it('keep the SDK free of everything but itself', () => {
    const sdk = (path) => path.startsWith('packages/sdk/') && !path.endsWith('.spec.ts');
    expect(offenders(sdk, (name) => !name.startsWith('.'))).to.deep.equal([]);
  });

  it('keep Nest out of the CLI', () => {
    expect(offenders((path) => path.startsWith('packages/cli/'), (name) => name.startsWith('@nestjs/'))).to.deep.equal([]);
  });

  it('keep repositories out of controllers', () => {
    const controller = (path) => path.endsWith('.controller.ts');
    expect(offenders(controller, (name) => /\.repository(\.js)?$/.test(name))).to.deep.equal([]);
  });
});
