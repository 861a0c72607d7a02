/** Which ids are taken, how many requests count, and when the stream of a POST is forgotten. */
import { describe, expect, test } from 'vitest';
import { alreadyInitialized, type SojournError } from '../../../src/errors.ts';
import type { RpcRequest } from '../../../src/protocol/jsonrpc.ts';
import { Call } from '../../../src/session/calls/call.ts';
import { RunningCalls } from '../../../src/session/calls/running.ts';
import type { SessionLimits } from '../../../src/types.ts';
import { notedLog, notedSink, soon } from '../../kit/noted-streams.ts';

const callOf = (id: number | string, method = 'tools/call') =>
  new Call(undefined, undefined, false, id, method, undefined);

/** `seen`: what is resolved, told and sent. */
function runningOf(...ids: Array<number | string>) {
  const seen: unknown[] = [];
  const running = new RunningCalls(3);
  const calls = ids.map((id) => {
    const call = callOf(id);
    call.around = { start: () => {}, take: () => false, over: () => seen.push(`over ${id}`) };
    running.add(id, call);
    return call;
  });
  const freed = (): void => void running.freed().then((ended) => seen.push(`freed ${ended}`));
  return { running, calls: calls as [Call, ...Call[]], seen, freed };
}

describe('requests are refused', () => {
  const requests = (...methods: Array<string | [number | string, string]>): RpcRequest[] =>
    methods.map((method, n) =>
      typeof method === 'string'
        ? { jsonrpc: '2.0', id: 100 + n, method, params: { uri: 'u' } }
        : { jsonrpc: '2.0', id: method[0], method: method[1] },
    );
  const full = alreadyInitialized();

  test.each<[string, RpcRequest[], unknown]>([
    ['not while they fit', requests('tools/call'), undefined],
    ['if the session is open already', requests('initialize'), 'ALREADY_INITIALIZED'],
    ['if their id is in flight', requests([1, 'tools/call']), 'REQUEST_ID_IN_FLIGHT'],
    ['if the id of a ping is in flight', requests([1, 'ping']), 'REQUEST_ID_IN_FLIGHT'],
    ['not if a text has the digits of a number in flight', requests(['1', 'tools/call']), undefined],
    ['if too many run', requests('tools/call', 'tools/list'), 'TOO_MANY_REQUESTS'],
    ['not for pings', requests('tools/call', 'ping', 'ping', 'ping'), undefined],
    ['for ever, if they never fit', requests('a', 'b', 'c', 'd'), 'BATCH_NOT_ALLOWED'],
    ['if the session has no room for a subscription', requests('tools/call', 'resources/subscribe'), full],
  ])('%s', (_, asked, why) => {
    const { running } = runningOf(1, 2);
    const limits = { requestsPerSession: 3 } as SessionLimits;
    const record = { subscriptions: { charge: (): SojournError => full } };
    const refusal = running.refusal(record, asked, limits);
    expect(why === full ? refusal : refusal?.code).toBe(why);
  });

  test('not for a subscription that fits, nor for pings where the session is full', () => {
    const { running } = runningOf(1, 2);
    const limits = { requestsPerSession: 2 } as SessionLimits;
    const record = { subscriptions: { charge: () => undefined } };
    expect(running.refusal(record, requests('resources/subscribe'), { ...limits, requestsPerSession: 3 })).toBe(
      undefined,
    );
    expect(running.refusal(record, requests('ping'), limits)).toBeUndefined();
  });
});

describe('a request that ends', () => {
  test('gives its id and its place back, once, and tells those that wait', async () => {
    const { running, calls, seen, freed } = runningOf(1, 2);
    freed();
    running.settle(calls[0]);
    running.settle(calls[0]);
    await soon();
    expect([running.size, running.counted, running.get(1), running.get(2)]).toEqual([1, 1, undefined, calls[1]]);
    expect(seen).toEqual(['over 1', 'freed true']);
    expect([calls[0].isOver, calls[0].work.done]).toEqual([true, true]);
  });

  test('while its handler runs gives its id back, and its place when the handler settles', async () => {
    const { running, calls, seen, freed } = runningOf(1);
    calls[0].work.begin();
    running.settle(calls[0]);
    freed();
    await soon();
    expect([running.get(1), running.counted, seen]).toEqual([undefined, 1, ['over 1']]);
    // The client uses the id again.
    running.add(1, callOf(1));
    expect(running.counted).toBe(2);
    calls[0].work.settle();
    await soon();
    expect([running.counted, seen.at(-1)]).toEqual([1, 'freed true']);
  });

  test('tells of its end only those that waited then', async () => {
    const { running, calls, seen, freed } = runningOf(1, 2);
    running.settle(calls[0]);
    freed();
    await soon();
    expect(seen).toEqual(['over 1']);
    freed();
    running.settle(calls[1] as Call);
    await soon();
    expect(seen.slice(2)).toEqual(['freed true', 'freed true']);
  });

  test('counts nothing if it was a ping', () => {
    const { running } = runningOf();
    const ping = callOf(1, 'ping');
    running.add(1, ping);
    expect([running.size, running.counted]).toEqual([1, 0]);
    running.settle(ping);
    expect([running.size, running.counted]).toEqual([0, 0]);
  });
});

test('when the session leaves, all are taken once, in their order, and running handlers keep their places', async () => {
  const { running, calls, seen, freed } = runningOf(1, 'a', 3);
  calls[1]?.work.begin();
  freed();
  expect(running.takeAll()).toEqual(calls);
  await soon();
  expect(seen).toEqual(['over 1', 'over a', 'over 3', 'freed true']);
  expect([running.size, running.counted, running.takeAll()]).toEqual([0, 1, []]);
  // The caller decides what becomes of each.
  expect(calls.map(({ phase }) => phase)).toEqual(['running', 'running', 'running']);
  calls[1]?.work.settle();
  expect(running.counted).toBe(0);
});

test('a session that leaves tells those that wait, although no request runs', async () => {
  const { running, seen, freed } = runningOf();
  freed();
  running.takeAll();
  await soon();
  expect(seen).toEqual(['freed true']);
});

/** The stream of a POST, with a sink. */
function streamOf(requests: number, { late = false, logged = true, isRelayed = false } = {}) {
  const { running, seen } = runningOf();
  const { log, appends } = notedLog(seen, { late });
  const posted = { answersOnly: false, requests, call: undefined };
  const stream = running.openStream(posted, logged ? log : undefined);
  stream.use(notedSink(seen, 'sink', { isRelayed }));
  return { running, stream, seen, appends, log, posted };
}

describe('a stream', () => {
  test('has its own key, and is found while it is logged', () => {
    const { running, stream, log, posted } = streamOf(1);
    const unlogged = running.openStream(posted, undefined);
    const third = running.openStream(posted, log);
    expect([stream, unlogged, third].map(({ key }) => key)).toEqual(['p3x0', 'p3x1', 'p3x2']);
    expect([stream, unlogged, third].map(({ key }) => running.stream(key))).toEqual([stream, undefined, third]);
    running.forgetStream(stream.key);
    expect([running.stream(stream.key), running.stream(third.key)]).toEqual([undefined, third]);
  });

  test('of an earlier owner keeps its key and length, and counts the owners since', () => {
    const { running, stream, log, posted } = streamOf(1);
    const earlier = running.openStream(posted, log, 'p1x4', 5);
    expect([earlier.key, earlier.next, running.stream('p1x4')]).toEqual(['p1x4', 5, earlier]);
    expect([running.attemptOn(earlier), running.attemptOn(stream)]).toEqual([3, 1]);
  });

  test('ends with the last answer, and not before', () => {
    const { running, stream, seen } = streamOf(2, { logged: false });
    running.reply(stream, 'b');
    expect([seen, stream.isComplete]).toEqual([['sink gets b'], false]);
    running.reply(stream, 'a');
    expect(seen).toEqual(['sink gets b', 'sink gets a', 'sink ends']);
  });

  test('ends without an answer if the last request was cancelled, whichever it was', () => {
    for (const cancelledFirst of [true, false]) {
      const { running, stream, seen } = streamOf(2, { logged: false });
      for (const json of cancelledFirst ? [undefined, 'a'] : ['a', undefined]) running.reply(stream, json);
      expect(seen).toEqual(['sink gets a', 'sink ends']);
    }
  });

  test('is forgotten with its last answer, and on a late store once that is stored', async () => {
    for (const late of [false, true]) {
      const { running, stream, appends } = streamOf(2, { late });
      running.reply(stream, undefined);
      expect(running.stream(stream.key)).toBe(stream);
      running.reply(stream, 'a');
      expect(running.stream(stream.key)).toBe(late ? stream : undefined);
      await appends[0]?.settle('written');
      expect(running.stream(stream.key)).toBeUndefined();
    }
  });

  test('passes the marker of its call on to the last append', () => {
    for (const json of ['a', undefined]) {
      const { running, stream, appends } = streamOf(1);
      const unmark = { name: '1', stream: stream.key };
      running.reply(stream, json, unmark);
      expect(appends).toMatchObject([{ complete: true, extra: { unmark } }]);
    }
  });
});

test('all streams are flushed when each message of each is stored', async () => {
  const { running, stream, seen, appends, log, posted } = streamOf(1, { late: true });
  const other = running.openStream(posted, log);
  stream.send('a');
  other.send('b');
  void running.flushed().then(() => seen.push('flushed'));
  await appends[0]?.settle('written');
  expect(seen).not.toContain('flushed');
  await appends[1]?.settle('written');
  expect(seen.at(-1)).toBe('flushed');
});

test('while the store is away, sinks that can resume elsewhere end, and those at another instance stay', () => {
  for (const isRelayed of [false, true]) {
    const { running, stream, seen } = streamOf(1, { isRelayed });
    stream.send('a');
    running.endToResumeElsewhere();
    expect(seen.includes('sink ends')).toBe(!isRelayed);
  }
});
