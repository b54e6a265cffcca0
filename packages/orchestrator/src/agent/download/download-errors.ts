// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { Reach } from './reach.js';

const FIELD = 'source.url';

/** A place that this download may not lead to. Whether anything is there is not told. */
export function refused(host: string, { hosts, inside }: Reach): ApiError {
  return new ApiError('image.source_refused', {
    detail:
      hosts.length > 0
        ? `${host} is none of the hosts that images may be downloaded from.`
        : `${host} is ${inside ? 'an address that nothing is downloaded from' : 'on this host or on a network around it, where only administrators may download from'}.`,
    remedy:
      'Upload the file instead (PUT /v1/images/{name}/content), or let the administrator name the host: `flotilla up --download-host HOST`.',
    field: FIELD,
  });
}

/** A redirect to what no download begins with. */
export function badRedirect(detail: string): ApiError {
  return new ApiError('image.source_refused', { detail, remedy: 'Give the URL that the server leads to at last.', field: FIELD });
}

/** What was answered is not the content. */
export function badAnswer(detail: string, remedy = 'Look whether the URL leads to the file: `curl -fL -o /dev/null URL`.'): ApiError {
  return new ApiError('image.source_failed', { detail, remedy, field: FIELD });
}

/** The server, or the way to it, is at fault. */
export function unreached(host: string, why: string, cause?: unknown): ApiError {
  return new ApiError('image.source_failed', {
    detail: `${host} cannot be downloaded from: ${why}.`,
    remedy: 'Look whether the host of the agent reaches it (`curl -fL -o /dev/null URL`), and ask again.',
    field: FIELD,
    cause,
  });
}
