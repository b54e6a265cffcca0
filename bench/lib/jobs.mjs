// SPDX-License-Identifier: Apache-2.0
// What the measuring guest (guest/io) is asked to do, and how its figures are read.

/** Jobs of fio as its guest takes them, RW:BLOCK:DEPTH, with what the tables call them. */
export const DISK_JOBS = {
  'randread:4k:1': '4 KiB random read, depth 1',
  'randread:4k:32': '4 KiB random read, depth 32',
  'randwrite:4k:32': '4 KiB random write, depth 32',
  'read:128k:8': '128 KiB sequential read, depth 8',
  'write:128k:8': '128 KiB sequential write, depth 8',
};

/** Small requests are judged by their number, large ones by their bytes. */
export function isSmall(job) {
  return job.includes(':4k:');
}

/** The row of a job that says how fast it was. */
export function speedRow(job) {
  return `${job} ${isSmall(job) ? 'iops' : 'MiB/s'}`;
}

export const NETWORK_JOBS = {
  send: 'TCP, one stream out of the guest',
  receive: 'TCP, one stream into the guest',
  ping: 'ping from the guest, average',
};

const MEBIBYTE = 1 << 20;

/**
 * The fields of one job of fio: error; KiB, KiB/s, IOPS and ms of reading, mean latency; the same of writing.
 * @returns {{ iops: number, mibPerSecond: number, latencyUs: number, requests: number }}
 */
export function readFio(job, text) {
  const fields = text.trim().split(';').map(Number);
  const [error, ...figures] = fields;
  if (fields.length !== 11 || fields.some(Number.isNaN) || error !== 0) throw new Error(`fio's ${job} failed: ${text}`);
  const [kib, kibPerSecond, iops, , latencyUs] = job.includes('write') ? figures.slice(5) : figures;
  const blockKib = Number(/:(\d+)k:/.exec(job)[1]);
  return { iops, mibPerSecond: kibPerSecond / 1024, latencyUs, requests: kib / blockKib };
}

/** iperf3's line about what arrived. */
export function readIperf(job, text) {
  const found = /([\d.]+) +([KMGT]?)Bytes +([\d.]+) +Kbits\/sec/.exec(text);
  if (found === null) throw new Error(`iperf3's ${job} failed: ${text}`);
  const [, amount, unit, kilobits] = found;
  const bytes = Number(amount) * 1024 ** ' KMGT'.indexOf(unit || ' ');
  return { mbitPerSecond: Number(kilobits) / 1000, mebibytes: bytes / MEBIBYTE };
}

/** The last line of ping: least, average, greatest, deviation. */
export function readPing(job, text) {
  const found = /= [\d.]+\/([\d.]+)\//.exec(text);
  if (found === null) throw new Error(`${job} failed: ${text}`);
  return { averageMs: Number(found[1]) };
}
