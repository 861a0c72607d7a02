import { expect, test } from 'vitest';
import { limitedLogger } from '../../../src/base/options/log-limit.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { createLog } from '../../kit/log.ts';

function limited() {
  const time = createFakeTime();
  const log = createLog();
  return { time, log, logger: limitedLogger(log, time) };
}

test.each(['info', 'warn', 'error'] as const)(
  'of equal %s lines 20 a second are written, then their number',
  async (level) => {
    const { time, log, logger } = limited();
    for (let n = 0; n < 1_000; n++) logger[level]({ n }, 'refused');
    expect(log.lines.map(({ fields }) => fields['n'])).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    );
    await time.advance(1_000);
    expect(log.lines.slice(20)).toEqual([
      { level, fields: { lines: 980 }, message: 'refused (980 more such lines were left out)' },
    ]);
    logger[level]({}, 'refused');
    expect(log.lines.length).toBe(22);
  },
);

test('the number is written by a later line, too, where the timer is late', () => {
  const { time, log } = limited();
  let now = 0;
  const logger = limitedLogger(log, {
    ...time,
    monotonic: () => now,
    setTimeout: () => 0,
    clearTimeout: () => {},
  });
  for (let n = 0; n < 25; n++) logger.warn({}, 'refused');
  now = 5_000;
  logger.warn({}, 'another');
  expect(log.lines.slice(20).map(({ message }) => message)).toEqual([
    'refused (5 more such lines were left out)',
    'another',
  ]);
});

test('each text and each level has its own 20, and the others are never left out', () => {
  const { log, logger } = limited();
  for (let n = 0; n < 30; n++) {
    for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const)
      logger[level]({}, 'a');
    logger.warn({}, 'b');
  }
  const count = (level: string, text: string) =>
    log.lines.filter((line) => line.level === level && line.message === text);
  expect(['info', 'warn', 'error'].map((level) => count(level, 'a').length)).toEqual([20, 20, 20]);
  expect(count('warn', 'b').length).toBe(20);
  expect(['debug', 'fatal'].map((level) => count(level, 'a').length)).toEqual([30, 30]);
});

test('texts that all differ are bounded together', async () => {
  const { time, log, logger } = limited();
  for (let n = 0; n < 10_000; n++) logger.warn({}, `refused ${n}`);
  expect(log.lines.length).toBe(256 + 20);
  await time.advance(1_000);
  expect(log.lines.at(-1)?.message).toBe(
    `Log lines of other texts (${10_000 - 256 - 20} more such lines were left out)`,
  );
});

test('nothing waits where nothing was left out', () => {
  const { time, logger } = limited();
  for (let n = 0; n < 20; n++) logger.warn({}, 'refused');
  expect(time.pendingTimers).toBe(0);
});
