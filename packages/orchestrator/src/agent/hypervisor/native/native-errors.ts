// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../../common/api-error.js';
import { type ErrorCode, isErrorCode } from '../../../common/error-codes.js';

const KVM_REMEDY = 'Run `flotilla doctor` to see what this host lacks; without hardware virtualization use the lab (`npm run lab`).';

/** Codes of the core that the API calls by another name. */
const CODES: Record<string, ErrorCode> = {
  'kvm.missing': 'host.kvm_missing', 'kvm.denied': 'host.kvm_denied', 'kvm.unsupported': 'host.kvm_unsupported', 'disk.locked': 'volume.locked', 'host.no_space': 'pool.full',
  'machine.state': 'machine.state_conflict', aborted: 'operation.cancelled', 'worker.protocol': 'worker.failed', 'worker.busy': 'worker.failed', 'image.unrecognised': 'image.format_mismatch', 'boot.too_large': 'spec.memory_too_small', 'core.panic': 'worker.failed',
};

/** An error of the core in the words of the API. */
export function fromNative(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return ApiError.from(error);
  const { field, remedy } = error as Error & { field?: string; remedy?: string };
  const code = CODES[error.code] ?? (isErrorCode(error.code) ? error.code : error.code.startsWith('spec.') ? 'spec.invalid' : 'worker.failed');
  return new ApiError(code, {
    detail: error.message, remedy: code.startsWith('host.kvm_') ? KVM_REMEDY : remedy ?? 'Run `flotilla doctor`; look in the log of the worker.', field: field?.replace(/^\$\.?/, ''), cause: error,
  });
}

/** Runs a call of the core and translates what it throws. */
export async function native<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw fromNative(error);
  }
}
