/** What endpoints add to tools is the same for each way to give an endpoint its server. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointOptions } from '../../../../src/index.ts';
import { once } from '../../../../src/durable/once/index.ts';
import { memory } from '../../../../src/stores/memory/index.ts';
import { task, taskTools } from '../../../../src/durable/tasks/index.ts';
import { textOf, tool, toolCall } from '../../../kit/lab.ts';
import type { JsonRpcAnswer, RawClient } from '../../../kit/raw-client.ts';
import { type Fill, type Giving, givings } from '../../../kit/making-servers.ts';
import { callModern } from '../../../kit/modern.ts';
import { serve, userHeader } from '../../../kit/serve.ts';
import { said } from '../../../kit/tool-server.ts';
import { until } from '../../../kit/until.ts';
import { loseLease, watchedStore } from '../../../kit/watched-store.ts';

const inputSchema = z.looseObject({});
type Order = { readonly id?: string };
const USER = { headers: { 'x-user': 'ada' } };
const KEY = { key: ({ id = 'o-1' }: Order) => id };
const SETTINGS = { face: 'node', auth: userHeader } as const;

type Call = (name: string, args?: object) => Promise<JsonRpcAnswer>;

const eras = {
  'a session': async (client: RawClient): Promise<Call> => {
    await client.initialize();
    return async (name, args) => (await client.call(...tool(name, args))).message;
  },
  '2026-07-28': async (client: RawClient): Promise<Call> => {
    return async (name, args = {}) =>
      (await callModern(client, 'tools/call', { name, arguments: args })).message;
  },
};

/** SDK 1 serves sessions alone. */
const ways = givings.flatMap((giving) =>
  (Object.keys(eras) as Array<keyof typeof eras>)
    .filter((era) => giving.sdk === 2 || era === 'a session')
    .map((era) => ({ giving, era, name: `${giving.name}, ${era}` })),
);

/** Calls of a tool that wait for the test. */
class Runs {
  readonly #ends: Array<(text: string) => void> = [];
  readonly run = (_order: Order): Promise<ReturnType<typeof said>> =>
    new Promise((resolve) => this.#ends.push((text) => resolve(said(text))));
  /** Ends the call. */
  readonly end = async (n: number, text: string): Promise<void> => (await this.began(n))(text);
  readonly began = (n: number): Promise<(text: string) => void> =>
    until(() => this.#ends[n] as (text: string) => void, { what: `run ${n}` });
}

async function open(giving: Giving, fill: Fill, options: McpEndpointOptions = {}) {
  return serve(giving.give(fill), options, SETTINGS);
}

/** Two instances on one store. `lose`: the first one has lost its lease, and the other takes what it owned. */
async function openTwo(giving: Giving, fill: Fill) {
  const inner = memory();
  const store = watchedStore({ inner, durable: true });
  const a = await open(giving, fill, { store });
  const b = await open(giving, fill, { store: watchedStore({ inner, durable: true }) });
  const lose = () => loseLease(store, a.endpoint.health().instance);
  return { a, b, lose };
}

describe.each(ways)('$name', ({ giving, era }) => {
  const connect = eras[era];

  test('a tool of once() that reads only runs again after a crash', async () => {
    const runs = new Runs();
    const fill: Fill = (server) => {
      const annotations = { readOnlyHint: true };
      server.registerTool('look', { inputSchema, annotations }, once(runs.run, KEY));
    };
    const { a, b, lose } = await openTwo(giving, fill);
    const [here, there] = [await connect(a.client(USER)), await connect(b.client(USER))];
    here('look').catch(() => 'its instance is gone');
    await runs.began(0);
    await lose();
    const again = there('look');
    await runs.end(1, 'again');
    expect(textOf(await again)).toBe('again');
    await runs.end(0, 'late');
  });
});

describe.each(givings)('$name', (giving) => {
  test('a call whose instance died runs again where its tool is idempotent, and is lost where nothing says so', async () => {
    const runs = new Runs();
    const fill: Fill = (server) => {
      server.registerTool('set', { inputSchema, annotations: { idempotentHint: true } }, runs.run);
      server.registerTool('add', { inputSchema }, runs.run);
    };
    const { a, b, lose } = await openTwo(giving, fill);
    const client = await a.openSession({}, USER);
    const lastEventIds: Array<string | undefined> = [];
    for (const name of ['set', 'add']) {
      const call = await client.post(toolCall(name, name));
      lastEventIds.push((await call.next()).id);
      await runs.began(lastEventIds.length - 1);
      call.abort();
    }
    await lose();
    const there = b.client({ ...USER, of: client });
    const [set, add] = await Promise.all(
      lastEventIds.map((lastEventId) => there.get({ lastEventId: lastEventId ?? '' })),
    );
    await runs.end(2, 'again');
    expect(textOf(await set?.nextMessage())).toBe('again');
    expect(await add?.nextMessage()).toMatchObject({ error: { data: { reason: 'owner_lost' } } });
    for (const n of [0, 1]) await runs.end(n, 'late');
  });
});

describe.each(ways.filter(({ giving }) => giving.sdk === 2))(
  "$name, fallback: 'tools'",
  ({ giving, era }) => {
    test('a client without tasks gets a handle, and the result from task_status', async () => {
      const runs = new Runs();
      const fill: Fill = (server) => {
        taskTools(server);
        server.registerTool('film', { inputSchema }, task(runs.run, { afterCrash: 'run' }));
      };
      const served = await open(giving, fill, { tasks: { fallback: 'tools' } });
      const call = await eras[era](served.client(USER));
      const { structuredContent } = (await call('film')).result as {
        structuredContent: { taskId: string };
      };
      await runs.end(0, 'done');
      expect(textOf(await call('task_status', structuredContent))).toBe('done');
    });
  },
);
