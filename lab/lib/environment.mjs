// SPDX-License-Identifier: Apache-2.0
// Which of the caller's variables go into the lab: those that say who and how, and our own; never secrets of the shell.

const PASSED_ON =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|CI|REQUIRE_KVM|RUSTUP_HOME|CARGO_HOME|FLOTILLA_\w+)$/;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** @returns {Record<string, string>} */
export function labEnvironment(caller, extra) {
  const passed = Object.entries(caller).filter(([name, value]) => PASSED_ON.test(name) && value !== undefined);
  const result = { HOME: '/root', USER: 'root', ...Object.fromEntries(passed), FLOTILLA_LAB: '1', ...extra };
  result.PATH = extra.PATH ?? withSystemPath(caller.PATH);
  return result;
}

/** nft and ip live in sbin, which is not on everybody's path. */
function withSystemPath(path) {
  const known = path ? path.split(':') : [];
  return [...known, ...SYSTEM_PATH.split(':').filter((directory) => !known.includes(directory))].join(':');
}
