/** Updates while processes are killed, and while the store's answers are lost: none is lost, and none is made twice. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { userState } from '../../../src/index.ts';
import { postgres } from '../../../packages/postgres/src/index.ts';
import { redis } from '../../../packages/redis/src/index.ts';
import { startNode } from '../../kit/child-process.ts';
import { createFaultProxy } from '../../kit/fault-proxy.ts';
import { textOf } from '../../kit/lab.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { inMatrix, isMatrix } from '../../kit/matrix.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';
import {
  durableKinds,
  sharedTarget,
  type StoreKind,
  useSharedStores,
} from '../../kit/shared-stores.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { callerAt, registerRun } from './kit.ts';

useSharedStores();

const SERVER = join(import.meta.dirname, 'processes/counter-server.mjs');
const COUNTS = isMatrix ? 2_000 : 150;
const CLIENTS = 8;
/** How long an instance runs until it is killed: 150 to 500 ms. */
const lifeMs = (n: number): number => 150 + ((n * 137) % 350);

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

interface Counted {
  readonly given: number[];
  /** Calls without an answer: each may have counted. */
  unknown: number;
}

/** Clients that call until so many calls were answered. `undefined`: a call had no answer. `NaN`: it was not sent. */
async function count(
  counted: Counted,
  call: (client: number, n: number) => Promise<number | undefined>,
): Promise<void> {
  let calls = 0;
  const client = async (_: unknown, of: number): Promise<void> => {
    while (counted.given.length < COUNTS) {
      const n = await call(of, (calls += 1));
      if (n === undefined) counted.unknown += 1;
      else if (!Number.isNaN(n)) counted.given.push(n);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/** No number is given out twice, and what was counted is what was answered, or may have been. */
function expectEachOnce({ given, unknown }: Counted, final: number): void {
  expect(new Set(given).size).toBe(given.length);
  expect(final).toBeGreaterThanOrEqual(given.length);
  expect(final).toBeLessThanOrEqual(given.length + unknown);
}

test.each(inMatrix<StoreKind>(durableKinds, ['sqlite']))(
  'on %s, counts survive processes that are killed',
  async (kind) => {
    const target = sharedTarget(kind);
    const start = async () => {
      const { child, says } = startNode([SERVER, kind, target]);
      return { child, url: await says(/^url (.*)$/m) };
    };
    const instances = [await start(), await start()];
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
    const counter = async (id: string): Promise<number | undefined> => {
      const text = await asked(0, 'count', { id });
      return text === undefined ? undefined : Number(text);
    };
    const id = String(await asked(0, 'new', {}));
    const counted: Counted = { given: [], unknown: 0 };
    let isOver = false;
    let kills = 0;
    const killing = (async () => {
      while (!isOver) {
        await pause(lifeMs(kills));
        instances[kills % 2]?.child.kill('SIGKILL');
        instances[kills % 2] = await start();
        kills += 1;
      }
    })();
    await count(counted, async (client, n) => {
      const text = await asked(client + n, 'count', { id });
      if (text === undefined || text === 'not sent') await pause(20);
      return text === undefined ? undefined : Number(text);
    });
    isOver = true;
    await killing;
    expectEachOnce(counted, ((await counter(id)) ?? NaN) - 1);
    if (isMatrix)
      console.log(
        `${kind}: ${kills} kills, ${COUNTS} answered, ${counted.unknown} without an answer`,
      );
    expect([kills > 1, counted.unknown < COUNTS / 5]).toEqual([true, true]);
  },
  isMatrix ? 300_000 : 60_000,
);

const SERVED = durableKinds.filter((kind) => kind !== 'sqlite');

describe.each(inMatrix(SERVED, SERVED.slice(0, 1)))('on %s', (kind) => {
  test(
    'an update whose answer is lost on the way is made once',
    async () => {
      const { port } = new URL(sharedTarget(kind));
      const proxies = [
        await createFaultProxy({ port: Number(port) }),
        await createFaultProxy({ port: Number(port) }),
      ];
      const name = `losses-${process.pid}`;
      const members = await Promise.all(
        proxies.map(async (proxy) => {
          const url = Object.assign(new URL(sharedTarget(kind)), { port: String(proxy.port) }).href;
          const store = kind === 'redis' ? redis(url) : postgres(url);
          return serve(
            toolServer({}, registerRun),
            { deployment: name, store },
            { face: 'node', auth: userHeader },
          );
        }),
      );
      const runs = await Promise.all(
        members.map((member) => callerAt(member, '2026-07-28', 'ada')),
      );
      const counted: Counted = { given: [], unknown: 0 };
      let isOver = false;
      let cuts = 0;
      const cutting = (async () => {
        while (!isOver) {
          await pause(lifeMs(cuts) / 5);
          const proxy = proxies[cuts % 2];
          cuts += 1;
          // What is sent from now on reaches the store, and its answer is cut off.
          proxy?.cutAfter((cuts * 7) % 40);
          await pause(5);
          proxy?.cutAfter(undefined);
        }
      })();
      await count(counted, async (client, n) => {
        const run = runs[(client + n) % 2];
        return run?.(() => userState().update('n', (before = 0) => before + 1)).catch(
          () => undefined,
        );
      });
      isOver = true;
      await cutting;
      const final = await runs[0]?.(() => userState().get<number>('n'));
      await Promise.all(members.map(({ endpoint }) => endpoint.close({ timeoutMs: 0 })));
      await Promise.all(proxies.map((proxy) => proxy.close()));
      expectEachOnce(counted, final ?? NaN);
      if (isMatrix) console.log(`${kind}: ${cuts} cuts, ${counted.given.length} answered`);
      expect([counted.unknown, cuts > 5]).toEqual([0, true]);
    },
    isMatrix ? 300_000 : 60_000,
  );
});
