// SPDX-License-Identifier: Apache-2.0
// What one run of the quickstart has made, by id: it removes that and nothing else, whatever else has the same name.

import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../lib/failure.mjs';

const NETWORK_DEADLINE_MS = 30_000;
const POLL_MS = 100;

export class Made {
  #machine;
  #images = [];

  /** @param {import('@flotilla/sdk').Pending} pending a machine; what is refused was not made, what fails later was */
  async machine(pending) {
    this.#machine = (await pending.accepted()).target.id;
    return pending;
  }

  /** @param {import('@flotilla/sdk').Pending} pending an image */
  async image(pending) {
    this.#images.push((await pending.accepted()).target.id);
    return pending;
  }

  /** @param {import('@flotilla/sdk').Flotilla} client */
  async remove(client) {
    if (this.#machine !== undefined) await quietly(client.machines.delete(this.#machine, { force: true }));
    for (const image of this.#images) await quietly(client.images.delete(image));
  }
}

/**
 * Resolves when a network that no machine uses any more is off the host, which is a moment after its last machine.
 * @param {import('@flotilla/sdk').Flotilla} client
 * @param {string} name
 */
export async function networkGone(client, name, deadlineMs = NETWORK_DEADLINE_MS) {
  const deadline = Date.now() + deadlineMs;
  while ((await client.networks.get(name)).state === 'ready') {
    if (Date.now() > deadline) throw new Failure(`The network ${name} is still on the host`, 'The log of the orchestrator says why');
    await sleep(POLL_MS);
  }
}

/**
 * `wanted`, or `wanted-2` and so on where that is taken.
 * @param {string} wanted
 * @param {ReadonlySet<string>} taken
 */
export function freeName(wanted, taken) {
  let name = wanted;
  for (let number = 2; taken.has(name); number += 1) name = `${wanted}-${number}`;
  return name;
}

/** The names of a list of the SDK. */
export async function namesOf(list) {
  const names = new Set();
  for await (const { name } of list) names.add(name);
  return names;
}

/**
 * The image among `images` that is `wanted`, byte for byte, under its name or the name with a number that an earlier run gave it.
 * A name alone proves nothing: what lies under it may be of another recipe or somebody else's.
 * @param {{ name: string, kind: string, format: string, sha256: string }} wanted
 * @param {readonly import('@flotilla/sdk').Image[]} images
 */
export function sameImage(wanted, images) {
  const isOurs = ({ name }) =>
    name === wanted.name || (name.startsWith(`${wanted.name}-`) && /^\d+$/.test(name.slice(wanted.name.length + 1)));
  const isSame = (image) => ['kind', 'format', 'sha256'].every((property) => image[property] === wanted[property]);
  return images.find((image) => image.state === 'ready' && isOurs(image) && isSame(image));
}

/** What is gone already need not be removed. */
async function quietly(pending) {
  try {
    await pending;
  } catch (error) {
    if (error.code?.endsWith('.not_found') !== true) throw error;
  }
}
