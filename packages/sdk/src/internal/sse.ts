// SPDX-License-Identifier: Apache-2.0

/** One message of an event stream (HTML Living Standard, "Server-sent events"). */
export interface ServerSentMessage {
  readonly id: string | undefined;
  readonly event: string;
  /** Absent when the message only moves the place to resume from. */
  readonly data: string | undefined;
}

/** Splits a byte stream into messages. Comments vanish. */
export async function* readMessages(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentMessage> {
  let fields: { id?: string; event?: string; data: string[] } = { data: [] };
  for await (const line of readLines(body)) {
    if (line === '') {
      const data = fields.data.length > 0 ? fields.data.join('\n') : undefined;
      if (data !== undefined || fields.id !== undefined) yield { id: fields.id, event: fields.event ?? 'message', data };
      fields = { data: [] };
      continue;
    }
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') fields.data.push(value);
    else if (name === 'id') fields.id = value;
    else if (name === 'event') fields.event = value;
  }
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r?\n/);
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
