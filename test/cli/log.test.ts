import { expect, test } from 'vitest';
import { textLogger } from '../../src/cli/log.ts';
import { storeUnavailable } from '../../src/base/errors.ts';

function terminal(level: string) {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.replace(/^[\dT:.-]+Z /, '')) };
  const logger = textLogger({ level, worker: 2 }, stream);
  return { lines, logger };
}

test('a terminal gets one readable line for each request, and fields behind other texts', () => {
  const { lines, logger } = terminal('info');
  logger.debug({}, 'hidden');
  logger.info(
    { http: 'POST', method: 'tools/call', tool: 'add', status: 200, ms: 3, sessionId: 'ab' },
    'request',
  );
  logger.info(
    { http: 'POST', method: 'tools/call', tool: 'add  200', status: 200, ms: 3 },
    'request',
  );
  logger.info({ client: 'c 1' }, 'A client connected');
  logger.warn({ tool: 'add' }, 'A tool threw');
  expect(lines).toEqual([
    '[2] POST tools/call add  200  3 ms  sessionId=ab\n',
    '[2] POST tools/call "add  200"  200  3 ms\n',
    '[2] A client connected  client="c 1"\n',
    '[2] warn A tool threw  tool=add\n',
  ]);
});

test('a store that is away is its reason without a stack, another error has its stack and its causes', () => {
  const { lines, logger } = terminal('info');
  logger.error(
    { err: storeUnavailable('Redis at redis://127.0.0.1:1: connect ECONNREFUSED') },
    'The session store is away',
  );
  logger.error({ err: new RangeError('broken', { cause: new Error('why') }) }, 'A defect');
  expect(lines[0]).toBe(
    '[2] error The session store is away\n  Service Unavailable: the session store cannot be reached ' +
      '(Redis at redis://127.0.0.1:1: connect ECONNREFUSED)\n',
  );
  expect(lines[1]).toMatch(
    /^\[2\] error A defect\n {2}RangeError: broken\n {4}at .*log\.test\.ts.*\[cause\]: Error: why\n/s,
  );
});

test('silent writes nothing', () => {
  const { lines, logger } = terminal('silent');
  logger.fatal({}, 'hidden');
  expect(lines).toEqual([]);
});
