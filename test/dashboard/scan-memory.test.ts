/** What one look at the list of sessions makes an instance hold: at most 300 bytes for each session. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { DashboardParts } from '../../src/dashboard/server/parts-of-endpoint.ts';
import { SessionRows } from '../../src/dashboard/server/session-rows.ts';
import type { SessionPage } from '../../src/dashboard/wire-pages.ts';
import { systemRandom, systemTime } from '../../src/base/system.ts';
import { handshakeOf } from '../../src/session/record/handshake.ts';
import { sessionKind } from '../../src/session/record/record-kinds.ts';
import { encodeSession } from '../../src/session/record/session-record.ts';
import { answerOf } from '../../src/session/record/server-answer.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { OpenStore, Records } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const KIND = sessionKind(false, 1_000);
const IN_TEXTS = 20_000;

function openStore(): OpenStore {
  return memory().open({
    name: 'scan',
    kinds: [KIND],
    time: systemTime,
    random: systemRandom,
    logger: { debug() {}, info() {}, warn() {}, error() {}, fatal() {} },
    leaseMs: 3_000,
    eventLogBytes: 1_000_000,
    tombstones: 10,
  }) as OpenStore;
}

async function filled(count: number, name: (n: number) => string) {
  const store = openStore();
  const sessions = store.records(KIND);
  for (let n = 0; n < count; n++) {
    const clientInfo = { name: name(n), version: '2.0.9' };
    const handshake = handshakeOf({ protocolVersion: '2025-11-25', capabilities: { roots: {} }, clientInfo });
    const record = encodeSession({
      id: `session-${n}-with-an-id-of-36-digits`,
      epoch: 1,
      owner: n % 2 === 0 ? 'an-instance-with-an-id' : null,
      user: `["user","person-${n % 100}@example.com"]`,
      version: '2025-11-25',
      initialized: true,
      getPrimed: false,
      logLevel: null,
      answer: answerOf('{"capabilities":{"tools":{}}}'),
      handshake,
      subscriptions: [],
      state: {},
      createdAt: 1_700_000_000_000,
      activeAt: 1_700_000_000_000 + n,
    });
    await sessions.create(record);
  }
  return { store, sessions };
}

/** Bytes that are held after garbage is collected. */
async function held(): Promise<number> {
  for (let n = 0; n < 3; n++) {
    gc();
    await new Promise(setImmediate);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function look(rows: SessionRows): Promise<SessionPage['sessions'][number]['hash'][]> {
  const hashes: string[] = [];
  let cursor: string | undefined;
  for (let read = 0; read < IN_TEXTS; read += 1_000) {
    const page = JSON.parse((await rows.page(cursor)) ?? '') as SessionPage;
    hashes.push(...page.sessions.filter((_, n) => n % 500 === 0).map(({ hash }) => hash));
    cursor = page.nextCursor;
    if (cursor === undefined) break;
  }
  return hashes;
}

function rowsOf(store: OpenStore, sessions: Records) {
  const fake = createFakeTime();
  const rows = new SessionRows({
    options: { timeProvider: { ...fake, monotonic: () => fake.now() } },
    registry: { get: () => undefined, values: () => [] },
    instance: { living: () => Promise.resolve(new Set()) },
    store: { ...store, sessions, secret: (of: string) => store.secret(of) },
  } as unknown as DashboardParts);
  return { rows, fake };
}

test.each([
  ['10,000 sessions', 10_000, 10_000, (n: number) => `client-${n % 10}`],
  ['100,000 sessions, of which a page reads 20,000', 100_000, IN_TEXTS, (n: number) => `client-${n % 10}`],
  ['clients with the longest names, in another script', 10_000, 10_000, (n: number) => `${n}${'ש'.repeat(100)}`],
])('%s', { timeout: 120_000 }, async (_, count, shown, name) => {
  const { store, sessions } = await filled(count, name);
  const { rows, fake } = rowsOf(store, sessions);
  // What is compiled, and what the store keeps once it was read, is no row of the scan.
  await look(rows);
  rows.clear();
  const before = await held();
  const hashes = await look(rows);
  const after = await held();
  expect((after - before) / shown).toBeLessThan(300);
  await fake.advance(5_000);
  expect(((await held()) - before) / shown).toBeLessThan(50);
  // Each of them is found by its hash, and an unknown one is not.
  for (const hash of hashes.slice(0, 5)) expect(await rows.idOf(hash)).toMatch(/^session-/);
  expect(await rows.idOf('000000000000')).toBeUndefined();
});

test('a thousand looks at once read the store once or twice, also for sessions that it does not have', async () => {
  const { store, sessions } = await filled(5_000, () => 'client');
  let parts = 0;
  const list = (...given: Parameters<Records['list']>) => ((parts += 1), sessions.list(...given));
  const { rows } = rowsOf(store, Object.assign(Object.create(sessions) as Records, { list }));
  await Promise.all(Array.from({ length: 1_000 }, () => rows.page(undefined)));
  expect(parts).toBe(1);
  parts = 0;
  const hashes = Array.from({ length: 1_000 }, (_, n) => n.toString(16).padStart(12, '0'));
  expect(new Set(await Promise.all(hashes.map((hash) => rows.idOf(hash))))).toEqual(new Set([undefined]));
  expect(parts).toBeLessThanOrEqual(10);
});
