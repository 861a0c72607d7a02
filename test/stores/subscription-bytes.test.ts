/** What one subscription costs a store: the same in a list of a thousand as in a list of a hundred. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import { redis } from '../../src/stores/redis/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { durableKinds, sharedTarget, type DurableKind, useSharedStores } from '../kit/shared-stores.ts';
import { connect as connectPostgres } from './postgres-views.ts';
import { openRedis } from './redis-views.ts';
import { FENCE, open, recordOf, storeOptions } from './views.ts';

useSharedStores();

const opens = { postgres, redis, sqlite } as const;
const CHANGES = 40;

/** A counter of the bytes that the store writes: to its file, its server, or the server's log. */
async function counterOf(kind: DurableKind, target: string): Promise<() => Promise<number>> {
  switch (kind) {
    case 'sqlite':
      return () => Promise.resolve(statSync(`${target}-wal`).size);
    case 'redis': {
      const ask = await openRedis(target);
      return async () => Number(/total_net_input_bytes:(\d+)/.exec(String(await ask('INFO', 'stats')))?.[1]);
    }
    case 'postgres': {
      const client = await connectPostgres(target);
      return async () => Number((await client.query("SELECT pg_current_wal_insert_lsn() - '0/0' AS n")).rows[0].n);
    }
  }
}

describe.each(durableKinds)('on %s', (kind) => {
  test('the bytes that a subscription costs do not grow with the list', async () => {
    const target = sharedTarget(kind);
    const view = await open(opens[kind](target), storeOptions({ name: 'bytes' }));
    const count = await counterOf(kind, target);
    await view.records.create(recordOf('s'));
    let uris = 0;
    const subscribe = async (many: number): Promise<void> => {
      const fields = Object.fromEntries(Array.from({ length: many }, () => [`u"${uriOf((uris += 1))}"`, '1']));
      expect(await view.records.save('s', FENCE, { fields })).toBe('written');
    };
    const cost = async (): Promise<number> => {
      const before = await count();
      for (let n = 0; n < CHANGES; n++) await subscribe(1);
      return ((await count()) - before) / CHANGES;
    };
    await subscribe(100);
    const short = await cost();
    await subscribe(1_000 - uris - CHANGES);
    const long = await cost();
    if (process.env['SHOW_BYTES']) console.log(kind, Math.round(short), Math.round(long));
    expect(long).toBeLessThan(2 * short);
  });
});

/** 60 bytes that no server compresses. */
const uriOf = (n: number): string => `file:///${createHash('sha256').update(`${n}`).digest('hex').slice(0, 52)}`;
