/** `resumeModernCalls` with two instances, on every store: the other one resumes calls, or runs them again. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveMember } from '../kit/fleet.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { MODERN, postModern } from '../kit/modern.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { answerStored, callStored, gate, watchedStore } from '../kit/watched-store.ts';

useSharedStores();

const OPTIONS: McpEndpointOptions = { resumeModernCalls: true, retryMs: 5_000 };
const LOST = { error: { code: -32_000, data: { reason: 'owner_lost', mayHaveRun: true } } };

const comeBack = (client: RawClient, lastEventId: string | undefined): Promise<RawResponse> =>
  client.get({ version: MODERN, sessionId: null, ...(lastEventId !== undefined && { lastEventId }) });

describe.each(storeKinds)('on the store %s', (kind) => {
  /** Two instances, and a call that runs at the first: `peek` may run twice, `pay` may not. `slow` is a resource. */
  async function open(name: 'peek' | 'pay' | 'slow', options: McpEndpointOptions = {}, args = {}) {
    const connect = sharedStore(kind);
    const inner = connect();
    const store = watchedStore({ durable: inner.durable, inProcess: inner.inProcess, inner });
    const waits = gate();
    onTestFinished(() => waits.open());
    const ran: string[] = [];
    const labOf = (who: string, hold: () => unknown) =>
      createLab((server) => {
        const run = async () => {
          ran.push(who);
          await hold();
          return said(`${who} saw`);
        };
        server.registerTool('peek', { annotations: { readOnlyHint: true } }, run);
        server.registerTool('pay', {}, run);
        server.registerResource('slow', 'note://slow', {}, async () => {
          await run();
          return { contents: [{ uri: 'note://slow', text: `${who} read` }] };
        });
      });
    const first = await serveMember({ ...OPTIONS, ...options, store }, {}, labOf('first', waits.hook));
    const second = await serveMember(
      { ...OPTIONS, ...options, store: connect() },
      {},
      labOf('second', () => {}),
    );
    const [method, params] =
      name === 'slow' ? ['resources/read', { uri: 'note://slow' }] : ['tools/call', { name, arguments: args }];
    const call = await postModern(first.client(), method, params);
    const { id } = await call.next();
    await until(() => ran.length === 1);
    await callStored(store);
    /** The lease of the first instance is gone, as after a crash. */
    const lose = async (): Promise<void> => {
      await store.views[0]?.instances.leave(first.id);
    };
    return { store, first, second, call, id, ran, waits, lose, there: second.client() };
  }

  test('a GET at the other instance gets the answer from the owner of the call', async () => {
    const { call, id, ran, waits, there } = await open('pay');
    call.abort();
    const back = await comeBack(there, id);
    expect((await back.next()).data).toBe('');
    waits.open();
    expect(textOf(await back.nextMessage())).toBe('first saw');
    await back.untilEnd();
    expect(ran).toEqual(['first']);
  });

  test('the answer of an instance that died is fetched from the store', async () => {
    const { call, id, ran, waits, lose, store, there } = await open('pay');
    waits.open();
    expect(textOf(await call.nextMessage())).toBe('first saw');
    await answerStored(store);
    await lose();
    expect(textOf(await (await comeBack(there, id)).nextMessage())).toBe('first saw');
    expect(ran).toEqual(['first']);
  });

  test('a call that may run twice runs again when its instance died', async () => {
    const { call, id, ran, lose, there } = await open('peek');
    call.abort();
    await lose();
    const back = await comeBack(there, id);
    expect(textOf(await back.nextMessage())).toBe('second saw');
    await back.untilEnd();
    expect(ran).toEqual(['first', 'second']);
    const again = await comeBack(there, id);
    expect(textOf(await again.nextMessage())).toBe('second saw');
    expect(ran.length).toBe(2);
  });

  test('a call with effects ends with owner_lost when its instance died, and does not run again', async () => {
    const { call, id, ran, lose, there } = await open('pay');
    call.abort();
    await lose();
    const back = await comeBack(there, id);
    expect(await back.nextMessage()).toMatchObject(LOST);
    await back.untilEnd();
    expect(back.ending).toBe('complete');
    expect((await comeBack(there, back.events.at(-1)?.id)).status).toBe(204);
    expect(ran).toEqual(['first']);
  });

  test('a lost request that is no tool call runs again', async () => {
    const { call, id, ran, lose, there } = await open('slow');
    call.abort();
    await lose();
    expect(await (await comeBack(there, id)).nextMessage()).toMatchObject({
      result: { contents: [{ text: 'second read' }] },
    });
    expect(ran).toEqual(['first', 'second']);
  });

  test('a call that was too long to be kept ends with owner_lost when its instance died', async () => {
    const { call, id, ran, lose, there } = await open('peek', {}, { text: 'x'.repeat(70_000) });
    call.abort();
    await lose();
    expect(await (await comeBack(there, id)).nextMessage()).toMatchObject(LOST);
    expect(ran).toEqual(['first']);
  });

  test('many GETs at once run a lost call again once', async () => {
    const { call, id, ran, lose, second } = await open('peek');
    call.abort();
    await lose();
    const backs = await Promise.all(Array.from({ length: 5 }, async () => comeBack(second.client(), id)));
    const ends = await Promise.all(backs.map((back) => back.untilEnd()));
    expect(ends.flat().some(({ message }) => textOf(message ?? {}) === 'second saw')).toBe(true);
    expect(ran).toEqual(['first', 'second']);
  });

  test('a drain that runs out of time leaves the call to the other instance', async () => {
    const { call, id, ran, first, there } = await open('peek');
    const drained = first.endpoint.drain({ timeoutMs: 0 });
    await call.untilEnd();
    expect(await drained).toMatchObject({ interrupted: 1 });
    const back = await comeBack(there, id);
    expect(textOf(await back.nextMessage())).toBe('second saw');
    expect(ran).toEqual(['first', 'second']);
  });

  test('a drain waits for a call without a client', async () => {
    const { call, id, ran, waits, first, there } = await open('pay');
    call.abort();
    const drained = first.endpoint.drain();
    await until(() => first.endpoint.health().state === 'draining');
    waits.open();
    expect(await drained).toMatchObject({ interrupted: 0 });
    expect(textOf(await (await comeBack(there, id)).nextMessage())).toBe('first saw');
    expect(ran).toEqual(['first']);
  });

  test('the sweep of the store forgets old answers', async () => {
    const { call, waits, store } = await open('pay', { retryMs: 10 });
    waits.open();
    await call.untilEnd();
    await until(() => store.calls.some(({ call: name }) => name === 'calls.trim'), {
      what: 'the sweep',
      timeoutMs: 15_000,
    });
    const created = store.calls.find(({ call: name }) => name === 'calls.create')?.args[0] as { id: string };
    // An answer is kept for 8 s at least, whatever `retryMs` is.
    await until(async () => (await store.views[0]?.calls.read(created.id)) === undefined, {
      what: 'the end of the answer',
      timeoutMs: 15_000,
      pollMs: 100,
    });
  });
});
