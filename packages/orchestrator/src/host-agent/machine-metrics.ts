// SPDX-License-Identifier: Apache-2.0
// What the names mean under which a machine tells its metrics: `disk:root.read_bytes`, `vcpu:0.run_ns`, `rng0.pci_resets`.
import { METRICS, type Metric } from './metrics.gen.js';

/** Values by name, as a host tells them. */
export type MachineValues = Readonly<Record<string, number>>;

/** A value whose name is declared. */
export interface MetricValue {
  /** The device, vCPU or process: `disk:root`, `vcpu:0`, `process`. */
  part: string;
  /** What kind of part it is. */
  component: string;
  metric: Metric;
  value: number;
}

const DECLARED: ReadonlyMap<string, Metric> = new Map(METRICS.map((metric) => [`${metric.component}.${metric.name}`, metric]));

/** Ids and device names; nothing else is a name of a part. vCPUs and the process have one name each. */
const PART = /^(?:vcpu:[0-9]{1,3}|process|(?!vcpu|process)[a-z][a-z0-9-]*(?::[A-Za-z0-9][A-Za-z0-9._-]{0,63})?)$/;

/** More parts no machine has. What comes from a worker whose guest has taken it over must not grow without a bound. */
const MAX_PARTS = 256;

/**
 * The values that are declared, in their order; others, as those of a newer worker, are left out. Whoever looks again and again gives the
 * same `parts`, which are those seen so far: a machine has the same ones as long as it runs.
 */
export function declaredValues(values: MachineValues, parts = new Set<string>()): MetricValue[] {
  return Object.entries(values).flatMap(([full, value]) => {
    const dot = full.lastIndexOf('.');
    const [part, name] = [full.slice(0, dot), full.slice(dot + 1)];
    if (!PART.test(part) || typeof value !== 'number') return [];
    const component = componentOf(part);
    const metric = DECLARED.get(`${component}.${name}`) ?? DECLARED.get(`${name.split('_')[0]}.${name}`);
    if (metric === undefined || (parts.size >= MAX_PARTS && !parts.has(part))) return [];
    parts.add(part);
    return [{ part, component, metric, value }];
  });
}

/** `disk` of `disk:root`, `serial` of `serial0`; the number is a part of the name of the 8042. */
function componentOf(part: string): string {
  const kind = part.split(':')[0] ?? part;
  return kind === 'i8042' ? kind : kind.replace(/[0-9]+$/, '');
}
