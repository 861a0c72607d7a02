/**
 * The writer of a session's record against a plain object: random changes, a store that loses writes and replies, and
 * another owner. What is acknowledged is stored, the last write of each part wins, and a fenced copy writes no more.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../../kit/seeded-random.ts';
import { storeAway } from '../../../src/errors.ts';
import { memoryRows } from '../../../src/limits/held.ts';
import { resolveOptions } from '../../../src/options/resolve.ts';
import { ClaimQueue, SessionOwnership } from '../../../src/session/ownership/session-ownership.ts';
import { handshakeIn } from '../../../src/session/record/handshake.ts';
import { RecordKeeper } from '../../../src/session/record/record-keeper.ts';
import { NO_ANSWER } from '../../../src/session/record/server-answer.ts';
import { decodeSession, encodeSession, type SessionRecord } from '../../../src/session/record/session-record.ts';
import type { Fence, RecordChange, SaveOutcome } from '../../../src/stores/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';

const clientInfo = { name: 'client', version: '1' };
const handshake = handshakeIn(JSON.stringify({ protocolVersion: '2025-11-25', capabilities: {}, clientInfo }));
const START: SessionRecord = {
  id: 's',
  epoch: 1,
  owner: 'me',
  user: null,
  version: '2025-11-25',
  initialized: false,
  getPrimed: false,
  logLevel: null,
  answer: NO_ANSWER,
  handshake,
  subscriptions: [],
  state: {},
  createdAt: 1,
  activeAt: 1,
};

type Weather = 'clear' | 'lost' | 'lostReply';

/** A keeper on a store of one record, which the test reads, and which loses what `weather` says. */
function keeping(seed: number) {
  const random = seededRandom(seed);
  const time = createFakeTime();
  const stored = { fields: new Map<string, string>(), head: encodeSession(START).head, owner: 'me', saves: 0 };
  let isStormy = true;
  const weather = (): Weather => {
    const n = isStormy ? random() : 1;
    return n < 0.3 ? 'lost' : n < 0.5 ? 'lostReply' : 'clear';
  };
  const apply = ({ owner }: Fence, { head, fields = {} }: RecordChange): SaveOutcome => {
    if (owner !== stored.owner) return 'fenced';
    stored.saves += 1;
    stored.head = head ?? stored.head;
    for (const [name, value] of Object.entries(fields))
      if (value === null) stored.fields.delete(name);
      else stored.fields.set(name, value);
    return 'written';
  };
  const later = async (fence: Fence, change: RecordChange): Promise<SaveOutcome> => {
    const turns = Math.floor(random() * 4);
    for (let n = 0; n < turns; n++) await new Promise((resolve) => setImmediate(resolve));
    const now = weather();
    if (now === 'lost') throw storeAway('the cable is out');
    const outcome = apply(fence, change);
    for (let n = 0; n < turns; n++) await new Promise((resolve) => setImmediate(resolve));
    if (now === 'lostReply') throw storeAway('the cable is out');
    return outcome;
  };
  const save = (_id: string, fence: Fence, change: RecordChange) => {
    if (random() < 0.5) return later(fence, change);
    const now = weather();
    if (now === 'lost') throw storeAway('the cable is out');
    const outcome = apply(fence, change);
    if (now === 'lostReply') throw storeAway('the cable is out');
    return outcome;
  };
  const options = resolveOptions({ timeProvider: time, waitMs: 600_000, logger: false });
  const { sessions } = memoryRows(Infinity);
  const host = {
    options,
    logger: options.logger,
    store: { sessions: { save } },
    held: { sessions },
    hold: (bytes: number, held: number, share: string) => sessions.take(bytes, held, share),
    expiresInMs: () => null,
  };
  const fenced = (ownership: SessionOwnership): void => {
    if (ownership.left) return;
    ownership.leave('fenced');
    keeper.release();
  };
  const lease = { owner: 'me', valid: true, renewNow: () => {} };
  const claims = new ClaimQueue({ lease, isLive: () => true, fenced } as never);
  const ownership = new SessionOwnership(claims, 's', { epoch: 1, owner: 'me' });
  const keeper = new RecordKeeper(host as never, ownership, { ...START, user: undefined, share: 'u' }, START);
  const clearUp = (): void => void (isStormy = false);
  const read = (): SessionRecord => {
    const { fields, head } = stored;
    const record = { ...encodeSession(START), head, fields: Object.fromEntries(fields) };
    return decodeSession({ ...record, expiresAt: null, dueAt: null, rung: 0 });
  };
  return { keeper, ownership, stored, time, read, clearUp };
}

type Change = readonly ['level' | 'subscribe' | 'unsubscribe' | 'set' | 'delete', n: number];

const change: fc.Arbitrary<Change> = fc.tuple(
  fc.constantFrom('level' as const, 'subscribe' as const, 'unsubscribe' as const, 'set' as const, 'delete' as const),
  fc.nat(4),
);
const steps = fc.array(fc.oneof({ weight: 5, arbitrary: change }, { weight: 1, arbitrary: fc.nat(300) }), {
  maxLength: 40,
});

/** What a copy says of itself, and what the store has of it. */
const parts = ({ logLevel, subscriptions, state }: Pick<SessionRecord, 'logLevel' | 'subscriptions' | 'state'>) => ({
  logLevel,
  subscriptions: subscriptions.toSorted(),
  state: Object.entries(state).toSorted(),
});

test('the last write of each part wins, and what is acknowledged is stored', async () => {
  const property = fc.asyncProperty(fc.nat(), steps, async (seed, list) => {
    const { keeper, time, read, clearUp } = keeping(seed);
    const model = {
      logLevel: null as string | null,
      subscriptions: new Set<string>(),
      state: new Map<string, string>(),
    };
    const changing: Array<Promise<unknown>> = [];
    for (const [index, step] of list.entries()) {
      if (typeof step === 'number') {
        await time.advance(step);
        continue;
      }
      const [what, n] = step;
      const key = `k${n}`;
      if (what === 'level') keeper.change({ logLevel: (model.logLevel = key) });
      else if (what === 'subscribe') {
        keeper.subscribe(key);
        model.subscriptions.add(key);
      } else if (what === 'unsubscribe') {
        keeper.unsubscribe(key);
        model.subscriptions.delete(key);
      } else if (what === 'set') {
        changing.push(keeper.state.set(key, index));
        model.state.set(key, String(index));
      } else if (keeper.toRecord().state[key] !== undefined) {
        // A delete is of what is there now, so the sets before it are awaited.
        const all = Promise.all(changing);
        let isOver = false;
        void all.then(() => (isOver = true));
        while (!isOver) await time.advance(200);
        changing.push(keeper.state.delete(key));
        model.state.delete(key);
      }
    }
    clearUp();
    const saved = keeper.saved();
    let isSaved: boolean | undefined;
    void Promise.all([saved, ...changing]).then(([failure]) => (isSaved = failure === undefined));
    for (let n = 0; n < 50 && isSaved === undefined; n++) await time.advance(200);
    expect([isSaved, keeper.saving]).toEqual([true, false]);
    const expected = parts({
      logLevel: model.logLevel,
      subscriptions: [...model.subscriptions],
      state: Object.fromEntries(model.state),
    });
    expect([parts(read()), parts(keeper.toRecord())]).toEqual([expected, expected]);
  });
  await fc.assert(property, { numRuns: 60 });
});

test('a copy whose session another instance claimed writes no more, and says so to those who wait', async () => {
  const property = fc.asyncProperty(fc.nat(), steps, steps, async (seed, before, after) => {
    const { keeper, ownership, stored, time, read } = keeping(seed);
    const outcomes: string[] = [];
    const apply = (list: typeof before): void => {
      for (const step of list) {
        if (typeof step === 'number') continue;
        const [what, n] = step;
        if (what === 'level') keeper.change({ logLevel: `k${n}` });
        else if (what === 'set')
          keeper.state.set(`k${n}`, 1).then(
            () => outcomes.push('stored'),
            ({ code }: { code?: string }) => outcomes.push(code ?? 'failed'),
          );
      }
    };
    apply(before);
    for (let n = 0; n < 5; n++) await time.advance(100);
    stored.owner = 'other';
    const [saves, record] = [stored.saves, parts(read())];
    const acknowledged = outcomes.length;
    apply(after);
    keeper.change({ logLevel: 'last' });
    let waited: boolean | undefined;
    void keeper.saved().then((failure) => (waited = failure === undefined));
    for (let n = 0; n < 50 && waited === undefined; n++) await time.advance(200);
    expect([waited, ownership.leaveReason]).toEqual([false, 'fenced']);
    expect([stored.saves, parts(read())]).toEqual([saves, record]);
    const sets = [...before, ...after].filter((step) => typeof step !== 'number' && step[0] === 'set').length;
    expect(outcomes).toHaveLength(sets);
    expect(outcomes.slice(acknowledged).filter((outcome) => outcome !== 'SESSION_GONE')).toEqual([]);
  });
  await fc.assert(property, { numRuns: 40 });
});
