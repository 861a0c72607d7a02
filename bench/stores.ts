/** What the operations of a store cost without HTTP: one caller that awaits each answer, and 16 in one turn. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bench, group, run } from 'mitata';
import { systemRandom, systemTime } from '../src/base/system.ts';
import { postgres } from '../packages/postgres/src/index.ts';
import { redis } from '../packages/redis/src/index.ts';
import { sqlite } from '../src/stores/sqlite/index.ts';
import type { Store, StoredRecord } from '../src/stores/store.ts';
import { openView, type View } from '../test/stores/contract/view.ts';
import { startStore } from './works.ts';

const FENCE = { epoch: 1, owner: 'abcdefghijkl' };
const EVENT = JSON.stringify({
  jsonrpc: '2.0',
  id: 17,
  result: { content: [{ type: 'text', text: 'hello world' }] },
});
const DAY_MS = 86_400_000;
const TOGETHER = 16;
const SETTINGS = {
  deployment: 'bench',
  time: systemTime,
  random: systemRandom,
  logger: { debug() {}, info() {}, warn() {}, error: console.error, fatal: console.error },
  leaseMs: 30_000,
  keepMs: 600_000,
  log: { maxAgeMs: 3_600_000, events: 1_000, bytes: 1_048_576 },
  eventLogBytes: 268_435_456,
  tombstones: 100_000,
};

function recordOf(id: string): StoredRecord {
  const body = {
    protocolVersion: '2025-11-25',
    capabilities: { sampling: {} },
    clientInfo: { name: 'a', version: '1' },
  };
  const times = { createdAt: Date.now(), stamp: Date.now(), expiresAt: null, dueAt: null };
  const rest = {
    user: null,
    share: null,
    head: '2025-11-25 ig - t.0123456789ab',
    fields: {},
    rung: 0,
    ...times,
  };
  return { v: 1, id, ...FENCE, body: JSON.stringify(body), ...rest };
}

const newId = (): string => randomBytes(16).toString('base64url');

/** Rejects when the operation was refused, because then nothing was measured. */
async function done(outcome: unknown): Promise<void> {
  const got = await outcome;
  if (['fenced', 'gone', 'exists', undefined].includes(got as string | undefined))
    throw new Error(`refused: ${JSON.stringify(got)}`);
}

async function operations({ records }: View): Promise<Record<string, () => Promise<void>>> {
  const id = newId();
  await done(records.create(recordOf(id), DAY_MS));
  let stream = 0;
  const append = (): unknown =>
    records.append({
      id,
      fence: FENCE,
      stream: `p1x${(stream += 1).toString(36)}`,
      from: 0,
      events: ['', EVENT],
      complete: true,
    });
  return {
    'read a record': () => done(records.read(id)),
    'save a record': () => done(records.save(id, FENCE, { stamp: Date.now() })),
    'create a record': () => done(records.create(recordOf(newId()), DAY_MS)),
    'log a whole call': () => done(append()),
  };
}

async function measure(title: string, store: Store): Promise<void> {
  const view = await openView(store, SETTINGS);
  // Keeps the process alive; the store's mailboxes do not.
  const alive = setInterval(() => undefined, 1_000);
  for (const [name, once] of Object.entries(await operations(view)))
    group(`${title}: ${name}`, () => {
      bench('one', once);
      bench(`${TOGETHER} in one turn`, () => Promise.all(Array.from({ length: TOGETHER }, once)));
    });
  await run({ colors: process.stdout.isTTY, throw: true });
  clearInterval(alive);
  await view.close();
}

export async function measureStores(only: readonly string[]): Promise<void> {
  const isWanted = (name: string): boolean => only.length === 0 || only.includes(name);
  if (isWanted('sqlite')) {
    const folder = mkdtempSync(join(tmpdir(), 'bench-store-'));
    await measure('sqlite', sqlite(join(folder, 'sessions.db')));
    rmSync(folder, { recursive: true });
  }
  for (const [name, create] of Object.entries({ redis, postgres })) {
    if (!isWanted(name)) continue;
    const server = await startStore(name as 'redis' | 'postgres');
    await measure(name, create(server.url));
    await server.close();
  }
}
