// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { ErrorCode } from '../../common/error-codes.js';
import type { Network } from './network.js';

export const NETWORK_PARAM = { network: 'Id or name of the network.' };

/** Codes that defining a network may answer. */
export const DEFINE_NETWORK_ERRORS: readonly ErrorCode[] = [
  'network.name_taken',
  'network.config_invalid',
  'network.subnet_invalid',
  'network.subnet_overlaps',
  'network.no_free_subnet',
  'network.too_many',
  'request.invalid_name',
  'request.invalid_labels',
  'host.unavailable',
];

/** So many machines are named; there may be thousands. */
const NAMED = 3;

export class NetworkNotFound extends ApiError {
  /** As a path parameter it is 404; as a field of a body it is 422 and names the field. */
  constructor(idOrName: string, field?: string) {
    super('network.not_found', {
      detail: `There is no network with the id or name "${idOrName}".`,
      remedy: 'List the networks: GET /v1/networks.',
      field,
      status: field === undefined ? 404 : 422,
    });
  }
}

export class NetworkNameTaken extends ApiError {
  constructor(name: string) {
    super('network.name_taken', {
      detail: `A network with the name "${name}" exists.`,
      remedy: 'Choose another name, or delete that network first.',
      field: 'name',
    });
  }
}

export class NetworkBuiltIn extends ApiError {
  constructor() {
    super('network.built_in', {
      detail: 'The network "default" belongs to every installation: machines that name none are on it. It cannot be deleted.',
      remedy: 'Define a network of your own, and put machines on it: POST /v1/networks.',
    });
  }
}

export class NetworkInUse extends ApiError {
  constructor({ name }: Network, machines: readonly string[]) {
    const named = machines.slice(0, NAMED).map((machine) => `"${machine}"`);
    const more = machines.length > NAMED ? ` and ${machines.length - NAMED} more` : '';
    super('network.in_use', {
      detail: `Machines are on network "${name}": ${named.join(', ')}${more}.`,
      remedy: 'Delete these machines first; a machine that is stopped keeps its address.',
    });
  }
}

export class NetworkMisconfigured extends ApiError {
  constructor(detail: string, remedy: string, field: string) {
    super('network.config_invalid', { detail, remedy, field });
  }
}

export class SubnetInvalid extends ApiError {
  constructor(detail: string, remedy: string, field: string) {
    super('network.subnet_invalid', { detail, remedy, field: `ipv4.${field}` });
  }
}

export class AddressInvalid extends ApiError {
  constructor(detail: string, remedy: string, field: string) {
    super('network.address_invalid', { detail, remedy, field });
  }
}

export class AddressTaken extends ApiError {
  constructor({ name }: Pick<Network, 'name'>, address: string, machine: string, field: string) {
    super('network.address_taken', {
      detail: `${address} on network "${name}" belongs to machine ${machine}, running or not.`,
      remedy: 'Give another address, or none to have one chosen.',
      field,
    });
  }
}

export class SubnetOverlaps extends ApiError {
  constructor(subnet: string, other: string) {
    super('network.subnet_overlaps', {
      detail: `The subnet ${subnet} overlaps ${other}.`,
      remedy: 'Give another subnet, or none to have one chosen.',
      field: 'ipv4.subnet',
    });
  }
}

export class NoFreeSubnet extends ApiError {
  constructor() {
    super('network.no_free_subnet', {
      detail: 'All subnets from 10.77.0.0/16 to 10.127.0.0/16 clash with routes of the host or with other networks.',
      remedy: 'Give a subnet, or remove a route of the host (`ip route`).',
    });
  }
}

export class TooManyNetworks extends ApiError {
  constructor(most: number) {
    super('network.too_many', {
      detail: `There are ${most} networks, and there can be no more.`,
      remedy: 'Delete networks that are no longer needed.',
    });
  }
}
