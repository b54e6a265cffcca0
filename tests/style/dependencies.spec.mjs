// SPDX-License-Identifier: Apache-2.0
// deny.toml says what may enter the dependency tree. cargo-deny reads all of it; where that is missing, the most important
// parts are checked here.
import { expect } from 'chai';

import { wrappers } from './crate-edges.mjs';
import { isInstalled, read, run, skip } from './lib.mjs';

const deny = read('deny.toml');
const allowed = new Set([...(/^allow = \[([^\]]*)\]/m.exec(deny)?.[1] ?? '').matchAll(/"([^"]+)"/g)].map(([, name]) => name));

/** Whether an SPDX expression can be met: one side of each OR, both sides of each AND. AND binds tighter. */
function isAllowed(expression) {
  const tokens =
    expression
      .replaceAll('/', ' OR ')
      .replaceAll(' WITH ', '~')
      .match(/[()]|[^\s()]+/g) ?? [];
  const one = () => {
    const token = tokens.shift();
    if (token !== '(') return allowed.has(token?.replace('~', ' WITH '));
    const inner = any();
    tokens.shift();
    return inner;
  };
  const chain = (next, operator, join) => {
    let value = next();
    while (tokens[0] === operator) {
      tokens.shift();
      value = join(value, next());
    }
    return value;
  };
  const all = () => chain(one, 'AND', (left, right) => left && right);
  const any = () => chain(all, 'OR', (left, right) => left || right);
  return any();
}

describe('Crates we depend on', () => {
  let packages;
  before(() => {
    const argv = ['metadata', '--format-version', '1', '--locked', '--filter-platform', 'x86_64-unknown-linux-gnu'];
    packages = JSON.parse(run('cargo', argv)).packages;
  });

  it('have licences that deny.toml allows', () => {
    expect(['MIT', 'GPL-2.0 OR MIT', '(MIT OR GPL-2.0) AND ISC', 'Apache-2.0 WITH LLVM-exception'].map(isAllowed)).to.deep.equal([
      true,
      true,
      true,
      true,
    ]);
    expect(['GPL-2.0', 'MIT AND GPL-2.0', 'ISC AND (GPL-2.0 OR GPL-3.0)', ''].map(isAllowed)).to.deep.equal([false, false, false, false]);
    const refused = packages.filter(({ license }) => !isAllowed(license ?? '')).map(({ name, license }) => `${name}: ${license}`);
    expect(refused).to.deep.equal([]);
  });

  it('come from one registry or from this tree', () => {
    const sources = new Set(packages.map(({ source }) => source).filter((source) => source !== null));
    expect([...sources].filter((source) => !source.startsWith('registry+'))).to.deep.equal([]);
    expect(sources.size).to.equal(1);
  });

  it('are denied to all but their wrappers by deny.toml as by the table of the layers', () => {
    const bans = [...deny.matchAll(/crate = "([^"]+)", wrappers = \[([^\]]*)\]/g)];
    expect(bans.length).to.be.greaterThan(0);
    for (const [, crate, list] of bans) {
      const ours = [...list.matchAll(/"flotilla-([^"]+)"/g)].map(([, name]) => name);
      expect(ours, crate).to.deep.equal(wrappers[crate]);
    }
  });

  it('pass cargo-deny', function () {
    if (!isInstalled('cargo-deny')) skip(this, 'cargo install cargo-deny --version 0.20.2 --locked', { tool: 'cargo-deny' });
    run('cargo-deny', ['--all-features', 'check', 'bans', 'licenses', 'sources']);
  });
});
