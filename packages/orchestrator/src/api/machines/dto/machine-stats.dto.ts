// SPDX-License-Identifier: Apache-2.0
import { CustomField, EnumField, IntField, ListField, NumberField, StringField, TimeField } from '../../../common/dto/fields.js';
import { METRICS } from '../../../host-agent/metrics.gen.js';

/** Kinds of parts that have metrics; those of a transport are among those of its device. */
const COMPONENTS = [...new Set(METRICS.map(({ component }) => component))].filter((component) => !['pci', 'mmio'].includes(component));

/** What one device, one vCPU or the process has counted. */
export class MachinePartStats {
  @StringField({ description: 'The part: `disk:root`, `net:eth0`, `vcpu:0`, `process`.' }) name: string;
  @EnumField({ description: 'What kind of part it is.', values: COMPONENTS }) component: string;
  @CustomField({
    description: 'Its metrics by name, as docs/metrics-list.md has them: counts, bytes and nanoseconds.',
    schema: { type: 'object', additionalProperties: { type: 'integer' } },
  })
  metrics: Record<string, number>;
}

/** What a machine has done since its worker began. Two answers tell what it does in a second. */
export class MachineStats {
  @TimeField({ description: 'When it was asked.' }) takenAt: string;
  @NumberField({
    description: 'Seconds that its CPUs ran on those of the host, added up. Absent where the host does not say.',
    optional: true,
  })
  cpuSeconds?: number;
  @NumberField({
    description: 'Seconds that its CPUs had to wait for one of the host, added up: stolen from the guest.',
    optional: true,
  })
  stolenSeconds?: number;
  @IntField({ description: 'Bytes of the memory of the host that it has now, what runs it included.', optional: true })
  residentBytes?: number;
  @IntField({ description: 'Times that its CPUs left the guest for the worker.' }) exits: number;
  @IntField({ description: 'Bytes read from all its disks.' }) diskReadBytes: number;
  @IntField({ description: 'Bytes written to all its disks.' }) diskWriteBytes: number;
  @IntField({ description: 'Bytes its guest has received on all interfaces but those of vhost-net.' }) netReceiveBytes: number;
  @IntField({ description: 'Bytes its guest has sent on all interfaces but those of vhost-net.' }) netTransmitBytes: number;
  @ListField(() => MachinePartStats, { description: 'The same, and everything else, part by part.' }) parts: MachinePartStats[];
}
