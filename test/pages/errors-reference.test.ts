import { describe, expect, test } from 'vitest';
import * as errors from '../../src/base/errors.ts';
import { ERROR_CODES, SojournError } from '../../src/base/errors.ts';
import { readFileSync } from 'node:fs';

const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8');

/** `- `CODE` (status, rpc): what` */
const rows = [...page.matchAll(/^- `([A-Z_]+)`(?: \(([^)]*)\))?: ((?:.+\n)(?: {2}.+\n)*)/gm)].map(
  ([, code = '', numbers = '', what = '']) => {
    const found = numbers === '' ? [] : numbers.split(', ').map(Number);
    return {
      code,
      status: found.find((number) => number > 0),
      rpc: found.find((number) => number < 0) ?? -32_000,
      what: what.replaceAll(/\s+/g, ' '),
    };
  },
);

/** One of each: the builders take texts, numbers and lists of texts, and only print them. */
const built = Object.values(errors).flatMap((value): SojournError[] => {
  if (typeof value !== 'function' || value === SojournError || value === errors.rpcError) return [];
  const error = (value as (...args: unknown[]) => unknown)('x', ['y'], 'z');
  return error instanceof SojournError ? [error] : [];
});

/** Never an answer: thrown to server code, or to the code that configures. */
const THROWN = [
  'NO_STREAM',
  'NOT_INITIALIZED',
  'SESSION_REQUIRED',
  'SESSION_GONE',
  'CALL_ABORTED',
  'NEXT_TWICE',
  'REQUEST_CHANGED',
  'STATE_TOO_LARGE',
  'SEAL_TOO_LONG',
  'OUTSIDE_HANDLER',
  'ONCE_WITHIN_ITSELF',
  'ONCE_KEY_INVALID',
  'STEP_INVALID',
  'DEFINITION_REFUSED',
];

/** A message with one of these makes some hosts run the call again (Mastra 2's client has this list). */
const REPEATED_WORDS = [
  'session',
  'server not initialized',
  'not connected',
  'http 400',
  'http 401',
  'http 403',
  'http 404',
  'econnrefused',
  'fetch failed',
  'connection refused',
  'connection closed',
  'sse stream disconnected',
  'typeerror: terminated',
];

/** Of the builders that take it, also with `mayHaveRun: true`, which is `'x'` above. */
const mayHaveRun = built.filter(({ data }) => data !== undefined && 'mayHaveRun' in data);

describe('an error that says that a call may have run', () => {
  test('is each of these', () => {
    expect(mayHaveRun.map(({ code }) => code).toSorted()).toEqual([
      'ANSWER_NOT_KEPT',
      'CALL_TIMEOUT',
      'CHILD_ENDED',
      'DRAINING',
      'ENDPOINT_CLOSED',
      'MESSAGES_CUT',
      'OBJECT_CLOSED',
      'ONCE_ABORTED',
      'OWNER_LOST',
      'OWNER_LOST',
      'OWNER_UNREACHABLE',
      'RESULT_NOT_KEPT',
      'RESULT_TOO_LARGE',
      'SESSION_ENDED',
      'SESSION_NOT_FOUND',
      'TOO_MANY_ATTEMPTS',
      'USER_LIMIT',
    ]);
  });

  test.each(mayHaveRun)('$code has no word that makes hosts run the call again', ({ message }) => {
    expect(REPEATED_WORDS.filter((word) => message.toLowerCase().includes(word))).toEqual([]);
    expect(message).toContain('may have run');
  });
});

describe('the errors page', () => {
  test('has every code once, and no other', () => {
    expect(rows.map(({ code }) => code).sort()).toEqual([...ERROR_CODES].sort());
  });

  test('every code but OPTION_INVALID is built by a named function', () => {
    const codes = new Set(built.map(({ code }) => code));
    expect(ERROR_CODES.filter((code) => !codes.has(code))).toEqual(['OPTION_INVALID']);
  });

  test.each(rows.filter(({ code }) => code !== 'OPTION_INVALID'))(
    'tells what $code is answered with',
    (row) => {
      const own = built.filter(({ code }) => code === row.code);
      if (THROWN.includes(row.code)) expect(row.status).toBeUndefined();
      const statuses = new Set(own.map(({ status }) => status));
      if (row.status !== undefined)
        expect(statuses).toEqual(
          new Set(row.what.includes('200: ') ? [row.status, 200] : [row.status]),
        );
      expect(own.map(({ rpcCode }) => rpcCode)).toEqual(own.map(() => row.rpc));
      expect(own.some(({ retryable }) => retryable)).toBe(row.status === 429 || row.status === 503);
      const reasons = [...row.what.matchAll(/`reason: (\w+)`/g)].map(([, reason]) => reason);
      for (const { data } of own) {
        if (typeof data?.['reason'] !== 'string') continue;
        expect(reasons.length > 0 ? reasons : [row.code.toLowerCase()]).toContain(data['reason']);
      }
    },
  );
});
