// SPDX-License-Identifier: Apache-2.0
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { KeysService } from '../api/keys/keys.service.js';
import { roleAllows } from '../api/auth/roles.js';
import { ApiError } from '../common/api-error.js';
import { currentContext } from '../common/context.js';
import { ROUTE, type RouteDeclaration } from '../common/route.js';

const REMEDY = 'Send the header Authorization: Bearer <key>; the first admin key is in admin.key of the data directory.';

/** Lets a request pass when its key has the permission the route declares. A route that declares none is closed. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(private readonly keys: KeysService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const permission = declarationOf(context)?.permission;
    const request = context.switchToHttp().getRequest<Request & { permission?: string }>();
    if (permission === 'none') return true;
    if (permission !== undefined) request.permission = permission;
    const header = request.headers.authorization;
    if (header === undefined) throw new ApiError('auth.missing', { detail: 'The request carries no API key.', remedy: REMEDY });
    const principal = await this.keys.authenticate(/^Bearer (.+)$/i.exec(header)?.[1] ?? '');
    if (principal === undefined)
      throw new ApiError('auth.invalid', { detail: 'The API key is unknown or its secret is wrong.', remedy: REMEDY });
    const current = currentContext();
    if (current !== undefined) current.principal = principal;
    if (permission === undefined || !roleAllows(principal.role, permission)) {
      throw new ApiError('auth.forbidden', {
        detail: `The key "${principal.name}" has the role ${principal.role}, which lacks the permission ${permission ?? 'to use this route'}.`,
        remedy: `Use a key whose role has ${permission ?? 'that permission'}.`,
      });
    }
    return true;
  }
}

/** What the route of a request declared. */
export function declarationOf(context: ExecutionContext): RouteDeclaration | undefined {
  return Reflect.getMetadata(ROUTE, context.getHandler()) as RouteDeclaration | undefined;
}
