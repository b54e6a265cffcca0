// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { Image, ImportImage } from '@flotilla/sdk';
import { type Command, Option } from 'commander';
import { contextOf } from '../context.js';
import { showProgress } from '../output/progress.js';
import { type Columns, printList, printOne, say } from '../output/render.js';
import { age, size } from '../output/table.js';
import { collectLabel } from '../values.js';

const columns: Columns<Image> = [
  ['name', ({ name }) => name],
  ['kind', ({ kind }) => kind],
  ['format', ({ format }) => format],
  ['size', ({ sizeBytes }) => size(sizeBytes)],
  ['state', ({ state }) => state],
  ['age', ({ createdAt }) => age(createdAt)],
  ['sha256', ({ sha256 }) => sha256?.slice(0, 12)],
];

interface ImportOptions {
  readonly kind: ImportImage['kind'];
  readonly format: ImportImage['format'];
  readonly sha256?: string;
  readonly label?: Record<string, string>;
  readonly upload?: boolean;
}

export function addImageCommands(program: Command): void {
  const image = program.command('image').description('kernels, initrds and disks that machines start from');
  image
    .command('import <name> <file-or-url>')
    .description("import a file of the orchestrator's host, have it download one (https://...), or upload one from here")
    .addOption(new Option('--kind <kind>', 'what it is').choices(['kernel', 'initrd', 'disk']).makeOptionMandatory())
    .addOption(
      new Option('--format <format>', 'how it is stored')
        .choices(['elf', 'bzimage', 'initrd', 'raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi'])
        .makeOptionMandatory(),
    )
    .option('--sha256 <digest>', 'refuse other content')
    .option('--label <key=value>', 'label (may be repeated)', collectLabel)
    .option('--upload', 'send the file from here: the orchestrator is on another host')
    .action(async (name: string, from: string, options: ImportOptions, command: Command) => {
      printOne(await importImage(command, name, from, options), columns, contextOf(command).output);
    });
  image
    .command('list')
    .description('list the images')
    .option('--label <key=value>', 'only with this label (may be repeated)', collectLabel)
    .action(async (options: { label?: Record<string, string> }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const filter = options.label === undefined ? {} : { labels: options.label };
      printList(await client.images.list(filter, { signal }).all(), columns, output);
    });
  image
    .command('delete <image>')
    .description('delete an image that no machine boots from')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, signal } = contextOf(command);
      await client.images.delete(name, { signal });
      say(`Image ${name} is deleted.`);
    });
}

async function importImage(command: Command, name: string, from: string, options: ImportOptions): Promise<Image> {
  const { client, signal } = contextOf(command);
  const { kind, format, sha256, label } = options;
  const follow = { signal, onProgress: showProgress() };
  const facts = { kind, format, ...(sha256 === undefined ? {} : { sha256 }), ...(label === undefined ? {} : { labels: label }) };
  if (options.upload === true) {
    const content = Readable.toWeb(createReadStream(from)) as ReadableStream<Uint8Array>;
    return client.images.upload(name, content, facts, follow);
  }
  return client.images.import({ name, source: /^https?:\/\//.test(from) ? { url: from } : { path: resolve(from) }, ...facts }, follow);
}
