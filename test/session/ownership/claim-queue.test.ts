/** In which order an instance claims its sessions again after a lapse. */
import { expect, test } from 'vitest';
import { ClaimQueue } from '../../../src/session/ownership/claim-queue.ts';
import { SessionOwnership } from '../../../src/session/ownership/session-ownership.ts';
import type { ClaimOutcome } from '../../../src/stores/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { plainRecord } from '../../store-contract/plain-record.ts';
import { createLog } from '../../kit/log.ts';
import { until } from '../../kit/until.ts';

const [BEFORE, AFTER] = ['before', 'after'];

function lapsed(sessions: number) {
  /** Claims that the store has not answered. */
  const underWay = new Map<string, (outcome: ClaimOutcome) => void>();
  const begun: string[] = [];
  const time = { now: 0 };
  /** The sessions with running requests, and whether requests wait. */
  const requests = { running: new Set<SessionOwnership>(), size: 0 };
  const queue = new ClaimQueue({
    options: { timeProvider: { ...createFakeTime(), monotonic: () => time.now }, logger: createLog() },
    store: {
      sessions: {
        claim: (id) => {
          begun.push(id);
          return new Promise((answer) => underWay.set(id, answer));
        },
      },
    },
    lease: { owner: AFTER, valid: true, renewNow: () => {} },
    waiting: requests,
    ownerships: () => all,
    isLive: () => true,
    runs: (ownership) => requests.running.has(ownership),
    reclaimed: () => {},
    fenced: () => {},
  });
  const all = Array.from(
    { length: sessions },
    (_, n) => new SessionOwnership(queue, `s${n}`, { epoch: 1, owner: BEFORE }),
  );
  const answer = (ids: readonly string[]): void => {
    for (const id of ids) {
      underWay.get(id)?.({
        claimed: true,
        record: plainRecord(id, { epoch: 2, owner: AFTER }),
        marks: [],
        streams: [],
        expiresInMs: null,
      });
      underWay.delete(id);
    }
  };
  return {
    all,
    queue,
    begun,
    underWay,
    answer,
    time,
    requests,
    ids: (from: number, to: number) => all.slice(from, to).map(idOf),
  };
}

const idOf = ({ sessionId }: SessionOwnership): string => sessionId;

test('sessions that a request waits for are claimed at once, and nearly alone', async () => {
  const { all, queue, begun, underWay, answer, ids } = lapsed(2_000);
  queue.extended();
  const first = [...begun];
  const asked = all.slice(-900);
  const opened = asked.map((ownership) => ownership.untilLeaseValid());
  expect(begun.slice(first.length)).toEqual(asked.map(idOf));
  // Others end, and few take their places.
  answer(first);
  await until(() => begun.length > first.length + asked.length);
  expect(begun.slice(first.length + asked.length).length).toBeLessThan(first.length / 4);
  answer(asked.map(idOf));
  expect(await Promise.all(opened)).toEqual(asked.map(() => true));
  await until(() => underWay.size === first.length);
  // In the end every session is claimed once.
  while (underWay.size > 0) {
    answer([...underWay.keys()]);
    await new Promise((next) => setImmediate(next));
  }
  expect(new Set(begun)).toEqual(new Set(ids(0, all.length)));
  expect(begun).toHaveLength(all.length);
});

test('a store that leaves the claim of an awaited session without an answer does not stop the others', async () => {
  const { all, queue, underWay, answer } = lapsed(500);
  queue.extended();
  const stuck = all.at(-1) as SessionOwnership;
  void stuck.untilLeaseValid();
  while (underWay.size > 1) {
    answer([...underWay.keys()].filter((id) => id !== stuck.sessionId));
    await new Promise((next) => setImmediate(next));
  }
  expect([...underWay.keys()]).toEqual([stuck.sessionId]);
  expect(all.filter(({ leaseValid }) => leaseValid)).toHaveLength(all.length - 1);
});

test('while requests wait after a lapse, and until those of awaited sessions are answered, few others are claimed', async () => {
  const { all, queue, begun, underWay, answer, requests } = lapsed(2_000);
  requests.size = 1;
  queue.extended();
  const few = begun.length;
  const asked = all.slice(-500);
  const opened = asked.map((ownership) => ownership.untilLeaseValid());
  answer(asked.map(idOf));
  await Promise.all(opened);
  // Their requests run now, and none waits any more.
  for (const ownership of asked) requests.running.add(ownership);
  requests.size = 0;
  expect(underWay.size).toBe(few);
  const next = async (): Promise<void> => {
    answer([...underWay.keys()]);
    await new Promise((turn) => setImmediate(turn));
  };
  await next();
  expect(underWay.size).toBe(few);
  for (const ownership of asked.slice(1)) requests.running.delete(ownership);
  await next();
  expect(underWay.size).toBe(few);
  requests.running.clear();
  await next();
  expect(underWay.size).toBeGreaterThan(4 * few);
  while (underWay.size > 0) await next();
  expect(begun).toHaveLength(all.length);
});

test('requests of sessions that were not awaited do not slow the claims', () => {
  const [quiet, running] = [lapsed(500), lapsed(500)];
  for (const ownership of running.all) running.requests.running.add(ownership);
  quiet.queue.extended();
  running.queue.extended();
  expect(running.begun).toEqual(quiet.begun);
});

test('a request that runs for long slows the claims of other sessions only for a time', async () => {
  const { all, queue, underWay, answer, requests, time } = lapsed(2_000);
  requests.size = 1;
  queue.extended();
  const few = underWay.size;
  const [asked] = all.slice(-1);
  if (asked === undefined) throw new Error('no session');
  requests.running.add(asked);
  const opened = asked.untilLeaseValid();
  answer([asked.sessionId]);
  await opened;
  time.now = 60_000;
  answer([...underWay.keys()]);
  await until(() => underWay.size > 4 * few);
});
