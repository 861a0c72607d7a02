/** How a sink that comes back takes over from the one before it, and how a response ends before its stream. */
import { describe, expect, test } from 'vitest';
import type { Sink } from '../../../src/http/sink.ts';
import { GET_STREAM } from '../../../src/session/streams/event-id.ts';
import { type ResumedStream, type ResumeFrom, Resuming } from '../../../src/session/streams/resuming.ts';
import type { LoggedEvent, ReplayOutcome } from '../../../src/stores/store.ts';

const RETRY_MS = 1_000;

const soon = (): Promise<void> => new Promise((done) => setImmediate(done));

interface NamedSink extends Sink {
  readonly name: string;
}

/** A stream whose log answers when the test says so. `seen`: what its sinks get and how they end, in order. */
function streamOf({ key = 'p', relayed = false, completed = false } = {}) {
  const seen: string[] = [];
  const reads: Array<(outcome: ReplayOutcome) => Promise<void>> = [];
  let store: (() => Promise<void>) | undefined;
  const sinkOf = (name: string): NamedSink =>
    ({
      name,
      isOpen: true,
      isRelayed: relayed,
      end: () => seen.push(`${name} ends`),
      handOver: () => seen.push(`${name} moves`),
    }) as unknown as NamedSink;
  const state = { sink: sinkOf('first') as NamedSink | undefined, completed, keepsPoint: false };
  const leave = (): void => void (state.sink = undefined);
  const stream: ResumedStream = {
    key,
    log: {
      retryMs: RETRY_MS,
      read: () =>
        new Promise<ReplayOutcome>((resolve) => {
          reads.push((outcome) => (resolve(outcome), soon()));
        }),
    } as unknown as ResumedStream['log'],
    get isComplete() {
      return state.completed;
    },
    get isStored() {
      return state.completed;
    },
    answersOnly: false,
    get sink() {
      return state.sink;
    },
    position: { offset: 4, resumes: 0 },
    canResume: true,
    use: (sink) => void (state.sink = sink as NamedSink),
    takeSink: () => {
      leave();
      return undefined;
    },
    endSink: () => {
      if (state.sink !== undefined) seen.push(`${state.sink.name} is detached`);
      leave();
    },
    message: (json, offset) => seen.push(`${state.sink?.name} gets ${offset} ${json}`),
    resumePoint: ({ offset }, retryMs) => seen.push(`${state.sink?.name} at ${offset}, retry ${retryMs}`),
    storePoint: () => {
      if (!state.keepsPoint) return 'written';
      return new Promise((resolve) => {
        store = () => (resolve('written'), soon());
      });
    },
    whenFlushed: (then) => then(),
  };
  const resuming = new Resuming(stream);
  const resume = (name: string, from: Partial<ResumeFrom> = {}): Promise<boolean> =>
    resuming.resume(() => sinkOf(name), { offset: 1, resumes: 0, ...from });
  /** A message is stored: to the log that is read, or to the sink. */
  const say = (data: string, offset: number): void => {
    if (!resuming.takes(data, offset) && state.sink !== undefined) stream.message(data, offset);
  };
  return { resuming, resume, say, seen, reads, state, stored: () => store?.() };
}

const found = (next: number, ...events: LoggedEvent[]) => ({ found: true, events, next }) as unknown as ReplayOutcome;
const event = (offset: number, data = `m${offset}`): LoggedEvent => ({ offset, data });

describe('a sink that resumes', () => {
  test('gets the log, then what was stored while the log was read; nothing is missing and nothing comes twice', async () => {
    const { resume, say, seen, reads } = streamOf();
    const resumed = resume('second');
    await soon();
    for (const offset of [3, 4, 5]) say(`m${offset}`, offset);
    expect(seen).toEqual([]);
    // An event without data is a position only.
    await reads[0]?.(found(5, event(2, ''), event(3), event(4)));
    expect(await resumed).toBe(true);
    // The store acknowledges this one late.
    say('m4', 4);
    say('m6', 6);
    expect(seen).toEqual([
      'first is detached',
      'second at 1, retry 1000',
      ...[3, 4, 5, 6].map((offset) => `second gets ${offset} m${offset}`),
    ]);
  });

  test.each([
    ['the log has not', { found: false, why: 'gap' } as unknown as ReplayOutcome],
    ['is past the end of the log', found(1)],
  ])('is refused from a position that %s, and the sink before it misses nothing', async (_, outcome) => {
    const { resume, say, seen, reads } = streamOf();
    const resumed = resume('second');
    await soon();
    say('m5', 5);
    await reads[0]?.(outcome);
    expect(await resumed).toBe(false);
    expect(seen).toEqual(['first gets 5 m5']);
  });

  test('waits for the resume before it', async () => {
    const { resume, seen, reads } = streamOf();
    const both = [resume('second'), resume('third')];
    await soon();
    expect(reads).toHaveLength(1);
    await reads[0]?.(found(3, event(2)));
    await reads[1]?.(found(3, event(2)));
    expect(await Promise.all(both)).toEqual([true, true]);
    expect(seen.filter((line) => line.includes('detached'))).toEqual(['first is detached', 'second is detached']);
    expect(seen.at(-1)).toBe('third gets 2 m2');
  });

  test('ends when the stream was completed while it read the log', async () => {
    const { resume, say, seen, reads, state } = streamOf();
    void resume('second');
    await soon();
    say('answer', 2);
    state.completed = true;
    await reads[0]?.(found(2));
    expect(seen.slice(-2)).toEqual(['second gets 2 answer', 'second is detached']);
  });
});

test('earlier sinks of a GET stream are parked: beyond three the oldest ends, the others with the stream', async () => {
  const { resuming, resume, seen, reads } = streamOf({ key: GET_STREAM });
  for (const [n, name] of ['second', 'third', 'fourth', 'fifth'].entries()) {
    void resume(name);
    await soon();
    await reads[n]?.(found(2));
  }
  const ends = () => seen.filter((line) => line.endsWith('ends'));
  expect(ends()).toEqual(['first ends']);
  expect(seen.join()).not.toContain('detached');
  resuming.endParked();
  expect(ends().slice(1)).toEqual(['first ends', 'second ends', 'third ends', 'fourth ends']);
});

describe('a response ends before its stream', () => {
  test('with an id from which its client resumes, at once where another instance serves', () => {
    for (const [isSoon, retryMs] of [
      [true, 100],
      [false, RETRY_MS],
    ] as const) {
      const { resuming, seen } = streamOf();
      resuming.endToResume(isSoon);
      expect(seen).toEqual([`first at 4, retry ${retryMs}`, 'first is detached']);
    }
  });

  test('while the store is away, but not during a read of the log and not at another instance', async () => {
    const { resuming, seen, resume } = streamOf();
    void resume('second');
    await soon();
    resuming.endToResumeElsewhere();
    const other = streamOf({ relayed: true });
    other.resuming.endToResumeElsewhere();
    expect([seen, other.seen]).toEqual([[], []]);
    const own = streamOf();
    own.resuming.endToResumeElsewhere();
    expect(own.seen).toEqual(['first at 4, retry 100', 'first is detached']);
  });

  test('once a new position is stored, and only if the same sink still reads', async () => {
    const { resuming, seen, state, stored } = streamOf();
    state.keepsPoint = true;
    resuming.endAtNewPoint();
    expect(seen).toEqual([]);
    await stored();
    expect(seen).toEqual(['first is detached']);

    const other = streamOf();
    other.state.keepsPoint = true;
    other.resuming.endAtNewPoint();
    other.state.sink = { ...(other.state.sink as NamedSink), name: 'second' };
    await other.stored();
    expect(other.seen).toEqual([]);
  });

  test('for the next owner of its session, where a sink at another instance moves instead', () => {
    const [own, relayed] = [streamOf(), streamOf({ relayed: true })];
    for (const { resuming } of [own, relayed]) resuming.handOverAtPoint(true);
    expect([own.seen, relayed.seen]).toEqual([['first is detached'], ['first moves']]);
  });

  test('each time a client polls, until the stream is complete', async () => {
    const { resuming, resume, seen, reads, state } = streamOf();
    expect(resuming.poll(50)).toBe(true);
    void resume('second');
    await soon();
    await reads[0]?.(found(3, event(2)));
    const poll = ['second at 1, retry 50', 'second gets 2 m2', 'second is detached'];
    expect(seen).toEqual(['first is detached', ...poll]);
    state.completed = true;
    expect(resuming.poll(50)).toBe(false);
  });

  test('cleanly, but not again for the sink that resumed from that end', () => {
    const { resuming, seen, state } = streamOf();
    const end = resuming.laterEndToResume({ offset: 1, resumes: 0 });
    end?.();
    expect(seen).toEqual(['first at 4, retry 100', 'first is detached']);
    expect(state.sink).toBeUndefined();
    expect(resuming.laterEndToResume({ offset: 4, resumes: 1 })).toBeUndefined();
    // A later sink may be ended again.
    expect(resuming.laterEndToResume({ offset: 4, resumes: 1 })).toBeTypeOf('function');
  });
});
