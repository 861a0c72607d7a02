/** A proxy sends a request once more, under the id that it gave it. Tools have no hints where nothing else is said. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFakeTime } from '../../../src/testing/index.ts';
import type { McpEndpointOptions } from '../../../src/index.ts';
import type { AppendRequest } from '../../../src/stores/store.ts';
import { serveFleet } from '../../kit/fleet.ts';
import { createLab, textOf, toolCall } from '../../kit/lab.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { gate, loseLease, watchedStore } from '../../kit/watched-store.ts';

const OWNER_LOST = { error: { data: { reason: 'owner_lost', mayHaveRun: true } } };

interface Deployed extends McpEndpointOptions {
  readonly durable?: boolean;
  readonly version?: string;
}

/** Three instances; the session lives on `a`. `runs`: which instance began which tool. */
async function deployed({ durable = true, version = '2025-11-25', ...options }: Deployed = {}) {
  const time = createFakeTime();
  const store = watchedStore({ durable });
  const runs: string[] = [];
  const ends = gate();
  onTestFinished(() => ends.open());
  const lab = (at: string) =>
    createLab((server) => {
      const run = (name: string) => async () => {
        runs.push(`${name} on ${at}`);
        await ends.hook();
        return said(`${name} ${runs.length} of ${at}`);
      };
      server.registerTool('effect', {}, run('effect'));
      server.registerTool('look', { annotations: { readOnlyHint: true } }, run('look'));
    });
  const members = await serveFleet(
    3,
    { store, timeProvider: time, keepAliveMs: Infinity, attemptHeader: 'X-Request-Id', ...options },
    [],
    ['a', 'b', 'c'].map(lab),
  );
  const [a, b, c] = members;
  const onA = await a.openSession({ protocolVersion: version });
  await onA.call('tools/list');
  const clients = { a: onA, b: b.join(onA), c: c.join(onA) };
  /** The POST as the proxy sends it to that instance. */
  const arrives = (
    at: keyof typeof clients,
    { name = 'effect', id = 1, attempt = 'attempt-1' } = {},
  ) => clients[at].post(toolCall(id, name), { headers: { 'x-request-id': attempt } });
  /** The same, and the connection breaks before its answer. */
  const breaks = async (at: keyof typeof clients, of: Parameters<typeof arrives>[1] = {}) => {
    const before = runs.length;
    const left = new AbortController();
    const { name = 'effect', id = 1, attempt = 'attempt-1' } = of;
    clients[at]
      .post(toolCall(id, name), { headers: { 'x-request-id': attempt }, signal: left.signal })
      .catch(() => undefined);
    await until(() => runs.length > before, { what: 'the first attempt to run' });
    left.abort();
  };
  return {
    time,
    store,
    runs,
    ends,
    a,
    b,
    c,
    clients,
    arrives,
    breaks,
    kill: () => loseLease(store, a.id),
  };
}

async function answerOf(response: RawResponse): Promise<unknown> {
  if (response.sse) await response.untilEnd();
  return response.json();
}

const ping = async (client: RawClient): Promise<number> =>
  (await client.call('ping')).response.status;

describe('while its owner lives', () => {
  test.each([
    ['a', 'a'],
    ['a', 'b'],
    ['b', 'a'],
    ['b', 'c'],
  ] as const)(
    'a call that came to %s and comes again to %s runs once, and the later arrival is answered',
    async (first, second) => {
      const { runs, ends, arrives, breaks } = await deployed();
      await breaks(first);
      const again = arrives(second);
      ends.open();
      expect(textOf(await answerOf(await again))).toBe('effect 1 of a');
      // It has ended, and comes once more.
      expect(textOf(await answerOf(await arrives('c')))).toBe('effect 1 of a');
      expect(runs).toEqual(['effect on a']);
    },
  );

  test.each(['effect', 'look'])(
    'a call of %s that has ended is answered from its stream, also after later calls of its id',
    async (name) => {
      const { runs, ends, arrives, time } = await deployed();
      ends.open();
      for (const attempt of ['attempt-1', 'attempt-2', 'attempt-3'])
        await answerOf(await arrives('b', { name, attempt }));
      await time.advance(30_000);
      expect(textOf(await answerOf(await arrives('c', { name })))).toBe(`${name} 1 of a`);
      expect(runs.length).toBe(3);
    },
  );

  test('the draining owner still answers it, and what its drain interrupts does not run again', async () => {
    const { runs, ends, a, arrives, breaks, clients, time } = await deployed();
    await breaks('a');
    const drained = a.endpoint.drain({ timeoutMs: 60_000 });
    const again = arrives('b');
    await until(() => !a.endpoint.health().ready);
    expect(await ping(clients.b)).toBe(200); // a whole round trip
    ends.open();
    expect(textOf(await answerOf(await again))).toBe('effect 1 of a');
    await time.advance(1_000);
    await drained;
    expect(textOf(await answerOf(await arrives('c')))).toBe('effect 1 of a');
    expect(runs).toEqual(['effect on a']);
  });

  test('one that outlasts the drain is answered as its client was', async () => {
    const { runs, a, arrives, breaks, time } = await deployed();
    await breaks('a');
    const drained = a.endpoint.drain({ timeoutMs: 5_000 });
    await time.advance(6_000);
    await drained;
    expect(await answerOf(await arrives('b'))).toMatchObject({
      error: { data: { reason: 'draining', mayHaveRun: true } },
    });
    expect(runs).toEqual(['effect on a']);
  });
});

describe.each([0, 4_000, 30_000])('%d ms after its owner was lost', (ms) => {
  test.each(['at once', 'after another request restored the session'])(
    'a call ends with owner_lost, %s',
    async (when) => {
      const { runs, ends, arrives, breaks, kill, clients, time } = await deployed();
      await breaks('a');
      await kill();
      if (when !== 'at once') expect(await ping(clients.b)).toBe(200);
      await time.advance(ms);
      expect(await answerOf(await arrives('b'))).toMatchObject({ id: 1, ...OWNER_LOST });
      // As a frozen owner that thaws: it answers too late.
      ends.open();
      expect(await answerOf(await arrives('c'))).toMatchObject({ id: 1, ...OWNER_LOST });
      expect(runs).toEqual(['effect on a']);
    },
  );

  test('a call whose answer was stored gets that answer', async () => {
    const { runs, ends, arrives, breaks, kill, store, clients, time } = await deployed();
    await breaks('a');
    const stored = store.calls.length;
    ends.open();
    await until(() =>
      store.calls.slice(stored).some(({ args: [append] }) => (append as AppendRequest).complete),
    );
    await kill();
    if (ms > 0) expect(await ping(clients.c)).toBe(200);
    await time.advance(ms);
    expect(textOf(await answerOf(await arrives('b')))).toBe('effect 1 of a');
    expect(runs).toEqual(['effect on a']);
  });

  test('a call that may run twice runs again, once', async () => {
    const { runs, ends, arrives, breaks, kill, clients, time } = await deployed();
    await breaks('a', { name: 'look' });
    await kill();
    expect(await ping(clients.b)).toBe(200);
    await time.advance(ms);
    const again = arrives('c', { name: 'look' });
    await until(() => runs.length === 2);
    ends.open();
    expect(textOf(await answerOf(await again))).toBe('look 2 of b');
    expect(runs).toEqual(['look on a', 'look on b']);
  });
});

test.each([
  ['without a log', { eventRetention: false }],
  ['in JSON', { responseMode: 'json' }],
] as const)(
  '%s a call that has ended ends with owner_lost, and one that runs is answered',
  async (_, options) => {
    const { runs, ends, arrives, breaks, clients } = await deployed(options);
    await breaks('a');
    const again = arrives('b');
    expect(await ping(clients.b)).toBe(200); // a whole round trip
    ends.open();
    expect(textOf(await answerOf(await again))).toBe('effect 1 of a');
    expect(await answerOf(await arrives('c'))).toMatchObject(OWNER_LOST);
    expect(runs).toEqual(['effect on a']);
  },
);

test('on a store of one process, too, a call that has ended does not run again', async () => {
  const { runs, ends, arrives, breaks } = await deployed({ durable: false });
  await breaks('a');
  ends.open();
  await answerOf(await arrives('a', { id: 2, attempt: 'attempt-2' }));
  expect(textOf(await answerOf(await arrives('a')))).toBe('effect 1 of a');
  expect(runs.length).toBe(2);
});

describe('no second arrival is', () => {
  test('another request under the id: it runs', async () => {
    const { runs, ends, arrives } = await deployed();
    ends.open();
    for (const name of ['effect', 'look']) await answerOf(await arrives('b', { name }));
    await answerOf(await arrives('b', { id: 2 }));
    expect(runs).toEqual(['effect on a', 'look on a', 'effect on a']);
  });

  test.each([
    ['of another id', 'attempt-2'],
    ['of too few characters', 'short'],
    ['of too many characters', 'x'.repeat(129)],
    ['with a space', 'one attempt'],
    ['of an id that was sent twice', ['attempt-1', 'attempt-1']],
  ])('an equal request %s: its request id is in flight', async (_, sent) => {
    const { runs, breaks, clients } = await deployed();
    await breaks('a', {
      attempt: typeof sent === 'string' && sent !== 'attempt-2' ? sent : 'attempt-1',
    });
    const again = await clients.b.post(toolCall(1, 'effect'), {
      headers: { 'x-request-id': sent },
    });
    expect(again.json()).toMatchObject({ id: 1, error: { code: -32600 } });
    expect(runs.length).toBe(1);
  });

  test('any request where no header is named', async () => {
    const { runs, breaks, arrives } = await deployed({ attemptHeader: undefined });
    await breaks('a');
    expect((await arrives('b')).json()).toMatchObject({ id: 1, error: { code: -32600 } });
    expect(runs.length).toBe(1);
  });
});

test('a session keeps the markers of two minutes, at most 64', async () => {
  const { store, ends, arrives, time } = await deployed();
  ends.open();
  const kept = new Set<string>();
  let sent = 0;
  const calls = async (count: number): Promise<number> => {
    for (let n = 0; n < count; n++) {
      store.calls.splice(0);
      await answerOf(await arrives('a', { attempt: `attempt-${(sent += 1)}` }));
      for (const { args } of store.calls) {
        const { mark, unmark } = args[0] as Partial<AppendRequest>;
        if (mark !== undefined) kept.add(mark.name);
        if (unmark !== undefined) kept.delete(unmark.name);
      }
    }
    return kept.size;
  };
  expect(await calls(20)).toBe(20);
  expect(await calls(60)).toBe(64);
  await time.advance(121_000);
  expect(await calls(40)).toBe(40);
});
