// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open, rm } from 'node:fs/promises';
import { sleep } from '../../common/async.js';
import type { CommandControl } from '../../host-agent/host-agent.js';
import { badAnswer, unreached } from './download-errors.js';
import { type Content, failureOf, openContent, PassingFailure } from './http-content.js';
import type { Reach } from './reach.js';

/** Attempts in a row that bring nothing. */
const MAX_VAIN_ATTEMPTS = 5;
const WAIT_MILLISECONDS = { first: 1000, most: 30_000 };
/** A server that sends nothing for so long is asked anew. */
const STALL_MILLISECONDS = 30_000;
/** What it has to send in that time at least: who sends a byte now and then would hold the download for ever. */
const LEAST_BYTES = 64 * 1024;

export interface DownloadCommand {
  url: string;
  inside: boolean;
}
export interface DownloadControl extends CommandControl {
  signal: AbortSignal;
  /** Asked for room before so many bytes come. */
  require(bytes: number): Promise<void>;
}
/** For tests: other times, and certificates that the system does not know. */
export interface DownloadOptions {
  waitMilliseconds?: { first: number; most: number };
  stallMilliseconds?: number;
  ca?: string;
}

/** Where a download is. */
interface Progress {
  bytes: number;
  validator?: string | undefined;
}

/**
 * Downloads files by HTTP and HTTPS. A connection that breaks is made anew and goes on where it was, as long as the server still has the same
 * content; otherwise it begins anew.
 */
export class Downloads {
  constructor(
    private readonly hosts: readonly string[],
    private readonly options: DownloadOptions = {},
  ) {}

  /** Writes what a URL leads to into a new file. Nothing of it stays when that fails. */
  async fetch({ url, inside }: DownloadCommand, path: string, control: DownloadControl): Promise<void> {
    const file = await open(path, 'w', 0o600);
    try {
      await this.fill(file, new URL(url), { hosts: this.hosts, inside }, control);
    } catch (error) {
      await rm(path, { force: true });
      throw control.signal.aborted ? control.signal.reason : error;
    } finally {
      await file.close();
    }
  }

  private async fill(file: FileHandle, url: URL, reach: Reach, control: DownloadControl): Promise<void> {
    const { first, most } = this.options.waitMilliseconds ?? WAIT_MILLISECONDS;
    const progress: Progress = { bytes: 0 };
    for (let vain = 0, wait = first; ; wait = Math.min(most, wait * 2)) {
      const before = progress.bytes;
      try {
        return await this.attempt(file, url, reach, progress, control);
      } catch (error) {
        if (!(error instanceof PassingFailure) || (error.never && progress.bytes === 0)) throw toError(error);
        if (progress.bytes - before >= LEAST_BYTES) [vain, wait] = [0, first];
        vain += 1;
        if (vain >= MAX_VAIN_ATTEMPTS) throw error.error;
      }
      await sleep(wait, control.signal);
    }
  }

  private async attempt(file: FileHandle, url: URL, reach: Reach, progress: Progress, control: DownloadControl): Promise<void> {
    const stallMilliseconds = this.options.stallMilliseconds ?? STALL_MILLISECONDS;
    const { signal } = control;
    const { validator } = progress;
    const offset = validator === undefined ? 0 : progress.bytes;
    const content = await openContent({ url, reach, offset, validator, signal, stallMilliseconds, ca: this.options.ca });
    try {
      if (content.offset === 0) await file.truncate(0);
      Object.assign(progress, { bytes: content.offset, validator: content.validator });
      await control.require((content.totalBytes ?? 0) - content.offset);
      await take(file, content, new Pace(content, url.host, stallMilliseconds), progress, control);
    } finally {
      content.body.destroy();
    }
    const { totalBytes } = content;
    if (totalBytes !== undefined && progress.bytes < totalBytes)
      throw new PassingFailure(unreached(url.host, `it sent ${progress.bytes} of ${totalBytes} bytes`));
  }
}

async function take(file: FileHandle, { totalBytes }: Content, pace: Pace, progress: Progress, control: DownloadControl): Promise<void> {
  for await (const chunk of pace.chunks()) {
    if (totalBytes !== undefined && progress.bytes + chunk.length > totalBytes) throw badAnswer('The server sends more than it says.');
    for (let done = 0; done < chunk.length; )
      done += (await file.write(chunk, done, chunk.length - done, progress.bytes + done)).bytesWritten;
    progress.bytes += chunk.length;
    control.onProgress?.({ bytes: progress.bytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
  }
}

/** Takes content in, and ends a connection through which too little comes. Time that the reader takes is not the server's. */
class Pace {
  private waiting = false;
  private bytes = 0;

  constructor(
    private readonly content: Content,
    private readonly host: string,
    private readonly milliseconds: number,
  ) {}

  async *chunks(): AsyncGenerator<Buffer> {
    const { body } = this.content;
    const timer = setInterval(() => this.look(), this.milliseconds);
    try {
      this.waiting = true;
      for await (const chunk of body as AsyncIterable<Buffer>) {
        this.waiting = false;
        this.bytes += chunk.length;
        yield chunk;
        this.waiting = true;
      }
    } catch (error) {
      throw failureOf(this.host, error);
    } finally {
      clearInterval(timer);
    }
  }

  private look(): void {
    const { bytes } = this;
    this.bytes = 0;
    if (this.waiting && bytes < LEAST_BYTES)
      this.content.body.destroy(new Error(`it sent ${bytes} bytes in ${this.milliseconds / 1000} s`));
  }
}

function toError(error: unknown): unknown {
  return error instanceof PassingFailure ? error.error : error;
}
