// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, ListField, ObjectField, StringField } from '../../../common/dto/fields.js';

/** One check of the host. */
export class HostCheck {
  @StringField({ description: 'Stable id of the check.' }) id: string;
  @StringField({ description: 'What is checked.' }) title: string;
  @EnumField({ description: 'Outcome.', values: ['ok', 'degraded', 'missing'] }) status: string;
  @StringField({ description: 'What was found.' }) detail: string;
  @StringField({ description: 'What it means for machines.' }) meaning: string;
  @StringField({ description: 'How to mend it.', optional: true }) remedy?: string;
}

/** Kind of KVM. */
export class HostKvm {
  @EnumField({
    description: '`hardware`: runs everything; `software`: kvm without hardware support; `none`.',
    values: ['hardware', 'software', 'none'],
  })
  kind: string;
  @StringField({ description: 'What the probe found.' }) detail: string;
}

/** What a host can do. */
export class HostReportDto {
  @ListField(() => HostCheck, { description: 'All checks.' }) checks: HostCheck[];
  @ObjectField(() => HostKvm, { description: 'Kind of KVM.' }) kvm: HostKvm;
}

/** A host that runs machines. */
export class HostDto {
  @StringField({ description: 'Id.' }) id: string;
  @StringField({ description: 'Host name.' }) name: string;
  @IntField({ description: 'CPUs of the host.' }) cpus: number;
  @IntField({ description: 'Memory of the host in MiB.' }) memoryMiB: number;
  @StringField({ description: 'Kernel version.' }) kernel: string;
  @ObjectField(() => HostKvm, { description: 'Kind of KVM.' }) kvm: HostKvm;
  @ObjectField(() => HostReportDto, { description: 'The last report.' }) report: HostReportDto;
}
