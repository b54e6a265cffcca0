// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat, writeFile } from 'node:fs/promises';
import type { CommandControl } from '../../host-agent/host-agent.js';
import { makeWhole } from './durable.js';
import { type DeviceContent, FileTools, type NamedBacking, type SeedFile } from './file-tools.js';
import { enlargeQcow2, writeQcow2 } from './qcow2-file.js';

const CHUNK = 1024 * 1024;

/** File work with nothing but Node: leaves holes where the source has zeroes. */
export class NodeFileTools extends FileTools {
  override readonly native = false;

  override async copy(source: string, target: string, options: CommandControl & { sizeBytes?: number }): Promise<void> {
    await makeWhole(target, (temporary) => copySparse(source, temporary, options));
  }

  override async createQcow2(target: string, { sizeBytes, backing }: { sizeBytes: number; backing?: NamedBacking }): Promise<void> {
    await makeWhole(target, (temporary) => writeQcow2(temporary, sizeBytes, backing));
  }

  override growQcow2(path: string, { sizeBytes }: { sizeBytes: number }): Promise<number> {
    return enlargeQcow2(path, sizeBytes);
  }

  /** A file in place of a device: it keeps its length. */
  override async fill({ device, image, used, fromBytes = 0 }: DeviceContent, { signal, onProgress }: CommandControl): Promise<void> {
    const to = await open(device, 'r+');
    try {
      const { size } = await to.stat();
      const source = image === undefined ? undefined : await open(image, 'r');
      try {
        const totalBytes = used ? size : ((await source?.stat())?.size ?? 0);
        for (let at = fromBytes; at < totalBytes; at += CHUNK) {
          signal?.throwIfAborted();
          const buffer = Buffer.alloc(Math.min(CHUNK, totalBytes - at));
          await source?.read(buffer, 0, buffer.length, at);
          await to.write(buffer, 0, buffer.length, at);
          onProgress?.({ bytes: at + buffer.length, totalBytes });
        }
      } finally {
        await source?.close();
      }
      await to.sync();
    } finally {
      await to.close();
    }
  }

  /** No file system: the same files one after another, for a guest that only pretends. */
  override async createSeedDisk(target: string, files: readonly SeedFile[]): Promise<void> {
    const content = files.map(({ name, content }) => `${name}\n${content}\n`).join('');
    await makeWhole(target, (temporary) => writeFile(temporary, content, { mode: 0o600 }));
  }

  override async hash(path: string, control: CommandControl): Promise<string> {
    const digest = createHash('sha256');
    const totalBytes = (await stat(path)).size;
    let bytes = 0;
    for await (const chunk of createReadStream(path, {
      highWaterMark: CHUNK,
      ...(control.signal === undefined ? {} : { signal: control.signal }),
    })) {
      const data = chunk as Buffer;
      digest.update(data);
      bytes += data.length;
      control.onProgress?.({ bytes, totalBytes });
    }
    return digest.digest('hex');
  }
}

async function copySparse(source: string, target: string, options: CommandControl & { sizeBytes?: number }): Promise<void> {
  const from = await open(source, 'r');
  const to = await open(target, 'w', 0o600);
  try {
    const size = (await from.stat()).size;
    const buffer = Buffer.alloc(Math.min(CHUNK, size));
    const zeroes = Buffer.alloc(buffer.length);
    for (let at = 0; at < size; ) {
      options.signal?.throwIfAborted();
      const { bytesRead } = await from.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      const data = buffer.subarray(0, bytesRead);
      if (!data.equals(zeroes.subarray(0, bytesRead))) await to.write(data, 0, bytesRead, at);
      at += bytesRead;
      options.onProgress?.({ bytes: at, totalBytes: size });
    }
    await to.truncate(Math.max(size, options.sizeBytes ?? 0));
  } finally {
    await from.close();
    await to.close();
  }
}
