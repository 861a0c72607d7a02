import { expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import { Outage } from '../../src/endpoint/outage.ts';
import { Notices } from '../../src/observe/notices.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLog } from '../kit/log.ts';

const RENEWAL_MS = 1_000;
const AWAY = 'The session store cannot be reached, or refuses calls: requests that need it wait up to waitMs';

function begin() {
  const [time, log] = [createFakeTime(), createLog()];
  const store = { isFull: false, full: () => store.isFull };
  const outage = new Outage({ logger: log, timeProvider: time, notices: new Notices() }, store);
  const fails = (): void => outage.logger.warn({ err: storeAway('no right to write') }, 'A call failed');
  const messages = (): string[] => log.lines.filter(({ level }) => level !== 'debug').map(({ message }) => message);
  return { time, outage, store, fails, messages };
}

test('a store that renews leases and refuses everything else is not called back while calls fail', async () => {
  const { time, outage, fails, messages } = begin();
  for (let seconds = 0; seconds < 60; seconds++) {
    if (seconds % 5 === 0) fails();
    await time.advance(RENEWAL_MS);
    outage.renewed(false);
  }
  expect(messages()).toEqual([AWAY]);
  for (let seconds = 0; seconds < 10; seconds++) {
    await time.advance(RENEWAL_MS);
    outage.renewed(false);
  }
  expect(messages()).toEqual([AWAY, 'The session store is back']);
});

test('a store that renews leases again after it did not is back at once', async () => {
  const { time, outage, fails, messages } = begin();
  fails();
  await time.advance(RENEWAL_MS);
  outage.renewed(true);
  expect(messages()).toEqual([AWAY, 'The session store is back']);
});

test('a full store that renews leases is not back before it takes writes', async () => {
  const { time, outage, store, fails, messages } = begin();
  fails();
  store.isFull = true;
  await time.advance(20 * RENEWAL_MS);
  outage.renewed(true);
  expect(messages()).toEqual([AWAY]);
  store.isFull = false;
  outage.renewed(false);
  expect(messages()).toEqual([AWAY, 'The session store is back']);
});

test('an error of the application that is its own cause is a line like any other', () => {
  const { outage, messages } = begin();
  let reads = 0;
  const err = Object.defineProperty(new Error('odd'), 'cause', {
    get() {
      if ((reads += 1) > 100) throw new Error('read for ever');
      return err;
    },
  });
  outage.logger.warn({ err }, 'A hook threw');
  expect(messages()).toEqual(['A hook threw']);
});
