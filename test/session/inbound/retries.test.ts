/** The table of retries, a test for each cell: what a request becomes after what happened to it. */
import { describe, expect, test } from 'vitest';
import { type Inbound, postOf } from '../../../src/session/inbound/inbound.ts';
import {
  abandonedWhileWaiting,
  afterFailure,
  afterRelay,
  afterStoring,
  afterWait,
  errorAfter,
  forLeaving,
  forLost,
  forRepeat,
  forResume,
  forStop,
  mayWaitOn,
  ranOften,
  relayLost,
} from '../../../src/session/inbound/retries.ts';
import {
  closedEndpoint,
  draining,
  internal,
  leaseLost,
  ownerUnreachable,
  restoreFailed,
  sessionNotFound,
  SojournError,
  storeUnavailable,
  tooManyRequests,
} from '../../../src/base/errors.ts';
import type { Checked } from '../../../src/base/protocol/jsonrpc.ts';
import type { LeaveReason } from '../../../src/base/types.ts';

interface Given extends Partial<Omit<Inbound, 'caller' | 'sink' | 'post'>> {
  readonly closed?: boolean;
  readonly relayed?: 'alive' | 'failed';
  readonly lastId?: string;
  readonly hasBegun?: boolean;
  readonly posts?: 'tool' | 'list' | 'notification' | 'answer';
}

const MESSAGES: Record<NonNullable<Given['posts']>, object> = {
  tool: { kind: 'request', message: { id: 1, method: 'tools/call' } },
  list: { kind: 'request', message: { id: 1, method: 'tools/list' } },
  notification: { kind: 'notification', message: { method: 'notifications/progress' } },
  answer: { kind: 'response', message: { id: 1, result: {} } },
};

function callOf({
  closed = false,
  relayed,
  lastId,
  hasBegun = lastId !== undefined,
  posts,
  ...more
}: Given): Inbound {
  return {
    kind: 'post',
    requestId: posts === 'tool' || posts === 'list' ? 1 : null,
    ...more,
    caller: { closed, relayOrigin: relayed && { linkFailed: relayed === 'failed' } },
    sink: { lastId, hasBegun },
    post: posts && postOf([MESSAGES[posts] as Checked], false, ''),
  } as unknown as Inbound;
}

const codeOf = (error: unknown): unknown =>
  error instanceof SojournError
    ? `${error.code} ${String(error.data?.['mayHaveRun'] ?? '')}`.trim()
    : error;

const hookFailed = restoreFailed(new Error('the factory'));

test.each<[Given, unknown, string]>([
  [{ posts: 'tool' }, leaseLost(), 'wait'],
  [{ posts: 'tool' }, storeUnavailable('now'), 'wait'],
  [{ posts: 'tool' }, hookFailed, 'wait'],
  [{ posts: 'tool' }, ownerUnreachable(), 'wait'],
  [{ posts: 'tool' }, tooManyRequests(1), 'wait'],
  [{ posts: 'tool' }, sessionNotFound(), 'refuse'],
  [{ posts: 'tool' }, new TypeError('a bug'), 'refuse'],
  [{ kind: 'get' }, leaseLost(), 'wait'],
  [{ kind: 'delete' }, leaseLost(), 'wait'],
  [{ posts: 'tool', relayed: 'alive' }, leaseLost(), 'handOver'],
  [{ posts: 'tool', relayed: 'alive' }, tooManyRequests(1), 'wait'],
  // The relaying instance may serve it, or knows another instance that does.
  [{ posts: 'tool', relayed: 'alive' }, draining(), 'handOver'],
  [{ posts: 'tool', relayed: 'alive' }, closedEndpoint(), 'handOver'],
  [{ posts: 'tool', relayed: 'alive' }, sessionNotFound(), 'refuse'],
  [{ posts: 'tool' }, draining(), 'refuse'],
  [{ posts: 'tool', closed: true }, leaseLost(), 'refuse'],
  [{ posts: 'answer', closed: true }, leaseLost(), 'wait'],
])('%j whose attempt failed with %s: %s', (given, cause, next) => {
  expect(afterFailure(callOf(given), cause)).toBe(next);
});

test.each<[unknown, number, boolean]>([
  [leaseLost(), 99, true],
  [hookFailed, 2, true],
  [hookFailed, 3, false],
  [restoreFailed(), 99, true],
  [sessionNotFound(), 0, false],
])('%s after %i failures of hooks may wait on: %s', (cause, failures, waits) => {
  expect(mayWaitOn(cause, failures)).toBe(waits);
});

test.each<[Given, unknown, unknown]>([
  [{ posts: 'tool' }, leaseLost(), 'LEASE_LOST false'],
  [{ posts: 'tool', attemptId: { id: 'i.1', ofProxy: false } }, leaseLost(), 'LEASE_LOST false'],
  // The proxy may have sent it to another instance before.
  [{ posts: 'tool', attemptId: { id: 'attempt-1', ofProxy: true } }, leaseLost(), 'LEASE_LOST'],
  [{ posts: 'tool' }, sessionNotFound(), 'SESSION_NOT_FOUND'],
  [{ posts: 'tool', mayHaveRun: 1 }, leaseLost(), 'OWNER_LOST true'],
  [{ posts: 'tool', hasBegun: true }, leaseLost(), 'OWNER_LOST true'],
  [{ posts: 'tool', mayHaveRun: 1 }, sessionNotFound(), 'SESSION_ENDED true'],
  [{ posts: 'tool', mayHaveRun: 1 }, ownerUnreachable(), 'OWNER_UNREACHABLE true'],
  [{ posts: 'tool', mayHaveRun: 1 }, internal(new Error('a bug')), 'INTERNAL'],
  [{ posts: 'list', mayHaveRun: 1 }, leaseLost(), 'LEASE_LOST'],
  [{ kind: 'get', mayHaveRun: 1 }, sessionNotFound(), 'SESSION_NOT_FOUND'],
  [{ kind: 'delete' }, sessionNotFound(), 'SESSION_NOT_FOUND'],
  [{ kind: 'delete', mayHaveRun: 1 }, sessionNotFound(), undefined],
  [{ kind: 'terminate', mayHaveRun: 1 }, sessionNotFound(), undefined],
])('%j that ends with %s gets %s', (given, cause, error) => {
  expect(codeOf(errorAfter(callOf(given), cause))).toBe(error);
});

describe('a call that another instance had', () => {
  test.each<[Given, 'done' | 'refused' | 'lost' | 'unreachable', object | undefined]>([
    [{ posts: 'tool' }, 'done', undefined],
    [{ posts: 'tool' }, 'refused', { kind: 'post', requestId: 1 }],
    [{ posts: 'tool' }, 'lost', { kind: 'post', mayHaveRun: 1 }],
    [{ posts: 'tool' }, 'unreachable', { kind: 'post', mayHaveRun: 1 }],
    [{ posts: 'tool', mayHaveRun: 2 }, 'lost', { kind: 'post', mayHaveRun: 3 }],
    [{ posts: 'tool', mayHaveRun: 2 }, 'refused', { kind: 'post', mayHaveRun: 2 }],
    [
      { posts: 'tool', lastId: 'e-7' },
      'lost',
      { kind: 'resume', after: 'e-7', mayHaveRun: 1, requestId: 1 },
    ],
    [{ kind: 'get', after: 'e-1' }, 'lost', { kind: 'get', after: 'e-1', mayHaveRun: 1 }],
    [
      { kind: 'get', after: 'e-1', lastId: 'e-7' },
      'lost',
      { kind: 'get', after: 'e-7', mayHaveRun: 1 },
    ],
    [{ kind: 'resume', after: 'e-1', lastId: 'e-7' }, 'lost', { kind: 'resume', after: 'e-7' }],
    [{ kind: 'delete' }, 'lost', { kind: 'delete', mayHaveRun: 1 }],
    [{ posts: 'tool', closed: true }, 'lost', undefined],
    [{ posts: 'answer', closed: true }, 'refused', { kind: 'post' }],
  ])('%j, %s: %j', (given, outcome, next) => {
    const call = afterRelay(callOf(given), outcome);
    if (next === undefined) expect(call).toBeUndefined();
    else expect(call).toMatchObject(next);
  });

  test('the rest of a response has no body', () => {
    expect(afterRelay(callOf({ posts: 'tool', lastId: 'e-7' }), 'lost')?.post).toBeUndefined();
  });
});

test.each<[Given, boolean]>([
  [{ posts: 'tool', relayed: 'failed' }, true],
  [{ posts: 'tool', relayed: 'alive' }, false],
  [{ posts: 'answer', relayed: 'failed' }, false],
  [{ posts: 'tool' }, false],
])('%j is left to the instance that sends it again: %s', (given, lost) => {
  expect(relayLost(callOf(given))).toBe(lost);
});

test.each<[Given, boolean]>([
  [{ posts: 'tool', waitUntil: 1, closed: true }, true],
  [{ posts: 'tool', closed: true }, false],
  [{ posts: 'tool', waitUntil: 1 }, false],
  [{ kind: 'get', waitUntil: 1, closed: true }, false],
  [{ posts: 'answer', waitUntil: 1, closed: true }, false],
])('%j was abandoned while it waited: %s', (given, abandoned) => {
  expect(abandonedWhileWaiting(callOf(given))).toBe(abandoned);
});

test.each<[Given, 'serving' | 'draining' | 'closed', string]>([
  [{ posts: 'tool' }, 'serving', 'refuse'],
  [{ kind: 'get' }, 'serving', 'refuse'],
  [{ posts: 'answer' }, 'serving', 'accept'],
  [{ posts: 'notification' }, 'serving', 'accept'],
  [{ posts: 'answer' }, 'draining', 'waitOn'],
  [{ posts: 'answer' }, 'closed', 'waitOn'],
  [{ posts: 'answer', isAccepted: true }, 'serving', 'refuse'],
])('%j has waited for its time at an endpoint that is %s: %s', (given, endpoint, next) => {
  expect(afterWait(callOf(given), endpoint)).toBe(next);
});

test.each([
  ['written', { left: true, ran: false }, 'again'],
  ['written', { left: true, ran: true }, 'mayHaveRun'],
  ['fenced', { left: false, ran: false }, 'again'],
  ['fenced', { left: true, ran: true }, 'mayHaveRun'],
  ['failed', { left: false, ran: true }, 'refuse'],
  ['failed', { left: true, ran: false }, 'mayHaveRun'],
] as const)('a first event was %s, %j: %s', (result, how, next) => {
  expect(afterStoring(result, how)).toBe(next);
});

test.each<[Given, boolean, string]>([
  [{ posts: 'tool' }, true, 'error'],
  [{ posts: 'tool', lastId: 'e-7' }, true, 'error'],
  [{ kind: 'get' }, true, 'cut'],
  [{ kind: 'get', hasBegun: true }, true, 'error'],
  [{ posts: 'answer' }, true, 'accept'],
  [{ posts: 'answer' }, false, 'refuse'],
  [{ kind: 'delete' }, true, 'refuse'],
  [{ kind: 'terminate' }, true, 'refuse'],
])('this instance stops and %j was relayed (delivered: %s): %s', (given, delivered, end) => {
  expect(forStop(callOf(given), delivered)).toBe(end);
});

test.each([
  [{ attached: true, runs: true, marked: true }, 'attached'],
  [{ attached: false, runs: true, marked: false }, 'lost'],
  [{ attached: false, runs: false, marked: true }, 'lost'],
  [{ attached: false, runs: false, marked: false }, 'run'],
] as const)('a request comes a second time, %j: %s', (first, outcome) => {
  expect(forRepeat(first)).toBe(outcome);
});

const running = { isStoring: false, isDurable: true, mayRunTwice: true };
test.each<[LeaveReason, Partial<typeof running>, string]>([
  ['fenced', { isStoring: true }, 'handOverUnsent'],
  ['fenced', { isStoring: true, isDurable: false }, 'handOverUnsent'],
  ['fenced', {}, 'handOver'],
  ['fenced', { mayRunTwice: false }, 'handOver'],
  ['fenced', { isDurable: false }, 'error'],
  ['released', {}, 'handOverAtPoint'],
  ['released', { isStoring: true }, 'handOverAtPoint'],
  ['released', { mayRunTwice: false }, 'error'],
  ['released', { isDurable: false }, 'error'],
  ['closed', {}, 'error'],
  ['deleted', {}, 'error'],
])('a session is %s while a call runs, %j: %s', (reason, call, next) => {
  expect(forLeaving(reason, { ...running, ...call })).toBe(next);
});

const lost = { kept: true, newest: true, marked: false, repeatable: false, begun: 1 };
test.each<[Partial<typeof lost>, ReturnType<typeof forLost>]>([
  [{}, 'run'],
  [{ marked: true, repeatable: true }, 'run'],
  [{ marked: true }, 'mayHaveRun'],
  [{ kept: false }, 'neverRan'],
  [{ kept: false, marked: true }, 'mayHaveRun'],
  [{ kept: false, marked: true, repeatable: true }, 'mayHaveRun'],
  [{ newest: false }, 'mayHaveRun'],
  [{ begun: 2 }, 'run'],
  [{ begun: 3 }, 'ranOften'],
  [{ begun: 3, marked: true, repeatable: true }, 'ranOften'],
  [{ begun: 3, marked: true }, 'mayHaveRun'],
])('the owner of a call was lost, %j: %s', (call, outcome) => {
  expect(forLost({ ...lost, ...call })).toBe(outcome);
});

test.each([
  [undefined, false],
  [2, false],
  [3, true],
])('a call that %s earlier attempts may have run has run too often: %s', (mayHaveRun, often) => {
  expect(ranOften(mayHaveRun === undefined ? {} : { mayHaveRun })).toBe(often);
});

const dropped = { isGetStream: false, isFinished: false, namesCall: true };
test.each<[Partial<typeof dropped>, string]>([
  [{ isGetStream: true, namesCall: false }, 'getStream'],
  [{ isFinished: true }, 'finished'],
  [{ namesCall: false }, 'finished'],
  [{}, 'error'],
])('a client resumes what the log cannot serve, %j: %s', (stream, next) => {
  expect(forResume({ ...dropped, ...stream })).toBe(next);
});
