/** A sink of a live session's stream: what it gets first, and that the session is in use for as long as it reads. */
import { describe, expect, test } from 'vitest';
import { RunningCalls } from '../../../src/session/calls/running.ts';
import { PendingListChanges } from '../../../src/session/streams/pending-list-changes.ts';
import type { LiveSession } from '../../../src/session/session.ts';
import { openGet, resumable, resumeStream } from '../../../src/session/streams/attach.ts';
import { GET_STREAM } from '../../../src/session/streams/event-id.ts';
import { Stream } from '../../../src/session/streams/stream.ts';
import type { ReplayOutcome } from '../../../src/stores/store.ts';
import { notedLog, notedSink, soon } from '../../kit/noted-streams.ts';

const TOOLS = 'notifications/tools/list_changed';
const toolsChanged = (id?: string): string =>
  `gets ${JSON.stringify({ jsonrpc: '2.0', method: TOOLS })}${id === undefined ? '' : ` as ${id}`}`;

/** A session whose server announces changes of its tools. `users`: its running requests and open sinks. */
function sessionOf({ logged = true, late = false, getPrimed = false } = {}) {
  const seen: unknown[] = [];
  const noted = notedLog(seen, { late });
  const log = logged ? noted.log : undefined;
  const state = { users: 0, left: false };
  const record = {
    getPrimed,
    setGetPrimed: () => (record.getPrimed = true),
    answer: { word: undefined, listChanges: [TOOLS] },
    answerChanged: () => {},
  };
  const session = {
    record,
    getStream: new Stream(GET_STREAM, log, getPrimed ? 1 : 0),
    listChanges: new PendingListChanges(record as unknown as ConstructorParameters<typeof PendingListChanges>[0]),
    usedUnsent: { send: () => seen.push('unsent questions') },
    calls: { running: new RunningCalls(1) },
    enter: () => (state.users += 1),
    exit: () => (state.users -= 1),
    get left() {
      return state.left;
    },
  } as unknown as LiveSession;
  const sinkOf = (name: string) => notedSink(seen, name);
  const get = (name: string, missed = false) => openGet(session, sinkOf(name), missed);
  /** What the clients get. */
  const sent = () => seen.filter((line) => !String(line).startsWith('stored'));
  return { ...noted, session, record, seen, sent, sinkOf, get, log, use: state };
}

const found = { found: true, events: [], next: 1 } as unknown as ReplayOutcome;
const gap = { found: false, why: 'gap' } as unknown as ReplayOutcome;

describe('a GET stream is opened', () => {
  test('with a position, then what the client has missed, then the questions that wait', () => {
    const { get, sent, record } = sessionOf();
    expect(get('first', true)).toBe('written');
    expect(sent()).toEqual(['first at g-0, retry 1000', `first ${toolsChanged('g-1')}`, 'unsent questions']);
    expect(record.getPrimed).toBe(true);
  });

  test('in this order too where the store is late', async () => {
    const { get, sent, appends } = sessionOf({ late: true });
    const primed = get('first', true);
    expect(sent()).toEqual(['unsent questions']);
    await appends[0]?.settle('written');
    expect(await primed).toBe('written');
    await appends[1]?.settle('written');
    expect(sent().slice(1)).toEqual(['first at g-0, retry 1000', `first ${toolsChanged('g-1')}`]);
  });

  test('and its caller learns that another instance owns the session', async () => {
    const { get, appends } = sessionOf({ late: true });
    const primed = get('first');
    await appends[0]?.settle('fenced');
    expect(await primed).toBe('fenced');
  });

  test('without a position where streams are not logged, and its client is not expected to come back', () => {
    const { get, sent, record } = sessionOf({ logged: false });
    expect(get('first', true)).toBe('written');
    expect(sent()).toEqual([`first ${toolsChanged()}`, 'unsent questions']);
    expect(record.getPrimed).toBe(false);
  });

  test.each([
    ['the first stream', { getPrimed: false, reads: false, missed: false }, false],
    ['a resume at a gap in the log', { getPrimed: false, reads: false, missed: true }, true],
    ['a later stream without Last-Event-ID', { getPrimed: true, reads: false, missed: false }, true],
    ['a second stream while the first reads', { getPrimed: true, reads: true, missed: false }, false],
  ])('is %s: %j, list changes are sent: %s', (_, { getPrimed, reads, missed }, changed) => {
    const { session, get, sent, sinkOf } = sessionOf({ getPrimed });
    if (reads) session.getStream.use(sinkOf('earlier'));
    void get('next', missed);
    expect(sent().some((line) => String(line).startsWith(`next ${toolsChanged()}`))).toBe(changed);
  });

  test('and list changes that wait from before go to it, once', () => {
    const { session, get, sent } = sessionOf();
    session.listChanges.missed([TOOLS]);
    void get('first');
    void get('second');
    expect(sent().filter((line) => String(line).includes(TOOLS))).toEqual([`first ${toolsChanged('g-1')}`]);
  });

  test('while an earlier sink reads: that is parked, and ends with the newer', () => {
    const { session, get, sent, use } = sessionOf();
    void get('first');
    void get('second');
    session.getStream.send('a');
    expect(sent().slice(2)).toEqual(['second at g-1, retry 1000', 'unsent questions', 'second gets a as g-2']);
    // The parked sink gets nothing, so it does not keep the session.
    expect(use.users).toBe(1);
    session.getStream.endSink();
    expect(sent().slice(5)).toEqual(['second ends', 'first ends']);
    expect(use.users).toBe(0);
  });

  test.each(['ends', 'disconnects'])('and the session is in use until its sink %s', (how) => {
    const { session, get, use } = sessionOf();
    void get('first');
    expect(use.users).toBe(1);
    const { sink } = session.getStream;
    if (how === 'ends') session.getStream.endSink();
    else if (sink !== undefined) session.getStream.sinkClosed(sink);
    expect(use.users).toBe(0);
  });
});

describe('the stream of a Last-Event-ID', () => {
  test('is the GET stream once that has a position', () => {
    const { session, get } = sessionOf();
    expect(resumable(session, GET_STREAM)).toBeUndefined();
    void get('first');
    expect(resumable(session, GET_STREAM)).toBe(session.getStream);
  });

  test('is that of a running POST until the log answers for it', () => {
    const { session, log } = sessionOf();
    const { running } = session.calls;
    const posted = { answersOnly: false, requests: 1, call: undefined };
    const [stream, other] = [running.openStream(posted, log), running.openStream(posted, log)];
    expect(resumable(session, stream.key)).toBe(stream);
    running.forgetStream(stream.key);
    expect(resumable(session, stream.key)).toBeUndefined();
    expect(resumable(session, other.key)).toBe(other);
  });
});

/** The client of the first GET stream comes back, and the log has been asked. */
async function comingBack(stream?: 'post') {
  const parts = sessionOf({ getPrimed: true });
  const { session, sinkOf, sent, log } = parts;
  const posted = { answersOnly: false, requests: 1, call: undefined };
  const resumed = stream === 'post' ? session.calls.running.openStream(posted, log) : session.getStream;
  session.listChanges.missed([TOOLS]);
  const done = resumeStream(session, resumed, () => sinkOf('second'), { offset: 0, resumes: 0 });
  await soon();
  expect([sent(), parts.use.users]).toEqual([[], 1]);
  return { ...parts, resumed, done };
}

describe('a stream is resumed', () => {
  test('and the GET stream then gets what waits for it; the session is in use until the sink ends', async () => {
    const { reads, done, sent, use, resumed } = await comingBack();
    await reads[0]?.(found);
    expect(await done).toBe(true);
    expect(sent()).toEqual(['second at g-0.r1, retry 1000', `second ${toolsChanged('g-1')}`, 'unsent questions']);
    expect(use.users).toBe(1);
    resumed.endSink();
    expect(use.users).toBe(0);
  });

  test('and that of a POST gets only its own messages', async () => {
    const { reads, done, sent, use, resumed, session } = await comingBack('post');
    await reads[0]?.(found);
    expect(await done).toBe(true);
    expect(sent()).toEqual([`second at ${resumed.key}-0.r1, retry 1000`]);
    expect([session.listChanges.any, use.users]).toEqual([true, 1]);
  });

  test('but not from a position that the log has not: nothing is sent, and what waits still waits', async () => {
    const { reads, done, sent, use, session } = await comingBack();
    await reads[0]?.(gap);
    expect(await done).toBe(false);
    expect([sent(), use.users, session.listChanges.any]).toEqual([[], 0, true]);
  });

  test('and ends at once if the session left while the log was read, so that its client finds the next owner', async () => {
    const { reads, done, sent, use, session } = await comingBack();
    use.left = true;
    await reads[0]?.(found);
    expect(await done).toBe(true);
    expect(sent()).toEqual(['second at g-0.r1, retry 1000', 'second ends']);
    expect([use.users, session.listChanges.any]).toEqual([0, true]);
  });

  test('and a store that fails is passed on, and does not keep the session in use', async () => {
    const { session, sinkOf, log, sent, use } = sessionOf({ getPrimed: true });
    const away = new Error('away');
    Object.assign(log as object, { read: () => Promise.reject(away) });
    const done = resumeStream(session, session.getStream, () => sinkOf('second'), { offset: 0, resumes: 0 });
    await expect(done).rejects.toBe(away);
    expect([sent(), use.users]).toEqual([[], 0]);
  });
});
