// SPDX-License-Identifier: Apache-2.0
import { ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { ApiError, type Violation } from '../common/api-error.js';
import type { CheckContext } from '../common/dto/fields.js';
import type { ErrorCode } from '../common/error-codes.js';

/** Unknown fields are refused, nothing is converted, and every violation has its own code, path and remedy. */
export function makeValidationPipe(): ValidationPipe {
  return new ValidationPipe({
    whitelist: true,
    forbidNonWhitelisted: true,
    forbidUnknownValues: true,
    transform: true,
    transformOptions: { enableImplicitConversion: false, exposeUnsetFields: false },
    stopAtFirstError: false,
    exceptionFactory: (errors) => toApiError(errors),
  });
}

/** One error of all violations; its own code is that of the violations when they agree. */
export function toApiError(errors: readonly ValidationError[]): ApiError {
  const violations = errors.flatMap((error) => collect(error, ''));
  const [first] = violations;
  if (first === undefined)
    return new ApiError('request.invalid_type', { detail: 'The body must be a JSON object.', remedy: 'Send a JSON object.' });
  const codes = new Set(violations.map((violation) => violation.code));
  const code = codes.size === 1 ? first.code : summary(codes);
  return new ApiError(code, {
    detail:
      violations.length === 1
        ? `${first.detail}.`
        : `${violations.length} fields are not valid: ${violations
            .map((violation) => violation.field)
            .slice(0, 10)
            .join(', ')}.`,
    remedy: violations.length === 1 ? first.remedy : 'Mend every field listed in `errors`.',
    field: first.field,
    errors: violations,
  });
}

function summary(codes: ReadonlySet<ErrorCode>): ErrorCode {
  return [...codes].some((code) => code.startsWith('spec.')) ? 'spec.invalid' : 'request.invalid';
}

function collect(error: ValidationError, path: string): Violation[] {
  const field = /^\d+$/.test(error.property) ? `${path}[${error.property}]` : path === '' ? error.property : `${path}.${error.property}`;
  const own = mostTelling(error, field);
  const below = (error.children ?? []).flatMap((child) => collect(child, field));
  return own === undefined ? below : [own, ...below];
}

/** Of all failed checks of one field: the missing, then the type, then the rest. */
function mostTelling(error: ValidationError, field: string): Violation | undefined {
  const failed = Object.entries(error.constraints ?? {}).map(([name, text]) =>
    describe(name, text, error.contexts?.[name] as CheckContext | undefined, field),
  );
  const rank = (violation: Violation) => ['request.unknown_field', 'request.missing_field', 'request.invalid_type'].indexOf(violation.code);
  return failed.sort((a, b) => (rank(a) < 0 ? 9 : rank(a)) - (rank(b) < 0 ? 9 : rank(b)))[0];
}

function describe(name: string, text: string, context: CheckContext | undefined, field: string): Violation {
  if (name === 'whitelistValidation')
    return { code: 'request.unknown_field', field, detail: `${field} is not a known field`, remedy: 'Remove it, or check its spelling.' };
  if (context === undefined) return { code: 'request.invalid_type', field, detail: text, remedy: 'Give a value of the right type.' };
  return { code: context.code, field, detail: text, remedy: context.remedy };
}
