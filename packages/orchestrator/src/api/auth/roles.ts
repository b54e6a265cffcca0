// SPDX-License-Identifier: Apache-2.0
import { PERMISSIONS, type Permission } from '../../common/route.js';

export const ROLES = ['admin', 'operator', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

const ADMIN_ONLY: readonly Permission[] = [
  'keys:read',
  'keys:write',
  'audit:read',
  'images:import',
  'pools:write',
  'networks:write',
  'machines:in-process',
  'machines:user-network',
  'machines:shares',
  'machines:host-link',
];
const OPERATOR_WRITES: readonly Permission[] = ['machines:write', 'volumes:write', 'images:write', 'operations:write'];

/** Whether a role has a permission. */
export function roleAllows(role: Role, permission: Permission): boolean {
  if (role === 'admin') return PERMISSIONS.includes(permission);
  if (ADMIN_ONLY.includes(permission)) return false;
  return permission.endsWith(':read') || (role === 'operator' && OPERATOR_WRITES.includes(permission));
}
