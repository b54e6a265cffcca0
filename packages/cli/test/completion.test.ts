// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Cloud } from './cloud.js';

/** How each shell is asked for the candidates of a line: a script that reads ours and prints them. */
const shells: Readonly<Record<string, (words: readonly string[]) => string>> = {
  bash: (words) =>
    `source <(flotilla completion bash); COMP_WORDS=(${quoted(words)}); COMP_CWORD=${words.length - 1}; _flotilla; printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: (words) =>
    `compdef() { :; }; compadd() { shift; print -l -- \${(P)1}; }; eval "$(flotilla completion zsh)"; words=(${quoted(words)}); CURRENT=${words.length}; _flotilla`,
  fish: (words) => `flotilla completion fish | source; complete -C '${words.join(' ')}' | cut -f 1`,
};

describe('Shell completion scripts', () => {
  const cloud = new Cloud();
  before(async () => {
    await cloud.start();
    await cloud.json('image', 'import', 'my-kernel', cloud.kernel, '--kind', 'kernel', '--format', 'elf');
  });
  after(() => cloud.stop());

  for (const [shell, script] of Object.entries(shells)) {
    describe(`for ${shell}`, () => {
      before(function () {
        if (isInstalled(shell)) return;
        // The set-up installs all of them.
        if (process.env['REQUIRE_TOOLS'] !== undefined)
          throw new Error(`${shell} is missing and REQUIRE_TOOLS is set: run \`npm run setup\``);
        console.log(`SKIPPED: ${shell} is not installed`);
        this.skip();
      });

      const candidates = (...words: string[]): string[] => {
        const env = { ...cloud.env, PATH: `${cloud.binFolder()}:${process.env['PATH']}`, HOME: cloud.folder };
        const out = execFileSync(shell, [...(shell === 'fish' ? ['--no-config'] : []), '-c', script(words)], { env, encoding: 'utf8' });
        return out.trim().split('\n').sort();
      };

      it('is accepted by it', async () => {
        const script = join(cloud.folder, shell);
        writeFileSync(script, (await cloud.flotilla('completion', shell)).stdout);
        execFileSync(shell, ['-n', script]);
      });

      it('completes commands, values of options and names', () => {
        expect(candidates('flotilla', 'mach')).to.deep.equal(['machine']);
        expect(candidates('flotilla', 'machine', 're')).to.deep.equal(['restart', 'resume']);
        expect(candidates('flotilla', 'machine', 'list', '-o', '')).to.deep.equal(['json', 'name', 'table', 'yaml']);
        expect(candidates('flotilla', 'image', 'import', '--kind', 'k')).to.deep.equal(['kernel']);
        expect(candidates('flotilla', 'machine', 'create', '--kernel', 'my')).to.deep.equal(['my-kernel']);
        expect(candidates('flotilla', 'pool', 'refresh', '')).to.deep.equal(['default']);
        expect(candidates('flotilla', 'image', 'delete', '')).to.deep.equal(['my-kernel']);
      });
    });
  }
});

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' ');
}

function isInstalled(shell: string): boolean {
  try {
    execFileSync(shell, ['-c', 'true']);
    return true;
  } catch {
    return false;
  }
}
