/** Views on the NATS store, a look behind it, and what tests put in. */
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { onTestFinished } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { View, ViewSettings } from '../../src/testing/view.ts';
import { open, storeOptions } from './views.ts';

export { FENCE, ME, OWNERLESS, recordOf, storeOptions } from './views.ts';

export const OTHER = 'instance-other';

let prefixes = 0;

/** Streams of the test's own on a server that many tests share. */
export const newPrefix = (): string => `test-${process.pid}-${(prefixes += 1)}`;

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<ViewSettings> = {}): Promise<View> {
  return open(typeof store === 'string' ? nats(store) : store, storeOptions(more));
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
