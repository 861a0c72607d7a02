/** What a POST on a session does at each step when something comes between. Its session and its response note it. */
import { describe, expect, test } from 'vitest';
import { type PostHost, servePost } from '../../../src/eras/legacy/posts.ts';
import { StartTurns } from '../../../src/eras/legacy/start-turns.ts';
import { SojournError, storeAway, tooManyRequests } from '../../../src/errors.ts';
import type { InboundPost, NextAttempt } from '../../../src/inbound/inbound.ts';
import type { AdmittedPost } from '../../../src/session/calls/entering-post.ts';
import type { LiveSession } from '../../../src/session/session.ts';
import type { WriteResult } from '../../../src/session/streams/event-log.ts';
import { request } from '../../kit/noted-calls.ts';
import { soon } from '../../kit/noted-streams.ts';

const notification = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' } as const;

interface Given {
  readonly messages?: ReadonlyArray<{ readonly kind: string; readonly message: object }>;
  readonly batch?: boolean;
  readonly version?: string;
  readonly json?: boolean;
  readonly mayHaveRun?: boolean;
  readonly hasWaited?: boolean;
  readonly relayed?: boolean;
  readonly resumes?: boolean;
  /** It may run twice. */
  readonly ahead?: boolean;
  readonly stored?: WriteResult | Promise<WriteResult>;
  readonly refusal?: SojournError;
  readonly hook?: Promise<void>;
  /** What the record of the session says of a change, later. */
  readonly saved?: Promise<boolean>;
  /** What the log has of an earlier attempt. */
  readonly log?: () => Promise<{ found: boolean; complete: boolean; events: [] }>;
  /** The same call of a lost owner runs again here: whether its stream is here too. */
  readonly reran?: 'with its stream' | 'elsewhere';
}

const one = (id: number, method?: string) => ({ kind: 'request', message: request(id, method) });

/** `seen`: what the session and the response are asked for, in order. */
function posted(given: Given = {}) {
  const { messages = [one(1)], batch = false, version = '2025-03-26', resumes = false, stored = 'written' } = given;
  const seen: unknown[] = [];
  const state = { left: false, leaseValid: true, marked: given.mayHaveRun === true, attached: false };
  let late: (result: WriteResult) => void = () => {};
  let leaseBack: () => void = () => {};
  const note = (what: string) => (): undefined => void seen.push(what);
  const stream = {
    key: 'p2x0',
    logged: true,
    delayed: false,
    answersOnly: given.json === true,
    clientResumes: resumes,
    hasOpenSink: false,
    noteDelay: () => (stream.delayed = true),
  };
  const calls = messages
    .filter(({ kind }) => kind === 'request')
    .map(() => ({ isOver: false, phase: 'running', startsAfter: note('starts later') }));
  const earlierStream = { logged: false, endSink: note('earlier sink ends'), use: note('attached') };
  const rerun = given.reran && {
    method: 'tools/call',
    stream: given.reran === 'elsewhere' ? undefined : earlierStream,
  };
  const session = {
    version,
    host: {
      authorizer:
        given.hook === undefined
          ? undefined
          : {
              asAllowed: (asked: object) => given.hook?.then(() => (seen.push('authorized'), asked)),
              challenge: (refused: unknown) => refused,
            },
    },
    get left() {
      return state.left;
    },
    ownership: {
      get leaseValid() {
        return state.leaseValid;
      },
      untilLeaseValid: () => (seen.push('waits for the lease'), new Promise<void>((back) => (leaseBack = back))),
      fenced: note('fenced'),
    },
    transport: { checkScopes: () => undefined },
    record: { saving: given.saved !== undefined, saved: () => given.saved, subscriptions: {} },
    markers: { keep: note('marker kept'), marked: () => (state.marked ? 'p1x0' : undefined) },
    streamLog: {},
    log: { read: given.log ?? (async () => ({ found: false, complete: false, events: [] })) },
    input: { notification: note('notification'), refusal: () => undefined },
    lostCallJson: ({ id }: { id: number }, { code, data }: SojournError) =>
      `${id} ${code} ${String(data?.['mayHaveRun'])}`,
    questions: { askAgain: note('asked again') },
    calls: {
      running: { refusal: () => given.refusal, get: () => rerun, stream: () => undefined },
      remembersRuns: rerun !== undefined,
      earlierRun: () => rerun && { reran: true, stream: 'p1x0' },
      forgetRun: note('run forgotten'),
      admitPost: ({ attempt }: { attempt: number }, requests: readonly object[]) => (
        seen.push(attempt === 1 ? 'admitted' : `admitted, attempt ${attempt}`),
        { requests, calls, stream, caller } as unknown as AdmittedPost
      ),
      ahead: () => (given.ahead === true ? {} : undefined),
      storeFirst: () => (seen.push('stored first'), stored),
      beginAhead: (_: object, __: object, ___: object, done: typeof late) => (seen.push('begun ahead'), (late = done)),
      begin: note('begun'),
      dispatch: ({ id }: { id: number }) => seen.push(`dispatched ${id}`),
      withdraw: note('withdrawn'),
      withdrawRunning: note('withdrawn while it ran'),
      completeUnrun: note('completed without a run'),
    },
  };
  const caller = {
    closed: false,
    relayOrigin: given.relayed === true ? { linkFailed: false } : undefined,
    authInfo: undefined,
  };
  const sink = {
    begin: (policy: string) => seen.push(`head ${policy}`),
    message: (json: string) => seen.push(json),
    end: note('end'),
    cut: note('cut'),
    withdraw: note('head withdrawn'),
    done: (status: number) => seen.push(status),
    refuse: ({ code, message, data }: SojournError, id: unknown) =>
      seen.push(`refused ${id} ${code}`, message, data?.['mayHaveRun']),
  };
  const host = {
    options: {
      limits: { requestsPerSession: 64 },
      responseMode: given.json === true ? 'json' : 'auto',
      logger: { error: (_: object, text: string) => seen.push(text) },
    },
    gate: { limitsSessions: false },
    registry: { touch: note('touched') },
    responses: { post: 'post', resumed: 'resumed', json: 'json', batch: 'batch' },
    tracker: { track: <T>(_: object, work: Promise<T>) => (seen.push('tracked'), work) },
    starts: new StartTurns(),
  };
  const inbound = {
    kind: 'post',
    caller,
    sink,
    post: { messages, batch, text: undefined },
    requestId: batch ? null : 1,
    ...(given.mayHaveRun === true && { mayHaveRun: true }),
    ...(given.hasWaited === true && { waitUntil: 1 }),
  } as unknown as InboundPost;
  const serve = () =>
    servePost(host as unknown as PostHost, session as unknown as LiveSession, inbound) as Promise<NextAttempt>;
  const parts = { seen, state, stream, calls, caller, inbound, serve };
  return { ...parts, lateResult: (result: WriteResult) => late(result), leaseReturns: () => leaseBack() };
}

const marked = { mayHaveRun: true };

describe('a POST whose requests wait for the store', () => {
  test('is stored, begins its response and is dispatched, in this order and in one turn', () => {
    const { seen, serve } = posted();
    expect(serve()).toBeUndefined();
    expect(seen).toEqual(['admitted', 'stored first', 'marker kept', 'head post', 'begun', 'dispatched 1']);
  });

  test('waits for a store that answers later, and its calls know it', async () => {
    const { seen, serve } = posted({ stored: Promise.resolve('written') });
    const next = serve();
    expect(seen).toEqual(['admitted', 'stored first', 'starts later']);
    expect(await next).toBeUndefined();
    expect(seen.slice(3)).toEqual(['marker kept', 'head post', 'begun', 'dispatched 1']);
  });

  test.each<[WriteResult, boolean, object | 'refused']>([
    ['fenced', false, {}],
    ['fenced', true, {}],
    ['failed', true, marked],
    ['failed', false, 'refused'],
  ])('and that is not stored (%s, the session left: %s) is withdrawn', async (stored, left, next) => {
    for (const isLate of [false, true]) {
      const { seen, state, inbound, serve } = posted({ stored: isLate ? Promise.resolve(stored) : stored });
      state.left = left;
      const result = await serve();
      expect(result).toEqual(next === 'refused' ? undefined : { ...inbound, ...next });
      expect(seen.filter((what) => what === 'withdrawn' || what === 'fenced')).toEqual(
        stored === 'fenced' ? ['fenced', 'withdrawn'] : ['withdrawn'],
      );
      expect(seen).not.toContain('dispatched 1');
      expect(seen.includes('refused 1 STORE_AWAY')).toBe(next === 'refused');
      // Its client may send it again.
      if (next === 'refused') expect(seen.at(-1)).toBe(false);
    }
  });

  test('begins only when the lease is back, and the next attempt has it if the session left during the wait', async () => {
    for (const leaves of [false, true]) {
      const { seen, state, stream, inbound, serve, leaseReturns } = posted({ stored: Promise.resolve('written') });
      state.leaseValid = false;
      const next = serve();
      await soon();
      expect([seen.at(-1), stream.delayed]).toEqual(['waits for the lease', true]);
      [state.leaseValid, state.left] = [true, leaves];
      leaseReturns();
      expect(await next).toEqual(leaves ? { ...inbound, storedAs: stream.key } : undefined);
      expect(seen.at(-1)).toBe(leaves ? 'withdrawn' : 'dispatched 1');
    }
  });

  test('and that waited for the lease does not run once its client has left', async () => {
    const { seen, state, caller, serve, leaseReturns } = posted({ stored: Promise.resolve('written') });
    state.leaseValid = false;
    const next = serve();
    await soon();
    [state.leaseValid, caller.closed] = [true, true];
    leaseReturns();
    await next;
    expect(seen.at(-1)).toBe('completed without a run');
  });

  test.each([
    { hasWaited: true, relayed: false, runs: false },
    { hasWaited: false, relayed: false, runs: true },
    { hasWaited: true, relayed: true, runs: true },
  ])('and whose client left (it waited: $hasWaited, relayed: $relayed) runs: $runs', ({ runs, ...given }) => {
    const { seen, caller, serve } = posted(given);
    caller.closed = true;
    expect(serve()).toBeUndefined();
    expect(seen.at(-1)).toBe(runs ? 'dispatched 1' : 'completed without a run');
  });

  test('leaves its stream to a retry that attached before it', () => {
    const { seen, stream, serve } = posted();
    stream.hasOpenSink = true;
    void serve();
    expect(seen.slice(-3)).toEqual(['marker kept', 'cut', 'dispatched 1']);
  });

  test('does not dispatch a request that was cancelled while it waited', async () => {
    const { seen, calls, serve } = posted({
      messages: [one(1), one(2)],
      batch: true,
      stored: Promise.resolve('written'),
    });
    const next = serve();
    Object.assign(calls[0] as object, { isOver: true });
    await next;
    expect(seen.filter((what) => String(what).startsWith('dispatched'))).toEqual(['dispatched 2']);
  });
});

describe('a POST whose requests may all run twice', () => {
  test('is dispatched before it is stored, and is done when it is', async () => {
    const { seen, serve, lateResult } = posted({ ahead: true });
    const next = serve();
    expect(seen).toEqual(['admitted', 'head post', 'begun ahead', 'dispatched 1']);
    lateResult('written');
    expect(await next).toBeUndefined();
    // Its response has begun, and its requests are not dispatched again.
    expect(seen).toHaveLength(4);
  });

  test.each<[WriteResult, boolean, string, object | 'refused']>([
    ['fenced', true, 'running', {}],
    ['failed', true, 'running', marked],
    ['failed', false, 'running', 'refused'],
    ['written', true, 'handedOver', marked],
  ])('and is taken back after %s (left: %s, %s)', async (result, left, phase, expected) => {
    const { seen, state, calls, inbound, serve, lateResult } = posted({ ahead: true });
    const next = serve();
    state.left = left;
    Object.assign(calls[0] as object, { phase });
    lateResult(result);
    expect(await next).toEqual(expected === 'refused' ? undefined : { ...inbound, ...expected });
    expect(seen.slice(4, 6)).toEqual(['withdrawn while it ran', 'head withdrawn']);
    expect(seen.includes('refused 1 STORE_AWAY')).toBe(expected === 'refused');
  });
});

describe('the form of the response', () => {
  test.each<[string, Given, string]>([
    ['a stream', {}, 'head post'],
    ['a stream whose client resumes', { resumes: true }, 'head resumed'],
    ['one JSON body', { json: true }, 'head json'],
    ['a JSON array', { json: true, batch: true }, 'head batch'],
  ])('is %s', (_, given, head) => {
    const { seen, serve } = posted(given);
    void serve();
    expect(seen.filter((what) => String(what).startsWith('head'))).toEqual([head]);
  });

  test('of a batch is an error in revisions without them', () => {
    const { seen, serve } = posted({ batch: true, version: '2025-11-25' });
    expect(serve()).toBeUndefined();
    expect(seen[0]).toBe('refused null BATCH_NOT_ALLOWED');
    const single = posted({ version: '2025-11-25' });
    expect(single.serve()).toBeUndefined();
    expect(single.seen.at(-1)).toBe('dispatched 1');
  });
});

describe('a POST without a request', () => {
  const silent = { messages: [{ kind: 'notification', message: notification }] };

  test('is accepted at once, and the session is in use', () => {
    const { seen, serve } = posted(silent);
    expect(serve()).toBeUndefined();
    expect(seen).toEqual(['notification', 'touched', 202]);
  });

  test.each([
    { saved: true, left: false, accepted: true },
    { saved: true, left: true, accepted: true },
    { saved: false, left: false, accepted: true },
    { saved: false, left: true, accepted: false },
  ])('waits until its change is stored (saved: $saved, left: $left)', async ({ saved, left, accepted }) => {
    let store: (isSaved: boolean) => void = () => {};
    const { seen, state, inbound, serve } = posted({ ...silent, saved: new Promise((resolve) => (store = resolve)) });
    const next = serve();
    await soon();
    expect(seen).not.toContain(202);
    state.left = left;
    store(saved);
    expect(await next).toEqual(accepted ? undefined : inbound);
    expect(seen.includes(202)).toBe(accepted);
  });
});

describe('a POST that may have run', () => {
  test('gets the error of a lost owner where its first attempt left a marker and no answer', async () => {
    const { seen, serve } = posted(marked);
    expect(await serve()).toBeUndefined();
    expect(seen).toEqual(['tracked', 'head post', '1 OWNER_LOST true', 'end']);
  });

  test('gets one for each request of a batch', async () => {
    const { seen, serve } = posted({ ...marked, messages: [one(1), one(2)], batch: true });
    await serve();
    expect(seen.slice(2)).toEqual(['1 OWNER_LOST true', '2 OWNER_LOST true', 'end']);
  });

  test('runs at once where no attempt of it is known', () => {
    const { seen, state, serve } = posted(marked);
    state.marked = false;
    expect(serve()).toBeUndefined();
    expect(seen.slice(0, 2)).toEqual(['admitted, attempt 2', 'stored first']);
  });

  test('runs where its marker went while the log was read', async () => {
    const given: { log?: Given['log'] } = {};
    const { seen, state, serve } = posted({ ...marked, log: async () => given.log?.() as never });
    given.log = async () => ((state.marked = false), { found: false, complete: false, events: [] });
    expect(await serve()).toBeUndefined();
    expect(seen.slice(1, 3)).toEqual(['run forgotten', 'admitted, attempt 2']);
    expect(seen.at(-1)).toBe('dispatched 1');
  });

  test('is found again, still marked, where the session left while the log was read', async () => {
    const given: { log?: Given['log'] } = {};
    const { seen, state, inbound, serve } = posted({ ...marked, log: async () => given.log?.() as never });
    given.log = async () => ((state.left = true), { found: false, complete: false, events: [] });
    expect(await serve()).toEqual(inbound);
    expect(seen).toEqual(['tracked']);
  });

  test('waits where the store is away, which may have its answer', async () => {
    const { seen, serve } = posted({ ...marked, log: () => Promise.reject(storeAway('reading')) });
    await expect(serve()).rejects.toMatchObject({ code: 'STORE_AWAY' });
    expect(seen).toEqual(['tracked']);
  });

  test('counts as lost where the log fails otherwise, and the log line says so', async () => {
    const { seen, serve } = posted({ ...marked, log: () => Promise.reject(new Error('torn')) });
    expect(await serve()).toBeUndefined();
    expect(seen[1]).toMatch(/^Whether a call has run before could not be read/);
    expect(seen.slice(2)).toEqual(['head post', '1 OWNER_LOST true', 'end']);
  });
});

describe('a POST that its client sends again while its call runs again for a lost owner', () => {
  test.each([
    [false, 'head post'],
    [true, 'head json'],
  ])('gets the answer of that run, in the form of the new response (JSON: %s)', async (json, head) => {
    const { seen, serve } = posted({ reran: 'with its stream', json });
    expect(await serve()).toBeUndefined();
    expect(seen).toEqual(['tracked', 'earlier sink ends', head, 'attached', 'asked again']);
  });

  test('counts as lost where the store is away: no instance marked it', async () => {
    const { seen, serve } = posted({ reran: 'elsewhere', log: () => Promise.reject(storeAway('reading')) });
    expect(await serve()).toBeUndefined();
    expect(seen.slice(-3)).toEqual(['head post', '1 OWNER_LOST true', 'end']);
  });

  test('is marked for its next attempt where the session left while the log was read', async () => {
    const given: { log?: Given['log'] } = {};
    const { state, inbound, serve } = posted({ reran: 'elsewhere', log: async () => given.log?.() as never });
    given.log = async () => ((state.left = true), { found: false, complete: false, events: [] });
    expect(await serve()).toEqual({ ...inbound, mayHaveRun: true });
  });
});

describe('while a hook runs', () => {
  test.each<[string, (posted_: ReturnType<typeof posted>) => void]>([
    ['the session leaves', ({ state }) => void (state.left = true)],
    ['the lease ends', ({ state }) => void (state.leaseValid = false)],
    [
      'the link to the relaying instance fails',
      ({ caller }) => void Object.assign(caller.relayOrigin ?? {}, { linkFailed: true }),
    ],
  ])('%s: the POST is found again, and nothing was admitted', async (_, happens) => {
    let over: () => void = () => {};
    const post = posted({ relayed: true, hook: new Promise<void>((resolve) => (over = resolve)) });
    const next = post.serve();
    happens(post);
    over();
    expect(await next).toEqual(post.inbound);
    expect(post.seen).toEqual(['tracked', 'authorized']);
  });

  test('nothing: it is admitted and dispatched', async () => {
    const { seen, serve } = posted({ hook: Promise.resolve() });
    expect(await serve()).toBeUndefined();
    expect(seen.slice(1)).toEqual([
      'authorized',
      'admitted',
      'stored first',
      'marker kept',
      'head post',
      'begun',
      'dispatched 1',
    ]);
  });
});

describe('a refusal', () => {
  test('by a full session is thrown: the POST waits for its place', () => {
    const { seen, serve } = posted({ refusal: tooManyRequests(64) });
    expect(() => serve()).toThrow(expect.objectContaining({ code: 'TOO_MANY_REQUESTS' }));
    expect(seen).toEqual([]);
  });

  test('by anything else answers it, and says that it did not run', () => {
    const { seen, serve } = posted({ refusal: new SojournError('REQUEST_ID_IN_FLIGHT', 'in flight') });
    expect(serve()).toBeUndefined();
    expect(seen[0]).toBe('refused 1 REQUEST_ID_IN_FLIGHT');
  });
});
