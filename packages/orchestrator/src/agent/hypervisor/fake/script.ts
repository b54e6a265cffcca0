// SPDX-License-Identifier: Apache-2.0
// How a fake guest behaves is written on its kernel command line, so that tests drive it through the public API alone.

/** Behaviour of one fake guest; times in milliseconds, zero is before the boot call has answered. */
export interface GuestScript {
  /** Work of the boot call. */
  bootMs: number;
  /** Step that fails: `create` or `boot`. */
  fail: string | undefined;
  /** The guest kernel panics after this time. */
  panicAfterMs: number | undefined;
  /** The worker dies after this time. */
  crashAfterMs: number | undefined;
  /** The guest powers itself off after this time. */
  poweroffAfterMs: number | undefined;
  /** The guest does not reset its watchdog in time; it has to have one. */
  watchdogAfterMs: number | undefined;
  /** The guest ignores the power button. */
  deaf: boolean;
}

/** Reads `fake.<name>[=<value>]` words of a command line. */
export function parseScript(commandLine: string): GuestScript {
  const words = new Map(
    commandLine
      .split(/\s+/)
      .filter((word) => word.startsWith('fake.'))
      .map((word) => {
        const [key = '', value = ''] = word.slice(5).split('=');
        return [key, value] as const;
      }),
  );
  const time = (name: string) => (words.has(name) ? Math.min(Number(words.get(name)) || 0, 3_600_000) : undefined);
  return {
    bootMs: time('boot_ms') ?? 0,
    fail: words.get('fail'),
    panicAfterMs: time('panic_after'),
    crashAfterMs: time('crash_after'),
    poweroffAfterMs: time('poweroff_after'),
    watchdogAfterMs: time('watchdog_after'),
    deaf: words.has('deaf'),
  };
}
