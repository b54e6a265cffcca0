// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Database, type WriteTransaction } from '../../database/database.js';
import type { VolumeFacts } from '../../host-agent/host-agent.js';
import type { Operation } from '../operations/operation.js';
import type { Ending, OperationDefinition, Step } from '../operations/operation-definition.js';
import { VolumesOnHost } from './volume.operations.js';
import { VolumeRepository } from './volume.repository.js';

interface MoveInput {
  /** Names of the pools that it goes into and comes from. */
  pool: string;
  from: string;
}

/**
 * Takes a volume into another pool. What is stored of it says which of the two files is the volume, and each step looks at that first, so
 * that none ever removes the one that is:
 *
 *     clear the new place ─▶ copy ─▶ switch, in one transaction ─▶ remove the old one
 *               undo: remove the copy │ nothing is taken back from here on
 */
@Injectable()
export class VolumeMove implements OperationDefinition {
  readonly kind = 'volume.move';

  constructor(
    private readonly host: VolumesOnHost,
    private readonly repository: VolumeRepository,
    private readonly database: Database,
  ) {}

  steps({ target: { id }, input }: Operation): readonly Step[] {
    const { pool, from } = input as unknown as MoveInput;
    return [
      { name: 'clear', run: () => this.unlessMoved(id, pool, () => this.host.removeFrom(id, pool)) },
      {
        name: 'copy',
        run: (context) =>
          this.unlessMoved(id, pool, async () => {
            const { sizeBytes } = await this.host.copyInto(id, pool, context);
            context.operation.result = { volumeId: id, sizeBytes };
          }),
        undo: () => this.unlessMoved(id, pool, () => this.host.removeFrom(id, pool)),
      },
      { name: 'switch', barrier: true, run: ({ operation }) => this.unlessMoved(id, pool, () => this.switch(operation, pool)) },
      { name: 'remove', barrier: true, run: () => this.removeOld(id, pool, from) },
    ];
  }

  async finish({ target }: Operation, _ending: Ending, tx: WriteTransaction): Promise<void> {
    await this.repository.setState(target.id, 'ready', tx.db);
    const volume = await this.repository.find(target.id, tx.db);
    if (volume !== undefined) tx.emit({ kind: 'volume.updated', target, data: { generation: volume.generation } });
  }

  private async switch({ target, result }: Operation, pool: string): Promise<void> {
    const { sizeBytes } = result as unknown as VolumeFacts;
    await this.database.write((tx) => this.repository.move(target.id, { pool, sizeBytes }, tx.db));
  }

  private async removeOld(id: string, pool: string, from: string): Promise<void> {
    const volume = await this.repository.find(id);
    if (volume?.pool === pool) await this.host.removeFrom(id, from);
  }

  private async unlessMoved(id: string, pool: string, act: () => Promise<void>): Promise<void> {
    const volume = await this.repository.find(id);
    if (volume !== undefined && volume.pool !== pool) await act();
  }
}
