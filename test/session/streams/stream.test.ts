/** What a stream stores, what its sink gets in which order, and who ends the sink. */
import { describe, expect, test } from 'vitest';
import type { Mark, ReplayOutcome } from '../../../src/stores/store.ts';
import { GET_STREAM } from '../../../src/session/streams/event-id.ts';
import type { PostedRequests } from '../../../src/session/streams/event-log.ts';
import { Stream } from '../../../src/session/streams/stream.ts';
import { notedLog, notedSink, RETRY_MS, soon } from '../../kit/noted-streams.ts';

const CALL: PostedRequests = { answersOnly: false, requests: 1, call: { id: 7, method: 'tools/call' } };
const MARK: Mark = { name: 'n7', stream: 'p' };

interface Given {
  readonly logged?: boolean;
  readonly resumes?: boolean;
  readonly late?: boolean;
  readonly isRelayed?: boolean;
  readonly takes?: 'events' | 'answers';
  readonly posted?: PostedRequests;
  readonly next?: number;
}

/** The stream of a call, with a sink that has got nothing. `seen`: what its log and its sinks get, in order. */
function streamOf({ logged = true, next, posted = CALL, ...given }: Given = {}) {
  const seen: unknown[] = [];
  const noted = notedLog(seen, given);
  const stream = new Stream('p', logged ? noted.log : undefined, next, posted);
  const sink = notedSink(seen, 'sink', given);
  stream.use(sink, () => seen.push('done'));
  return { stream, sink, seen, ...noted, sinkOf: (name: string) => notedSink(seen, name, given) };
}

describe('an unlogged stream', () => {
  test('sends messages at once, without an id, and its last ends the sink and completes the stream', () => {
    const { stream, seen } = streamOf({ logged: false });
    stream.send('a');
    expect([stream.isComplete, stream.isStored]).toEqual([false, false]);
    stream.send('b', true);
    stream.send('late');
    stream.complete();
    expect(seen).toEqual(['sink gets a', 'sink gets b', 'sink ends', 'done']);
    // There is no log that could serve a resume.
    expect([stream.isComplete, stream.isStored, stream.next]).toEqual([true, false, 0]);
  });

  test('stores no point and sends none', () => {
    const { stream, sink, seen } = streamOf({ logged: false });
    expect(stream.storePoint(true)).toBe('written');
    stream.begin(sink);
    stream.beginAhead(sink, {}, () => seen.push('stored'));
    stream.resumePoint({ offset: 1, resumes: 0 }, RETRY_MS);
    expect(seen).toEqual([]);
    expect([stream.runsAhead, stream.canResume, stream.position.offset]).toEqual([false, false, -1]);
  });

  test('loses what no sink reads, and completes without one', () => {
    const { stream, seen } = streamOf({ logged: false });
    stream.endSink();
    stream.send('a');
    stream.complete();
    expect(seen).toEqual(['sink ends', 'done']);
    expect(stream.isComplete).toBe(true);
  });
});

describe('a logged stream', () => {
  test('stores each message before it sends it, with the next offset and the request in its id', () => {
    const { stream, seen, appends } = streamOf();
    stream.send('a');
    stream.send('b', true, MARK);
    stream.send('late');
    expect(seen).toEqual([
      'stored a',
      'sink gets a as p-0.I7',
      'stored b, the end',
      'sink gets b as p-1.I7',
      'sink ends',
      'done',
    ]);
    expect(appends).toMatchObject([
      { stream: 'p', from: 0, extra: undefined },
      { stream: 'p', from: 1, extra: { unmark: MARK } },
    ]);
    expect([stream.isComplete, stream.isStored, stream.next]).toEqual([true, true, 2]);
  });

  test.each([
    [{ id: 7, method: 'tools/list' }, 'p-0.i7'],
    [{ id: 'a', method: 'tools/call' }, 'p-0.Sa'],
    [undefined, 'p-0'],
  ])('of %j has event ids as %s', (call, id) => {
    const { stream, seen } = streamOf({ posted: { ...CALL, call } });
    stream.send('a');
    expect(seen.at(-1)).toBe(`sink gets a as ${id}`);
  });

  test('that an earlier owner began continues at its offset', () => {
    const { stream, seen, appends } = streamOf({ next: 5 });
    stream.send('a');
    expect([appends[0]?.from, seen.at(-1), stream.next]).toEqual([5, 'sink gets a as p-5.I7', 6]);
  });

  test('sends nothing before a late store has it, and everything in its order', async () => {
    const { stream, seen, appends } = streamOf({ late: true });
    stream.send('a');
    stream.send('b');
    stream.send('c', true);
    void stream.flushed().then(() => seen.push('flushed'));
    expect([seen, stream.next]).toEqual([['stored a'], 0]);
    // The stream takes no message any more, and the log has not all of it.
    expect([stream.isComplete, stream.isStored, stream.flushing]).toEqual([true, false, true]);
    await appends[0]?.settle('written');
    expect(seen.slice(1)).toEqual(['sink gets a as p-0.I7', 'stored b, c, the end']);
    await appends[1]?.settle('written');
    expect(seen.slice(3)).toEqual(['sink gets b as p-1.I7', 'sink gets c as p-2.I7', 'sink ends', 'done', 'flushed']);
    expect([stream.isStored, stream.flushing]).toEqual([true, false]);
  });

  test('keeps the order where the store answers at once again while a message waits', async () => {
    const { stream, seen, appends, state } = streamOf({ late: true });
    stream.send('a');
    state.late = false;
    stream.send('b');
    expect(seen).toEqual(['stored a']);
    await appends[0]?.settle('written');
    expect(seen.filter((line) => String(line).startsWith('sink'))).toEqual([
      'sink gets a as p-0.I7',
      'sink gets b as p-1.I7',
    ]);
  });

  test('stores nothing while the link to its sink is full', async () => {
    const { stream, sink, seen } = streamOf();
    let free: () => void = () => {};
    sink.full = new Promise((resolve) => (free = resolve));
    stream.send('a');
    expect([seen, stream.flushing]).toEqual([[], true]);
    sink.full = undefined;
    free();
    await soon();
    expect(seen).toEqual(['stored a', 'sink gets a as p-0.I7']);
  });

  test('of which nothing is left to say is completed with an append of no event, which removes the mark', () => {
    const { stream, seen, appends } = streamOf();
    stream.complete(MARK);
    stream.complete(MARK);
    stream.send('late');
    expect(seen).toEqual(['stored the end', 'sink ends', 'done']);
    expect(appends).toMatchObject([{ events: [], complete: true, extra: { unmark: MARK } }]);
    expect(stream.next).toBe(0);
  });

  test('says at once that a stream without a queue is flushed', async () => {
    const { stream, seen } = streamOf();
    stream.whenFlushed(() => seen.push('flushed'));
    expect(seen).toEqual(['flushed']);
    await stream.flushed();
  });

  test('of a session that ended sends the rest to the sink alone, and what it gathered is stored', () => {
    const { stream, sink, seen } = streamOf();
    stream.beginAhead(sink, {}, () => seen.push('first stored'));
    stream.stopLogging();
    stream.send('a', true);
    expect(seen).toEqual(['stored ', 'sink at p-0.I7, retry 1000', 'first stored', 'sink gets a', 'sink ends']);
    expect(stream.logged).toBe(false);
  });
});

test.each([
  [1, [true]],
  [3, [false, false, true]],
  [0, [false]],
])('a stream of %i requests has its last answer: %j', (requests, last) => {
  const { stream } = streamOf({ posted: { ...CALL, requests } });
  expect(last.map(() => stream.countAnswer())).toEqual(last);
});

describe('the first event', () => {
  test('is stored before the POST runs, and sent first, with the pause of a reconnect', () => {
    for (const resumes of [true, false]) {
      const { stream, sink, seen, appends } = streamOf({ resumes });
      stream.takeSink();
      expect(stream.storePoint(true, { mark: MARK, note: () => 'the request' })).toBe('written');
      stream.begin(sink);
      stream.send('a');
      const point = `sink at p-0.I7, retry 1000${resumes ? '' : ', comment'}`;
      expect(seen).toEqual(['stored ', point, 'stored a', 'sink gets a as p-1.I7']);
      expect(appends[0]).toMatchObject({ events: [''], extra: { mark: MARK, note: 'the request' } });
    }
  });

  test('of a late store is reported when it is stored', async () => {
    const { stream, seen, appends } = streamOf({ late: true });
    void (stream.storePoint(true) as Promise<unknown>).then((result) => seen.push(result));
    await soon();
    expect(seen).toEqual(['stored ']);
    await appends[0]?.settle('written');
    expect(seen.slice(1)).toEqual(['sink at p-0.I7, retry 1000', 'written']);
  });

  test('of a fenced session is reported, and each later one at once', async () => {
    const { stream, appends, state } = streamOf({ late: true });
    const first = stream.storePoint(true);
    await appends[0]?.settle('fenced');
    expect([await first, stream.storePoint(), state.fenced]).toEqual(['fenced', 'fenced', 1]);
    // Nothing of it is stored, so no log answers for it.
    stream.complete();
    expect([stream.isComplete, stream.isStored, appends.length]).toEqual([true, false, 1]);
  });

  test('is not retried after `waitMs` where requests wait for it, and is otherwise', async () => {
    for (const opens of [true, false]) {
      const { stream, seen, appends, time } = streamOf({ late: true });
      void (stream.storePoint(opens) as Promise<unknown>).then((result) => seen.push(result));
      for (let n = 0; n < 9; n += 1) {
        await appends.at(-1)?.fail();
        await time.advance(RETRY_MS / 3);
      }
      expect(seen.at(-1)).toBe(opens ? 'failed' : 'stored ');
      expect(stream.delayed).toBe(true);
    }
  });

  test('of a client that polls, and comes back, has the pause that its call asked for', () => {
    const { stream, sinkOf, seen } = streamOf();
    stream.send('a');
    stream.resuming.poll(7_000);
    stream.use(sinkOf('second'));
    void stream.storePoint();
    expect(seen.at(-1)).toBe('second at p-2.I7, retry 7000');
  });

  test('with which a stream ends keeps no request: nothing of it runs again', () => {
    const { stream, appends } = streamOf();
    stream.complete(MARK);
    expect(appends[0]?.extra).toEqual({ note: undefined, mark: undefined, unmark: MARK });
  });

  test('waits for the events before it, with what it carries', async () => {
    const { stream, appends } = streamOf({ late: true });
    stream.send('a');
    void stream.storePoint(false, { mark: MARK });
    await appends[0]?.settle('written');
    expect(appends[1]).toMatchObject({ from: 1, events: [''], extra: { mark: MARK } });
  });

  test('of requests that run already is stored with their first message, or at the end of the turn', async () => {
    for (const answers of [true, false]) {
      const { stream, sink, seen, appends } = streamOf();
      stream.beginAhead(sink, { mark: MARK }, (result) => seen.push(result));
      expect([stream.runsAhead, seen]).toEqual([true, []]);
      if (answers) stream.send('a', true);
      else stream.endTurn();
      expect(appends).toMatchObject([{ events: answers ? ['', 'a'] : [''], complete: answers, extra: { mark: MARK } }]);
      expect(seen.slice(1, 3)).toEqual(['sink at p-0.I7, retry 1000', 'written']);
      expect(stream.runsAhead).toBe(false);
    }
  });
});

describe('a sink', () => {
  test('that ends reports it once, after the end', () => {
    const { stream, seen } = streamOf();
    stream.endSink();
    stream.endSink();
    expect([seen, stream.sink, stream.hasOpenSink]).toEqual([['sink ends', 'done'], undefined, false]);
  });

  test('whose client disconnects is dropped at once, without an end, and the stream continues', () => {
    const { stream, sink, seen } = streamOf();
    stream.sinkClosed(sink);
    stream.sinkClosed(sink);
    stream.send('a');
    expect([seen, stream.sink]).toEqual([['done', 'stored a'], undefined]);
  });

  test('that was taken reads no more; the taker reports its end', () => {
    const { stream, seen } = streamOf();
    const done = stream.takeSink();
    stream.send('a');
    expect(seen).toEqual(['stored a']);
    done?.();
    expect([seen.at(-1), stream.takeSink()]).toEqual(['done', undefined]);
  });

  test('that closes does not end the sink that came after it', () => {
    const { stream, sink, sinkOf, seen } = streamOf();
    stream.takeSink();
    stream.use(sinkOf('second'), () => seen.push('second done'));
    stream.sinkClosed(sink);
    stream.send('a');
    expect(seen).toEqual(['stored a', 'second gets a as p-0.I7']);
  });

  test('ends the parked sinks with it, whether it is ended or its client disconnects', () => {
    for (const disconnects of [true, false]) {
      const { stream, sinkOf, seen } = streamOf();
      stream.resuming.park();
      const second = sinkOf('second');
      stream.use(second, () => seen.push('second done'));
      if (disconnects) stream.sinkClosed(second);
      else stream.endSink();
      expect(seen).toEqual(['done', ...(disconnects ? [] : ['second ends']), 'sink ends', 'second done']);
    }
  });

  test('that was parked and closes is not ended again', () => {
    const { stream, sink, sinkOf, seen } = streamOf();
    stream.resuming.park();
    stream.use(sinkOf('second'));
    stream.sinkClosed(sink);
    stream.endSink();
    expect(seen).toEqual(['done', 'second ends']);
  });

  test('reads only while it is open', () => {
    const { stream, sink } = streamOf();
    expect([stream.hasOpenSink, sink.listener]).toEqual([true, stream]);
    sink.isOpen = false;
    expect(stream.hasOpenSink).toBe(false);
  });
});

describe('a position', () => {
  test('is that of the last event of the present sink', () => {
    const { stream, sinkOf } = streamOf();
    expect([stream.position, stream.canResume]).toEqual([{ offset: -1, resumes: 0 }, false]);
    stream.send('a');
    stream.send('b');
    expect([stream.position, stream.canResume]).toEqual([{ offset: 1, resumes: 0 }, true]);
    stream.resumePoint({ offset: 1, resumes: 2 }, 5);
    stream.use(sinkOf('second'));
    expect(stream.position).toEqual({ offset: -1, resumes: 0 });
  });

  test('counts its resumes in a new id, and begins to count with the next message', () => {
    const { stream, seen } = streamOf();
    stream.resumePoint({ offset: 3, resumes: 2 }, 5);
    expect([seen, stream.position]).toEqual([['sink at p-3.I7.r3, retry 5'], { offset: 3, resumes: 3 }]);
    stream.send('a');
    expect([seen.at(-1), stream.position]).toEqual(['sink gets a as p-0.I7', { offset: 0, resumes: 0 }]);
  });

  test('is of no use to a client that does not come back', () => {
    const { stream } = streamOf({ resumes: false });
    stream.send('a');
    expect([stream.clientResumes, stream.canResume]).toEqual([false, false]);
  });

  test('is sent once more when the server of the connection stops, with the usual pause', () => {
    const { stream, seen } = streamOf();
    stream.send('a');
    stream.hostStopped();
    expect(seen.slice(2)).toEqual(['sink at p-0.I7.r1, retry 1000', 'sink ends', 'done']);
  });
});

test('while a resumed sink reads the log, messages and the end wait for it', async () => {
  const { stream, seen, reads, sinkOf } = streamOf();
  stream.send('a');
  const resumed = stream.resuming.resume(() => sinkOf('second'), { offset: 0, resumes: 0 });
  await soon();
  stream.send('b', true);
  expect(seen.slice(2)).toEqual(['stored b, the end']);
  await reads[0]?.({ found: true, events: [], next: 1 } as unknown as ReplayOutcome);
  expect(await resumed).toBe(true);
  const second = ['second at p-0.I7.r1, retry 1000', 'second gets b as p-1.I7', 'second ends'];
  expect(seen.slice(3)).toEqual(['sink ends', 'done', ...second]);
});

describe('a call that its session can leave to the next owner', () => {
  test.each<[string, Given, boolean]>([
    ['has a client that comes back', {}, true],
    ['has a sink at another instance', { resumes: false, isRelayed: true }, true],
    ['has neither', { resumes: false }, false],
    ['is one of several', { posted: { ...CALL, requests: 2 } }, false],
    ['is not logged', { logged: false }, false],
    ['is no request, because the stream is a GET stream', { posted: { ...CALL, requests: 0 } }, false],
  ])('%s: %j, %s', (_, given, can) => {
    const { stream } = streamOf(given);
    expect(stream.canHandOver).toBe(can);
    stream.send('a', true);
    expect(stream.canHandOver).toBe(false);
  });
});

describe('a response continues with the next owner', () => {
  test.each<[string, Given & { sent?: boolean; closed?: boolean }, boolean]>([
    ['if its client can resume', {}, true],
    ['if its sink is at another instance', { resumes: false, isRelayed: true }, true],
    ['but not before its first id', { sent: false }, false],
    ['but not to a client that does not come back', { resumes: false }, false],
    ['but not as a JSON answer', { takes: 'answers', isRelayed: true }, false],
    ['but not after its client disconnected', { closed: true }, false],
  ])('%s: %j, %s', (_, { sent = true, closed = false, ...given }, moves) => {
    const { stream, sink, seen } = streamOf(given);
    if (sent) stream.send('a');
    if (closed) sink.isOpen = false;
    expect(stream.handOver()).toBe(moves);
    expect(seen.filter((line) => line === 'sink moves')).toHaveLength(moves ? 1 : 0);
  });

  test('not without a sink', () => {
    const { stream } = streamOf();
    stream.endSink();
    expect(stream.handOver()).toBe(false);
  });
});

describe('events that will never be stored', () => {
  const ended = ['sink ends', 'done'];
  test.each<[string, Given & { complete?: boolean; answered?: boolean; why?: 'fenced' | 'failed' }, string[]]>([
    ['move a sink that can resume, after a fence', { why: 'fenced' }, ['sink moves']],
    ['end a sink that can resume, after a failure', { why: 'failed' }, ended],
    ['give its client an error instead of the answer', { resumes: false }, ['sink gets an error', ...ended]],
    ['give that error after a fence too', { resumes: false, why: 'fenced' }, ['sink gets an error', ...ended]],
    ['leave the sink to the session, which answers a call that runs', { resumes: false, complete: false }, []],
    ['only end the sink of a cancelled call', { resumes: false, answered: false }, ended],
    [
      'move the sink of a cancelled call at another instance, after a fence',
      { resumes: false, answered: false, isRelayed: true, why: 'fenced' },
      ['sink moves'],
    ],
    [
      'end the sink of a GET stream, whose client misses no answer',
      { resumes: false, complete: false, posted: { answersOnly: false, requests: 0, call: undefined } },
      ended,
    ],
  ])('%s', (_, { complete = true, answered = true, why = 'failed', ...given }, expected) => {
    const { stream, seen } = streamOf({ late: true, ...given });
    stream.message('a', 0);
    stream.send('b', complete);
    seen.length = 0;
    stream.storingFailed(answered, why);
    expect(seen).toEqual(expected);
  });
});

test('what a stream knows of its delay and of its answers', () => {
  const stream = new Stream(GET_STREAM, undefined);
  expect([stream.delayed, stream.answersOnly, stream.log]).toEqual([false, false, undefined]);
  stream.noteDelay();
  expect(stream.delayed).toBe(true);
  expect(streamOf({ posted: { ...CALL, answersOnly: true } }).stream.answersOnly).toBe(true);
});
