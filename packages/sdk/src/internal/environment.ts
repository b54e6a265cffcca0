// SPDX-License-Identifier: Apache-2.0

/** A variable of the process environment, where there is one. */
export function environment(name: string): string | undefined {
  const host = globalThis as { process?: { env?: Record<string, string | undefined> } };
  const value = host.process?.env?.[name];
  return value === '' ? undefined : value;
}

/** Whether this is Node (or a runtime that offers Node's modules). */
export function isNode(): boolean {
  const host = globalThis as { process?: { versions?: { node?: string } } };
  return host.process?.versions?.node !== undefined;
}
