// SPDX-License-Identifier: Apache-2.0

/** The smallest file that is a 64-bit x86 ELF executable: a header and one program header that loads nothing. */
export function headerOnlyElf(): Uint8Array {
  const file = new Uint8Array(4096);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  return file;
}
