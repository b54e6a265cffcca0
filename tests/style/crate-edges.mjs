// SPDX-License-Identifier: Apache-2.0
// The layers of crates/: what each crate depends on, and which may contain unsafe code. This table is the diagram.

/** crate → crates of ours it names in every build */
export const crateEdges = {
  spec: [],
  memory: [],
  'device-model': ['memory'],
  hypervisor: ['device-model', 'memory'],
  block: ['device-model', 'memory'],
  net: ['device-model', 'memory'],
  share: ['device-model', 'memory'],
  devices: ['device-model', 'memory'],
  boot: ['device-model', 'memory'],
  vmm: ['block', 'boot', 'device-model', 'devices', 'hypervisor', 'memory', 'net', 'share', 'spec'],
  sandbox: [],
  control: ['spec'],
  front: ['control', 'spec', 'vmm'],
  worker: ['control', 'front', 'sandbox', 'spec', 'vmm'],
  host: ['block', 'control', 'hypervisor', 'net', 'sandbox', 'share', 'spec'],
  node: ['control', 'front', 'host', 'spec', 'vmm'],
  testing: ['device-model', 'memory'],
  'test-guests': [],
};

/** the same for features that nothing we ship turns on */
export const optionalEdges = {
  devices: ['testing'],
};

/** the same for tests */
export const testEdges = {
  devices: ['spec', 'testing'],
  hypervisor: ['boot'],
  share: ['testing'],
  vmm: ['test-guests', 'testing'],
  worker: ['test-guests'],
};

/** crates that may contain unsafe code, because each wraps a part of the kernel; every other one forbids it */
export const unsafeCrates = ['block', 'hypervisor', 'memory', 'net', 'sandbox', 'share'];

/** crates that deny it where others forbid it, because macros expand to unsafe code of their own: no exception is written in them */
export const unsafeByMacro = ['node'];

/** crates that may unwrap, index and panic: fakes and guests for tests. In the others what a guest or a client sends ends in an error. */
export const panickingCrates = ['test-guests', 'testing'];

/** library → the only crates that name it, outside of tests */
export const wrappers = {
  acpi_tables: ['boot'],
  clap: ['worker'],
  'io-uring': ['block'],
  'kvm-bindings': ['hypervisor'],
  'kvm-ioctls': ['hypervisor'],
  landlock: ['sandbox'],
  libc: unsafeCrates,
  'linux-loader': ['boot'],
  napi: ['node'],
  'napi-derive': ['node'],
  seccompiler: ['sandbox'],
  'ts-rs': ['spec'],
};
