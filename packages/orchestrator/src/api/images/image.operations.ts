// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError, needingSpace } from '../../common/api-error.js';
import { Semaphore, untilDone } from '../../common/async.js';
import type { WriteTransaction } from '../../database/database.js';
import {
  type CommandControl,
  type DownloadImageCommand,
  HostAgent,
  type ImageFacts,
  type ImportImageCommand,
} from '../../host-agent/host-agent.js';
import type { Operation, Progress } from '../operations/operation.js';
import type { Ending, OperationDefinition, Step, StepContext } from '../operations/operation-definition.js';
import { ImageRepository } from './image.repository.js';

/** Downloads at once: they take the network and no work, but a host has only so much of either. */
const CONCURRENT_DOWNLOADS = 8;

/** What an import was asked for. */
interface ImportInput {
  path?: string;
  url?: string;
  anywhere?: boolean;
  kind: string;
  format: string;
  sha256?: string;
}

/** Brings a file of the host, or one that it downloads, into the pool. Nothing of it stays when that fails. */
@Injectable()
export class ImageImport implements OperationDefinition {
  readonly kind = 'image.import';
  private readonly downloads = new Semaphore(CONCURRENT_DOWNLOADS);

  constructor(
    private readonly agent: HostAgent,
    private readonly repository: ImageRepository,
  ) {}

  steps(operation: Operation): readonly Step[] {
    const { id } = operation.target;
    const { path, url, anywhere = false, kind, format, sha256 } = operation.input as unknown as ImportInput;
    const common = { id, kind, format, ...(sha256 === undefined ? {} : { sha256 }) };
    const undo = () => this.agent.removeImage({ id });
    if (url !== undefined)
      return [{ name: 'download', run: (context) => this.download({ ...common, url, inside: anywhere }, context), undo }];
    return [{ name: 'copy', run: (context) => this.copy({ ...common, path: path ?? '', anywhere }, context), undo }];
  }

  private async copy(command: ImportImageCommand, context: StepContext): Promise<void> {
    const copy = () => context.copying(() => this.agent.importImage(command, controlOf(context)));
    context.operation.result = { imageId: command.id, ...(await needingSpace('source.path', copy)) };
  }

  /** Who waits for a server holds up no other operation. */
  private async download(command: DownloadImageCommand, context: StepContext): Promise<void> {
    const download = () => this.agent.downloadImage(command, controlOf(context));
    const facts = await context.aside(() => this.downloads.run(() => needingSpace('source.url', download), context.signal));
    context.operation.result = { imageId: command.id, ...facts };
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

function controlOf({ signal, progress }: StepContext): CommandControl {
  return { signal, onProgress: (value: Progress) => progress(value) };
}
