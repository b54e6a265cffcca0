// SPDX-License-Identifier: Apache-2.0
import { AbortedError, ApiError, AuthenticationError, ConnectionError, FlotillaError, NotFoundError, PermissionError } from '@flotilla/sdk';

/** Exit statuses, as `flotilla --help` lists them. */
export const ExitStatus = { ok: 0, failed: 1, usage: 2, unreachable: 3, denied: 4, notFound: 5, interrupted: 130 } as const;

/** The command was given in a way that cannot be meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function exitStatus(error: unknown): number {
  if (error instanceof UsageError) return ExitStatus.usage;
  if (error instanceof AbortedError) return ExitStatus.interrupted;
  if (error instanceof ConnectionError) return ExitStatus.unreachable;
  if (error instanceof AuthenticationError || error instanceof PermissionError) return ExitStatus.denied;
  if (error instanceof NotFoundError) return ExitStatus.notFound;
  return ExitStatus.failed;
}

/** What went wrong, where, and what to try next. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return `flotilla: ${String(error)}`;
  if (!(error instanceof FlotillaError)) return `flotilla: ${error.message}`;
  const lines = [`flotilla: ${withoutRemedy(error)} (${error.code})`];
  if (error instanceof ApiError) {
    for (const one of error.problem.errors ?? []) lines.push(`  ${one.field ?? ''}: ${one.detail ?? one.code}`);
    if (error.requestId !== undefined && error.status >= 500) lines.push(`  request ${error.requestId}`);
  }
  if (error.remedy !== undefined) lines.push(`Next: ${error.remedy}`);
  return lines.join('\n');
}

function withoutRemedy(error: FlotillaError): string {
  const tail = error.remedy === undefined ? '' : ` ${error.remedy}`;
  return (tail !== '' && error.message.endsWith(tail) ? error.message.slice(0, -tail.length) : error.message).replace(/\.$/, '');
}
