// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import { type ErrorCode, FlotillaError } from '../../src/index.js';

/** The error a promise rejects with; it must have that code, a message and a remedy. */
export async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<FlotillaError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(outcome, `rejects with ${code}`).to.be.instanceOf(FlotillaError);
  const error = outcome as FlotillaError;
  expect(error.code, error.message).to.equal(code);
  expect(error.message).not.to.equal('');
  expect(error.remedy).not.to.equal('');
  return error;
}
