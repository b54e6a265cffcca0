// SPDX-License-Identifier: Apache-2.0
// The text format 0.0.4 of Prometheus, for the declared metrics of machines.
import { declaredValues, type MachineValues, type MetricValue } from '../../host-agent/machine-metrics.js';
import { METRICS, type Metric } from '../../host-agent/metrics.gen.js';

/** What a machine told. */
export interface MachineAnswer {
  machine: string;
  values: MachineValues;
  /** The parts that it told of so far, in this answer and earlier ones: what it tells of a few more each time would be kept for ever. */
  parts: Set<string>;
}

/** Every family that a machine has told of, with its help, its type and a line for each value. */
export function renderMachines(answers: readonly MachineAnswer[]): string {
  const lines = new Map<string, string[]>();
  for (const { machine, values, parts } of answers) {
    for (const found of declaredValues(values, parts)) {
      const { family } = found.metric;
      const line = `${family}${labels(machine, found)} ${found.metric.unit === 'nanoseconds' ? found.value / 1e9 : found.value}`;
      const known = lines.get(family);
      if (known === undefined) lines.set(family, [line]);
      else known.push(line);
    }
  }
  return [...FAMILIES].map(([family, metric]) => text(metric, lines.get(family))).join('');
}

/** One metric of each family, in the order of the declaration. */
const FAMILIES: ReadonlyMap<string, Metric> = new Map(METRICS.map((metric) => [metric.family, metric]));

function text(metric: Metric, lines: readonly string[] | undefined): string {
  if (lines === undefined) return '';
  const help = metric.reason === undefined ? metric.help : `Exits of a ${metric.component} by reason.`;
  return `# HELP ${metric.family} ${escapeHelp(help)}\n# TYPE ${metric.family} ${metric.kind}\n${lines.join('\n')}\n`;
}

function labels(machine: string, { part, component, metric }: MetricValue): string {
  const own = component === 'vcpu' ? { vcpu: part.slice('vcpu:'.length) } : component === 'process' ? {} : { device: part };
  const all = { machine, ...own, ...(metric.reason === undefined ? {} : { reason: metric.reason }) };
  return `{${Object.entries(all)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',')}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
