// SPDX-License-Identifier: Apache-2.0
// Writes the "newc" cpio format, the one the Linux kernel unpacks as its first root file system. Needs no privilege: a
// device node is just a header. Format: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.

const DIRECTORY = 0o040000;
const FILE = 0o100000;
const LINK = 0o120000;
const CHARACTER = 0o020000;

/** Collects entries in memory; add parents before children. */
export class Archive {
  #chunks = [];
  #inode = 1;

  directory(path, mode = 0o755) {
    return this.#entry(path, DIRECTORY | mode, Buffer.alloc(0));
  }

  file(path, content, mode = 0o644) {
    return this.#entry(path, FILE | mode, Buffer.from(content));
  }

  link(path, target) {
    return this.#entry(path, LINK | 0o777, Buffer.from(target));
  }

  character(path, major, minor, mode = 0o600) {
    return this.#entry(path, CHARACTER | mode, Buffer.alloc(0), { major, minor });
  }

  /** The archive with its trailer. */
  finish() {
    this.#entry('TRAILER!!!', 0, Buffer.alloc(0));
    return Buffer.concat(this.#chunks);
  }

  #entry(path, mode, content, device = { major: 0, minor: 0 }) {
    const name = Buffer.from(`${path.replace(/^\//, '')}\0`);
    const links = (mode & DIRECTORY) === DIRECTORY && (mode & FILE) !== FILE ? 2 : 1;
    const fields = [this.#inode++, mode, 0, 0, links, 0, content.length, 0, 0, device.major, device.minor, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    this.#chunks.push(padded(Buffer.concat([Buffer.from(header), name])), padded(content));
    return this;
  }
}

function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
