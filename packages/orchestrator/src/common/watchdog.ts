// SPDX-License-Identifier: Apache-2.0
// A watchdog that a guest starts and then has to reset in time. One form from the API to the host agent.

/** What follows when a guest does not. */
export const WATCHDOG_ACTIONS = ['reset', 'poweroff', 'pause', 'report'] as const;
export type WatchdogAction = (typeof WATCHDOG_ACTIONS)[number];

export interface WatchdogSettings {
  action: WatchdogAction;
}

export function isWatchdogAction(text: unknown): text is WatchdogAction {
  return (WATCHDOG_ACTIONS as readonly unknown[]).includes(text);
}
