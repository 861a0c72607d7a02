/** `once()`: who ends a run, what a session adds, and calls that no endpoint serves. */
import { describe, expect, test } from 'vitest';
import { McpServer } from '@modelcontextprotocol/server';
import { InMemoryTransport } from '@modelcontextprotocol/server';
import { Client } from '@modelcontextprotocol/client';
import { z } from 'zod';
import { once } from '../../../src/durable/once/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { textOf, tool } from '../../kit/lab.ts';
import { hashOf } from '../../kit/log.ts';
import { callModern } from '../../kit/modern.ts';
import { readScrape } from '../../kit/prometheus.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { cut, gate, mend, watchedStore } from '../../kit/watched-store.ts';
import { eraNames, eras, type Once, openPay as open, servePay, USER } from './pay.ts';

const PAY = { id: 'o-1' };
const KEY = { key: ({ id }: { id: string }) => id };

const modernPay = (client: Parameters<typeof callModern>[0]) =>
  callModern(client, 'tools/call', { name: 'pay', arguments: PAY });

describe('who ends a run', () => {
  test('a client of a session that cancels, where no other call waits', async () => {
    const { first, ran, runs } = await open();
    const client = first.client(USER);
    await client.initialize();
    const id = client.nextId();
    await client.post({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'pay', arguments: PAY },
    });
    const run = await ran(0);
    await client.post({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: id },
    });
    await until(() => run.signal.aborted);
    expect((await client.call(...tool('pay', PAY))).message.error).toMatchObject({
      data: { reason: 'once_aborted' },
    });
    expect(runs.length).toBe(1);
  });

  test('not a client that cancels while another call waits, nor the other one while the first does', async () => {
    const { first, ran } = await open();
    const client = first.client(USER);
    await client.initialize();
    const ids = [client.nextId(), client.nextId(), client.nextId()];
    const posts = [];
    for (const id of ids) {
      posts.push(
        await client.post({
          jsonrpc: '2.0',
          id,
          method: 'tools/call',
          params: { name: 'pay', arguments: PAY },
        }),
      );
      await ran(0);
    }
    const run = await ran(0);
    for (const requestId of [ids[0], ids[2]])
      await client.post({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId },
      });
    expect(run.signal.aborted).toBe(false);
    run.answer('paid');
    expect(textOf(await posts[1]?.nextMessage())).toBe('paid');
  });

  test('a client of 2026-07-28 that disconnects, only where the author says so', async () => {
    const { first, ran } = await open({ onDisconnect: 'abort' });
    const client = first.client(USER);
    const call = await eras['2026-07-28'].post(client, PAY);
    const run = await ran(0);
    call.abort();
    await until(() => run.signal.aborted);
    expect((await modernPay(client)).message.error).toMatchObject({
      data: { reason: 'once_aborted' },
    });
  });

  test.each(eraNames)('its time limit, also where its client has left: in %s', async (era) => {
    const time = createFakeTime();
    const signals: AbortSignal[] = [];
    const key: Once['key'] = ({ id }, { mcpReq }) => (signals.push(mcpReq.signal), id);
    const { first, ran } = await open(
      { key },
      { timeProvider: time, limits: { callTimeoutMs: 1_000 } },
    );
    const client = await eras[era].connect(first.client(USER));
    const call = eras[era].post(client, PAY).catch(() => {});
    const run = await ran(0);
    if (era === 'a session') await client.delete();
    client.close();
    await call;
    await until(() => signals[0]?.aborted);
    expect(run.signal.aborted).toBe(false);
    await time.advance(1_000);
    expect(run.signal.aborted).toBe(true);
  });
});

describe('in a session', () => {
  test.each([
    ['ends with owner_lost', {}, 'owner_lost'],
    ['runs again where the author says so', { afterCrash: 'run' } as const, 'again'],
  ])(
    'a call whose owner died meets its entry at the next owner: it %s',
    async (_, given, expected) => {
      const { first, second, ran, runs, lose } = await open(given);
      const client = first.client(USER);
      await client.initialize();
      await client.call('tools/list');
      const call = await eras['a session'].post(client, PAY);
      const { id: lastEventId } = await call.next();
      await ran(0);
      call.abort();
      await lose();
      const there = second.join(client, USER);
      const back = await there.get({ ...(lastEventId !== undefined && { lastEventId }) });
      if (expected === 'again') (await ran(1)).answer('again');
      expect(JSON.stringify(await back.nextMessage())).toContain(expected);
      expect(runs.length).toBe(expected === 'again' ? 2 : 1);
    },
  );
});

test.each([true, false])(
  'a tool without the mark is named in one warning, a marked one is not (marked: %s)',
  async (marked) => {
    const { first, ran } = await open({}, {}, marked ? {} : { tool: { _meta: undefined } });
    const client = first.client(USER);
    await client.initialize();
    for (let n = 0; n < 2; n++) {
      const call = client.call('tools/call', { name: 'pay', arguments: { id: `${n}` } });
      (await ran(n)).answer('paid');
      expect(textOf((await call).message)).toBe('paid');
    }
    const warned = (): number => first.log.matching(/has no _meta: RUNS_ONCE/, 'warn').length;
    if (!marked) await until(() => warned() > 0);
    expect(warned()).toBe(marked ? 0 : 1);
  },
);

test('an instance that has not stored its lease yet makes no entry: another one would find its owner dead', async () => {
  const held = gate();
  const store = watchedStore({ inner: memory(), durable: true });
  store.before['instances.announce'] = held.hook;
  const member = await servePay(
    once(({ id }: { id: string }) => said(id), KEY),
    { store },
  );
  const call = modernPay(member.client(USER));
  await until(() => held.waiting > 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(store.calls.filter(({ call: one }) => one.startsWith('once.'))).toEqual([]);
  held.open();
  expect(textOf((await call).message)).toBe('o-1');
});

test('what the store gets holds no token and no arguments', async () => {
  const { first, ran, store } = await open();
  const secrets = { authorization: 'Bearer very-secret', 'x-user': 'ada' };
  const call = callModern(first.client({ headers: secrets }), 'tools/call', {
    name: 'pay',
    arguments: { id: 'o-1', card: 'card-number' },
  });
  (await ran(0)).answer('paid');
  expect(textOf((await call).message)).toBe('paid');
  await until(() => store.calls.some(({ call: one }) => one === 'once.end'));
  const written = JSON.stringify(store.calls.filter(({ call: one }) => one.startsWith('once.')));
  expect(written).toContain('paid');
  for (const secret of ['very-secret', 'card-number', 'o-1']) expect(written).not.toContain(secret);
});

test.each(eraNames)(
  'a call that did not run its handler has a line, without its key: in %s',
  async (era) => {
    const { first, ran } = await open();
    const client = await eras[era].connect(first.client(USER));
    const pay = (id: string, cents = 1) => eras[era].call(client, { id, cents });
    const running = pay('secret-key');
    const run = await ran(0);
    const attached = pay('secret-key');
    await pay('secret-key', 2);
    run.answer('paid');
    await Promise.all([running, attached]);
    await pay('secret-key');
    const large = pay('secret-large');
    (await ran(1)).answer('x'.repeat(300_000));
    await large;
    await pay('secret-large');
    const sessionId = client.sessionId && hashOf(client.sessionId);
    const lines = first.log.matching(/^A call that runs once/);
    const line = (level: string, text: string) => ({
      level,
      message: expect.stringContaining(text) as string,
      fields: { tool: 'pay', sessionId },
    });
    expect(lines).toEqual([
      line('warn', 'an earlier call with its key had other arguments'),
      line('debug', 'got the outcome of a run that it waited for'),
      line('debug', 'got the outcome of an earlier call'),
      line('warn', 'an earlier call with its key may have run'),
    ]);
    expect(JSON.stringify(first.log.lines)).not.toContain('secret-');
  },
);

test('an error that waits for the store is counted with its text', async () => {
  const { first, ran, store } = await open({}, { metrics: true });
  const held = () =>
    readScrape(first.endpoint.metrics()).sum('sojourn_memory_bytes', { row: 'requests' });
  cut(store, 'once.end');
  const call = modernPay(first.client(USER));
  (await ran(0)).fail(new Error('x'.repeat(100_000)));
  await call;
  expect(held()).toBeGreaterThan(600_000);
  mend(store, 'once.end');
  await until(() => held() === 0);
});

test('each caller has its own copy of the outcome: what one of them changes, no other sees', async () => {
  let go!: () => void;
  const gone = new Promise<void>((resolve) => (go = resolve));
  let n = 0;
  const pay = once((_args: { id: string }, _ctx: unknown) => gone.then(() => said('paid')), KEY);
  const member = await servePay(async (args, ctx) => {
    n += 1;
    const result = await pay(args, ctx);
    result.content.push(...said('changed').content);
    return result;
  });
  const client = member.client(USER);
  const calls = [modernPay(client), modernPay(client), modernPay(client)];
  await until(() => n === calls.length);
  go();
  const answers = await Promise.all(calls);
  for (let replays = 0; replays < 2; replays++) answers.push(await modernPay(client));
  for (const { message } of answers)
    expect((message.result as { content: unknown }).content).toEqual([
      { type: 'text', text: 'paid' },
      { type: 'text', text: 'changed' },
    ]);
});

test('a handler that calls itself with its own key gets an error at once', async () => {
  const self = once((args: { id: string }, ctx: unknown): Promise<unknown> => self(args, ctx), KEY);
  const member = await servePay(self);
  expect(textOf((await modernPay(member.client(USER))).message)).toContain(
    'called itself with its own key',
  );
});

test.each([
  [() => '', 'a text of 0 characters'],
  [() => 'x'.repeat(513), 'a text of 513 characters'],
  [() => 7, 'a value of type number'],
  [async () => 'k', 'a promise'],
  [() => undefined, 'a value of type undefined'],
])('a key that is none is an error before the handler runs (%#)', async (key, named) => {
  const { first, runs } = await open({ key: key as never });
  expect(textOf((await modernPay(first.client(USER))).message)).toContain(named);
  expect(runs.length).toBe(0);
});

test.each([
  [{ key: 'id' }, /key of once\(\): got "id", takes a function/],
  [{ keepMs: 999 }, /keepMs of once\(\)/],
  [{ keepMs: 2_592_000_001 }, /keepMs of once\(\)/],
  [{ afterCrash: 'retry' }, /afterCrash of once\(\)/],
  [{ onDisconnect: 'stop' }, /onDisconnect of once\(\)/],
  [{ anonymous: true }, /anonymous of once\(\)/],
  [{ withoutEndpoint: 'skip' }, /withoutEndpoint of once\(\)/],
])('an option that is none is refused when the handler is wrapped (%#)', (options, message) => {
  expect(() => once(() => said('x'), { key: () => 'k', ...options } as never)).toThrow(message);
});

describe('where no endpoint serves the call', () => {
  async function callOver(outside?: 'run') {
    const server = new McpServer({ name: 's', version: '1' });
    let runs = 0;
    server.registerTool(
      'pay',
      { inputSchema: z.object({ id: z.string() }) },
      once(
        ({ id }) => {
          runs += 1;
          return said(id);
        },
        { key: ({ id }) => id, ...(outside !== undefined && { withoutEndpoint: outside }) },
      ),
    );
    const client = new Client({ name: 'c', version: '1' });
    const [there, here] = InMemoryTransport.createLinkedPair();
    await Promise.all([server.connect(there), client.connect(here)]);
    const answer = await client.callTool({ name: 'pay', arguments: PAY });
    await client.close();
    return { answer, runs: () => runs };
  }

  test('it is refused, and the error names the cause', async () => {
    const { answer, runs } = await callOver();
    expect(answer).toMatchObject({ isError: true });
    expect(JSON.stringify(answer)).toContain('no endpoint of sojourn serves it (stdio');
    expect(runs()).toBe(0);
  });

  test('another copy of the package serves it: it is refused, and the error says so', async () => {
    const built = new URL('../../../dist/index.js', import.meta.url).href;
    const other = (await import(/* @vite-ignore */ built)) as { once: typeof once };
    let runs = 0;
    const member = await servePay(other.once(() => said(String((runs += 1))), { key: () => 'k' }));
    const client = member.client(USER);
    const first = await modernPay(client);
    await client.initialize();
    for (const { message } of [first, await client.call(...tool('pay', PAY))]) {
      expect(message.result).toMatchObject({ isError: true });
      expect(textOf(message)).toContain('another copy of the package');
    }
    expect(runs).toBe(0);
  });

  test("it runs where the author says so, with one warning: withoutEndpoint: 'run'", async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error): void =>
      void (warning.name === 'SojournWarning' && warnings.push(warning));
    process.on('warning', warn);
    try {
      expect((await callOver('run')).answer).toMatchObject({ content: [{ text: 'o-1' }] });
      expect((await callOver('run')).runs()).toBe(1);
      await until(() => warnings.length > 0);
    } finally {
      process.off('warning', warn);
    }
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining('runs unprotected'),
    ]);
  });
});

test('on a memory store that is full a result that finds no room is not kept, and does not run again', async () => {
  let runs = 0;
  const big = once(({ id }: { id: string }) => {
    runs += 1;
    return said(id.repeat(50_000));
  }, KEY);
  const member = await servePay(big, { limits: { eventLogBytes: 65_536 } });
  const client = member.client(USER);
  expect(textOf((await modernPay(client)).message)).toHaveLength(150_000);
  const error = await until(async () => (await modernPay(client)).message.error);
  expect(error).toMatchObject({ data: { reason: 'result_not_kept', mayHaveRun: true } });
  expect(runs).toBe(1);
});
