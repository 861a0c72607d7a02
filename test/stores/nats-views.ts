/** Views on the NATS store, a look behind it, and what tests put in. */
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { onTestFinished } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { OpenStore, SessionRecord, Store, StoreOptions } from '../../src/stores/store.ts';
import { systemRandom, systemTime } from '../../src/system.ts';
import { createLog } from '../kit/log.ts';
import { plainRecord } from './plain-record.ts';

export const ME = 'instance-me';
export const OTHER = 'instance-other';
export const FENCE = { epoch: 1, owner: ME };

let prefixes = 0;

/** Streams of the test's own on a server that many tests share. */
export const newPrefix = (): string => `test-${process.pid}-${(prefixes += 1)}`;

export function storeOptions(more: Partial<StoreOptions> = {}): StoreOptions {
  return {
    name: 'mcp',
    time: systemTime,
    random: systemRandom,
    logger: createLog(),
    leaseMs: 30_000,
    tombstoneMs: 600_000,
    retention: { ttlMs: 600_000, events: 1_000, bytes: 1_048_576 },
    eventLogBytes: 268_435_456,
    tombstones: 100_000,
    ...more,
  };
}

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<StoreOptions> = {}): Promise<OpenStore> {
  const view = await (typeof store === 'string' ? nats(store) : store).open(storeOptions(more));
  onTestFinished(() => view.close());
  return view;
}

/** A connection of the test's own, closed when the test is over. */
export async function connectTo(url: string, more: ConnectionOptions = {}): Promise<NatsConnection> {
  const connection = await connect({ servers: url, ...more });
  onTestFinished(() => connection.close());
  return connection;
}

export async function managerOf(url: string, more: ConnectionOptions = {}): Promise<JetStreamManager> {
  return jetstreamManager(await connectTo(url, more));
}

export function recordOf(id: string, more: Partial<SessionRecord> = {}): SessionRecord {
  return plainRecord(id, FENCE, more);
}
