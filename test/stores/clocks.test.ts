/**
 * Instances whose clocks are hours off. The store's clock decides about expiry, so an instance says how long a session
 * lasts and not until when.
 */
import { describe, expect, test } from 'vitest';
import { systemTime } from '../../src/base/system.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { isEnded } from '../../src/stores/store.ts';
import type { View } from './contract/view.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { TimeProvider } from '../../src/base/types.ts';
import { serveMember } from '../kit/fleet.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { openView } from './views.ts';

useSharedStores();

const HOUR = 3_600_000;
const IDLE_MS = 2 * HOUR;
/** The expiry of a live session is later than its idle timeout: a living owner ends its sessions itself. */
const LATEST_MS = IDLE_MS * 1.1 + 10_000;
const SLACK_MS = 60_000;

const offBy = (clock: TimeProvider, ms: number): TimeProvider => ({
  ...clock,
  now: () => clock.now() + ms,
});

const clocks = [
  ['3 h slow', -3 * HOUR],
  ['3 h fast', 3 * HOUR],
] as const;

const answers = async (client: RawClient): Promise<unknown> => (await client.call('ping')).message;
const ANSWER = expect.objectContaining({ result: {} });

async function expiresInMs(view: View, id: string | undefined, now: number): Promise<number> {
  const record = await view.records.read(id ?? '');
  if (record === undefined || isEnded(record)) throw new Error('the session has ended');
  return (record.expiresAt ?? 0) - now;
}

describe.each(clocks)('a session of an instance whose clock is %s', (_, byMs) => {
  test.each(storeKinds)('is served, relayed and taken over as any other: %s', async (kind) => {
    const store = sharedStore(kind);
    const off = offBy(systemTime, byMs);
    // All processes on a SQLite file run on one machine. A memory store has the clock of its first endpoint.
    const storeClock = kind === 'sqlite' || kind === 'memory' ? off : systemTime;
    const view = await openView(store(), { deployment: 'mcp', kind: 'sessions', time: storeClock });
    const options = { deployment: 'mcp', idleTimeoutMs: IDLE_MS };
    const first = await serveMember({ ...options, store: store(), timeProvider: off });
    const second = await serveMember({ ...options, store: store(), timeProvider: storeClock });

    const client = await first.openSession();
    for (let n = 0; n < 2; n++) expect(await answers(client)).toEqual(ANSWER);
    const elsewhere = second.join(client);
    expect(await answers(elsewhere)).toEqual(ANSWER);
    const opened = await expiresInMs(view, client.sessionId, storeClock.now());
    expect(opened).toBeGreaterThan(IDLE_MS - SLACK_MS);
    expect(opened).toBeLessThan(LATEST_MS + SLACK_MS);

    await first.endpoint.close({ timeoutMs: 0 });
    const released = await expiresInMs(view, client.sessionId, storeClock.now());
    expect(released).toBeGreaterThan(IDLE_MS - SLACK_MS);
    expect(released).toBeLessThan(LATEST_MS + SLACK_MS);
    expect(await answers(elsewhere)).toEqual(ANSWER);
  });

  test.each(['the next owner', 'its owner whose clock is corrected'])(
    'is kept by %s for as long as it is in use',
    async (by) => {
      const time = createFakeTime(1_000 * HOUR);
      let wrong: number = byMs;
      const inner = memory();
      const view = await openView(inner, { kind: 'sessions', time });
      const options = {
        deployment: 'mcp',
        idleTimeoutMs: 60_000,
        store: watchedStore({ durable: true, inner }),
      };
      const first = await serveMember({
        ...options,
        timeProvider: { ...time, now: () => time.now() + wrong },
      });
      const second = await serveMember({ ...options, timeProvider: time });
      const client = await first.openSession();
      if (by === 'the next owner') await first.endpoint.close({ timeoutMs: 0 });
      else wrong = 0;
      const used = by === 'the next owner' ? second.join(client) : client;
      for (let ms = 0; ms < 300_000; ms += 5_000) {
        expect(await answers(used), `after ${ms} ms`).toEqual(ANSWER);
        await time.advance(5_000);
        expect(await expiresInMs(view, client.sessionId, time.now())).toBeGreaterThan(0);
      }
    },
  );
});
