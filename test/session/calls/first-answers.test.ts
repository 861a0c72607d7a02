/**
 * What a restored server asks in `oninitialized`: its first requests wait for the answers. `clients/early-questions.test.ts`
 * has official clients, and processes that are killed and stopped.
 */
import { setTimeout as elapse } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { createLab, say, textOf, tool, toolCall } from '../../kit/lab.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { cut, gate, loseLease, watchedStore } from '../../kit/watched-store.ts';

interface Asked {
  readonly id: string;
  readonly method: string;
}

const rootsOf = (name: string) => ({ roots: [{ uri: `file:///${name}` }] });

/** Asks twice, then looks at its disk. `folders` and `change` say what the server knows by then; `hang` never ends. */
function asking() {
  const runs: string[] = [];
  const lab = createLab((server) => {
    const known: string[] = [];
    const ask = async () => (await server.server.listRoots()).roots.map(({ uri }) => uri).join();
    server.server.setNotificationHandler('notifications/initialized', async () => {
      const found = [await ask(), await ask()];
      await elapse(20);
      known.push(...found);
    });
    const annotations = { readOnlyHint: true };
    server.registerTool('folders', { annotations }, () => said(known.join(' ')));
    server.registerTool('change', {}, () => {
      runs.push('change');
      return said(known.join(' '));
    });
    server.registerTool('hang', { annotations }, () => {
      runs.push(known.join(' '));
      return runs.length === 1 ? new Promise<never>(() => {}) : said(known.join(' '));
    });
  });
  return { lab, runs };
}

/** Three instances: the first has opened the session, its client has answered, and it loses its lease. */
async function restored(
  options: McpEndpointOptions = {},
  before: (client: RawClient) => Promise<void> = async () => {},
) {
  const store = watchedStore({ durable: true });
  const { lab, runs } = asking();
  const [a, b, c] = await serveFleet(
    3,
    { store, leaseMs: 60_000, ...options },
    [],
    [lab, lab, lab],
  );
  const onA = await a.openSession({ capabilities: { roots: {} } });
  const get = await onA.get();
  await tell(onA, await next(get), 'one');
  await tell(onA, await next(get), 'two');
  await until(async () => (await say(onA, 'folders')) === KNOWN);
  await onA.call('tools/list');
  await before(onA);
  get.abort();
  await loseLease(store, a.id);
  return { store, b, c, onB: b.join(onA), onC: c.join(onA), runs };
}

const KNOWN = 'file:///one file:///two';

/** The next request on a stream. */
const next = async (stream: RawResponse): Promise<Asked> => {
  const message = (await stream.nextMessage()) as unknown as Asked;
  return message.id === undefined ? next(stream) : message;
};

/** Answers with this folder. */
const tell = async (client: RawClient, { id, method }: Asked, name: string): Promise<void> => {
  expect(method).toBe('roots/list');
  expect((await client.post({ jsonrpc: '2.0', id, result: rootsOf(name) })).status).toBe(202);
};

const tellBoth = async (client: RawClient, stream: RawResponse): Promise<void> => {
  await tell(client, await next(stream), 'one');
  await tell(client, await next(stream), 'two');
};

describe('the first requests of a restored session wait for the answers to what its server asked', () => {
  test.each(['folders', 'change'])('which the stream of the first carries: %s', async (name) => {
    const { onB } = await restored();
    const first = await onB.post(toolCall(1, name));
    const question = await next(first);
    const second = say(onB, name);
    expect(question.id).toMatch(/^s2\./);
    await tell(onB, question, 'one');
    await tell(onB, await next(first), 'two');
    expect([textOf(await first.nextMessage()), await second]).toEqual([KNOWN, KNOWN]);
  });

  test('which its GET stream carries, once, where that is open', async () => {
    const { onB } = await restored();
    const get = await onB.get();
    const question = await next(get);
    const call = onB.call(...tool('change'));
    await tell(onB, question, 'one');
    await tell(onB, await next(get), 'two');
    const { response, message } = await call;
    expect([textOf(message), response.messages.length]).toEqual([KNOWN, 1]);
  });

  test('which may come by another instance, as the calls may', async () => {
    const { onB, onC } = await restored();
    await onB.notify('notifications/roots/list_changed');
    const call = await onC.post(toolCall(1, 'change'));
    await tell(onB, await next(call), 'one');
    await tell(onC, await next(call), 'two');
    expect(textOf(await call.nextMessage())).toBe(KNOWN);
  });

  test('but no ping waits: its stream may carry them', async () => {
    const { onB } = await restored();
    const ping = await onB.post({ jsonrpc: '2.0', id: 1, method: 'ping' });
    const question = await next(ping);
    expect(await ping.nextMessage()).toMatchObject({ id: 1, result: {} });
    const call = await onB.post(toolCall(2, 'change'));
    await tell(onB, question, 'one');
    await tell(onB, await next(call), 'two');
    expect(textOf(await call.nextMessage())).toBe(KNOWN);
  });

  test('and so does a lost call that runs again: the response that resumes it carries them', async () => {
    let lastEventId: string | undefined;
    const { onB, runs } = await restored({}, async (client) => {
      lastEventId = (await (await client.post(toolCall(9, 'hang'))).next()).id;
    });
    const resumed = await onB.get({ lastEventId });
    await tellBoth(onB, resumed);
    expect([textOf(await resumed.nextMessage()), runs]).toEqual([KNOWN, [KNOWN, KNOWN]]);
  });

  test('at most 4 s, and as long as hookTimeoutMs: then they are served', async () => {
    const time = createFakeTime();
    const { onB } = await restored({ timeProvider: time });
    const call = await onB.post(toolCall(1, 'change'));
    await next(call);
    await time.advance(3_999);
    expect(call.messages).toHaveLength(1);
    await time.advance(1);
    expect(textOf(await call.nextMessage())).toBe('');
    expect(await say(onB, 'change')).toBe('');
  });

  test('and an instance that has lost its lease by then runs none before it is back', async () => {
    const time = createFakeTime();
    const { onB, store, runs } = await restored({ timeProvider: time, leaseMs: 3_000 });
    const call = await onB.post(toolCall(1, 'change'));
    await next(call);
    const before = { ...store.before };
    cut(store, 'instances.renew', 'instances.announce');
    await time.advance(4_000);
    expect(runs).toEqual([]);
    Object.assign(store.before, before);
    await time.advance(4_000);
    expect(textOf(await call.nextMessage())).toBe('');
    expect(runs).toEqual(['change']);
  });

  test('and a DELETE ends them', async () => {
    const { onB, b } = await restored();
    const call = await onB.post(toolCall(1, 'change'));
    await next(call);
    expect((await onB.delete()).status).toBe(200);
    expect(await call.nextMessage()).toMatchObject({
      id: 1,
      error: { data: { reason: 'session_ended' } },
    });
    expect(b.endpoint.sessions.liveCount).toBe(0);
  });
});

test('no request waits for a question that no stream can carry', async () => {
  const { onB } = await restored({ responseMode: 'json' });
  expect(await say(onB, 'change')).toBe('');
  await tellBoth(onB, await onB.get());
  await until(async () => (await say(onB, 'change')) === KNOWN);
});

test('a drain waits for no answer to a question whose stream has lost its client', async () => {
  const { onB, b } = await restored();
  const get = await onB.get();
  await next(get);
  get.abort();
  const began = performance.now();
  await b.endpoint.drain({ timeoutMs: 20_000 });
  expect(performance.now() - began).toBeLessThan(10_000);
});

test.each(['before its drain', 'when its calls have ended'])(
  'an instance that drains alone takes the answers for a call that arrives %s and restores a session',
  async (when) => {
    const store = watchedStore({ durable: true });
    const { lab } = asking();
    const [a, b] = await serveFleet(2, { store }, [], [lab, lab]);
    const onA = await a.openSession({ capabilities: { roots: {} } });
    await a.endpoint.close({ timeoutMs: 0 });
    const [claims, lists] = [gate(), gate()];
    store.before['sessions.claim'] = claims.hook;
    const drain = () => b.endpoint.drain({ stopListening: true, timeoutMs: 20_000 });
    const call = () => b.join(onA).post(toolCall(1, 'change'));
    const isClaiming = () => until(() => claims.waiting === 1);
    let drained: Promise<unknown>;
    let calling: Promise<RawResponse>;
    if (when === 'before its drain') {
      calling = call();
      await isClaiming();
      drained = drain();
      await until(() => b.endpoint.health().state !== 'serving');
    } else {
      // It has noted its calls by then.
      store.before['instances.list'] = () =>
        b.endpoint.health().state === 'serving' ? undefined : lists.hook();
      drained = drain();
      await until(() => lists.waiting === 1);
      calling = call();
      await isClaiming();
      lists.open();
      await elapse(100);
    }
    claims.open();
    const answered = await calling;
    // Each on a connection of its own.
    await tellBoth(b.join(onA), answered);
    expect(textOf(await answered.nextMessage())).toBe(KNOWN);
    const began = performance.now();
    await drained;
    expect(performance.now() - began).toBeLessThan(3_000);
  },
);
