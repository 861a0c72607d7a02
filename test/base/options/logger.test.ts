/** What becomes of lines without a logger, and of those that a logger fails to write. `loggers.test.ts` has pino and winston. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { resolveOptions } from '../../../src/base/options/resolve.ts';
import { consoleLogger, safeLogger } from '../../../src/base/options/logger.ts';
import { storeUnavailable } from '../../../src/base/errors.ts';
import type { Logger } from '../../../src/base/types.ts';

const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal'] as const;

function watchConsole() {
  const lines: string[] = [];
  for (const method of ['debug', 'info', 'log', 'warn', 'error'] as const) {
    vi.spyOn(console, method).mockImplementation(
      (text: unknown) => void lines.push(`${method} ${text}`),
    );
  }
  return lines;
}

afterEach(() => vi.restoreAllMocks());

describe('the console logger', () => {
  test('writes info and above to stderr, fatal as an error, and nothing below', () => {
    const lines = watchConsole();
    for (const level of LEVELS) consoleLogger[level]({}, `at ${level}`);
    expect(lines).toEqual([
      'error sojourn: at info',
      'warn sojourn: warn: at warn',
      'error sojourn: error: at error',
      'error sojourn: fatal: at fatal',
    ]);
  });

  test('shows the fields', () => {
    watchConsole();
    consoleLogger.warn({ sessionId: 'a' }, 'seen');
    expect(vi.mocked(console.warn).mock.calls).toEqual([
      ["sojourn: warn: seen { sessionId: 'a' }"],
    ]);
  });
});

test('a store that is away is its reason without a stack, another error has its stack', () => {
  const lines = watchConsole();
  consoleLogger.error({ err: storeUnavailable('Redis: connect ECONNREFUSED') }, 'away');
  consoleLogger.error({ err: new RangeError('broken') }, 'a defect');
  expect(lines[0]).toBe(
    "error sojourn: error: away { err: 'Service Unavailable: the session store cannot be reached (Redis: connect ECONNREFUSED)' }",
  );
  expect(lines[1]).toMatch(/RangeError: broken\n\s+at .*logger\.test\.ts/);
});

describe('the option logger', () => {
  test('false is silence', () => {
    const { logger } = resolveOptions({ logger: false });
    const lines = watchConsole();
    for (const level of LEVELS) logger[level]({}, `at ${level}`);
    expect(lines).toEqual([]);
  });

  test('takes console, which then gets every level, and fatal as an error', () => {
    const lines = watchConsole();
    const { logger } = resolveOptions({ logger: console });
    for (const level of LEVELS) logger[level]({}, `at ${level}`);
    expect(lines).toEqual([
      'debug sojourn: debug: at debug',
      'info sojourn: at info',
      'warn sojourn: warn: at warn',
      'error sojourn: error: at error',
      'error sojourn: fatal: at fatal',
    ]);
  });

  test('takes a logger without fatal, whose error gets those lines', () => {
    const lines: string[] = [];
    const add = (level: string) => (_fields: object, message: string) =>
      void lines.push(`${level} ${message}`);
    const given = {
      debug: add('debug'),
      info: add('info'),
      warn: add('warn'),
      error: add('error'),
    };
    const { logger } = resolveOptions({ logger: given });
    for (const level of LEVELS) logger[level]({}, 'line');
    expect(lines).toEqual(['debug line', 'info line', 'warn line', 'error line', 'error line']);
  });
});

describe('a logger made safe', () => {
  test.each([
    [
      'throws',
      () => {
        throw new Error('disk full');
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk full'))],
  ])('that %s loses no line, and says so once', async (_how, fail) => {
    const lines = watchConsole();
    const failing = Object.fromEntries(LEVELS.map((level) => [level, fail])) as unknown as Logger;
    const safe = safeLogger(failing);
    safe.error({}, 'first');
    safe.error({}, 'second');
    await new Promise((done) => setImmediate(done));
    expect(lines[0]).toContain('Error: disk full');
    expect(lines.map((line) => line.split(' { err: ')[0])).toEqual([
      'warn sojourn: warn: the logger failed at error(); its lines go to the console instead',
      'error sojourn: error: first',
      'error sojourn: error: second',
    ]);
  });
});
