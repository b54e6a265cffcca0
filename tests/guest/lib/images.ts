// SPDX-License-Identifier: Apache-2.0
import type { Flotilla, ImportImage } from '@flotilla/sdk';

/** How a kernel may be packed into a bzImage. */
export type Compression = 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzo' | 'lz4' | 'zstd';

/** What `node guest/build.mjs` prints: where the guest images are. */
interface Built {
  readonly kernel: { readonly vmlinux: string; readonly bzImage: string; readonly bzImages: Readonly<Record<Compression, string>> };
  readonly initramfs: { readonly initramfs: string };
  readonly debian?: { readonly kernel: string; readonly initrd: string; readonly disk: string; readonly commandLine: string };
}

/** Built before the suite starts, by the same script a user would call. */
export function builtImages(): Built {
  const text = process.env['FLOTILLA_GUEST_IMAGES'];
  if (text === undefined) throw new Error('FLOTILLA_GUEST_IMAGES is not set: run the suite with `npm test -- --tier guest`');
  return JSON.parse(text) as Built;
}

/** The small kernel and its initramfs, as images `small` and `small-init`. */
export async function importSmallGuest(client: Flotilla): Promise<void> {
  const { kernel, initramfs } = builtImages();
  await importOnce(client, { name: 'small', kind: 'kernel', format: 'elf', source: { path: kernel.vmlinux } });
  await importOnce(client, { name: 'small-init', kind: 'initrd', format: 'initrd', source: { path: initramfs.initramfs } });
}

/** The unmodified Debian kernel, its initrd and a root disk, as `debian`, `debian-init` and `debian-disk`. */
export async function importDebian(client: Flotilla): Promise<string> {
  const { debian } = builtImages();
  if (debian === undefined) throw new Error('The Debian image was not built');
  await importOnce(client, { name: 'debian', kind: 'kernel', format: 'bzimage', source: { path: debian.kernel } });
  await importOnce(client, { name: 'debian-init', kind: 'initrd', format: 'initrd', source: { path: debian.initrd } });
  await importOnce(client, { name: 'debian-disk', kind: 'disk', format: 'raw', source: { path: debian.disk } });
  return debian.commandLine;
}

async function importOnce(client: Flotilla, image: ImportImage): Promise<void> {
  const page = await client.images.list({ name: image.name });
  if (page.items.length === 0) await client.images.import(image);
}
