// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { currentContext } from '../../common/context.js';
import { KeysService } from '../keys/keys.service.js';

/** An upload under way. */
export interface OpenUpload {
  /** Aborted with what the client is told when the upload is not to go on. */
  readonly signal: AbortSignal;
  /** To be called once it has ended, however. */
  end(): void;
}

/** The uploads under way. An upload takes as long as its client likes, so it ends with the key that began it and with its image. */
@Injectable()
export class OpenUploads {
  private readonly open = new Map<string, AbortController>();

  constructor(private readonly keys: KeysService) {}

  begin(id: string): OpenUpload {
    const controller = new AbortController();
    const principal = currentContext()?.principal;
    const leave = principal === undefined ? () => undefined : this.keys.whileValid(principal.id, () => controller.abort(keyGone()));
    this.open.set(id, controller);
    return {
      signal: controller.signal,
      end: () => {
        leave();
        this.open.delete(id);
      },
    };
  }

  /** Ends the upload of an image that was deleted. */
  abort(id: string): void {
    this.open.get(id)?.abort(imageGone());
  }
}

function keyGone(): ApiError {
  return new ApiError('auth.invalid', {
    detail: 'The API key was deleted during the upload.',
    remedy: 'Upload the image again with a key that is valid.',
  });
}

/** What an upload ends with whose image was deleted meanwhile. */
export function imageGone(): ApiError {
  return new ApiError('operation.cancelled', {
    detail: 'The image was deleted during its upload.',
    remedy: 'Upload the image again if it is wanted after all.',
  });
}
