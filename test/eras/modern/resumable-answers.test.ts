import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseCallPosition } from '../../../src/eras/call-position.ts';
import type { CallRecords } from '../../../src/eras/modern/call-records.ts';
import { ResumableAnswers } from '../../../src/eras/modern/resumable-answers.ts';
import { RequestBytes } from '../../../src/http/body.ts';
import type { Exchange, RunningWork } from '../../../src/http/exchange.ts';
import { HttpResponse } from '../../../src/http/response.ts';
import type { ResponsePolicy } from '../../../src/http/sink.ts';
import { memoryRows } from '../../../src/limits/held.ts';
import { resolveOptions } from '../../../src/options/resolve.ts';
import { HandlerWork } from '../../../src/session/calls/handler-work.ts';
import type { Fence } from '../../../src/stores/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';

/** A client of one call. `closesAt`: it disconnects when its response begins. `bytes`: of the body that it sent. */
function createClient(closesAt?: 'head', bytes?: RequestBytes, clientAddress?: string) {
  const listeners: Array<() => unknown> = [];
  const client = {
    method: 'POST',
    url: '/mcp',
    user: clientAddress === undefined ? 'ann' : undefined,
    clientAddress,
    authInfo: undefined,
    closed: false,
    pendingBytes: 0,
    written: '',
    header: () => undefined,
    headerFields: () => ({}),
    absoluteUrl: () => 'http://localhost/mcp',
    onClose: (fn: () => unknown) => void (client.closed ? fn() : listeners.push(fn)),
    openStream: () => (closesAt === 'head' ? client.close() : undefined),
    write: (chunk: string) => void (client.written += chunk),
    end: () => {},
    destroy: () => client.close(),
    heldBy: (work: RunningWork) => bytes?.heldBy(work),
    close: () => {
      client.closed = true;
      bytes?.release();
      for (const fn of listeners.splice(0)) fn();
    },
  };
  return client;
}

/** What a handler counts. */
const HANDLER = 12_288;

const FENCE: Fence = { epoch: 1, owner: 'here' };

const response: ResponsePolicy = {
  form: 'events',
  time: createFakeTime(),
  keepAliveMs: Infinity,
  bufferBytes: 1_000,
};

/** `records`: what the store does with the records of calls. */
const answersOf = (
  records: object,
  options = resolveOptions({ timeProvider: createFakeTime() }),
  memory = memoryRows(2 ** 30).requests,
): ResumableAnswers =>
  new ResumableAnswers({
    options,
    records: records as CallRecords,
    instance: { lease: { owner: 'here', valid: true } },
    memory,
    response,
    random: (bytes) => randomBytes(bytes),
  });

const exchangeOf = (client: ReturnType<typeof createClient>): Exchange => client as unknown as Exchange;

function openFor(calls: ResumableAnswers, client: ReturnType<typeof createClient>) {
  const exchange = exchangeOf(client);
  const request = { jsonrpc: '2.0' as const, id: 1, method: 'tools/call' };
  const call = calls.open(exchange, new HttpResponse(exchange, response), request, '2026-07-28');
  if (call === undefined) throw new Error('the call cannot be resumed');
  return call;
}

test('a call whose clients come back and leave at once holds its body once, until its handler has settled', async () => {
  const memory = memoryRows(2 ** 30).requests;
  const records = { create: async () => FENCE, end: () => {}, stored: async () => {} };
  const calls = answersOf(records, resolveOptions({ timeProvider: createFakeTime() }), memory);
  const bytes = new RequestBytes(memory, { user: undefined, clientAddress: undefined });
  bytes.take(4_000);
  const first = createClient(undefined, bytes);
  const request = { jsonrpc: '2.0' as const, id: 1, method: 'tools/call' };
  const exchange = exchangeOf(first);
  const call = calls.open(exchange, new HttpResponse(exchange, response), request, '2026-07-28');
  if (call === undefined) throw new Error('the call cannot be resumed');
  const work = new HandlerWork();
  call.heldBy(work);
  call.begin();
  call.sendHead();
  await new Promise(setImmediate);
  const position = parseCallPosition(/^id: (.*)$/m.exec(first.written)?.[1]);
  if (position === undefined) throw new Error('no event id');
  first.close();
  expect(memory.used).toBe(4_000 + HANDLER);
  for (let n = 0; n < 150; n++) call.attach(new HttpResponse(exchangeOf(createClient('head')), response), position);
  expect(memory.used).toBe(4_000 + HANDLER);
  call.attach(new HttpResponse(exchangeOf(createClient()), response), position);
  expect(call.isOpen).toBe(true);
  work.end();
  expect(memory.used).toBe(0);
  await calls.close();
});

test('the record of a call is extended while the call runs, and not after its answer', async () => {
  const time = createFakeTime();
  const written: string[] = [];
  const records = {
    create: async () => FENCE,
    extend: () => void written.push('extend'),
    finish: () => void written.push('finish'),
    stored: async () => {},
  };
  const options = resolveOptions({ timeProvider: time });
  const calls = answersOf(records, options);
  const exchange = exchangeOf(createClient());
  const request = { jsonrpc: '2.0' as const, id: 1, method: 'tools/call' };
  const call = calls.open(exchange, new HttpResponse(exchange, response), request, '2026-07-28');
  call?.begin();
  call?.sendHead();
  await new Promise(setImmediate);
  await time.advance(300_000);
  expect(written).toEqual(['extend', 'extend', 'extend']);
  call?.answer('{"jsonrpc":"2.0","id":1,"result":{}}');
  await time.advance(300_000);
  expect(written).toEqual(['extend', 'extend', 'extend', 'finish']);
  await calls.close();
});

test.each([
  ['is kept once it is recorded', FENCE, false],
  ['is cancelled if it cannot be recorded', undefined, true],
] as const)('a call whose client leaves while it is being recorded %s', async (_, recorded, isCancelled) => {
  const time = createFakeTime();
  const ended: string[] = [];
  let create: (recorded: Fence | undefined) => void = () => {};
  const records = {
    create: () => new Promise<Fence | undefined>((resolve) => (create = resolve)),
    end: (key: string) => void ended.push(key),
    stored: async () => {},
  };
  const calls = answersOf(records, resolveOptions({ timeProvider: time, retryMs: 1_000 }));
  const client = createClient();
  const call = openFor(calls, client);
  call.begin();
  call.sendHead();
  client.close();
  expect(call.isOpen).toBe(true);
  create(recorded);
  await new Promise(setImmediate);
  expect(call.isOpen).toBe(!isCancelled);
  expect(calls.find(call.key)).toBe(isCancelled ? undefined : call);
  await time.advance(2_000);
  expect(call.isOpen).toBe(false);
  expect(ended).toEqual(isCancelled ? [] : [call.key]);
  expect(calls.find(call.key)).toBeUndefined();
  await calls.close();
});

test('an answer that comes while its call is being recorded leaves at once, and is stored afterwards', async () => {
  const finished: string[] = [];
  let create: (recorded: Fence | undefined) => void = () => {};
  const records = {
    create: () => new Promise<Fence | undefined>((resolve) => (create = resolve)),
    finish: (_key: string, _fence: Fence, json: string) => void finished.push(json),
    stored: async () => {},
  };
  const calls = answersOf(records);
  const client = createClient();
  const call = openFor(calls, client);
  call.begin();
  call.sendHead();
  const json = '{"jsonrpc":"2.0","id":1,"result":{}}';
  call.answer(json);
  expect(client.written).toContain(json);
  expect(finished).toEqual([]);
  create(FENCE);
  await new Promise(setImmediate);
  expect(finished).toEqual([json]);
  expect(calls.find(call.key)).toBe(call);
  await calls.close();
});

test('callers of one address keep half of the 1,000 calls without a client; those of others continue', async () => {
  const records = { create: async () => FENCE, end: () => {}, stored: async () => {} };
  const calls = answersOf(records, resolveOptions({ timeProvider: createFakeTime(), logger: false }));
  const cut = async (clientAddress: string): Promise<boolean> => {
    const client = createClient(undefined, undefined, clientAddress);
    const exchange = exchangeOf(client);
    const request = { jsonrpc: '2.0' as const, id: 1, method: 'tools/call' };
    const call = calls.open(exchange, new HttpResponse(exchange, response), request, '2026-07-28');
    call?.begin();
    call?.sendHead();
    await new Promise(setImmediate);
    client.close();
    return call?.isOpen === true;
  };
  const kept = [];
  for (let n = 0; n < 1_010; n++) kept.push(await cut('192.0.2.1'));
  expect(kept.filter(Boolean)).toHaveLength(500);
  expect(await cut('192.0.2.2')).toBe(true);
  await calls.close();
});
