/** Views on the PostgreSQL store, a look behind it, and what tests put in. */
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import type { OpenStore, SessionRecord, Store, StoreOptions } from '../../src/stores/store.ts';
import { systemRandom, systemTime } from '../../src/system.ts';
import { createLog } from '../kit/log.ts';
import { plainRecord } from './plain-record.ts';

export const ME = 'instance-me';
export const FENCE = { epoch: 1, owner: ME };

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
  const view = await (typeof store === 'string' ? postgres(store) : store).open(storeOptions(more));
  onTestFinished(() => view.close());
  return view;
}

/** A connection of the test's own, ended when the test is over. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

let databases = 0;

/** A database of the test's own on a server that many tests share. */
export async function newDatabase(url: string, options = ''): Promise<string> {
  databases += 1;
  const name = `test_${process.pid}_${databases}`;
  const client = new pg.Client(url);
  await client.connect();
  await client.query(`CREATE DATABASE ${name} ${options}`);
  await client.end();
  return url.replace(/\/[^/]*$/, `/${name}`);
}

export function recordOf(id: string, more: Partial<SessionRecord> = {}): SessionRecord {
  return plainRecord(id, FENCE, more);
}
