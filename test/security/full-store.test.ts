/**
 * A small store, and a user who makes it keep all that it can: sessions with their events, results of tasks, calls of
 * tasks that never end, keys of `once()` with results of every size, from both instances at once. Another user is served all the time.
 */
import { join } from 'node:path';
import { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext, Store } from '../../src/index.ts';
import { once } from '../../src/durable/once/index.ts';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { sqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { task } from '../../src/durable/tasks/index.ts';
import { callModern } from '../kit/modern.ts';
import { inMatrix, isMatrix } from '../kit/matrix.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { ownServer } from '../stores/outages.ts';
import { TaskClient, text } from '../durable/tasks/kit.ts';
import { smallDisk } from '../kit/small-disk.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const STORE_BYTES = 32 * 1_048_576;
/** How often the one user could fill the store with what it sends and asks for, and for how long at least. */
const FLOODS = 3;
const FLOOD_MS = isMatrix ? 60_000 : 0;
const LEASE_MS = 2_000;
/** Loops of the one user at each instance. */
const LOOPS = 3;

function server({ serverOptions }: Pick<McpEndpointContext, 'serverOptions'>): McpServer {
  const made = new McpServer({ name: 'full', version: '1' }, serverOptions);
  const sized = z.object({
    bytes: z.number().default(0),
    key: z.string().default(''),
    pad: z.string().optional(),
  });
  const result = ({ bytes }: { bytes: number; key: string }) => text('x'.repeat(bytes));
  made.registerTool('plain', { inputSchema: sized }, result);
  made.registerTool('pay', { inputSchema: sized }, once(result, { key: ({ key }) => key }));
  made.registerTool('film', { inputSchema: sized }, task(result, { when: 'required' }));
  made.registerTool(
    'waits',
    { inputSchema: sized },
    task((_, _ctx, own) => own.detach(() => undefined), { when: 'required' }),
  );
  return made;
}

async function smallRedis(bytes: number): Promise<() => Store> {
  const own = await ownServer(
    'redis',
    '--maxmemory',
    String(bytes),
    '--maxmemory-policy',
    'noeviction',
  );
  return () => redis(own.url);
}

/** On a disk of that size, where this process may mount one. */
async function sqliteOnDisk(): Promise<() => Store> {
  const folder = smallDisk(STORE_BYTES);
  if (folder === undefined) return smallSqlite();
  return () => sqliteStore({ path: join(folder, 'sessions.db'), synchronous: 'normal' });
}

async function smallSqlite(): Promise<() => Store> {
  const folder = temporaryFolder();
  const pragmas = [`max_page_count = ${STORE_BYTES / 4_096}`];
  return () => sqliteStore({ path: join(folder, 'sessions.db'), synchronous: 'normal', pragmas });
}

async function smallPostgres(): Promise<() => Store> {
  const own = await ownServer('postgres');
  return () => postgres(own.url);
}

const SMALL = [
  { kind: 'sqlite, its disk', mb: 32, small: sqliteOnDisk, limits: {} },
  { kind: 'sqlite', mb: 32, small: smallSqlite, limits: {} },
  { kind: 'redis', mb: 32, small: smallRedis, limits: {} },
  { kind: 'redis', mb: 16, small: smallRedis, limits: {} },
  // It reports no room.
  { kind: 'postgres', mb: 32, small: smallPostgres, limits: { storeBytes: STORE_BYTES } },
];

test.each(inMatrix(SMALL, SMALL.slice(0, 1)))(
  '$kind with $mb MB: what one user makes it keep is bounded, and all calls of another user succeed',
  { timeout: FLOOD_MS + 120_000 },
  async ({ mb, small, limits }) => {
    const bytes = mb * 1_048_576;
    const longest = Math.round(bytes / 9);
    const store = await small(bytes);
    const options = { tasks: true, leaseMs: LEASE_MS, limits } as const;
    const served = await Promise.all(
      [0, 1].map(() =>
        serve(server, { ...options, store: store() }, { face: 'node', auth: userHeader }),
      ),
    );
    const until = performance.now() + FLOOD_MS;
    let [asked, answered] = [0, 0];
    const isFlooding = (): boolean => asked < FLOODS * bytes || performance.now() < until;
    const films: string[] = [];
    let keys = 0;
    const logged = { name: 'plain', arguments: { bytes: 100_000 } };
    const flood = async (raw: RawClient): Promise<void> => {
      const eve = new TaskClient(raw);
      while (isFlooding()) {
        await raw.initialize({ capabilities: wideHandshake(keys), initialized: false });
        for (let n = 0; n < 4; n++) await raw.call('tools/call', logged);
        asked += 4 * logged.arguments.bytes;
        for (const [name, args] of [
          ['film', { bytes: longest }],
          ['pay', { bytes: 200_000, key: `k${(keys += 1)}` }],
          ['pay', { bytes: 60_000, key: `k${(keys += 1)}` }],
          ['pay', { bytes: 10, key: `k${(keys += 1)}` }],
          ['waits', { pad: 'x'.repeat(250_000) }],
        ] as const) {
          const { result } = await eve.call(name, args);
          asked += 'bytes' in args ? args.bytes : args.pad.length;
          if (name === 'film' && result !== undefined)
            films.push(String((result as { taskId?: string }).taskId));
        }
      }
    };
    const failures: unknown[] = [];
    const succeed = async (raw: RawClient): Promise<void> => {
      const ada = new TaskClient(raw);
      for (let n = 0; n === 0 || isFlooding(); n++) {
        try {
          if (n % 10 === 0) await raw.initialize();
          const plain = await raw.call('tools/call', {
            name: 'plain',
            arguments: { bytes: 1_000 },
          });
          expect(plain.message.error).toBeUndefined();
          const paid = await callModern(raw, 'tools/call', {
            name: 'pay',
            arguments: { bytes: 100, key: `${n}` },
          });
          expect(paid.message.error).toBeUndefined();
          expect(await ada.ended(await ada.start('film', { bytes: 2_000 }))).toMatchObject({
            status: 'completed',
          });
          answered += 1;
        } catch (cause) {
          failures.push(cause);
        }
      }
    };
    const as = (user: string) => ({ headers: { 'x-user': user } });
    await Promise.all(
      served.flatMap(({ client }) => [
        ...Array.from({ length: LOOPS }, () => flood(client(as('eve')))),
        succeed(client(as('ada'))),
      ]),
    );
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(1);
    for (const { endpoint } of served)
      expect(endpoint.health()).toMatchObject({ state: 'serving', store: 'ok' });
    const [eve] = served.map(({ client }) => new TaskClient(client(as('eve'))));
    const ends = await Promise.all(films.map(async (id) => eve?.ended(id)));
    const reasons = ends.map(
      (end) => (end?.['error'] as { data?: { reason?: string } } | undefined)?.data?.reason,
    );
    expect(reasons).toContain('result_not_kept');
    const kept = reasons.filter((reason) => reason === undefined);
    expect(kept.length * longest).toBeLessThan(bytes / 2);
  },
);

/** A handshake is shared by nothing here: each has a pad of its own. */
const wideHandshake = (n: number): object => ({
  experimental: { pad: { text: `${n}`.padStart(16_000, 'x') } },
});

/** Without a limit of sessions the room of the store is the limit of an address. */
const SESSIONS = [{ mb: 4, sessions: 100 }, ...(isMatrix ? [{ mb: 16, sessions: undefined }] : [])];
/** The second caller has an address of its own, and no user either. */
const OTHER = { from: '127.0.0.2' };

test.each(SESSIONS)(
  'redis with $mb MB: one address opens sessions of 16 KB, and another address is served and opens sessions',
  { timeout: FLOOD_MS + 60_000 },
  async ({ mb, sessions }) => {
    const own = await ownServer(
      'redis',
      '--maxmemory',
      `${mb}mb`,
      '--maxmemory-policy',
      'noeviction',
    );
    const members = await Promise.all(
      [0, 1].map(() => serve(server, { store: redis(own.url), limits: { perUser: { sessions } } })),
    );
    const until = performance.now() + FLOOD_MS;
    let opened = 0;
    const isFlooding = (): boolean => opened < 3 * (sessions ?? 500) || performance.now() < until;
    const refused: unknown[] = [];
    const failures: unknown[] = [];
    const flood = async (client: (typeof members)[number]['client']): Promise<void> => {
      for (; isFlooding(); opened++) {
        const capabilities = wideHandshake(opened);
        const opening = client().initialize({ capabilities, initialized: false });
        const refusal = await opening.then(
          ({ response: { status }, message }) =>
            status === 200 ? undefined : (message.error ?? status),
          String,
        );
        if (refusal !== undefined) refused.push(refusal);
      }
    };
    const succeed = async (raw: RawClient): Promise<void> => {
      for (let n = 0; isFlooding(); n++) {
        if (n % 5 === 0) await raw.initialize();
        const { message } = await raw.call('tools/call', {
          name: 'plain',
          arguments: { bytes: 100 },
        });
        if (message.error !== undefined) failures.push(message.error);
      }
    };
    const floods = members.flatMap(({ client }) => [flood(client), flood(client), flood(client)]);
    await Promise.all([...floods, ...members.map(({ client }) => succeed(client(OTHER)))]);
    expect(failures).toEqual([]);
    // The ends of 60 s fill what one address may have, so it is refused itself, and loses sessions as soon as it has them.
    if (sessions !== undefined) expect(refused).toEqual([]);
    for (const { endpoint } of members)
      expect(endpoint.health()).toMatchObject({ ready: true, store: 'ok' });
    const reasons = members.map(
      ({ log }) => log.lines.filter(({ fields }) => fields['reason'] === 'user_limit').length,
    );
    expect(Math.min(...reasons)).toBeGreaterThan((sessions ?? 500) / 5);
  },
);
