// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { QCOW2, VHOST, takes } from './lib/abilities.mjs';
import { DISK_BARS, NETWORK_BARS, QCOW2_BARS, judge, missedRows } from './lib/bars.mjs';
import { counted } from './lib/exits.mjs';
import { follower } from './lib/guest.mjs';
import {
  HOLES_OWN,
  QCOW2_OWN,
  VHOST_OWN,
  holesCandidates,
  networkCandidates,
  qcow2Candidates,
  rawCandidates,
} from './lib/io-candidates.mjs';
import { DISK_JOBS, readFio, readIperf, readPing } from './lib/jobs.mjs';
import { HUNG } from './lib/lost.mjs';
import { createHoles, createOverlay } from './lib/qcow2.mjs';
import { diskTable, networkTable } from './lib/rows.mjs';
import { alternateRows } from './lib/stats.mjs';

const one = (median) => ({ min: median, median, max: median, runs: 5 });

/** Rows that meet the bar exactly; `below` by a little. */
function meeting({ row, of, peer, least, most, below }) {
  const own = row === 'ping ms' ? 'Flotilla tap' : of;
  return { [row]: { [own]: one(100), [peer]: one(100 / (least ?? most ?? below - 0.01)) } };
}

const measured = (rows, absent = []) => ({ rows, absent, clock: 'by a clock' });

describe('figures of the measuring guest', () => {
  it('reads what fio says of a reading and of a writing job', () => {
    const read = readFio('randread:4k:32', '0;12044;4014;1003;3000;31890.1;0;0;0;0;0.000000\n');
    assert.deepEqual(read, { iops: 1003, mibPerSecond: 4014 / 1024, latencyUs: 31890.1, requests: 3011 });
    const written = readFio('write:128k:8', '0;0;0;0;0;0.000000;128000;42666;333;3000;24000.5');
    assert.deepEqual(written, { iops: 333, mibPerSecond: 42666 / 1024, latencyUs: 24000.5, requests: 1000 });
  });

  it('refuses what is no result of fio, and a job that failed', () => {
    for (const text of ['', 'fio: unknown', '5;1;1;1;1;1;1;1;1;1;1', '0;1;1;1']) {
      assert.throws(() => readFio('randread:4k:1', text), /failed/, text);
    }
  });

  it('reads what iperf3 and ping say', () => {
    const line = '[  5]   0.00-3.01   sec  1.25 GBytes  3567890 Kbits/sec                  receiver';
    assert.deepEqual(readIperf('send', line), { mbitPerSecond: 3567.89, mebibytes: 1280 });
    assert.equal(readIperf('send', '[  5] 0.00-3.00 sec 512 KBytes 1398 Kbits/sec receiver').mebibytes, 0.5);
    assert.deepEqual(readPing('ping', 'rtt min/avg/max/mdev = 0.041/0.062/0.318/0.02 ms'), { averageMs: 0.062 });
    assert.throws(() => readIperf('send', 'unable to connect'), /failed/);
    assert.throws(() => readPing('ping', '3 packets transmitted, 0 received'), /failed/);
  });

  it('takes the counters around each job, and leaves other lines of the console alone', () => {
    const looks = [{ exits: 10, halt_exits: 1 }, { exits: 110, halt_exits: 1 }, { exits: 200 }, { exits: 201 }];
    const { jobs, line } = follower(() => looks.shift());
    assert.equal(line('[    0.1] Linux version'), false);
    for (const text of [
      'bench begin a:4k:1\r',
      'bench end a:4k:1\r',
      'bench result a:4k:1 0;1 \r',
      'bench begin b',
      'bench end b',
      'bench result b x',
    ])
      assert.equal(line(text), true);
    assert.deepEqual(jobs, { 'a:4k:1': { text: '0;1', exits: { exits: 100 } }, b: { text: 'x', exits: { exits: 1 } } });
    assert.equal(line('bench result never 1'), true, 'a result without its job is dropped');
    assert.deepEqual(Object.keys(jobs), ['a:4k:1', 'b']);
    assert.deepEqual(counted(undefined, undefined), {});
  });

  it('alternates, and throws the first round away', async () => {
    const order = [];
    const candidate = (name) => () => {
      order.push(name);
      return { speed: order.length, ...(name === 'a' ? { only: 7 } : {}) };
    };
    const rows = await alternateRows({ a: candidate('a'), b: candidate('b') }, 3);
    assert.equal(order.join(''), 'abababab');
    assert.deepEqual(rows.speed, { a: { min: 3, median: 5, max: 7, runs: 3 }, b: { min: 4, median: 6, max: 8, runs: 3 } });
    assert.deepEqual(Object.keys(rows.only), ['a']);
    order.length = 0;
    await alternateRows({ a: candidate('a'), b: candidate('b') }, 2, () => {}, 0);
    assert.equal(order.join(''), 'abab', 'none that does not count');
  });
});

describe('bars of the data paths', () => {
  for (const [name, bars, table] of [
    ['disk', DISK_BARS, diskTable],
    ['qcow2', QCOW2_BARS, diskTable],
    ['network', NETWORK_BARS, networkTable],
  ]) {
    it(`${name}: each is met exactly, and each is missed by a little`, () => {
      for (const bar of bars) {
        const rows = meeting(bar);
        assert.deepEqual(missedRows(rows, bars), []);
        const text = table(measured(rows)).join('\n');
        assert.equal(text.match(/ ×, met/g)?.length, 1, JSON.stringify(bar));
        assert.ok(!text.includes('missed'));
        rows[bar.row][bar.peer].median *= bar.least === undefined ? 0.95 : 1.05;
        const missed = missedRows(rows, bars);
        assert.ok(missed.length === 1 && missed[0].includes(bar.row), JSON.stringify(bar));
        assert.equal(
          table(measured(rows))
            .join('\n')
            .match(/\*\*missed\*\*/g)?.length,
          1,
        );
      }
    });
  }

  it('each row stands in the table with its bar, also what was not measured', () => {
    const text = [...diskTable(measured({})), ...networkTable(measured({}))];
    for (const { least, most, called, peer } of [...DISK_BARS, ...QCOW2_BARS, ...NETWORK_BARS]) {
      const words = `${least === undefined ? (most === undefined ? 'fewer than' : `at most ${most} ×`) : `at least ${least} ×`} ${called ?? peer}`;
      assert.ok(
        text.some((line) => line.includes(words) && line.includes('not measured')),
        words,
      );
    }
  });

  it('what this build cannot do is not there, which is no miss', () => {
    const bars = NETWORK_BARS.filter(({ of }) => of === VHOST_OWN);
    const rows = Object.assign({}, ...bars.map(meeting));
    for (const values of Object.values(rows)) delete values[VHOST_OWN];
    assert.deepEqual(missedRows(rows, NETWORK_BARS), []);
    const line = networkTable(measured(rows, [VHOST_OWN])).find((text) => text.startsWith('| TCP, one stream out of'));
    assert.match(line, /^\| TCP, one stream out of the guest, Mbit\/s \| not measured \| not there \| .* \| not measured; not there \|$/);
    const qcow2 = diskTable(measured({}, [QCOW2_OWN])).filter((text) => text.includes('not there'));
    assert.equal(qcow2.length, 2 * Object.keys(DISK_JOBS).length);
    assert.match(qcow2[0], /at least 0\.85 × Flotilla raw; at least 1\.3 × QEMU q35 qcow2 \| not there; not there \|$/);
    assert.equal(judge({}, DISK_BARS[0]), undefined);
  });

  it('ping is judged by the faster of our two ways', () => {
    const bar = NETWORK_BARS.find(({ row }) => row === 'ping ms');
    const row = { 'Flotilla tap': one(8), 'Flotilla vhost-net': one(4), 'QEMU vhost-net': one(5) };
    assert.deepEqual(judge({ 'ping ms': row }, bar), { ratio: 0.8, met: true });
  });
});

describe('candidates of the data paths', () => {
  const guest = { vmlinux: '/k', initramfs: '/i' };

  it('all start the same guest', () => {
    const disks = rawCandidates(guest, 'the line', '/d');
    const images = qcow2Candidates(guest, 'the line', { overlay: '/o', base: '/b' });
    const links = networkCandidates(guest, 'the line', { tap: 't', mac: '52:54:00:00:00:02' });
    for (const argv of [disks, images, links].flatMap(Object.values)) {
      for (const word of ['/k', '/i', 'the line', '256M', '1']) assert.ok(argv.includes(word), `${argv.join(' ')}: ${word}`);
    }
    const raw = holesCandidates(guest, 'the line', '/d');
    assert.deepEqual(raw, { [HOLES_OWN]: disks.Flotilla }, 'the same but for what is in the file');
    assert.equal(Object.keys(disks).length, 3);
    assert.deepEqual(Object.keys(images), [QCOW2_OWN, 'QEMU q35 qcow2']);
    assert.ok(images[QCOW2_OWN].includes('path=/o,format=qcow2,backing=raw:/b'));
    assert.deepEqual(Object.keys(links), ['Flotilla tap', 'Flotilla vhost-net', 'QEMU tap', 'QEMU vhost-net']);
  });

  it('a guest takes all jobs on one command line', () => {
    assert.ok(Object.keys(DISK_JOBS).join(',').length < 1000);
    for (const job of Object.keys(DISK_JOBS)) assert.match(job, /^(rand)?(read|write):\d+k:\d+$/);
  });
});

describe('what a build can do', () => {
  let folder;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'flotilla-jobs-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  function program(script) {
    const path = join(folder, 'worker');
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  it('is known by how it ends with a machine that cannot start', () => {
    const knows = (word) => program(`case "$*" in "run --kernel /nonexistent "*${word}*) exit 2;; esac; exit 64`);
    assert.equal(takes(knows('format=qcow2,backing=raw:'), QCOW2), true);
    assert.equal(takes(knows('vhost=on'), QCOW2), false);
    assert.equal(takes(knows('vhost=on'), VHOST), true);
    assert.equal(takes(program('exit 3'), VHOST), true, 'no KVM');
  });

  it('is not guessed from a program that is not there or fails', () => {
    assert.throws(() => takes(join(folder, 'none'), QCOW2), /ENOENT/);
    assert.throws(() => takes(program('echo broken >&2; exit 1'), QCOW2), /ended with 1: broken/);
    assert.throws(() => takes(program('exec sleep 60'), VHOST, 50), { how: HUNG });
  });

  it('measures an image of which every second cluster is its own', () => {
    const [base, overlay] = [join(folder, 'base'), join(folder, 'overlay')];
    writeFileSync(base, Buffer.alloc(1 << 20, 0x5a));
    createOverlay(overlay, base, 1 << 20);
    const map = JSON.parse(execFileSync('qemu-img', ['map', '--output', 'json', overlay], { encoding: 'utf8' }));
    assert.deepEqual(
      map.map(({ length, depth }) => [length, depth]),
      Array.from({ length: 16 }, (_, index) => [64 << 10, index % 2]),
    );
  });

  it('measures a raw file of which every second cluster is a hole, made anew each time', () => {
    const holes = join(folder, 'holes');
    for (let time = 0; time < 2; time++) {
      createHoles(holes, 1 << 20);
      const map = JSON.parse(execFileSync('qemu-img', ['map', '--output', 'json', '-f', 'raw', holes], { encoding: 'utf8' }));
      assert.deepEqual(
        map.map(({ length, data }) => [length, data]),
        Array.from({ length: 16 }, (_, index) => [64 << 10, index % 2 === 0]),
      );
      writeFileSync(holes, Buffer.alloc(1 << 20, 1));
    }
  });
});
