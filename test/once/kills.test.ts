// @module-tag matrix
/**
 * `once()` in processes that are killed: at named points, and at random while callers send their calls again and again.
 * `SOJOURN_KILLS=100 npx vitest run test/once/kills.test.ts` kills as often on each store.
 */
import { describe, expect, test } from 'vitest';
import type { JsonRpcAnswer } from '../kit/raw-client.ts';
import { textOf } from '../kit/lab.ts';
import { durableKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { callOnce, effectsDeployment, PATIENCE_MS } from '../kit/effects-deployment.ts';

useSharedStores();

const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 2);
const TOOLS = ['pay', 'again', 'ask'] as const;

/** Where a process dies, what the call gets that is sent again, and how often it took effect. */
const POINTS = [
  ['before the marker', 'pay', 1],
  ['after the marker', 'owner_lost', 0],
  ['in the handler', 'owner_lost', 0],
  ['after its effect', 'owner_lost', 1],
  ['after the answer, before the end', 'owner_lost', 1],
] as const;

describe.each(durableKinds)('on the store %s', (kind) => {
  test(
    'a kill at any point: the call that is sent again runs or is lost, as its entry says',
    { timeout: 120_000 },
    async () => {
      const { start, count } = effectsDeployment(kind);
      const second = await start();
      const killed = async (point: string, tool: string, key: string): Promise<void> => {
        const dying = await start(point);
        const before = await callOnce(dying.url, tool, key);
        if (point === 'after the answer, before the end') expect(textOf(before)).toBe(`${tool} ${key}`);
        await until(() => !dying.alive(), { what: 'its death' });
      };
      const die = async ([point, expected, effects]: (typeof POINTS)[number], n: number): Promise<void> => {
        const key = `die-${n}`;
        await killed(point, 'pay', key);
        for (const _ of ['again', 'and again'])
          expect([point, JSON.stringify(await callOnce(second.url, 'pay', key))]).toEqual([
            point,
            expect.stringContaining(expected === 'pay' ? `pay ${key}` : expected),
          ]);
        expect([point, count('effect', `pay ${key}`)]).toEqual([point, effects]);
        expect([point, count('begin', `pay ${key}`)]).toEqual([point, expect.toSatisfy((times: number) => times <= 1)]);
        // A tool that asks does not repeat its effect. Stores share that code: each kills at every other point.
        if (point === 'before the marker' || n % 2 !== durableKinds.indexOf(kind) % 2) return;
        await killed(point, 'ask', key);
        expect([point, textOf(await callOnce(second.url, 'ask', key))]).toEqual([point, `ask ${key}`]);
        expect([point, count('effect', `ask ${key}`)]).toEqual([point, 1]);
      };
      await Promise.all(POINTS.map(die));
    },
  );

  test(
    `${KILLS} kills at random: no run is repeated, no caller is left without an answer`,
    { timeout: 60_000 + KILLS * 10_000 },
    async () => {
      const { lines, count, underKills } = effectsDeployment(kind);
      let keys = 0;
      const outcomes = await underKills({ kills: KILLS, pauseMs: 300, clients: 6 }, async (at) => {
        const tool = TOOLS[keys % TOOLS.length] as string;
        const key = `k${(keys += 1)}`;
        const ms = 20 + (keys % 7) * 30;
        const latest = performance.now() + PATIENCE_MS;
        let answer: JsonRpcAnswer | undefined;
        for (let n = 0; answer === undefined; n++) {
          expect(performance.now(), `${tool} ${key}`).toBeLessThan(latest);
          answer = await callOnce(at(n), tool, key, ms);
          if (answer === undefined) await new Promise((again) => setTimeout(again, 50));
        }
        const isLost = JSON.stringify(answer).includes('"owner_lost"');
        if (!isLost) expect(textOf(answer), JSON.stringify(answer)).toBe(`${tool} ${key}`);
        // Another call gets the same, unless the instance died after it had answered and before it stored that.
        const again = await callOnce(at(1), tool, key, ms);
        const isLostAgain = again !== undefined && JSON.stringify(again).includes('"owner_lost"');
        if (again !== undefined && isLost) expect(isLostAgain, `${tool} ${key}`).toBe(true);
        if (isLostAgain) expect(tool, key).toBe('pay');
        return `${tool} ${isLost ? 'lost' : 'done'}`;
      });
      const begun = new Map<string, number[]>();
      for (const { by, begin } of lines()) if (begin !== undefined) begun.set(begin, [...(begun.get(begin) ?? []), by]);
      expect(begun.size).toBeGreaterThan(KILLS);
      for (const [what, runners] of begun) {
        const tool = what.split(' ')[0];
        if (tool === 'pay') expect(runners.length, what).toBe(1);
        if (tool === 'ask') expect(count('effect', what), what).toBeLessThanOrEqual(1);
        expect(new Set(runners).size, `${what} ran twice in one process`).toBe(runners.length);
      }
      expect([outcomes['again lost'], outcomes['ask lost']]).toEqual([undefined, undefined]);
    },
  );
});
