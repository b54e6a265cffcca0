// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { Dialog } from './dialog.mjs';

/** A console that shows `chunks`, then what `reply` answers to each line typed. */
function fakeConsole(chunks, reply = () => []) {
  const queue = [...chunks];
  let wake = () => undefined;
  return {
    async write(text) {
      queue.push(...reply(text));
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (queue.length > 0) {
          const chunk = queue.shift();
          if (chunk === null) return;
          yield new TextEncoder().encode(chunk);
        }
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

describe('quickstart dialog', () => {
  const prompt = '\x1b[?2004hroot@debian:~# ';

  it('finds a prompt between terminal codes, cut anywhere', async () => {
    const dialog = new Dialog(fakeConsole(['boot\r\nlog\x1b[?20', '04hroot@deb', 'ian:~# ']));
    assert.match(await dialog.read(/root@\S+:~# $/, { seconds: 1 }), /^boot\nlog/);
  });

  it('gives back what the command printed, without its echo', async () => {
    const reply = (text) => [text.replace('\n', '\r\n\x1b[?2004l\r'), 'Linux de', 'bian\r\nanswered-42\r\n', prompt];
    const dialog = new Dialog(fakeConsole([prompt], reply));
    await dialog.read(/# $/, { seconds: 1 });
    assert.equal(await dialog.ask('uname -a', 1), 'Linux debian');
  });

  it('shows the end of the console when nothing comes, and can go on afterwards', async () => {
    const console = fakeConsole(['stuck'], () => ['now']);
    const dialog = new Dialog(console);
    await assert.rejects(dialog.read(/never/, { seconds: 0.05 }), /ends with:\nstuck/);
    await console.write('x');
    assert.equal(await dialog.read(/now/, { seconds: 1 }), 'now');
  });

  it('says so when the machine stops', async () => {
    await assert.rejects(new Dialog(fakeConsole(['bye', null])).read(/never/, { seconds: 1 }), /stopped before it answered/);
  });
});
