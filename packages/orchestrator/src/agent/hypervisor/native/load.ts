// SPDX-License-Identifier: Apache-2.0
import type { NativeModule } from './native-module.js';

/** Loads the native package; only the native hypervisor needs it. The bundle has no `import` of its own and is given one. */
export async function loadNative(): Promise<NativeModule> {
  const name: string = '@flotilla/native';
  const hooks = globalThis as unknown as Record<symbol, ((name: string) => Promise<unknown>) | undefined>;
  const load = hooks[Symbol.for('flotilla.import')] ?? ((wanted: string) => import(wanted) as Promise<unknown>);
  return (await load(name)) as NativeModule;
}
