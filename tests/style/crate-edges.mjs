// SPDX-License-Identifier: Apache-2.0
// The layers of crates/: what each crate may depend on, and which may contain unsafe code. This table is the diagram.

/** crate → crates of ours it may name, tests aside */
export const crateEdges = {
  spec: [],
  memory: [],
  hypervisor: ['device-model', 'memory'],
  'device-model': ['memory'],
  block: ['device-model', 'memory'],
  net: ['device-model', 'memory'],
  devices: ['device-model', 'memory'],
  boot: ['memory'],
  vmm: ['block', 'boot', 'device-model', 'devices', 'hypervisor', 'memory', 'net', 'spec'],
  sandbox: [],
  control: ['spec'],
  worker: ['control', 'sandbox', 'spec', 'vmm'],
  host: ['control', 'hypervisor', 'net', 'spec'],
  node: ['control', 'host', 'spec', 'vmm'],
  testing: ['device-model', 'memory'],
};

/** crates that may contain unsafe code; every other one forbids it */
export const unsafeCrates = ['memory', 'hypervisor', 'block', 'net', 'sandbox', 'host', 'node'];

/** library → the only crates that may name it */
export const wrappers = {
  'kvm-ioctls': ['hypervisor'],
  'kvm-bindings': ['hypervisor'],
  napi: ['node'],
  'napi-derive': ['node'],
};
