// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect } from 'chai';

import { crateEdges, optionalEdges, panickingCrates, testEdges, unsafeByMacro, unsafeCrates, wrappers } from './crate-edges.mjs';
import { folderEdges } from './folder-edges.mjs';
import { importsIn, importsOf } from './imports.mjs';
import { ourFiles, read, run } from './lib.mjs';

const shortName = (name) => name.replace(/^flotilla-/, '');

describe('The layers of crates/', () => {
  let packages;
  before(() => {
    packages = JSON.parse(run('cargo', ['metadata', '--no-deps', '--format-version', '1', '--locked'])).packages;
  });

  /** crate → crates of ours among those of its dependencies that `wanted` picks, as the tables write it */
  const edges = (wanted) =>
    Object.fromEntries(
      packages.map(({ name, dependencies }) => {
        const ours = dependencies.filter((dependency) => dependency.name.startsWith('flotilla-') && wanted(dependency));
        return [shortName(name), ours.map((dependency) => shortName(dependency.name)).sort()];
      }),
    );
  const withoutEmpty = (table) => Object.fromEntries(Object.entries(table).filter(([, to]) => to.length > 0));

  it('are the ones of the table, no edge more and none less', () => {
    expect(edges(({ kind, optional }) => kind !== 'dev' && !optional)).to.deep.equal(crateEdges);
  });

  it('have no other edge in tests and optional features', () => {
    expect(withoutEmpty(edges(({ optional }) => optional))).to.deep.equal(optionalEdges);
    expect(withoutEmpty(edges(({ kind }) => kind === 'dev'))).to.deep.equal(testEdges);
  });

  it('leave each wrapped library to the crates that wrap it', () => {
    const users = (library) =>
      packages
        .filter(({ dependencies }) => dependencies.some(({ name, kind }) => name === library && kind !== 'dev'))
        .map(({ name }) => shortName(name))
        .sort();
    for (const [library, crates] of Object.entries(wrappers)) expect(users(library), library).to.deep.equal(crates);
  });

  it('forbid unsafe code but in the crates that wrap the kernel', () => {
    expect(cratesWithout(/^#!\[forbid\(unsafe_code\)\]$/m)).to.deep.equal([...unsafeByMacro, ...unsafeCrates].sort());
    const denying = cratesWithout(/^#!\[(deny|forbid)\(unsafe_code\)\]$/m);
    expect(denying).to.deep.equal(unsafeCrates);
    const excepted = ourFiles((path) => unsafeByMacro.some((name) => path.startsWith(`crates/${name}/`))).filter((path) =>
      /(allow|expect|warn)\(\s*unsafe_code/.test(read(path)),
    );
    expect(excepted).to.deep.equal([]);
  });

  it('have unsafe code where the table says so, else it is out of date', () => {
    const sources = (name) => ourFiles((path) => path.startsWith(`crates/${name}/src/`) && path.endsWith('.rs'));
    expect(unsafeCrates.filter((name) => !sources(name).some((path) => /\bunsafe (\{|impl|fn|extern)/.test(read(path))))).to.deep.equal([]);
  });

  it('deny panics where guests and clients reach', () => {
    const denied = /deny\(\s*clippy::unwrap_used,\s*clippy::expect_used,\s*clippy::indexing_slicing,\s*clippy::panic,?\s*\)/;
    expect(cratesWithout(denied)).to.deep.equal(panickingCrates);
  });

  it('obey the lints of the workspace', () => {
    const manifests = ourFiles((path) => /^crates\/[^/]+\/Cargo\.toml$/.test(path));
    expect(manifests.filter((path) => !/^\[lints\]\nworkspace = true$/m.test(read(path)))).to.deep.equal([]);
  });

  it('are the rows of the table in docs/architecture.md', () => {
    const rows = [...read('docs/architecture.md').matchAll(/^\| ([a-z, -]+) \| .* \| (yes|no) \|$/gm)];
    const documented = rows.flatMap(([, names, open]) => names.split(', ').map((name) => [name, open === 'yes']));
    expect(documented.map(([name]) => name).sort()).to.deep.equal(Object.keys(crateEdges).sort());
    expect(
      documented
        .filter(([, open]) => open)
        .map(([name]) => name)
        .sort(),
    ).to.deep.equal(unsafeCrates);
  });

  /** Names of the crates that have a library or program whose root does not match `pattern`. */
  function cratesWithout(pattern) {
    const shipped = ({ kind }) => kind.some((one) => ['lib', 'cdylib', 'bin'].includes(one));
    return packages
      .filter(({ targets }) => targets.filter(shipped).some(({ src_path }) => !pattern.test(readFileSync(src_path, 'utf8'))))
      .map(({ name }) => shortName(name))
      .sort();
  }
});

describe('The layers of packages/', () => {
  const sources = ourFiles((path) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path) && !path.endsWith('.spec.ts'));
  const offenders = (folder, forbidden) =>
    sources
      .filter((path) => path.startsWith(folder))
      .flatMap((path) =>
        importsOf(path)
          .filter((one) => forbidden(one, path))
          .map(({ name }) => `${path}: ${name ?? 'a computed name'}`),
      );

  it('are read off every kind of import', () => {
    const text = `import a from 'a'; import type { b } from 'b'; export * from 'c'; type D = typeof import('d'); import('e'); import(f); require('g');`;
    expect(importsIn(text)).to.deep.equal([
      { name: 'a', typesOnly: false },
      { name: 'b', typesOnly: true },
      { name: 'c', typesOnly: false },
      { name: 'd', typesOnly: true },
      { name: 'e', typesOnly: false },
      { name: undefined, typesOnly: false },
      { name: 'g', typesOnly: false },
    ]);
  });

  // The doctor looks at the host it runs on, with no orchestrator.
  it('let only the host side of the orchestrator, and the doctor, load the native module', () => {
    const allowed = /^packages\/(native\/|orchestrator\/src\/agent\/|cli\/src\/commands\/doctor\.ts$)/;
    expect(offenders('packages/', ({ name }, path) => name === '@flotilla/native' && !allowed.test(path))).to.deep.equal([]);
  });

  // Browsers load it: one file opens Node's sockets, by a name computed at run time, and has types of Node for that.
  it('keep the SDK free of everything but itself', () => {
    const allowed = ({ name, typesOnly }, path) => {
      if (name?.startsWith('.')) return true;
      if (path !== 'packages/sdk/src/internal/node-socket.ts') return false;
      return typesOnly ? ['node:http', 'node:net'].includes(name) : name === undefined;
    };
    expect(offenders('packages/sdk/', (one, path) => !allowed(one, path))).to.deep.equal([]);
  });

  it('keep Nest out of the CLI', () => {
    expect(offenders('packages/cli/', ({ name }) => name?.startsWith('@nestjs/'))).to.deep.equal([]);
  });

  it('keep repositories out of controllers', () => {
    const repository = ({ name }, path) => path.endsWith('.controller.ts') && /\.repository(\.js)?$/.test(name ?? '');
    expect(offenders('packages/orchestrator/', repository)).to.deep.equal([]);
  });

  it('are those of the table inside the orchestrator, no edge more and none less', () => {
    const folderOf = (path) => /^packages\/orchestrator\/src\/([^/]+)\//.exec(path)?.[1];
    expect(edgesBetween(folderOf)).to.deep.equal(folderEdges);
  });

  it('have no circle between the features of the API', () => {
    const featureOf = (path) => /^packages\/orchestrator\/src\/api\/([^/]+)\//.exec(path)?.[1];
    expect(circlesIn(edgesBetween(featureOf))).to.deep.equal([]);
  });

  /** Group → groups it imports, where `groupOf` names the group of a path. */
  function edgesBetween(groupOf) {
    const edges = new Map();
    for (const path of sources) {
      const from = groupOf(path);
      if (from === undefined) continue;
      const found = edges.get(from) ?? edges.set(from, new Set()).get(from);
      for (const { name } of importsOf(path)) {
        const to = name?.startsWith('.') ? groupOf(posix.join(posix.dirname(path), name)) : undefined;
        if (to !== undefined && to !== from) found.add(to);
      }
    }
    return Object.fromEntries([...edges].map(([from, to]) => [from, [...to].sort()]));
  }
});

/** Groups that lead to themselves. */
function circlesIn(edges) {
  const reached = (from, seen = new Set()) => {
    for (const to of edges[from] ?? []) if (!seen.has(to)) reached(to, seen.add(to));
    return seen;
  };
  return Object.keys(edges).filter((group) => reached(group).has(group));
}
