// SPDX-License-Identifier: Apache-2.0
import { declaredValues, type MachineValues, type MetricValue } from '../../host-agent/machine-metrics.js';
import type { MachinePartStats, MachineStats } from './dto/machine-stats.dto.js';

/** What a machine has done since its worker began, added up and by part. */
export function toMachineStats(values: MachineValues, takenAt: Date): MachineStats {
  const declared = declaredValues(values);
  const sum = (component: string, name: RegExp): number | undefined => {
    const found = declared.filter(({ metric }) => metric.component === component && name.test(metric.name));
    return found.length === 0 ? undefined : found.reduce((total, { value }) => total + value, 0);
  };
  const seconds = (nanoseconds: number | undefined) => (nanoseconds === undefined ? undefined : nanoseconds / 1e9);
  const [cpuSeconds, stolenSeconds] = [seconds(sum('vcpu', /^run_ns$/)), seconds(sum('vcpu', /^wait_ns$/))];
  const residentBytes = sum('process', /^resident_bytes$/);
  return {
    takenAt: takenAt.toISOString(),
    ...(cpuSeconds === undefined ? {} : { cpuSeconds }),
    ...(stolenSeconds === undefined ? {} : { stolenSeconds }),
    ...(residentBytes === undefined ? {} : { residentBytes }),
    exits: sum('vcpu', /^exits_/) ?? 0,
    diskReadBytes: sum('disk', /^read_bytes$/) ?? 0,
    diskWriteBytes: sum('disk', /^write_bytes$/) ?? 0,
    netReceiveBytes: sum('net', /^rx_bytes$/) ?? 0,
    netTransmitBytes: sum('net', /^tx_bytes$/) ?? 0,
    parts: byPart(declared),
  };
}

function byPart(declared: readonly MetricValue[]): MachinePartStats[] {
  const parts = new Map<string, MachinePartStats>();
  for (const { part, component, metric, value } of declared) {
    const found = parts.get(part) ?? { name: part, component, metrics: {} };
    found.metrics[metric.name] = value;
    parts.set(part, found);
  }
  return [...parts.values()];
}
