/**
 * Tasks in processes that are killed: at named points, and at random while clients start tasks and ask for them.
 * `SOJOURN_KILLS=100 npx vitest run test/tasks/kills.test.ts` kills as often on each store.
 */
import { describe, expect, test } from 'vitest';
import { createRawClient } from '../kit/raw-client.ts';
import { effectsDeployment, PATIENCE_MS } from '../kit/effects-deployment.ts';
import { type DurableKind, durableKinds, useSharedStores } from '../kit/shared-stores.ts';
import { inMatrix, isMatrix } from '../kit/matrix.ts';
import { until } from '../kit/until.ts';
import { type Fields, TaskClient } from './kit.ts';

useSharedStores();

const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 2);
const ENDS = ['completed', 'failed', 'cancelled'];
const ACCEPT = { action: 'accept' };

/** Of an instance that lives until its test is over: no busy machine takes its tasks away. */
const LONG_LEASE_MS = 30_000;

const clientOf = (url: string) => new TaskClient(createRawClient(url, { timeoutMs: PATIENCE_MS }));

/** The task, or nothing while its instance is dead. */
async function asked(url: string, id: string): Promise<Fields | undefined> {
  const client = clientOf(url);
  try {
    return await client.get(id);
  } catch (cause) {
    if ((cause as { code?: number }).code === -32602) throw cause;
    return undefined;
  } finally {
    client.raw.close();
  }
}

async function endOf(url: string, id: string): Promise<Fields> {
  let found: Fields | undefined;
  await until(async () => ENDS.includes(String((found = await asked(url, id))?.['status'])), { timeoutMs: 60_000 });
  return found ?? {};
}

const POINTS: ReadonlyArray<readonly [point: string, steps: number]> = [
  ['after the answer', 1],
  ['in a step', 2],
  ['after its effect', 2],
  ['after its record', 1],
  ['at the end', 1],
];

describe.each(inMatrix<DurableKind>(durableKinds, ['sqlite']))('on the store %s', (kind) => {
  test.each(inMatrix(POINTS, POINTS.slice(2, 4)))(
    'a kill %s: the task continues at the other instance',
    { timeout: 120_000 },
    async (point, begun) => {
      const { start, count } = effectsDeployment(kind);
      const [first, second] = [await start(point), await start('', LONG_LEASE_MS)];
      const client = clientOf(first.url);
      const id = await client.start('film', { name: 'die' });
      await until(() => !first.alive(), { timeoutMs: 20_000, what: 'its death' });
      expect(await endOf(second.url, id)).toMatchObject({
        status: 'completed',
        result: { content: [{ text: expect.stringMatching(/^die frames film {2}attempt 2$/) }] },
      });
      expect(count('begin', 'frames die')).toBe(begun);
      client.raw.close();
    },
  );

  test.runIf(isMatrix)(
    `${KILLS} kills at random: every task ends, and no recorded step is repeated`,
    { timeout: 120_000 + KILLS * 15_000 },
    async () => {
      const { lines, underKills } = effectsDeployment(kind);
      let tasks = 0;
      const outcomes = await underKills({ kills: KILLS, pauseMs: 700, clients: 4 }, async (at) => {
        const tool = ['film', 'hinted', 'plain'][tasks % 3] as string;
        const name = `${tool === 'plain' ? '' : tasks % 2 === 0 ? 'ask ' : ''}t${(tasks += 1)}`;
        const client = clientOf(at(0));
        const id = await client.start(tool, { name, ms: 20 + (tasks % 5) * 20 }).catch(() => undefined);
        client.raw.close();
        const latest = performance.now() + 90_000;
        let status: unknown;
        for (let n = 0; id !== undefined && !ENDS.includes(String(status)); n++) {
          expect(performance.now(), `${tool} ${name}`).toBeLessThan(latest);
          const found = await asked(at(n), id);
          status = found?.['status'];
          const open = Object.keys(found?.['inputRequests'] ?? {});
          if (open.length > 0) {
            const answering = clientOf(at(n + 1));
            await answering.update(id, Object.fromEntries(open.map((key) => [key, ACCEPT]))).catch(() => {});
            answering.raw.close();
          }
          if (!ENDS.includes(String(status))) await new Promise((again) => setTimeout(again, 40));
        }
        if (id !== undefined) return `${tool} ${String(status)}`;
        await new Promise((again) => setTimeout(again, 40));
        return undefined;
      });
      expect(tasks).toBeGreaterThan(KILLS);
      expect([outcomes['film failed'], outcomes['hinted failed']]).toEqual([undefined, undefined]);
      const recorded = new Set<string>();
      for (const { begin, recorded: step } of lines()) {
        if (begin !== undefined) expect(recorded.has(begin), `${begin} ran after it was recorded`).toBe(false);
        if (step !== undefined) recorded.add(step);
      }
    },
  );
});
