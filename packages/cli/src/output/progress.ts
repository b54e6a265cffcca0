// SPDX-License-Identifier: Apache-2.0
import type { Operation } from '@flotilla/sdk';
import { size } from './table.js';

const barWidth = 24;

/** Shows how an operation goes: one line that changes on a terminal, a line for each new step elsewhere. */
export function showProgress(stream: NodeJS.WriteStream = process.stderr): (operation: Operation) => void {
  let last = '';
  return (operation) => {
    const line = describe(operation);
    if (stream.isTTY) {
      stream.write(`\r\u001b[K${line}${hasEnded(operation) ? '\n' : ''}`);
    } else if (stepOf(operation) !== last) {
      stream.write(`${line}\n`);
    }
    last = stepOf(operation);
  };
}

export function hasEnded(operation: Operation): boolean {
  return operation.state !== 'pending' && operation.state !== 'running';
}

function describe(operation: Operation): string {
  const what = `${operation.kind} ${operation.target.name ?? operation.target.id}`;
  return [what, stepOf(operation), bar(operation)].filter((part) => part !== '').join('  ');
}

function stepOf(operation: Operation): string {
  if (hasEnded(operation)) return operation.state;
  return operation.steps.find(({ state }) => state === 'running')?.name ?? operation.state;
}

function bar({ progress }: Operation): string {
  if (progress === undefined) return '';
  const percent =
    progress.percent ?? (progress.totalBytes === undefined ? undefined : (100 * (progress.bytes ?? 0)) / Math.max(1, progress.totalBytes));
  if (percent === undefined) return size(progress.bytes) ?? '';
  const filled = Math.round((Math.min(100, percent) / 100) * barWidth);
  const rate = progress.bytesPerSecond === undefined ? '' : `, ${size(progress.bytesPerSecond)}/s`;
  const bytes = progress.totalBytes === undefined ? '' : `  ${size(progress.bytes ?? 0)} of ${size(progress.totalBytes)}${rate}`;
  return `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${Math.floor(percent)} %${bytes}`;
}
