// SPDX-License-Identifier: Apache-2.0
// The tarballs as the release workflow makes them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const top = fileURLToPath(new URL('../..', import.meta.url));

describe('npm run pack', () => {
  it('names in each package the repository of the workflow, which a statement of provenance needs', () => {
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-pack-'));
    try {
      const env = { ...process.env, GITHUB_REPOSITORY: 'owner/name', GITHUB_SERVER_URL: 'https://git.example' };
      const said = execFileSync('npm', ['run', '--silent', 'pack', '--', '--output', folder], { cwd: top, env, encoding: 'utf8' });
      const manifests = said.trim().split('\n').map(manifestOf);
      expect(manifests.map(({ name }) => name)).to.deep.equal(
        ['native-linux-x64-gnu', 'native', 'sdk', 'orchestrator', 'cli'].map((part) => `@flotilla/${part}`),
      );
      for (const { name, repository, scripts, devDependencies } of manifests) {
        expect(repository?.url, name).to.equal('git+https://git.example/owner/name.git');
        expect([scripts, devDependencies], `what only development of ${name} needs`).to.deep.equal([undefined, undefined]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function manifestOf(tarball) {
  return JSON.parse(execFileSync('tar', ['-xOzf', tarball, 'package/package.json'], { encoding: 'utf8' }));
}
