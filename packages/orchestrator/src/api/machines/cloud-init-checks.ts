// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import { cloudInitOf, isUserData, lengthOf, MAX_CLOUD_INIT_TEXT, SEED_DISK } from '../../common/cloud-init.js';
import type { CloudInitDto } from './dto/cloud-init.dto.js';
import { MAX_DISKS } from './dto/machine-spec.dto.js';
import type { MachineSpec } from './machine.js';

/** What cloud-init is told, if it is told something; refuses what it would leave out, and a machine that has no room for its disk. */
export function planCloudInit(
  { cloudInit }: { cloudInit?: CloudInitDto | undefined },
  disks: readonly { name: string }[] = [],
): Pick<MachineSpec, 'cloudInit'> {
  if (cloudInit === undefined) return {};
  const { userData } = cloudInit;
  if (lengthOf(cloudInit) > MAX_CLOUD_INIT_TEXT) {
    throw new ApiError('spec.cloud_init_invalid', {
      detail: `cloud-init is told ${lengthOf(cloudInit)} characters, more than ${MAX_CLOUD_INIT_TEXT}.`,
      remedy: 'Have the user data get what is long from elsewhere (#include, or a script).',
      field: 'cloudInit',
    });
  }
  if (userData !== undefined && !isUserData(userData)) {
    throw new ApiError('spec.cloud_init_invalid', {
      detail: 'cloud-init leaves user data out that does not say in its first line what it is.',
      remedy: 'Begin it with #cloud-config, with #! for a script, or with the header of a MIME archive.',
      field: 'cloudInit.userData',
    });
  }
  const taken = disks.findIndex(({ name }) => name === SEED_DISK);
  if (taken >= 0) {
    throw new ApiError('spec.duplicate_name', {
      detail: `The name "${SEED_DISK}" is that of the disk for cloud-init.`,
      remedy: 'Give the disk another name.',
      field: `disks[${taken}].name`,
    });
  }
  if (disks.length >= MAX_DISKS) {
    throw new ApiError('spec.cloud_init_invalid', {
      detail: `The machine has ${disks.length} disks, and room for no more.`,
      remedy: `Give it at most ${MAX_DISKS - 1} disks, or leave cloudInit out.`,
      field: 'cloudInit',
    });
  }
  return { cloudInit: cloudInitOf(cloudInit) };
}
