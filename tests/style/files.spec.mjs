// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect } from 'chai';

import { isHandWritten, ourFiles, read, run, top } from './lib.mjs';

const sources = ourFiles((path) => /\.(rs|ts|mjs|cjs|sh)$/.test(path) && isHandWritten(path));

/** Lines before the first test module: tests may be long. */
const linesWithoutTests = (path) => (read(path).split(/^#\[cfg\(test\)\]\nmod /m)[0] ?? '').split('\n').length;

describe('Source files', () => {
  it('state their licence', () => {
    const bare = sources.filter((path) => !read(path).slice(0, 200).includes('SPDX-License-Identifier: Apache-2.0'));
    expect(bare).to.deep.equal([]);
  });

  it('stay short enough to be one idea', () => {
    const limit = (path) => (path.endsWith('.rs') ? 700 : 400);
    const isTest = (path) => /(^|\/)(tests?|guest|bench)\/|\.(spec|test)\.m?[jt]s$|(^|\/)tests\.rs$/.test(path);
    const long = sources
      .filter((path) => !isTest(path))
      .map((path) => [path, linesWithoutTests(path)])
      .filter(([path, lines]) => lines > limit(path));
    expect(long).to.deep.equal([]);
  });

  it('are not below a folder that a build writes', () => {
    const built = (paths) => paths.filter((path) => /(^|\/)(target|dist|node_modules)\//.test(path));
    expect(built(['lab/init/target/debug/a', 'dist/a', 'a/target.rs', 'a/distance/b'])).to.deep.equal([
      'lab/init/target/debug/a',
      'dist/a',
    ]);
    expect(built(run('git', ['ls-files', '-z', '--cached']).split('\0'))).to.deep.equal([]);
  });

  it('are there for each command of a package before anything is built: npm links only such', () => {
    const ours = new Set(ourFiles());
    const commands = [...ours]
      .filter((path) => /^packages\/[^/]+\/package\.json$/.test(path))
      .flatMap((path) => Object.values(JSON.parse(read(path)).bin ?? {}).map((file) => join(dirname(path), file)));
    expect(commands).to.include('packages/cli/bin/flotilla.js');
    expect(commands.filter((path) => !ours.has(path))).to.deep.equal([]);
  });

  it('name no package registry in the npm lock file', () => {
    expect(read('package-lock.json')).not.to.match(/"resolved": "https?:/);
  });
});

describe('Documents', () => {
  const documents = ourFiles((path) => path.endsWith('.md'));

  it('link only to what exists', () => {
    const broken = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target]) => target)
        .filter((target) => !existsSync(join(top, normalize(join(dirname(path), decodeURI(target))))))
        .map((target) => `${path}: ${target}`),
    );
    expect(broken).to.deep.equal([]);
  });
});
