// SPDX-License-Identifier: Apache-2.0
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { KeysService } from '../api/keys/keys.service.js';
import { roleAllows } from '../api/auth/roles.js';
import { ApiError } from '../common/api-error.js';
import { currentContext, type Principal } from '../common/context.js';
import { ROUTE, type RouteDeclaration } from '../common/route.js';
import { hasBody } from './request-limits.js';

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
    const principal = await principalOf(request, this.keys);
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

/**
 * Refuses a body of who has no valid key before any of it is read: it would be held until it is whole. The guard looks at the key
 * again when the route is known, since it may be deleted while the body comes.
 */
export function keyBeforeBody(keys: KeysService) {
  return (request: Request, _response: Response, next: NextFunction): void => {
    if (!hasBody(request)) {
      next();
      return;
    }
    principalOf(request, keys).then((principal) => {
      const current = currentContext();
      if (current !== undefined) current.principal = principal; // the audit names them also when the body is refused
      next();
    }, next);
  };
}

async function principalOf(request: Request, keys: KeysService): Promise<Principal> {
  const header = request.headers.authorization;
  if (header === undefined) throw new ApiError('auth.missing', { detail: 'The request carries no API key.', remedy: REMEDY });
  const principal = await keys.authenticate(/^Bearer (.+)$/i.exec(header)?.[1] ?? '');
  if (principal === undefined)
    throw new ApiError('auth.invalid', { detail: 'The API key is unknown or its secret is wrong.', remedy: REMEDY });
  return principal;
}

/** What the route of a request declared. */
export function declarationOf(context: ExecutionContext): RouteDeclaration | undefined {
  return Reflect.getMetadata(ROUTE, context.getHandler()) as RouteDeclaration | undefined;
}
