// SPDX-License-Identifier: Apache-2.0
// Kernels that can be loaded: a vmlinux (System V ABI, "Object Files", with the PVH note of Xen's public/elfnote.h) and a bzImage (Linux,
// Documentation/arch/x86/boot.rst). What they load are int3 instructions.

const CODE = Buffer.alloc(64, 0xcc);
const ADDRESS = 0x100_0000n;
const [HEADER, PROGRAM_HEADER] = [64, 56];
const [LOAD, NOTE] = [1, 4];

/** A vmlinux with a note and a segment that is longer in memory than in the file. */
export function vmlinux() {
  const note = pvhNote(Number(ADDRESS));
  const noteAt = HEADER + 2 * PROGRAM_HEADER;
  const codeAt = noteAt + note.length;
  const programs = [
    { type: NOTE, offset: noteAt, address: 0n, length: note.length, memory: note.length },
    { type: LOAD, offset: codeAt, address: ADDRESS, length: CODE.length, memory: 0x3000 },
  ];
  return Buffer.concat([elfHeader(programs.length), ...programs.map(programHeader), note, CODE]);
}

function elfHeader(programs) {
  const header = Buffer.alloc(HEADER);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt16LE(2, 16); // executable
  header.writeUInt16LE(62, 18); // x86-64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(ADDRESS, 24);
  header.writeBigUInt64LE(BigInt(HEADER), 32);
  header.writeUInt16LE(PROGRAM_HEADER, 54);
  header.writeUInt16LE(programs, 56);
  return header;
}

function programHeader({ type, offset, address, length, memory }) {
  const header = Buffer.alloc(PROGRAM_HEADER);
  header.writeUInt32LE(type, 0);
  header.writeUInt32LE(5, 4); // read, execute
  const fields = [BigInt(offset), address, address, BigInt(length), BigInt(memory), 0x1000n];
  for (const [index, field] of fields.entries()) header.writeBigUInt64LE(field, 8 + 8 * index);
  return header;
}

/** XEN_ELFNOTE_PHYS32_ENTRY. */
function pvhNote(entry) {
  const note = Buffer.alloc(20);
  for (const [index, field] of [4, 4, 18].entries()) note.writeUInt32LE(field, 4 * index);
  note.write('Xen\0', 12, 'latin1');
  note.writeUInt32LE(entry, 16);
  return note;
}

/** A bzImage of one setup sector. */
export function bzImage() {
  const file = Buffer.alloc(2048);
  file.writeUInt8(1, 0x1f1); // setup_sects
  file.writeUInt32LE(64, 0x1f4); // syssize, in units of 16 bytes
  file.writeUInt16LE(0xaa55, 0x1fe);
  file.write('HdrS', 0x202, 'latin1');
  file.writeUInt16LE(0x20f, 0x206); // version
  file.writeUInt8(1, 0x211); // loadflags: LOADED_HIGH
  file.writeUInt32LE(0x10_0000, 0x214); // code32_start
  file.writeUInt32LE(0x7fff_ffff, 0x22c); // initrd_addr_max
  file.writeUInt32LE(0x20_0000, 0x230); // kernel_alignment
  file.writeUInt8(1, 0x234); // relocatable_kernel
  file.writeUInt16LE(1, 0x236); // xloadflags: KERNEL_64
  file.writeUInt32LE(2047, 0x238); // cmdline_size
  file.writeBigUInt64LE(ADDRESS, 0x258); // pref_address
  file.writeUInt32LE(0x10_0000, 0x260); // init_size
  return file;
}
