// SPDX-License-Identifier: Apache-2.0
// How images come to the host, as part of the port (see host-agent.ts).

/** `anywhere`: an administrator asked, so the file may lie anywhere while the agent has no import roots. */
export interface ImportImageCommand {
  id: string;
  path: string;
  anywhere: boolean;
  kind: string;
  format: string;
  sha256?: string;
}
/** `inside`: an administrator asked, so it may come from this host and the networks around it. */
export interface DownloadImageCommand {
  id: string;
  url: string;
  inside: boolean;
  kind: string;
  format: string;
  sha256?: string;
}
export interface UploadImageCommand {
  id: string;
  kind: string;
  format: string;
  sha256?: string;
}
export interface ImageFacts {
  sizeBytes: number;
  sha256: string;
}
