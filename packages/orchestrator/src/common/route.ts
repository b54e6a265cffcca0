// SPDX-License-Identifier: Apache-2.0
import { SetMetadata } from '@nestjs/common';
import type { DtoClass } from './dto/schema.js';
import type { ErrorCode } from './error-codes.js';

/** What a key may be allowed to do. */
export const PERMISSIONS = [
  'machines:read',
  'machines:write',
  'machines:in-process',
  'machines:user-network',
  'machines:shares',
  'machines:host-link',
  'images:read',
  'images:write',
  'images:import',
  'pools:read',
  'pools:write',
  'volumes:read',
  'volumes:write',
  'networks:read',
  'networks:write',
  'hosts:read',
  'operations:read',
  'operations:write',
  'events:read',
  'keys:read',
  'keys:write',
  'audit:read',
  'self:read',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What a route declares beside itself: the guard, the interceptors and the API document read it. */
export interface RouteDeclaration {
  summary: string;
  /** Permission needed; `none` marks the few public routes. */
  permission: Permission | 'none';
  /** Success answers: status to class (or a media type for what is not JSON). */
  answers: Record<number, Answer>;
  /** Codes this route may answer beside those that every route may. */
  errors?: readonly ErrorCode[];
  /** Body class, for the document only. */
  body?: DtoClass;
  /** Body that is no JSON. */
  binaryBody?: boolean;
  /** Query class, for the document only. */
  query?: DtoClass;
  /** Answers an operation: `Prefer: wait` and `Location` are handled. */
  operation?: boolean;
  /** Answers carry an ETag, or the route checks If-Match. */
  etag?: 'sends' | 'checks';
  /** Path parameters and their meaning. */
  params?: Record<string, string>;
  headers?: Record<string, string>;
}

/** Shape of an answer. */
export type Answer = {
  type?: DtoClass;
  page?: boolean;
  media?: string;
  description: string;
  /** Facts for programs that read the document. */
  extensions?: Record<`x-${string}`, unknown>;
};

export const ROUTE = Symbol('flotilla:route');

/** Declares a route. Required on every controller method: a route without it answers 403. */
export function Route(declaration: RouteDeclaration): MethodDecorator {
  return SetMetadata(ROUTE, declaration);
}
