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

/** Answered by nobody: thrown to server code, or to who configures. */
const THROWN = [
  'NO_STREAM',
  'NOT_INITIALIZED',
  'STATELESS',
  'SESSION_GONE',
  'STATE_TOO_LARGE',
  'SEAL_TOO_LONG',
  'MODULE_INVALID',
];

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
