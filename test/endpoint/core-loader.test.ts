import { expect, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { storeAway } from '../../src/errors.ts';
import { memory } from '../../src/stores/memory/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { initializeRequest } from '../kit/initialize-request.ts';
import { createLab } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';

/** A store that cannot be opened until `back()`, like an unreachable server. */
function awayStore(): Store & { attempts: number; back(): void } {
  const inner = memory();
  let away = true;
  return {
    kind: 'away',
    durable: true,
    inProcess: true,
    attempts: 0,
    async open(options) {
      this.attempts += 1;
      if (away) throw storeAway('it refuses connections');
      return inner.open(options);
    },
    back() {
      away = false;
    },
  };
}

test('a store that is unreachable at the start is tried again without a request, and logged once', async () => {
  const time = createFakeTime();
  const log = createLog();
  const store = awayStore();
  const endpoint = createMcpEndpoint(createLab().factory, { store, timeProvider: time, logger: log });
  await until(() => store.attempts === 1);
  const refused = await endpoint.fetch(initializeRequest());
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  expect(endpoint.health().store).toBe('away');
  for (let n = 0; n < 3; n++) await time.advance(1_000);
  expect(store.attempts).toBeGreaterThanOrEqual(4);
  expect(log.lines.filter(({ level }) => level === 'error' || level === 'warn')).toHaveLength(1);
  store.back();
  // The longest pause with its jitter.
  await time.advance(1_500);
  await until(() => endpoint.health().store === 'ok');
  const attempts = store.attempts;
  expect((await endpoint.fetch(initializeRequest())).status).toBe(200);
  await time.advance(10_000);
  expect(store.attempts).toBe(attempts);
  await endpoint.close();
});

test('an endpoint whose store was never open drains and closes, and opens nothing any more', async () => {
  const time = createFakeTime();
  const store = awayStore();
  const endpoint = createMcpEndpoint(createLab().factory, { store, timeProvider: time, logger: createLog() });
  await until(() => store.attempts === 1);
  expect(await endpoint.drain()).toEqual({ released: 0, interrupted: 0 });
  expect([endpoint.health().state, time.pendingTimers]).toEqual(['draining', 0]);
  store.back();
  await time.advance(5_000);
  const refused = await endpoint.fetch(initializeRequest());
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  await endpoint.close();
  expect([endpoint.health().state, (await endpoint.fetch(initializeRequest())).status]).toEqual(['closed', 503]);
  expect(store.attempts).toBe(1);
});
