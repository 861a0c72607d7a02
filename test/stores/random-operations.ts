/**
 * Random operations on a store and on {@link PlainStore}, compared answer by answer. Operations say "the next offset"
 * or "a stale fence", and the model makes them exact when they run, so that most of them have an effect.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type {
  MaybePromise,
  ClaimOutcome,
  ExpiredSession,
  Fence,
  Marker,
  OpenStore,
  SessionRecord,
} from '../../src/stores/store.ts';
import type { EventRetention } from '../../src/types.ts';
import type { PlainStore } from './plain-store.ts';

export const RETENTION: EventRetention = { ttlMs: 5_000, events: 6, bytes: 40 };
export const TOMBSTONE_MS = 4_000;

const id = fc.constantFrom('s0', 's1', 's2');
const instance = fc.constantFrom('i0', 'i1', 'i2');
const stream = fc.constantFrom('g', 'p1', 'p2');
const fence = fc.constantFrom('own', 'own', 'own', 'own', 'stale', 'ahead', 'other');
const expiresIn = fc.constantFrom(null, 1_500, 4_000, 60_000);
const marker = fc.record({ request: fc.constantFrom('1', '"1"', '2'), stream }, { noNullPrototype: true });
const stateChange = fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), fc.constantFrom('1', '2', null), {
  maxKeys: 2,
});
const data = fc.constantFrom(
  '',
  '"x"',
  '"a longer text"',
  '"é"',
  '"an event that alone is more than all that is kept"',
);

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant('create'), id, owner: fc.option(instance), expiresIn }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('read'), id }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('claim'),
      id,
      me: instance,
      off: fc.constantFrom(0, 0, 0, -1, 1),
      from: fc.constantFrom('stored', 'stored', 'stored', 'none', 'i1'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('save'), id, fence, state: stateChange, expiresIn }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('release'), id, fence }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('end'), id, fence: fc.option(fence) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('mark'), id, fence, marker, clear: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('list'), limit: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('expired') }) },
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constant('append'),
      id,
      fence,
      stream,
      off: fc.constantFrom(0, 0, 0, 0, 0, -1, 1),
      events: fc.array(data, { maxLength: 4 }),
      complete: fc.constantFrom(false, false, false, true),
      marks: fc.constantFrom(
        {},
        { mark: '1' },
        { unmark: '1' },
        { mark: '1', unmark: '2' },
        { mark: '2', unmark: '1' },
      ),
      requests: fc.constantFrom('[1]', '[2]'),
    }),
  },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('replay'), id, stream, back: fc.integer({ min: 0, max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('open'), id }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('trim') }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('die'), instance }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('pass'), ms: fc.constantFrom(1, 700, 1_500, 3_000, 6_000) }) },
);

export type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

export const operations = fc.array(operation, { minLength: 1, maxLength: 80, size: 'max' });

export interface World {
  readonly store: OpenStore;
  readonly model: PlainStore;
  now(): number;
  pass(ms: number): Promise<void>;
}

/** Applies all of them; throws at the first answer that differs, with the operations until then. */
export async function applyAll(world: World, all: readonly Operation[]): Promise<void> {
  await announceAll(world);
  for (const [n, step] of all.entries()) {
    const [got, expected] = apply(world, step);
    assert.deepEqual(await got, expected, `operation ${n}, ${JSON.stringify(step)}`);
    assert.equal(await world.store.sessions.count(), world.model.list().length, `the count after operation ${n}`);
  }
}

const WRITES = ['create', 'claim', 'save', 'release', 'end', 'mark', 'append'];

/**
 * The same, but consecutive writes are requested in one turn, up to this many, and must answer as if they ran one after
 * the other.
 */
export async function applyInTurns(world: World, all: readonly Operation[], most: number): Promise<void> {
  await announceAll(world);
  let asked: Array<{ got: MaybePromise<unknown>; expected: unknown; what: string }> = [];
  const settle = async (): Promise<void> => {
    const answers = await Promise.all(asked.map(({ got }) => got));
    for (const [n, { expected, what }] of asked.entries()) assert.deepEqual(answers[n], expected, what);
    asked = [];
  };
  for (const [n, step] of all.entries()) {
    if (asked.length === most || !WRITES.includes(step.op)) await settle();
    const [got, expected] = apply(world, step);
    asked.push({ got, expected, what: `operation ${n}, ${JSON.stringify(step)}` });
    if (!WRITES.includes(step.op)) await settle();
  }
  await settle();
}

async function announceAll({ store }: World): Promise<void> {
  for (const name of ['i0', 'i1', 'i2']) {
    await store.instances.announce({ id: name, state: 'serving', version: '1' }, () => undefined);
  }
}

/** The answers of the store and of the model. */
function apply({ store, model, now, pass }: World, step: Operation): [MaybePromise<unknown>, unknown] {
  switch (step.op) {
    case 'create': {
      const record = newRecord(step.id, step.owner, now());
      return [store.sessions.create(record, step.expiresIn), model.create(record, step.expiresIn)];
    }
    case 'read':
      return [store.sessions.read(step.id), model.read(step.id)];
    case 'claim': {
      const { epoch, owner } = model.record(step.id) ?? { epoch: 1, owner: null };
      const seen = { stored: owner, none: null, i1: 'i1' }[step.from];
      const from = { epoch: epoch + step.off, owner: seen };
      return [
        then(store.sessions.claim(step.id, from, step.me), inOrder),
        inOrder(model.claim(step.id, from, step.me)),
      ];
    }
    case 'save': {
      const own = fenceOf(model, step.id, step.fence);
      const patch = { state: step.state, expiresInMs: step.expiresIn, activeAt: now() };
      return [store.sessions.save(step.id, own, patch), model.save(step.id, own, patch)];
    }
    case 'release': {
      const own = fenceOf(model, step.id, step.fence);
      const patch = { logLevel: 'debug' };
      return [store.sessions.release(step.id, own, patch), model.release(step.id, own, patch)];
    }
    case 'end': {
      const { epoch, owner } = model.record(step.id) ?? { epoch: 1, owner: null };
      const from = step.fence === null ? { epoch, owner } : fenceOf(model, step.id, step.fence);
      return [store.sessions.end(step.id, from, 'deleted'), model.end(step.id, from, 'deleted')];
    }
    case 'mark': {
      const own = fenceOf(model, step.id, step.fence);
      const outcome = model.mark(step.id, own, step.marker, step.clear);
      return [store.sessions.mark(step.id, own, step.marker, step.clear), outcome];
    }
    case 'list':
      return [then(listAll(store, step.limit), sorted), sorted(model.list())];
    case 'expired':
      return [then(store.sessions.expired(10), byId), byId(model.expired())];
    case 'append': {
      // A store may have forgotten such a stream; no owner continues one.
      if (model.replay(step.id, step.stream, -1) === 'gone') return [undefined, undefined];
      const from = model.length(step.id, step.stream) + step.off;
      const own = fenceOf(model, step.id, step.fence);
      const { stream, events, complete, requests } = step;
      const { mark, unmark }: { mark?: string; unmark?: string } = step.marks;
      const request = {
        sessionId: step.id,
        fence: own,
        stream,
        from,
        events,
        complete,
        ...(from === 0 && { requests }),
        ...(mark !== undefined && { mark: { request: mark, stream } }),
        ...(unmark !== undefined && { unmark }),
      };
      return [store.events.append(request), model.append(request)];
    }
    case 'replay': {
      const after = model.length(step.id, step.stream) - 1 - step.back;
      const expected = model.replay(step.id, step.stream, Math.max(-1, after));
      const got = store.events.replay(step.id, step.stream, Math.max(-1, after));
      return expected === 'gone' ? [then(got, ({ found }) => found), false] : [got, expected];
    }
    case 'open': {
      const byStream = (a: { stream: string }, b: { stream: string }): number => (a.stream < b.stream ? -1 : 1);
      return [then(store.events.open(step.id), (all) => [...all].sort(byStream)), model.open(step.id).sort(byStream)];
    }
    case 'trim':
      return [store.events.trim(), undefined];
    case 'die': {
      return [store.instances.leave(step.instance), undefined];
    }
    case 'pass':
      return [pass(step.ms), undefined];
    default:
      throw new Error(`unknown operation ${JSON.stringify(step)}`);
  }
}

const then = async <T>(value: MaybePromise<T>, show: (value: T) => unknown): Promise<unknown> => show(await value);

/** Markers have no order. */
function inOrder(outcome: ClaimOutcome): ClaimOutcome {
  if (!outcome.claimed) return outcome;
  const key = ({ request, stream }: Marker): string => `${request} ${stream}`;
  return { ...outcome, markers: [...outcome.markers].sort((a, b) => (key(a) < key(b) ? -1 : 1)) };
}

function newRecord(name: string, owner: string | null, now: number): SessionRecord {
  return {
    v: 1,
    id: name,
    epoch: 1,
    owner,
    user: null,
    version: '2025-11-25',
    handshake: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'model', version: '1' } },
    answer: '{}',
    initialized: true,
    logLevel: null,
    subscriptions: [],
    state: {},
    getStream: false,
    createdAt: now,
    activeAt: now,
    expiresAt: null,
  };
}

function fenceOf(model: PlainStore, name: string, kind: string): Fence {
  const { epoch, owner } = model.record(name) ?? { epoch: 1, owner: 'i0' };
  const own = { epoch, owner: owner ?? 'i0' };
  if (kind === 'stale') return { ...own, epoch: epoch - 1 };
  if (kind === 'ahead') return { ...own, epoch: epoch + 1 };
  return kind === 'other' ? { ...own, owner: own.owner === 'i1' ? 'i2' : 'i1' } : own;
}

async function listAll(store: OpenStore, limit: number): Promise<SessionRecord[]> {
  const all: SessionRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.sessions.list(limit, cursor);
    all.push(...page.records);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return all;
}

const byId = (sessions: readonly ExpiredSession[]): ExpiredSession[] =>
  [...sessions].sort((a, b) => (a.id < b.id ? -1 : 1));

const sorted = (records: readonly SessionRecord[]): SessionRecord[] =>
  [...records].sort((a, b) => (a.id < b.id ? -1 : 1));
