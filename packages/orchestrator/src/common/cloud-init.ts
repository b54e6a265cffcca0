// SPDX-License-Identifier: Apache-2.0
// What cloud-init in a guest does at its first start. One form from the API to the host agent.

/** Of all that cloud-init is told together, in characters: machines are listed with it, a thousand at a time. */
export const MAX_CLOUD_INIT_TEXT = 65_536;
export const MAX_SSH_KEYS = 64;
export const MAX_SSH_KEY = 8192;
/** One line as in `authorized_keys`, without options: type, key, comment. */
export const SSH_KEY_PATTERN =
  /^(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/]{16,8000}={0,2}(?: [\x20-\x7e]{0,256})?$/;
/** Text without NUL, which no file of cloud-init holds. */
export const CLOUD_INIT_TEXT = /^[^\0]*$/;
/** What user data may begin with; cloud-init leaves out anything else, with a warning that nobody sees. */
const USER_DATA_BEGINNINGS =
  /^(?:#cloud-config|#!|#include|#cloud-boothook|#part-handler|#upstart-job|#cloud-config-archive|## template: ?jinja|Content-Type: |MIME-Version: )/i;
/** Name of the disk that the guest finds it on. */
export const SEED_DISK = 'cidata';

export interface CloudInit {
  userData?: string;
  networkConfig?: string;
  sshKeys: string[];
}

export function isSshKey(line: string): boolean {
  return line.length <= MAX_SSH_KEY && SSH_KEY_PATTERN.test(line);
}

/** Whether cloud-init would do something with user data. */
export function isUserData(text: string): boolean {
  return USER_DATA_BEGINNINGS.test(text);
}

/** Characters of all of it. */
export function lengthOf({ userData = '', networkConfig = '', sshKeys = [] }: Partial<CloudInit>): number {
  return sshKeys.reduce((sum, key) => sum + key.length, userData.length + networkConfig.length);
}

/** These properties, without those that are absent. */
export function cloudInitOf({ userData, networkConfig, sshKeys = [] }: Partial<CloudInit>): CloudInit {
  return {
    ...(userData === undefined ? {} : { userData }),
    ...(networkConfig === undefined ? {} : { networkConfig }),
    sshKeys,
  };
}
