// SPDX-License-Identifier: Apache-2.0
import type { WatchdogAction } from './watchdog.js';

/** The resource something happens to. */
export interface Target {
  kind: 'machine' | 'image' | 'network' | 'volume' | 'pool' | 'operation' | 'key' | 'host';
  id: string;
  name?: string;
}

/** Every kind of event with the shape of its data. `emit` is checked against it. */
export interface EventMap {
  'machine.created': { state: string };
  'machine.updated': { generation: number };
  'machine.state': { state: string; previous: string; reason?: { code: string; detail: string; remedy: string } };
  /** The guest did not reset its watchdog in time; `action` is what follows. */
  'machine.watchdog': { action: WatchdogAction };
  /** There is no room on the host for what the guest writes to this disk; its machine is paused if its owner wished so. */
  'machine.disk_full': { disk: string };
  /** What led on from this interface is gone; its guest sees no carrier from now on, and runs on. */
  'machine.link_lost': { interface: string };
  /** What served the folder with this tag is gone; its guest cannot use the folder until its next start, and runs on. */
  'machine.share_lost': { share: string };
  'machine.deleted': Record<string, never>;
  'operation.created': { kind: string; state: string };
  'operation.updated': {
    kind: string;
    state: string;
    step?: string;
    progress?: { bytes?: number; totalBytes?: number; percent?: number; bytesPerSecond?: number };
  };
  'image.created': { state: string };
  'image.ready': { sizeBytes: number; sha256: string };
  'image.failed': { code: string };
  'image.deleted': Record<string, never>;
  'network.created': { kind: string };
  'network.updated': { generation: number };
  'network.ready': { bridge: string };
  'network.deleted': Record<string, never>;
  /** `taken`: the guest asked for its address and got it; `renewed`: it keeps it longer; `ended`: the guest is gone or let it run out. */
  'network.lease': {
    state: 'taken' | 'renewed' | 'ended';
    machine: string;
    machineName: string;
    interface: string;
    mac: string;
    ip: string;
    expiresAt: string;
    hostname?: string;
  };
  'volume.created': { state: string };
  'volume.ready': { sizeBytes: number };
  'volume.updated': { generation: number };
  'volume.failed': { code: string };
  'volume.deleted': Record<string, never>;
  'pool.created': { state: string };
  'pool.updated': { generation: number };
  'pool.state': { state: string; previous: string; reason?: { code: string; detail: string; remedy: string } };
  /** `reached`: less is free than the guard of the pool keeps, and nothing new is made there until it is `false` again. */
  'pool.guard': { reached: boolean; availableBytes: number; capacityBytes: number };
  'pool.deleted': Record<string, never>;
  'key.created': { role: string };
  'key.deleted': Record<string, never>;
}

export const EVENT_KINDS = [
  'machine.created',
  'machine.updated',
  'machine.state',
  'machine.watchdog',
  'machine.disk_full',
  'machine.link_lost',
  'machine.share_lost',
  'machine.deleted',
  'operation.created',
  'operation.updated',
  'image.created',
  'image.ready',
  'image.failed',
  'image.deleted',
  'network.created',
  'network.updated',
  'network.ready',
  'network.lease',
  'network.deleted',
  'volume.created',
  'volume.ready',
  'volume.updated',
  'volume.failed',
  'volume.deleted',
  'pool.created',
  'pool.updated',
  'pool.state',
  'pool.guard',
  'pool.deleted',
  'key.created',
  'key.deleted',
] as const satisfies readonly (keyof EventMap)[];

export type EventKind = keyof EventMap;

/** Something that happened; `id` grows by the order in which things became durable. */
export interface FlotillaEvent<K extends EventKind = EventKind> {
  id: number;
  kind: K;
  time: string;
  target: Target;
  data: EventMap[K];
  requestId?: string;
}

/** An event that is not stored yet. */
export type NewEvent = { [K in EventKind]: { kind: K; target: Target; data: EventMap[K] } }[EventKind];
