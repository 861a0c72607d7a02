/**
 * Streams of one session in random runs: messages, a store that answers late or not at all, clients that disconnect,
 * resume and poll, and new owners. The log of the store is the truth. A sink has each event once and in order, from
 * where it began, and in the end each client has all of them.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import type { Sink, SinkListener } from '../../../src/http/sink.ts';
import { memoryRows } from '../../../src/http/limits/memory-rows.ts';
import { RunningCalls } from '../../../src/session/calls/running-calls.ts';
import { ClaimQueue, SessionOwnership } from '../../../src/session/ownership/session-ownership.ts';
import { openGet, replayComplete, resumeStream } from '../../../src/session/attach.ts';
import { GET_STREAM, parseEventId } from '../../../src/session/streams/event-id.ts';
import { SessionEventLog } from '../../../src/session/streams/event-log.ts';
import { Stream } from '../../../src/session/streams/stream.ts';
import { createFakeTime } from '../../../src/testing/fake-time.ts';
import { createLog } from '../../kit/log.ts';
import { plainRecord } from '../../stores/contract/plain-record.ts';
import { memoryRooms } from '../../stores/memory-rooms.ts';

/** How the store answers one request. */
interface Way {
  /** 0: in the same turn. */
  readonly ms: number;
  /** The answer comes late; else the request reaches the store late. */
  readonly isRead: boolean;
  /** Whether an append is carried out, and its answer lost; or not carried out. */
  readonly fails: 'lost' | 'away' | undefined;
}

const PROMPT: Way = { ms: 0, isRead: true, fails: undefined };
const CALL = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'work' } } as const;
/** An offset that no log reaches. */
const NO_EVENT = 1_000_000;
type Name = 'get' | 'post';

/** What a client got on one response. */
class TestSink implements Sink {
  readonly takes = 'events';
  readonly isRelayed = false;
  readonly got: Array<{ readonly offset: number; readonly data: string }> = [];
  isOpen = true;
  listener: SinkListener | undefined = undefined;

  #event(id: string | undefined, data: string): void {
    assert.ok(this.isOpen);
    this.got.push({ offset: parseEventId(id ?? '')?.offset ?? -1, data });
  }

  message(json: string, id?: string): void {
    this.#event(id, json);
  }

  point(id: string): void {
    this.#event(id, '');
  }

  end(): void {
    const { listener } = this;
    assert.ok(this.isOpen, 'a response ends once');
    this.isOpen = false;
    this.listener = undefined;
    listener?.sinkClosed(this);
  }

  handOver(): void {
    this.end();
  }

  sendHead(): void {}
}

class World {
  readonly time = createFakeTime();
  readonly #ways: Way[];
  readonly #room = memoryRooms({
    name: 'sessions',
    log: { maxAgeMs: Infinity, events: 10_000, bytes: 1e9 },
    keepMs: 1,
    listed: true,
  }).deployment();
  readonly #records = this.#room.records;
  readonly sinks: Record<Name, TestSink[]> = { get: [], post: [] };
  /** The messages of each owner, as they were sent. */
  readonly sent: Record<Name, string[]> = { get: [], post: [] };
  readonly #resumes = new Set<Promise<unknown>>();
  #owner: Awaited<ReturnType<World['claim']>> | undefined = undefined;
  postKey = '';

  constructor(ways: readonly Way[]) {
    this.#ways = [...ways];
    this.#records.create(plainRecord('s', { epoch: 1, owner: 'a' }));
  }

  get owner() {
    assert.ok(this.#owner !== undefined);
    return this.#owner;
  }

  /** The store as an owner reaches it. */
  async #ask<T>(work: () => T, mayFail: boolean): Promise<T> {
    const { ms, isRead, fails } = this.#ways.shift() ?? PROMPT;
    const pass = (): Promise<void> =>
      new Promise((resolve) => void this.time.setTimeout(resolve, ms));
    if (ms > 0 && !isRead) await pass();
    if (mayFail && fails === 'away') throw new Error('The store is away');
    const done = work();
    if (ms > 0 && isRead) await pass();
    if (mayFail && fails === 'lost') throw new Error('The answer is lost');
    return done;
  }

  heal(): void {
    this.#ways.length = 0;
  }

  /** The next owner of the session, with the streams that it continues. */
  async claim(from: { readonly epoch: number; readonly owner: string }) {
    const fence = { epoch: from.epoch + 1, owner: `${from.owner}b` };
    assert.ok(this.#records.claim('s', from, fence.owner).claimed);
    const lease = { owner: fence.owner, valid: true, renewNow: () => {} };
    const logger = createLog();
    const sessions = {
      options: { logger },
      store: { sessions: this.#records },
      lease,
      values: () => [],
      isLive: () => true,
      fenced: (one: SessionOwnership) => one.leave('fenced'),
      reclaimed: () => {},
    };
    const ownership = new SessionOwnership(new ClaimQueue(sessions), 's', fence);
    const records: unknown = {
      append: (request: never) => {
        const [way] = this.#ways;
        if (way === undefined || (way.ms === 0 && way.fails === undefined)) {
          this.#ways.shift();
          return this.#records.append(request);
        }
        return this.#ask(() => this.#records.append(request), true);
      },
      replay: (id: string, stream: string, after: number) =>
        this.#ask(() => this.#records.replay(id, stream, after), false),
    };
    const options = {
      timeProvider: this.time,
      maxWaitMs: 1e9,
      retryMs: 1_000,
      eventRetention: {},
      responseMode: 'sse',
    };
    const host = {
      options,
      logger,
      store: { sessions: records },
      durable: true,
      held: memoryRows(1e9),
    };
    const log = new SessionEventLog(host as never, ownership, {
      version: '2025-11-25',
      share: '',
      unlogged: false,
      skipped: () => assert.fail('no event is dropped'),
    });
    const running = new RunningCalls(fence.epoch);
    const getStream = new Stream(GET_STREAM, log, this.logOf(GET_STREAM).length);
    const session = {
      usedGetStream: getStream,
      getStream,
      usedQuestions: undefined,
      enter: () => {},
      exit: () => {},
      missed: () => {},
      sendMissed: () => {},
      get left(): boolean {
        return ownership.left;
      },
    };
    return {
      fence,
      ownership,
      log,
      running,
      getStream,
      session,
      post: undefined as Stream | undefined,
    };
  }

  logOf(key: string): string[] {
    return this.#room.entries('s').flatMap(({ stream, events }) => (stream === key ? events : []));
  }

  keyOf(name: Name): string {
    return name === 'get' ? GET_STREAM : this.postKey;
  }

  streamOf(name: Name): Stream | undefined {
    return name === 'get' ? this.owner.getStream : this.owner.post;
  }

  // ——— what happens ———

  async begin(): Promise<void> {
    this.#owner = await this.claim({ epoch: 1, owner: 'a' });
    const { running, log } = this.owner;
    const post = running.openStream([CALL], log);
    this.owner.post = post;
    this.postKey = post.key;
    const stored = new Promise((tell) => post.beginAhead(this.open('post'), {}, tell));
    this.send('post');
    post.endTurn();
    for (let n = 0; n < 100; n++) await this.time.advance(50);
    assert.equal(await stored, 'written');
  }

  open(name: Name): TestSink {
    const sink = new TestSink();
    this.sinks[name].push(sink);
    return sink;
  }

  send(name: Name): void {
    const stream = this.streamOf(name);
    if (stream === undefined || stream.isComplete) return;
    const json = `${this.sent[name].length}`;
    this.sent[name].push(json);
    stream.send(json);
  }

  answer(): void {
    const { running, post } = this.owner;
    if (post === undefined || post.isComplete) return;
    this.sent.post.push('answer');
    running.reply(post, 'answer');
  }

  openGet(): void {
    void openGet(this.owner.session as never, this.open('get'), false);
  }

  /** `back`: the client has `back` events more than it says; below 0: it names an event that the log does not have. */
  resume(name: Name, back = 0): void {
    const seen = this.sinks[name].flatMap(({ got }) => got.map(({ offset }) => offset));
    if (seen.length === 0) return;
    const offset = back < 0 ? NO_EVENT : Math.max(0, Math.max(...seen) - back);
    const resumed = this.#resume(name, { offset, resumes: 0 });
    this.#resumes.add(resumed);
    void resumed.finally(() => this.#resumes.delete(resumed));
  }

  async #resume(
    name: Name,
    from: { readonly offset: number; readonly resumes: number },
  ): Promise<void> {
    const { owner } = this;
    const { session, running, log, ownership } = owner;
    const key = this.keyOf(name);
    const stream = name === 'get' ? owner.getStream : running.stream(key);
    if (stream !== undefined) {
      let sink: TestSink | undefined;
      const resumed = await resumeStream(
        session as never,
        stream,
        () => (sink = this.open(name)),
        from,
      );
      assert.ok(
        ownership.left || resumed === from.offset < NO_EVENT,
        'the log has what a client got',
      );
      // Its client finds the next owner.
      if (owner !== this.owner && sink?.isOpen === true) sink.end();
      return;
    }
    if (from.offset === NO_EVENT) return;
    const outcome = await log.read(key, from.offset);
    assert.ok(outcome.found && outcome.complete);
    replayComplete(
      outcome.events,
      this.open(name),
      { ...from, stream: key, call: 1, isTool: true },
      log,
    );
  }

  disconnect(name: Name): void {
    this.sinks[name].findLast(({ isOpen }) => isOpen)?.end();
  }

  /** `isClean`: the session leaves, once all is stored. Else its owner is taken for dead, and is fenced. */
  async move(isClean: boolean): Promise<void> {
    const { fence, ownership, getStream, post } = this.owner;
    if (isClean) {
      post?.handOverFlushed(true);
      getStream.hostStopped();
      for (let n = 0; n < 100 && (post?.flushing === true || getStream.flushing); n++)
        await this.time.advance(50);
      ownership.leave('released');
    }
    this.#owner = await this.claim(fence);
    const lost = !isClean;
    for (const name of ['get', 'post'] as const) {
      // Its client finds the next owner.
      for (const sink of this.sinks[name]) if (sink.isOpen) sink.end();
      const stored = this.logOf(this.keyOf(name)).filter((data) => data !== '');
      if (!lost) assert.deepEqual(stored, this.sent[name]);
      assert.deepEqual(stored, this.sent[name].slice(0, stored.length));
      this.sent[name].length = stored.length;
    }
    const { running, log } = this.owner;
    if (this.sent.post.at(-1) !== 'answer')
      this.owner.post = running.openStream([CALL], log, {
        key: this.postKey,
        next: this.logOf(this.postKey).length,
      });
  }

  // ——— what must hold ———

  /** Each sink has each event of the log once and in order, from the first to the last that it has. */
  check(): void {
    for (const name of ['get', 'post'] as const) {
      const log = this.logOf(this.keyOf(name));
      for (const { got } of this.sinks[name]) {
        const [first] = got;
        if (first === undefined) continue;
        const last = Math.max(...got.map(({ offset }) => offset));
        const had = got.filter(({ data }) => data !== '');
        const from = first.data === '' ? first.offset + 1 : first.offset;
        const due = log.map((data, offset) => ({ offset, data })).slice(from, last + 1);
        assert.deepEqual(
          had,
          due.filter(({ data }) => data !== ''),
        );
      }
      const open = this.sinks[name].filter(({ isOpen }) => isOpen);
      assert.ok(open.length <= (name === 'get' ? 4 : 1), 'few responses stay open');
    }
  }

  async settle(): Promise<void> {
    for (let n = 0; n < 40; n++) await this.time.advance(50);
    assert.equal(this.#resumes.size, 0);
    this.check();
  }

  async end(): Promise<void> {
    this.heal();
    await this.settle();
    this.answer();
    this.send('get');
    await this.settle();
    for (const name of ['get', 'post'] as const) {
      const log = this.logOf(this.keyOf(name));
      assert.deepEqual(
        log.filter((data) => data !== ''),
        this.sent[name],
      );
      const newest = this.sinks[name].at(-1);
      const has = (sink: TestSink | undefined): boolean =>
        sink?.got.at(-1)?.offset === log.length - 1;
      if (newest?.isOpen === true) assert.ok(has(newest), 'an open response has all');
      else this.resume(name);
      await this.settle();
      if (this.sinks[name].some(({ got }) => got.length > 0))
        assert.ok(has(this.sinks[name].at(-1)));
    }
    assert.ok(this.sinks.post.every(({ isOpen }) => !isOpen));
    this.disconnect('get');
    assert.ok(this.sinks.get.every(({ isOpen }) => !isOpen));
  }
}

const name = fc.constantFrom<Name>('get', 'post');
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('send' as const), name }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('pass' as const),
      ms: fc.constantFrom(0, 0, 5, 20, 100),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('resume' as const),
      name,
      back: fc.integer({ min: -1, max: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('openGet' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('disconnect' as const), name }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('release' as const), name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('poll' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('answer' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('move' as const), isClean: fc.boolean() }) },
);
const way = fc.record({
  ms: fc.constantFrom(0, 0, 1, 10, 50),
  isRead: fc.boolean(),
  fails: fc.constantFrom(undefined, undefined, undefined, 'lost' as const, 'away' as const),
});

test('each client of a session gets every event of its streams once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(way, { maxLength: 60, size: 'max' }),
      fc.array(step, { maxLength: 40, size: 'max' }),
      async (ways, steps) => {
        const world = new World(ways);
        await world.begin();
        for (const one of steps) {
          if (one.op === 'send') world.send(one.name);
          else if (one.op === 'pass') await world.time.advance(one.ms);
          else if (one.op === 'resume') world.resume(one.name, one.back);
          else if (one.op === 'openGet') world.openGet();
          else if (one.op === 'disconnect') world.disconnect(one.name);
          else if (one.op === 'release') world.streamOf(one.name)?.endFlushed();
          else if (one.op === 'poll') world.owner.post?.poll();
          else if (one.op === 'answer') world.answer();
          else await world.move(one.isClean);
          world.check();
        }
        await world.end();
      },
    ),
    { numRuns: 250 },
  );
});
