/**
 * Updates while processes are killed: none is lost, and none is made twice. Lost answers of the store are in the
 * simulation (`test/simulation/counters.ts`) and in B229.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startNode } from '../../kit/child-process.ts';
import { textOf } from '../../kit/lab.ts';
import { inMatrix, isMatrix } from '../../kit/matrix.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';
import {
  durableKinds,
  sharedTarget,
  type StoreKind,
  useSharedStores,
} from '../../kit/shared-stores.ts';

useSharedStores();

const SERVER = join(import.meta.dirname, 'processes/counter-server.mjs');
const COUNTS = isMatrix ? 2_000 : 150;
const CLIENTS = 8;
/** How long an instance runs until it is killed: 150 to 500 ms. */
const lifeMs = (n: number): number => 150 + ((n * 137) % 350);

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

test.each(inMatrix<StoreKind>(durableKinds, ['sqlite']))(
  'on %s, counts survive processes that are killed',
  async (kind) => {
    const target = sharedTarget(kind);
    const start = async () => {
      const { child, says } = startNode([SERVER, kind, target]);
      return { child, url: await says(/^url (.*)$/m) };
    };
    const instances = [await start(), await start()];
    /** `undefined`: no answer came, so the call may have counted. */
    const asked = async (n: number, name: string, args: object) => {
      const client = new RawClient(String(instances[n % 2]?.url), { timeoutMs: 20_000 });
      try {
        const { message } = await callModern(client, 'tools/call', { name, arguments: args });
        return message.result?.['isError'] === true ? undefined : textOf(message);
      } catch (cause) {
        return (cause as { code?: string }).code === 'ECONNREFUSED' ? 'not sent' : undefined;
      } finally {
        client.close();
      }
    };
    const id = await asked(0, 'new', {});
    const given: number[] = [];
    let [calls, unknown, kills, isOver] = [0, 0, 0, false];
    const killing = (async () => {
      while (!isOver) {
        await pause(lifeMs(kills));
        instances[kills % 2]?.child.kill('SIGKILL');
        instances[kills % 2] = await start();
        kills += 1;
      }
    })();
    const client = async (): Promise<void> => {
      while (given.length < COUNTS || kills < 2) {
        const text = await asked((calls += 1), 'count', { id });
        if (text !== undefined && text !== 'not sent') given.push(Number(text));
        else await pause(20);
        if (text === undefined) unknown += 1;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    isOver = true;
    await killing;
    const final = Number(await asked(0, 'count', { id })) - 1;
    expect(new Set(given).size).toBe(given.length);
    expect(final).toBeGreaterThanOrEqual(given.length);
    expect(final).toBeLessThanOrEqual(given.length + unknown);
    if (isMatrix)
      console.log(`${kind}: ${kills} kills, ${COUNTS} answered, ${unknown} without an answer`);
    expect([kills > 1, unknown < COUNTS / 5]).toEqual([true, true]);
  },
  isMatrix ? 300_000 : 60_000,
);
