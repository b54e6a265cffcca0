// SPDX-License-Identifier: Apache-2.0
import type { ERROR_CODES as NativeCodes, ErrorCode as NativeCode } from '@flotilla/native';
import { expect } from 'chai';
import { ERROR_CODES } from '../../../common/error-codes.js';
import { API_CODES } from './native-codes.js';
import { fromNative } from './native-errors.js';

// The generated list alone: the addon itself is not loaded.
const { ERROR_CODES: NATIVE_CODES } = (await import(new URL('generated/error-codes.js', import.meta.resolve('@flotilla/native')).href)) as {
  ERROR_CODES: typeof NativeCodes;
};

/** An error as the native package rejects with. */
function fault(code: NativeCode, more: { message?: string; field?: string; details?: unknown } = {}): Error {
  return Object.assign(new Error(more.message ?? 'x'), { name: 'FlotillaError', code, remedy: NATIVE_CODES[code].remedy }, more);
}

/** The only faults that are the worker's own: all others say what to do in words of their own. */
const WORKER_FAILED = ['core.panic', 'worker.protocol'];

describe('An error of the core', () => {
  it('has a code of the API for every code of the closed set, and no code that is not in it', () => {
    expect(Object.keys(API_CODES).sort()).to.deep.equal(Object.keys(NATIVE_CODES).sort());
  });

  for (const code of Object.keys(NATIVE_CODES) as NativeCode[]) {
    it(`${code} arrives with status, title and remedy`, () => {
      const problem = fromNative(fault(code, { message: 'What happened', field: '$.disks[0].source.path' })).toProblem('req-1');
      expect(problem.code === 'worker.failed', problem.code).to.equal(WORKER_FAILED.includes(code));
      expect(problem.code).not.to.equal('internal');
      expect(problem.status).to.equal(ERROR_CODES[problem.code][0]).and.to.be.within(400, 599);
      expect(problem).to.include({ detail: 'What happened', field: 'disks[0]' });
      expect(problem.remedy).not.to.equal('');
    });
  }

  it('keeps a code that the API has by the same name', () => {
    for (const code of Object.keys(NATIVE_CODES) as NativeCode[])
      if (Object.hasOwn(ERROR_CODES, code)) expect(API_CODES[code], code).to.equal(code);
  });

  it('says disk.size, machine.stuck and tap.* as 4xx or 50x with what to do', () => {
    const told = (code: NativeCode) => fromNative(fault(code));
    expect(told('disk.size')).to.include({ code: 'disk.size', status: 422 }).and.to.have.property('remedy').that.contains('512');
    expect(told('tap.busy')).to.include({ code: 'tap.busy', status: 409 });
    expect(told('machine.stuck')).to.include({ code: 'machine.stuck', status: 504 }).and.to.have.property('remedy').that.contains('kill');
    expect(told('tap.missing')).to.include({ code: 'tap.missing', status: 503 });
    expect(told('kvm.denied')).to.include({ code: 'host.kvm_denied', status: 503 }).and.to.have.property('remedy').that.contains('kvm');
  });

  it('names the field that the client gave, not that of the core', () => {
    const field = (path: string) => fromNative(fault('file.missing', { field: path })).field;
    const given = {
      '$.boot.kernel.path': 'boot.kernel',
      '$.memory': 'memoryMiB',
      '$.numa[1].memory': 'numa[1].memoryMiB',
      '$.interfaces[1].tap.name': 'interfaces[1]',
      '$.interfaces[0].user.forwards[1].hostPort': 'interfaces[0].user.forwards[1].hostPort',
      '$.vsock.socket.path': 'vsock',
      '$.shares[1].source': 'shares[1].path',
      '$.shares[1].source.path': 'shares[1].path',
      '$.shares[0].tag': 'shares[0].tag',
      '$.balloon.target': 'balloon.targetMiB',
      '$.balloon.statisticsInterval': 'balloon.statisticsSeconds',
      '$.disks[2].id': 'disks[2].name',
      '$.cpus': 'cpus',
      $: undefined,
    };
    for (const [path, name] of Object.entries(given)) expect(field(path), path).to.equal(name);
  });

  it('tells every fault of a specification', () => {
    const violations = [
      { code: 'spec.memory_too_small', path: '$.memory', message: 'a', remedy: 'b' },
      { code: 'spec.mac_invalid', path: '$.interfaces[0].mac', message: 'c', remedy: 'd' },
    ] as const;
    const error = fromNative(fault('spec.memory_too_small', { details: { violations } }));
    expect(error.errors).to.deep.equal([
      { code: 'spec.memory_too_small', field: 'memoryMiB', detail: 'a', remedy: 'b' },
      { code: 'spec.mac_invalid', field: 'interfaces[0].mac', detail: 'c', remedy: 'd' },
    ]);
  });

  it('that is none of ours is internal, without its text', () => {
    const other = Object.assign(new Error('secret'), { code: 'ENOTHING' });
    expect(fromNative(other)).to.include({ code: 'internal' }).and.to.have.property('message').that.does.not.contain('secret');
  });
});
