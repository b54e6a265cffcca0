// SPDX-License-Identifier: Apache-2.0
// Every shell line of the workflows and actions, and what shows that it works before it is pushed.

/**
 * How a line is accounted for, one of:
 * @typedef {{ test: string, text: string }} Tested  a test file runs it; `text` is where, so that the entry falls with the test
 * @typedef {{ runs: true }} Run  run as it is, in an empty home folder
 * @typedef {{ plus: string, status: number, says: RegExp }} Tried  run with more words, which end it early
 * @typedef {{ outside: string }} Outside  only its syntax can be checked; the reason
 */

const action = (text) => ({ test: 'tests/package/action.spec.mjs', text });
const installs = { outside: 'downloads and compiles for minutes' };
const plan = { plus: '--plan', status: 0, says: /^Host: / };

/** @type {Record<string, Tested | Run | Tried | Outside>} */
export const workflowLines = {
  'npm run setup -- build': plan,
  'npm run setup -- build check': plan,
  'npm run check -- --no-setup': { plus: '--help', status: 0, says: /Tiers:/ },
  'bash .ci/run': { plus: '--help', status: 0, says: /Tiers:/ },
  'npm run fuzz -- --seconds 60': { plus: '--target nothing', status: 1, says: /There is no target nothing/ },
  'npm run fuzz -- --seconds 600': { plus: '--target nothing', status: 1, says: /There is no target nothing/ },
  'npm run bench -- --output bench.md': { plus: '--runs 4', status: 1, says: /--runs 4 is too few/ },
  'npm run pack -- --output packed': { test: 'tests/package/pack.spec.mjs', text: "'pack', '--', '--output'" },
  'node scripts/release/publish.mjs packed': { test: 'scripts/release/publish.spec.mjs', text: "[program, join(folder, 'packed')" },
  'cargo install cargo-deny --version 0.20.2 --locked': installs,
  'cargo install cargo-fuzz --version 0.13.2 --locked': installs,
  'rustup toolchain install nightly --profile minimal': installs,

  // .github/actions/prepare-container
  'git config --global --add safe.directory "$GITHUB_WORKSPACE"': { runs: true },
  "curl --proto '=https' --tlsv1.2 --fail --silent --show-error https://sh.rustup.rs | sh -s -- -y --no-modify-path --default-toolchain none":
    installs,
  'echo "$HOME/.cargo/bin" >> "$GITHUB_PATH"': { runs: true },
  '"$HOME/.cargo/bin/rustup" toolchain install': installs,

  // .github/actions/setup-flotilla, and the workflow integration
  'node "$GITHUB_ACTION_PATH/install.mjs"': action("runOf(action, 'install')"),
  'node "$GITHUB_ACTION_PATH/start.mjs"': action("runOf(action, 'start')"),
  'cargo run --locked -p flotilla-test-guests --bin make-guests -- "$RUNNER_TEMP/guests"': action("'Make a kernel that prints a word'"),
  'sudo --preserve-env "$(command -v node)" "$(command -v flotilla)" doctor': action("'Ask the host what it can do'"),
  'flotilla image import cli-kernel "$RUNNER_TEMP/guests/idle.elf" --upload --kind kernel --format elf':
    action("'Run a machine through the CLI'"),
  'flotilla machine create from-cli --kernel cli-kernel --memory 16M': action("'Run a machine through the CLI'"),
  'test "$(flotilla machine list --output name)" = from-cli': action("'Run a machine through the CLI'"),
  'flotilla machine delete from-cli --force --yes': action("'Run a machine through the CLI'"),
  'cp -r tests/package/action-project "$RUNNER_TEMP/project"': action("'Run a machine through the SDK, in a project of its own'"),
  'npm install --no-save --no-audit --no-fund --prefix "$RUNNER_TEMP/project" "$FLOTILLA_SDK"': action(
    "'Run a machine through the SDK, in a project of its own'",
  ),
  'node "$RUNNER_TEMP/project/main.js" "$RUNNER_TEMP/guests/idle.elf"': action("'Run a machine through the SDK, in a project of its own'"),
};
