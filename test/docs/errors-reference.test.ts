import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { moduleInvalid } from '../../src/cli/failure.ts';
import * as errors from '../../src/errors.ts';
import { ERROR_CODES, SojournError } from '../../src/errors.ts';

const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8');

const rows = page
  .split('\n')
  .filter((line) => /^\| `[A-Z_]+`/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, code = '', status = '', rpc = '', again = '', when = '', advice = '']) => ({
    code: code.replaceAll('`', ''),
    statuses: status === '–' ? [] : status.split(', ').map(Number),
    rpc: rpc === '–' ? undefined : Number(rpc),
    again,
    when,
    advice,
  }));

/** One of each: the builders take texts, numbers and lists of texts, and only print them. */
const built = [...Object.values(errors), moduleInvalid].flatMap((value): SojournError[] => {
  if (typeof value !== 'function' || value === SojournError || value === errors.rpcError) return [];
  const error = (value as (...args: unknown[]) => unknown)('x', ['y'], 'z');
  return error instanceof SojournError ? [error] : [];
});

/** Never an answer: thrown to server code, or to the code that configures. */
const THROWN = [
  'NO_STREAM',
  'NOT_INITIALIZED',
  'STATELESS',
  'SESSION_GONE',
  'CALL_CUT',
  'NEXT_TWICE',
  'REQUEST_CHANGED',
  'STATE_TOO_LARGE',
  'SEAL_TOO_LONG',
  'OUTSIDE_HANDLER',
  'ONCE_WITHIN_ITSELF',
  'ONCE_KEY_INVALID',
  'STEP_INVALID',
  'DEFINITION_REFUSED',
  'MODULE_INVALID',
  'PACKAGE_UNSUPPORTED',
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
      'CALL_TIMEOUT',
      'CANCELLED',
      'CLOSED',
      'DRAINING',
      'EVENT_UNKNOWN',
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

  test.each(rows.filter(({ code }) => code !== 'OPTION_INVALID'))('tells what $code is answered with', (row) => {
    const own = built.filter(({ code }) => code === row.code);
    if (THROWN.includes(row.code)) expect(row.statuses).toEqual([]);
    else expect(new Set(row.statuses)).toEqual(new Set(own.map(({ status }) => status)));
    if (row.code !== 'MODULE_INVALID') expect(own.map(({ rpc }) => rpc)).toEqual(own.map(() => row.rpc));
    expect(row.again).toBe(own.some(({ retryable }) => retryable) ? 'yes' : 'no');
    for (const { data } of own) {
      if (typeof data?.['reason'] === 'string') expect(row.when).toContain(`reason: ${data['reason']}`);
    }
  });

  test('every row says when, and what to do', () => {
    expect(rows.filter(({ when, advice }) => when.length < 10 || advice.length < 10)).toEqual([]);
  });
});
