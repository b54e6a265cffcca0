// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { ApiError, ConnectionError, PermissionError } from '../core/errors.js';
import { closeError, refusals } from './close-codes.js';

const document = new URL('../../../../../openapi/flotilla.v1.json', import.meta.url);

describe('the end of a console', () => {
  const { paths } = JSON.parse(readFileSync(document, 'utf8')) as {
    paths: Record<string, { get: { responses: Record<string, { 'x-close-codes': Record<string, { code?: string }> }> } }>;
  };
  const listed = paths['/v1/machines/{machine}/console']?.get.responses['101']?.['x-close-codes'] ?? {};

  it('has the error code that the API document gives each close code', () => {
    const told = Object.entries(listed).flatMap(([status, { code }]) => (code === undefined ? [] : [[status, code]]));
    expect(told).not.to.have.length(0);
    expect(Object.entries(refusals).map(([status, { code }]) => [status, code])).to.have.deep.members(told);
  });

  it('is an error of the class of its cause', () => {
    expect(closeError(4003, 'permission needed: machines:write')).to.be.instanceOf(PermissionError);
    for (const status of Object.keys(refusals)) expect(closeError(Number(status), ''), status).to.be.instanceOf(ApiError);
    expect(closeError(1013, 'the client does not keep up')).to.be.instanceOf(ConnectionError).and.to.include({ code: 'connection.lost' });
    expect([1000, 1001, 4010].map((status) => closeError(status, ''))).to.deep.equal([undefined, undefined, undefined]);
  });
});
