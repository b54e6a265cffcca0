// SPDX-License-Identifier: Apache-2.0
// Which declared metrics a guest has moved, and which are for other tests to move.
import { readFileSync } from 'node:fs';
import { METRICS } from '@flotilla/native';

const elsewhere = new URL('../../metrics-elsewhere.json', import.meta.url);

/** Looks at the metrics of one machine again and again. */
export class MovedMetrics {
  readonly #moved = new Set<string>();

  /** Counters that are no longer zero, and gauges that are not. */
  look(values: Readonly<Record<string, number>>): void {
    for (const [full, value] of Object.entries(values)) if (value > 0) this.#moved.add(nameOf(full));
  }

  /** What is declared, did not move, and is moved by no other test either. */
  missing(): string[] {
    const others = JSON.parse(readFileSync(elsewhere, 'utf8')) as Record<string, string>;
    return METRICS.map(({ component, name }) => `${component}.${name}`).filter((name) => !this.#moved.has(name) && !(name in others));
  }

  /** Names that a machine tells and nobody has declared. */
  static undeclared(values: Readonly<Record<string, number>>): string[] {
    const declared = new Set(METRICS.map(({ component, name }) => `${component}.${name}`));
    return Object.keys(values).filter((full) => !declared.has(nameOf(full)));
  }
}

/** `disk.read_bytes` of `disk:root.read_bytes`, `pci.pci_resets` of `rng0.pci_resets`. */
function nameOf(full: string): string {
  const [part, name] = [full.slice(0, full.lastIndexOf('.')), full.slice(full.lastIndexOf('.') + 1)];
  const transport = /^(pci|mmio)_/.exec(name)?.[1];
  const kind = part.split(':')[0] ?? part;
  return `${transport ?? (kind === 'i8042' ? kind : kind.replace(/\d+$/, ''))}.${name}`;
}
