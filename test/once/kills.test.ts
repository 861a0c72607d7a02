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
import { callPay, PATIENCE_MS, payDeployment } from './pay-deployment.ts';

useSharedStores();

const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 2);
const TOOLS = ['pay', 'again', 'ask'] as const;
const CALLERS = 6;

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
      const { start, count } = payDeployment(kind);
      const second = await start();
      const killed = async (point: string, tool: string, key: string): Promise<void> => {
        const dying = await start(point);
        const before = await callPay(dying.url, tool, key);
        if (point === 'after the answer, before the end') expect(textOf(before)).toBe(`${tool} ${key}`);
        await until(() => !dying.alive(), { timeoutMs: 10_000, what: 'its death' });
      };
      const die = async ([point, expected, effects]: (typeof POINTS)[number], n: number): Promise<void> => {
        const key = `die-${n}`;
        await killed(point, 'pay', key);
        for (const _ of ['again', 'and again'])
          expect([point, JSON.stringify(await callPay(second.url, 'pay', key))]).toEqual([
            point,
            expect.stringContaining(expected === 'pay' ? `pay ${key}` : expected),
          ]);
        expect([point, count('effect', `pay ${key}`)]).toEqual([point, effects]);
        expect([point, count('begin', `pay ${key}`)]).toEqual([point, expect.toSatisfy((times: number) => times <= 1)]);
        // A tool that asks does not repeat its effect. Stores share that code: each kills at every other point.
        if (point === 'before the marker' || n % 2 !== durableKinds.indexOf(kind) % 2) return;
        await killed(point, 'ask', key);
        expect([point, textOf(await callPay(second.url, 'ask', key))]).toEqual([point, `ask ${key}`]);
        expect([point, count('effect', `ask ${key}`)]).toEqual([point, 1]);
      };
      await Promise.all(POINTS.map(die));
    },
  );

  test(
    `${KILLS} kills at random: no run is repeated, no caller is left without an answer`,
    { timeout: 60_000 + KILLS * 10_000 },
    async () => {
      const { start, runs } = payDeployment(kind);
      const instances = [await start(), await start()];
      let isOver = false;
      const outcomes = new Map<string, number>();
      let keys = 0;
      const caller = async (n: number): Promise<void> => {
        while (!isOver) {
          const tool = TOOLS[keys % TOOLS.length] as string;
          const key = `k${(keys += 1)}`;
          const ms = 20 + (keys % 7) * 30;
          const latest = performance.now() + PATIENCE_MS;
          let answer: JsonRpcAnswer | undefined;
          for (let at = n; answer === undefined; at++) {
            expect(performance.now(), `${tool} ${key}`).toBeLessThan(latest);
            answer = await callPay((instances[at % 2] as { url: string }).url, tool, key, ms);
            if (answer === undefined) await new Promise((again) => setTimeout(again, 50));
          }
          const isLost = JSON.stringify(answer).includes('"owner_lost"');
          if (!isLost) expect(textOf(answer), JSON.stringify(answer)).toBe(`${tool} ${key}`);
          outcomes.set(
            `${tool} ${isLost ? 'lost' : 'done'}`,
            (outcomes.get(`${tool} ${isLost ? 'lost' : 'done'}`) ?? 0) + 1,
          );
          // Another call gets the same, unless the instance died after it had answered and before it stored that.
          const again = await callPay((instances[(n + 1) % 2] as { url: string }).url, tool, key, ms);
          const isLostAgain = again !== undefined && JSON.stringify(again).includes('"owner_lost"');
          if (again !== undefined && isLost) expect(isLostAgain, `${tool} ${key}`).toBe(true);
          if (isLostAgain) expect(tool, key).toBe('pay');
        }
      };
      const callers = Array.from({ length: CALLERS }, (_, n) => caller(n));
      for (let kills = 0; kills < KILLS; kills++) {
        await new Promise((next) => setTimeout(next, 300 + ((kills * 137) % 400)));
        const dead = instances[kills % 2] as { child: { kill(signal: string): boolean }; alive: () => boolean };
        dead.child.kill('SIGKILL');
        instances[kills % 2] = await start();
      }
      isOver = true;
      await Promise.all(callers);
      const { begun, effects } = runs();
      console.log(`${kind}: ${KILLS} kills, ${keys} keys, ${JSON.stringify(Object.fromEntries(outcomes))}`);
      expect(begun.size).toBeGreaterThan(KILLS);
      for (const [what, runners] of begun) {
        const tool = what.split(' ')[0];
        if (tool === 'pay') expect(runners.length, what).toBe(1);
        if (tool === 'ask') expect(effects.get(what) ?? 0, what).toBeLessThanOrEqual(1);
        expect(new Set(runners).size, `${what} ran twice in one process`).toBe(runners.length);
      }
      expect(outcomes.get('again lost') ?? 0).toBe(0);
      expect(outcomes.get('ask lost') ?? 0).toBe(0);
    },
  );
});
