// SPDX-License-Identifier: Apache-2.0
// The layers inside packages/orchestrator/src: which folder imports which, types included. This table is the diagram.

/** folder → folders of the orchestrator it imports; a file beside the folders, which starts and wires a role, may import all of them */
export const folderEdges = {
  common: [],
  config: [],
  database: ['common'],
  'host-agent': ['common'],
  agent: ['common', 'config', 'host-agent'],
  api: ['common', 'config', 'database', 'host-agent'],
  http: ['api', 'common'],
  openapi: ['api', 'common'],
};
