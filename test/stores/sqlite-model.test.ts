import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'vitest';
import type { OpenStore } from '../../src/stores/store.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createFakeTime, createStoreKit } from '../../src/testing/index.ts';
import { PlainStore } from './plain-store.ts';
import { applyAll, operations, RETENTION, TOMBSTONE_MS } from './random-operations.ts';

/** `SOJOURN_RUNS`: as many as you have time for. */
const numRuns = Number(process.env['SOJOURN_RUNS'] ?? 200);

/** Of the large one the file holds more than is kept: rows are dropped by judgement, long before they are deleted. */
const RETENTIONS = { small: RETENTION, large: { ...RETENTION, bytes: 4_000 } };

/** Each operation through one of two connections in turn, as two processes would. */
function inTurn(views: readonly OpenStore[]): OpenStore {
  let turn = 0;
  const next = (): OpenStore => views[turn++ % views.length] as OpenStore;
  const part = <K extends 'sessions' | 'events'>(name: K): OpenStore[K] =>
    new Proxy({} as OpenStore[K], {
      get: (_, method) => {
        const target = next()[name] as unknown as Record<string | symbol, (...given: unknown[]) => unknown>;
        return (...given: unknown[]) => target[method]?.(...given);
      },
    });
  const first = views[0] as OpenStore;
  return { ...first, sessions: part('sessions'), events: part('events') };
}

test.each(Object.entries(RETENTIONS))(
  'random operations over two connections are answered as by a plain model, with %s logs',
  async (_, retention) => {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-model-'));
    const path = join(folder, 'sessions.db');
    try {
      await fc.assert(
        fc.asyncProperty(operations, async (all) => {
          const time = createFakeTime();
          // No timer runs in the store: moving the clock needs no turn of the event loop.
          let moved = 0;
          const now = (): number => time.now() + moved;
          const clock = { ...time, now };
          const pass = async (ms: number): Promise<void> => void (moved += ms);
          const kit = createStoreKit({ connect: () => sqlite(path), time: clock, pass });
          // Instances of the model die by leaving only.
          const options = { retention, tombstoneMs: TOMBSTONE_MS, leaseMs: 1e9 };
          const views = [await kit.open(options), await kit.open(options)];
          const model = new PlainStore({ now, tombstoneMs: TOMBSTONE_MS, retention });
          try {
            await applyAll({ store: inTurn(views), model, now, pass: kit.pass }, all);
          } finally {
            await kit.close();
          }
        }),
        { numRuns },
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  120_000,
);
