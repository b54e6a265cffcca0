// SPDX-License-Identifier: Apache-2.0
import {
  BoolField,
  EnumField,
  IntField,
  LabelsField,
  NameField,
  ObjectField,
  QueryBoolField,
  QueryIntField,
  StringField,
} from '../../../common/dto/fields.js';
import { LINK_STATES, type LinkState } from '../../../common/interface-traffic.js';
import { CloudInitDto } from './cloud-init.dto.js';
import { CpusField, MachineSpecDto, MemoryField, RestartPolicyDto } from './machine-spec.dto.js';

/** What people write about a machine. */
function NotesField(): PropertyDecorator {
  return StringField({ description: 'Anything worth knowing about it; empty for nothing.', optional: true, maxLength: 4096 });
}

/** Whether a machine may be deleted. */
function ProtectedField(): PropertyDecorator {
  return BoolField({ description: 'Whether it may not be deleted, not by force either.', optional: true });
}

/** Body of `POST /v1/machines`. */
export class CreateMachine extends MachineSpecDto {
  @NameField({ description: 'Name of the machine, unique; also its host name on its networks.' }) name: string;
  @LabelsField({ optional: true }) labels?: Record<string, string>;
  @NotesField() notes?: string;
  @ProtectedField() protected?: boolean;
  @BoolField({ description: 'Whether to start it at once.', optional: true, default: true }) start?: boolean;
}

/** Body of `PATCH /v1/machines/{machine}`. */
export class UpdateMachine {
  @NameField({ description: 'Renames it, while it is stopped: it is also its host name on its networks.', optional: true }) name?: string;
  @CpusField({ description: 'Virtual CPUs, 1 to 64; changed while it is stopped.', optional: true }) cpus?: number;
  @MemoryField({ description: 'Memory in MiB: even, at least 16; changed while it is stopped.', optional: true }) memoryMiB?: number;
  @NotesField() notes?: string;
  @ProtectedField() protected?: boolean;
  @LabelsField({ description: 'Replaces all labels.', optional: true }) labels?: Record<string, string>;
  @ObjectField(() => CloudInitDto, {
    description: 'Replaces what cloud-init is told, while the machine is stopped. It does most of it at the first start of a guest alone.',
    optional: true,
  })
  cloudInit?: CloudInitDto;
  @ObjectField(() => RestartPolicyDto, { description: 'Replaces the restart policy.', optional: true }) restartPolicy?: RestartPolicyDto;
}

/** Body of `PATCH /v1/machines/{machine}/interfaces/{interface}`. */
export class UpdateInterface {
  @EnumField({ description: 'Whether the cable is plugged in. A guest that runs hears of it.', values: LINK_STATES }) link: LinkState;
}

/** Body of stop and restart. */
export class StopMachine {
  @IntField({
    description: 'Seconds the guest has to power off after the ACPI power button.',
    optional: true,
    min: 0,
    max: 3600,
    default: 30,
  })
  timeoutSeconds?: number;
  @BoolField({
    description: 'Whether the machine is killed when the time is over; otherwise the operation fails.',
    optional: true,
    default: true,
  })
  thenKill?: boolean;
}

/** Query of the delete of a machine. */
export class DeleteMachineQuery {
  @QueryBoolField({
    description:
      'Also delete a machine that runs, which is killed first, and one whose pool the host cannot reach: what of its disks is there stays ' +
      'there.',
    optional: true,
    default: false,
    code: 'request.invalid_query',
  })
  force?: boolean;
}

/** Query of the console log. */
export class LogsQuery {
  @QueryIntField({
    description: 'Only the last so many bytes.',
    optional: true,
    min: 0,
    max: 16 * 1024 * 1024,
    code: 'request.invalid_query',
  })
  tailBytes?: number;
  @QueryIntField({
    description: 'Only bytes from this offset of the console stream on.',
    optional: true,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    code: 'request.invalid_query',
  })
  offset?: number;
}

/** How a disk is detached. */
export class DetachDiskQuery {
  @QueryBoolField({ description: 'Whether its volume is deleted as well.', optional: true, default: false, code: 'request.invalid_query' })
  deleteVolume?: boolean;
}
