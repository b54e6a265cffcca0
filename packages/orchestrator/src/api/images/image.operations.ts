// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError, needingSpace } from '../../common/api-error.js';
import { untilDone } from '../../common/async.js';
import type { WriteTransaction } from '../../database/database.js';
import { HostAgent, type ImageFacts } from '../../host-agent/host-agent.js';
import type { Operation, Progress } from '../operations/operation.js';
import type { Ending, OperationDefinition, Step } from '../operations/operation-definition.js';
import { ImageRepository } from './image.repository.js';

/** Copies a file of the host into the pool. Nothing of it stays when that fails. */
@Injectable()
export class ImageImport implements OperationDefinition {
  readonly kind = 'image.import';

  constructor(
    private readonly agent: HostAgent,
    private readonly repository: ImageRepository,
  ) {}

  steps(operation: Operation): readonly Step[] {
    const { id } = operation.target;
    return [
      {
        name: 'copy',
        run: async (context) => {
          const { path, anywhere, kind, format, sha256 } = operation.input as {
            path: string;
            anywhere?: boolean;
            kind: string;
            format: string;
            sha256?: string;
          };
          const command = { id, path, anywhere: anywhere === true, kind, format, ...(sha256 === undefined ? {} : { sha256 }) };
          const control = { signal: context.signal, onProgress: (progress: Progress) => context.progress(progress) };
          const copy = () => context.copying(() => this.agent.importImage(command, control));
          operation.result = { imageId: id, ...(await needingSpace('source.path', copy)) };
        },
        undo: () => this.agent.removeImage({ id }),
      },
    ];
  }

  async finish(operation: Operation, ending: Ending, tx: WriteTransaction): Promise<void> {
    const { id } = operation.target;
    if (ending.state === 'succeeded') {
      const facts = operation.result as unknown as ImageFacts;
      await this.repository.markReady(id, facts, tx.db);
      tx.emit({ kind: 'image.ready', target: operation.target, data: { sizeBytes: facts.sizeBytes, sha256: facts.sha256 } });
      return;
    }
    await this.repository.remove(id, tx.db);
    tx.emit({ kind: 'image.failed', target: operation.target, data: { code: ending.error.code } });
  }
}

/** Throws every error but that of an agent that is away. */
function requireAway(error: unknown): void {
  if (!(error instanceof ApiError) || error.code !== 'host.unavailable') throw error;
}

/** Removes the file of an image whose row is gone already. */
@Injectable()
export class ImageDelete implements OperationDefinition {
  readonly kind = 'image.delete';

  constructor(private readonly agent: HostAgent) {}

  steps(operation: Operation): readonly Step[] {
    // With its row gone, nobody could ask for this again: so it waits for an agent that is away.
    const remove = () => this.agent.removeImage({ id: operation.target.id });
    return [{ name: 'remove', run: ({ signal }) => untilDone(remove, signal, requireAway) }];
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }
}
