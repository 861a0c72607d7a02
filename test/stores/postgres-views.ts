/** Views on the PostgreSQL store, direct connections to its database, and test data. */
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { View, ViewSettings } from '../store-contract/view.ts';
import { open, storeOptions } from './views.ts';

export { announce, FENCE, ME, recordOf, storeOptions } from './views.ts';

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<ViewSettings> = {}): Promise<View> {
  return open(typeof store === 'string' ? postgres(store) : store, storeOptions(more));
}

/** A connection of the test, closed when the test is over. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

let databases = 0;

/** A new database on a server that many tests share. */
export async function newDatabase(url: string, options = ''): Promise<string> {
  databases += 1;
  const name = `test_${process.pid}_${databases}`;
  const client = new pg.Client(url);
  await client.connect();
  await client.query(`CREATE DATABASE ${name} ${options}`);
  await client.end();
  return url.replace(/\/[^/]*$/, `/${name}`);
}
