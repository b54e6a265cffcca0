// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { readMessages } from './sse.js';

function streamOf(...parts: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });
}

describe('readMessages', () => {
  it('reads id, kind and data, whatever the cuts', async () => {
    const messages = [];
    for await (const message of readMessages(streamOf(': hello\n\nid: 7\nevent: machine.sta', 'te\ndata: {"a":\ndata: 1}\n', '\n')))
      messages.push(message);
    expect(messages).to.deep.equal([{ id: '7', event: 'machine.state', data: '{"a":\n1}' }]);
  });

  it('tells an id without data: only the place to resume from', async () => {
    const messages = [];
    for await (const message of readMessages(streamOf(': heartbeat\nid: 9\n\n: nothing\n\n'))) messages.push(message);
    expect(messages).to.deep.equal([{ id: '9', event: 'message', data: undefined }]);
  });

  it('drops a message that the connection cut off', async () => {
    const messages = [];
    for await (const message of readMessages(streamOf('data: whole\n\ndata: ha'))) messages.push(message.data);
    expect(messages).to.deep.equal(['whole']);
  });
});
