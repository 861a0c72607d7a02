/** `once()` with two instances, on every store and in both eras: what a repeated call gets. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { storeAway } from '../../src/errors.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { once, type OnceOptions, RUNS_ONCE } from '../../src/once/index.ts';
import type { JsonRpcAnswer, RawClient, RawResponse } from '../../src/testing/index.ts';
import { type Member, serveMember } from '../kit/fleet.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { userHeader } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

useSharedStores();

interface Order {
  readonly id: string;
  readonly cents: number;
}

type Once = Omit<OnceOptions<[Order, unknown], ReturnType<typeof said>>, 'key'>;

const ORDER: Order = { id: 'o-1', cents: 500 };
const USER = { headers: { 'x-user': 'ada' } };
const lost = (reason: string) => ({ data: { reason, mayHaveRun: true } });

/** Runs of the handler: who ran it, its signal, and how it ends. */
interface Run {
  readonly who: string;
  readonly signal: AbortSignal;
  readonly notify: () => Promise<void>;
  answer(text: string): void;
  fail(error: Error): void;
}

const eras = {
  '2026-07-28': {
    connect: async (_member: Member, client: RawClient) => client,
    call: async (client: RawClient, args: object): Promise<JsonRpcAnswer> =>
      (await callModern(client, 'tools/call', { name: 'pay', arguments: args })).message,
    post: (client: RawClient, args: object): Promise<RawResponse> =>
      postModern(client, 'tools/call', { name: 'pay', arguments: args }),
  },
  'a session': {
    connect: async (_member: Member, client: RawClient) => {
      await client.initialize();
      return client;
    },
    call: async (client: RawClient, args: object): Promise<JsonRpcAnswer> =>
      (await client.call('tools/call', { name: 'pay', arguments: args })).message,
    post: (client: RawClient, args: object): Promise<RawResponse> =>
      client.post({
        jsonrpc: '2.0',
        id: client.nextId(),
        method: 'tools/call',
        params: { name: 'pay', arguments: args },
      }),
  },
};

type EraName = keyof typeof eras;

describe.each(storeKinds)('on the store %s', (kind) => {
  describe.each(Object.keys(eras) as EraName[])('in %s', (eraName) => {
    const era = eras[eraName];

    /** Two instances with the tool `pay`, and clients of one user. Each run waits until the test ends it. */
    async function open(given: Once = {}, options: McpEndpointOptions = {}, annotations = {}) {
      const runs: Run[] = [];
      const make = sharedStore(kind);
      const labOf = (who: string) =>
        createLab((server) => {
          const pay = once<[Order, unknown], ReturnType<typeof said>>(
            (_order, ctx) =>
              new Promise((resolve, reject) => {
                const { signal, notify } = (
                  ctx as { mcpReq: { signal: AbortSignal; notify: (one: object) => Promise<void> } }
                ).mcpReq;
                runs.push({
                  who,
                  signal,
                  notify: () => notify({ method: 'notifications/message', params: { level: 'info', data: 'x' } }),
                  answer: (text) => resolve(said(text)),
                  fail: reject,
                });
                signal.addEventListener('abort', () => reject(new Error('aborted')));
              }),
            { key: ({ id }) => id, ...given },
          );
          const inputSchema = z.object({ id: z.string(), cents: z.number() });
          server.registerTool('pay', { inputSchema, annotations, _meta: RUNS_ONCE }, pay);
        });
      const inner = make();
      const store = watchedStore({ durable: inner.durable, inProcess: inner.inProcess, inner });
      const member = (own: typeof inner, who: string) =>
        serveMember({ ...options, store: own }, { face: 'node', auth: userHeader }, labOf(who));
      const [first, second] = [await member(store, 'first'), await member(make(), 'second')];
      const here = await era.connect(first, first.client(USER));
      const there = await era.connect(second, second.client(USER));
      const ran = async (n: number): Promise<Run> => until(() => runs[n] as Run, { what: `run ${n}` });
      /** As after a crash: the lease of the first instance is gone, and it takes no other. */
      const lose = async (): Promise<void> => {
        store.before['instances.renew'] = store.before['instances.announce'] = () => {
          throw storeAway('it is a test');
        };
        await store.views[0]?.instances.leave(first.id);
      };
      return { store, first, second, here, there, runs, ran, lose, make };
    }

    const pay = (client: RawClient, args: object = ORDER) => era.call(client, args);

    test('a call at another instance gets the outcome of the run, and afterwards the recorded one', async () => {
      const { here, there, ran, runs } = await open();
      const [one, other] = [pay(here), ran(0).then(() => pay(there))];
      const run = await ran(0);
      expect((await pay(there, { ...ORDER, cents: 9 })).error).toMatchObject({ data: { reason: 'once_conflict' } });
      run.answer('paid');
      expect(textOf(await one)).toBe('paid');
      const waited = await other;
      expect(waited.error, JSON.stringify(waited)).toBeUndefined();
      expect(waited.result).toMatchObject({ content: [{ text: 'paid' }], _meta: { 'sojourn/replayed': true } });
      await expect.poll(async () => textOf(await pay(there))).toBe('paid');
      expect((await pay(here, { ...ORDER, cents: 9 })).error).toMatchObject({ data: { reason: 'once_conflict' } });
      expect(runs.length).toBe(1);
    });

    test('keys of another user are other keys', async () => {
      const { here, second, ran } = await open();
      const mine = pay(here);
      (await ran(0)).answer('of ada');
      expect(textOf(await mine)).toBe('of ada');
      const bob = await era.connect(second, second.client({ headers: { 'x-user': 'bob' } }));
      const his = pay(bob, { ...ORDER, cents: 1 });
      (await ran(1)).answer('of bob');
      expect(textOf(await his)).toBe('of bob');
      expect(textOf(await pay(here))).toBe('of ada');
    });

    test('after a crash the outcome is unknown, and stays so', async () => {
      const { here, there, ran, runs, lose } = await open();
      const call = await era.post(here, ORDER);
      await ran(0);
      await lose();
      for (let n = 0; n < 2; n++) expect((await pay(there)).error).toMatchObject(lost('owner_lost'));
      expect((await pay(there, { ...ORDER, cents: 9 })).error).toMatchObject({ data: { reason: 'once_conflict' } });
      expect(runs.length).toBe(1);
      call.abort();
    });

    const again: Array<[string, Once, object]> = [
      ['afterCrash says so', { afterCrash: 'run' }, {}],
      ['its tool is idempotent', {}, { idempotentHint: true }],
      ['its tool reads only', {}, { readOnlyHint: true }],
      ['the application says so', { afterCrash: async () => 'run' as const }, {}],
    ];
    test.each(again)('after a crash it runs again where %s', async (_, given, annotations) => {
      const { here, there, ran, runs, lose } = await open(given, {}, annotations);
      await era.post(here, ORDER);
      await ran(0);
      await lose();
      const again = pay(there);
      (await ran(1)).answer('again');
      expect(textOf(await again)).toBe('again');
      expect((await pay(there)).result).toMatchObject({ content: [{ text: 'again' }] });
      expect(runs.map(({ who }) => who)).toEqual(['first', 'second']);
    });

    test('after a crash the application may know the result, or not, and is asked again where it failed', async () => {
      const told: Array<() => unknown> = [
        () => {
          throw new Error('the bank is away');
        },
        () => said('found'),
        () => 'fail',
      ];
      const { here, there, ran, runs, lose } = await open({ afterCrash: async () => told.shift()?.() as never });
      await era.post(here, ORDER);
      await era.post(here, { ...ORDER, id: 'o-2' });
      await ran(1);
      await lose();
      expect((await pay(there)).result).toMatchObject({ isError: true, content: [{ text: 'the bank is away' }] });
      expect(textOf(await pay(there))).toBe('found');
      expect((await pay(there)).result).toMatchObject({ content: [{ text: 'found' }] });
      expect((await pay(there, { ...ORDER, id: 'o-2' })).error).toMatchObject(lost('owner_lost'));
      expect(runs.length).toBe(2);
    });

    test('its time limit ends the run, and the outcome is unknown', async () => {
      const { here, there, ran, runs } = await open({}, { limits: { callMs: 1_000 } });
      const call = await pay(here);
      expect(JSON.stringify(call)).toContain('call_timeout');
      expect((await ran(0)).signal.aborted).toBe(true);
      await expect.poll(async () => JSON.stringify(await pay(there))).toContain('"cancelled"');
      expect(runs.length).toBe(1);
    });

    test('a result that is too large is not kept, and does not run again', async () => {
      const { here, there, ran, runs } = await open();
      const call = pay(here);
      (await ran(0)).answer('x'.repeat(300_000));
      expect(textOf(await call)?.length).toBe(300_000);
      await expect.poll(async () => JSON.stringify(await pay(there))).toContain('result_not_kept');
      expect(runs.length).toBe(1);
    });

    test('a drain waits for it, and a close aborts it', async () => {
      const { first, here, there, ran, runs } = await open();
      const call = await era.post(here, ORDER);
      await ran(0);
      call.abort();
      await first.endpoint.drain({ timeoutMs: 50 });
      expect(runs[0]?.signal.aborted).toBe(true);
      expect(JSON.stringify(await pay(there))).toContain('"cancelled"');
      expect(runs.length).toBe(1);
    });

    test('a client that disconnects ends nothing, and what the handler still sends is dropped', async () => {
      const { here, there, ran, runs } = await open();
      const call = await era.post(here, ORDER);
      const run = await ran(0);
      call.abort();
      await new Promise((resolve) => setTimeout(resolve, 100));
      await run.notify();
      expect(run.signal.aborted).toBe(false);
      run.answer('paid');
      expect(textOf(await pay(there))).toBe('paid');
      expect(runs.length).toBe(1);
    });

    test('the store is away at the marker: the call is refused, and no handler has run', async () => {
      const { store, here, ran, runs } = await open({}, { waitMs: 1_000 });
      store.before['once.create'] = () => {
        throw storeAway('it is a test');
      };
      expect((await pay(here)).error).toMatchObject({ data: { reason: 'store_away' } });
      delete store.before['once.create'];
      const call = pay(here);
      (await ran(0)).answer('paid');
      expect(textOf(await call)).toBe('paid');
      expect(runs.length).toBe(1);
    });

    test('the reply to the creation is lost, and its call runs once', async () => {
      const { store, here, there, ran, runs } = await open();
      store.after['once.create'] = () => {
        delete store.after['once.create'];
        throw storeAway('it is a test');
      };
      const call = pay(here);
      (await ran(0)).answer('paid');
      expect(textOf(await call)).toBe('paid');
      await expect.poll(async () => textOf(await pay(there))).toBe('paid');
      expect(runs.length).toBe(1);
    });

    test('the store is away at the end: the client has its answer, and the outcome is stored later', async () => {
      const { store, here, there, ran, runs } = await open();
      const call = pay(here);
      const run = await ran(0);
      let tries = 0;
      store.before['once.end'] = () => {
        if (tries++ < 2) throw storeAway('it is a test');
      };
      run.answer('paid');
      expect(textOf(await call)).toBe('paid');
      expect((await pay(here)).result).toMatchObject({ _meta: { 'sojourn/replayed': true } });
      expect(textOf(await pay(there))).toBe('paid');
      expect(runs.length).toBe(1);
    });

    test('an entry is forgotten after keepMs', async () => {
      const { here, ran, runs } = await open({ keepMs: 1_000 });
      const call = pay(here);
      (await ran(0)).answer('paid');
      await call;
      const again = until(async () => {
        const one = await era.post(here, ORDER);
        await new Promise((resolve) => setTimeout(resolve, 100));
        onTestFinished(() => one.abort());
        return runs.length > 1;
      });
      await again;
      runs[1]?.answer('again');
      expect(textOf(await pay(here))).toBe('again');
    });
  });
});
