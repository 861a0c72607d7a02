// @module-tag matrix
/**
 * Tasks and calls of `once()` in processes that are killed at random, while clients start tasks, ask for them, and send
 * their calls again. `SOJOURN_KILLS=100 npx vitest run test/durable/tasks/kills.test.ts` kills as often on each store.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startNode } from '../../kit/child-process.ts';
import { textOf } from '../../kit/lab.ts';
import { type JsonRpcAnswer, RawClient } from '../../kit/raw-client.ts';
import { durableKinds, sharedTarget, useSharedStores } from '../../kit/shared-stores.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { TaskClient } from './kit.ts';

useSharedStores();

const SERVER = join(import.meta.dirname, 'processes/effects-server.mjs');
const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 6);
const [FILMING, PAYING] = [4, 6];
const PATIENCE_MS = 90_000;
const TASKS = ['film', 'hinted', 'plain'] as const;
const ONCE = ['pay', 'again', 'ask'] as const;
const ENDS = ['completed', 'failed', 'cancelled'];

interface Line {
  readonly by: number;
  readonly begin?: string;
  readonly effect?: string;
  /** A step whose result is stored. */
  readonly recorded?: string;
}

/** The URLs of both instances. */
type At = (n: number) => string;

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

/** `undefined`: the connection broke, or the instance is dead. */
async function asked<T>(
  url: string,
  ask: (client: TaskClient) => Promise<T>,
): Promise<T | undefined> {
  const client = new TaskClient(new RawClient(url, { timeoutMs: 30_000 }));
  try {
    return await ask(client);
  } catch (cause) {
    // No task is unknown.
    if ((cause as { code?: number }).code === -32602) throw cause;
    return undefined;
  } finally {
    client.raw.close();
  }
}

/** A task, asked for at both instances until it ends. `undefined`: it did not begin. */
async function film(at: At, n: number): Promise<string | undefined> {
  const tool = TASKS[n % TASKS.length] as string;
  const name = `${tool === 'plain' ? '' : n % 2 === 0 ? 'ask ' : ''}t${n}`;
  const id = await asked(at(0), (client) => client.start(tool, { name, ms: 20 + (n % 5) * 20 }));
  if (id === undefined) {
    await pause(40);
    return undefined;
  }
  const latest = performance.now() + PATIENCE_MS;
  for (let tries = 0; ; tries++) {
    expect(performance.now(), `${tool} ${name}`).toBeLessThan(latest);
    const found = await asked(at(tries), (client) => client.get(id));
    const status = String(found?.['status']);
    if (ENDS.includes(status)) return `${tool} ${status}`;
    const answers = Object.keys(found?.['inputRequests'] ?? {}).map((key) => [
      key,
      { action: 'accept' },
    ]);
    if (answers.length > 0)
      await asked(at(tries + 1), (client) => client.update(id, Object.fromEntries(answers)));
    await pause(40);
  }
}

/** A call of `once()`, sent again until it is answered, and then once more. */
async function pay(at: At, n: number): Promise<string> {
  const tool = ONCE[n % ONCE.length] as string;
  const key = `k${n}`;
  const call = (to: number) =>
    asked(at(to), (client) => client.call(tool, { key, ms: 20 + (n % 7) * 30 }));
  const latest = performance.now() + PATIENCE_MS;
  let answer: JsonRpcAnswer | undefined;
  for (let tries = 0; (answer = await call(tries)) === undefined; tries++) {
    expect(performance.now(), `${tool} ${key}`).toBeLessThan(latest);
    await pause(50);
  }
  const isLost = JSON.stringify(answer).includes('"owner_lost"');
  if (!isLost) expect(textOf(answer), JSON.stringify(answer)).toBe(`${tool} ${key}`);
  // Another call gets the same, unless the instance died after it had answered and before it stored that.
  const again = await call(1);
  const isLostAgain = again !== undefined && JSON.stringify(again).includes('"owner_lost"');
  if (again !== undefined && isLost) expect(isLostAgain, `${tool} ${key}`).toBe(true);
  if (isLostAgain) expect(tool, key).toBe('pay');
  return `${tool} ${isLost ? 'lost' : 'done'}`;
}

describe.each(durableKinds)('on the store %s', (kind) => {
  test(
    `${KILLS} kills at random: every task ends and no recorded step is repeated, every call is answered and none of once() runs twice`,
    { timeout: 120_000 + KILLS * 15_000 },
    async () => {
      const [effects, target] = [join(temporaryFolder(), 'effects'), sharedTarget(kind)];
      writeFileSync(effects, '');
      const start = async () => {
        const { child, says } = startNode([SERVER, kind, target, effects]);
        return { child, url: await says(/^url (.*)$/m) };
      };
      const instances = [await start(), await start()];
      const outcomes: Record<string, number> = {};
      let isOver = false;
      let works = 0;
      const working = Array.from({ length: FILMING + PAYING }, async (_, client) => {
        const work = client < FILMING ? film : pay;
        const at: At = (n) => String(instances[(client + n) % 2]?.url);
        while (!isOver) {
          const outcome = await work(at, (works += 1));
          if (outcome !== undefined) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        }
      });
      for (let killed = 0; killed < KILLS; killed++) {
        await pause(500 + ((killed * 137) % 600));
        instances[killed % 2]?.child.kill('SIGKILL');
        instances[killed % 2] = await start();
      }
      isOver = true;
      await Promise.all(working);
      console.log(`${kind}: ${KILLS} kills, ${JSON.stringify(outcomes)}`);
      const lines = readFileSync(effects, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Line);
      for (const name of ['film failed', 'hinted failed', 'again lost', 'ask lost'])
        expect(outcomes).not.toHaveProperty(name);
      const recorded = new Set<string>();
      const runners = new Map<string, number[]>();
      for (const { by, begin, recorded: step } of lines) {
        if (begin !== undefined)
          expect(recorded.has(begin), `${begin} ran after it was recorded`).toBe(false);
        if (begin !== undefined) runners.set(begin, [...(runners.get(begin) ?? []), by]);
        if (step !== undefined) recorded.add(step);
      }
      expect(recorded.size).toBeGreaterThan(KILLS);
      const runsOf = (tool: string) => [...runners].filter(([what]) => what.startsWith(`${tool} `));
      expect(ONCE.flatMap(runsOf).length).toBeGreaterThan(KILLS);
      for (const [what, by] of ONCE.flatMap(runsOf)) {
        expect(new Set(by).size, `${what} ran twice in one process`).toBe(by.length);
        if (what.startsWith('pay ')) expect(by.length, what).toBe(1);
        if (!what.startsWith('ask ')) continue;
        expect(lines.filter(({ effect }) => effect === what).length, what).toBeLessThanOrEqual(1);
      }
    },
  );
});
