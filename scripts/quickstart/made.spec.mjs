// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { freeName, Made, namesOf, networkGone, sameImage } from './made.mjs';

/** A change that was accepted and ends with `outcome`; an Error as its id stands for a refusal. */
function pending(id, outcome = Promise.resolve(id)) {
  outcome.catch(() => undefined);
  const accepted = async () => {
    if (id instanceof Error) throw id;
    return { target: { id } };
  };
  return Object.assign(outcome, { accepted });
}

/** A cloud that remembers what it was told to delete; `fails` is thrown at each. */
function fakeClient(fails) {
  const deleted = [];
  const remove = (kind) => async (id) => {
    deleted.push(`${kind} ${id}`);
    if (fails !== undefined) throw fails;
  };
  return { deleted, machines: { delete: remove('machine') }, images: { delete: remove('image') } };
}

describe('the network of the quickstart', () => {
  const networks = (...states) => {
    const get = async () => ({ state: states.length > 1 ? states.shift() : states[0] });
    return { client: { networks: { get } }, states };
  };

  it('is waited for until it is off the host', async () => {
    const { client, states } = networks('ready', 'ready', 'pending');
    await networkGone(client, 'default');
    assert.deepEqual(states, ['pending']);
  });

  it('is told of when it stays', async () => {
    await assert.rejects(networkGone(networks('ready').client, 'default', 150), /still on the host/);
  });
});

describe('what the quickstart removes', () => {
  it('is nothing when it has made nothing', async () => {
    const client = fakeClient();
    await new Made().remove(client);
    assert.deepEqual(client.deleted, []);
  });

  it('is not the machine whose name refused the new one', async () => {
    const [client, made] = [fakeClient(), new Made()];
    await assert.rejects(made.machine(pending(new Error('machine.name_taken'))), /name_taken/);
    await made.remove(client);
    assert.deepEqual(client.deleted, []);
  });

  it('is what it made, by id, the machine first, also one that failed after it was accepted', async () => {
    const [client, made] = [fakeClient(), new Made()];
    await made.image(pending('img_1'));
    await assert.rejects(made.machine(pending('mac_1', Promise.reject(new Error('boot')))), /boot/);
    await made.remove(client);
    assert.deepEqual(client.deleted, ['machine mac_1', 'image img_1']);
  });

  it('may be gone already, but no other failure is passed over', async () => {
    const made = new Made();
    await made.image(pending('img_1'));
    await made.remove(fakeClient(Object.assign(new Error(), { code: 'image.not_found' })));
    await assert.rejects(made.remove(fakeClient(Object.assign(new Error('used'), { code: 'image.in_use' }))), /used/);
  });
});

describe('the name of the quickstart’s machine', () => {
  it('is the next free one beside machines that earlier runs have kept', () => {
    assert.equal(freeName('quickstart', new Set(['web'])), 'quickstart');
    assert.equal(freeName('quickstart', new Set(['quickstart', 'quickstart-2'])), 'quickstart-3');
  });

  it('is compared with what a list of the SDK holds', async () => {
    async function* list() {
      yield { name: 'a' };
      yield { name: 'b' };
    }
    assert.deepEqual([...(await namesOf(list()))], ['a', 'b']);
  });
});

describe('the image of an earlier run that the quickstart takes', () => {
  const wanted = { name: 'debian-12', kind: 'disk', format: 'raw', sha256: 'a'.repeat(64) };
  const same = { ...wanted, id: 'img_1', state: 'ready' };
  const found = (...images) => sameImage(wanted, images)?.id;

  it('has its name and its very content', () => {
    assert.equal(found({ ...same, id: 'img_0', name: 'other' }, same), 'img_1');
  });

  it('is none with its name alone', () => {
    for (const change of [
      { sha256: 'b'.repeat(64) },
      { sha256: undefined },
      { kind: 'initrd' },
      { format: 'qcow2' },
      { state: 'importing' },
    ])
      assert.equal(found({ ...same, ...change }), undefined, JSON.stringify(change));
  });

  it('may have the number that the first name had no room for', () => {
    assert.equal(found({ ...same, id: 'img_0', sha256: 'b'.repeat(64) }, { ...same, name: 'debian-12-2' }), 'img_1');
    assert.equal(found({ ...same, name: 'debian-12-kernel' }), undefined);
  });
});
