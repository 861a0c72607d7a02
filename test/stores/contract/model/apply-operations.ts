/** Applies operations to a store and to {@link PlainStore}, and compares answer by answer. */
import assert from 'node:assert/strict';
import type {
  ClaimOutcome,
  Fence,
  Mark,
  OpenStream,
  Ownership,
  RecordChange,
  SeenLiving,
} from '../../../../src/stores/store.ts';
import { allPages, openStreams, type View } from '../view.ts';
import { isEnded } from '../../../../src/stores/store.ts';
import { sortedBy } from '../store-kit.ts';
import { plainRecord } from '../plain-record.ts';
import type { PlainStore } from './plain-store.ts';
import { INSTANCES, type FenceKind, type ModelOperation, SHARES } from './random-operations.ts';

export interface World {
  /** One of each of `PLACES`, in their order. */
  readonly places: ReadonlyArray<{ readonly store: View; readonly model: PlainStore }>;
  now(): number;
  pass(ms: number): Promise<void>;
}

const WRITES = ['create', 'claim', 'save', 'release', 'add', 'end', 'mark', 'append'];

/**
 * Applies all of them; throws at the first answer that differs, with the operation. Consecutive writes are requested in
 * one turn, up to `most` of them, and must answer as if they ran one after the other.
 */
export async function applyAll(
  world: World,
  all: readonly ModelOperation[],
  most: number,
): Promise<void> {
  for (const id of INSTANCES) {
    await world.places[0]?.store.instances.announce(
      { id, state: 'serving', version: '1' },
      () => undefined,
    );
  }
  let asked: Array<{ answers: Promise<unknown[]>; what: string }> = [];
  const settle = async (): Promise<void> => {
    const all = await Promise.all(asked.map(({ answers }) => answers));
    for (const [n, [got, expected]] of all.entries())
      assert.deepEqual(got, expected, asked[n]?.what);
    asked = [];
  };
  for (const [n, step] of all.entries()) {
    if (asked.length === most || !WRITES.includes(step.op)) await settle();
    asked.push({
      answers: Promise.all(apply(world, step)),
      what: `operation ${n}, ${JSON.stringify(step)}`,
    });
    if (!WRITES.includes(step.op)) await settle();
  }
  await settle();
  for (const { store } of world.places)
    for (const share of SHARES)
      assert.deepEqual(await store.kept.of(share), await store.kept.recount(share));
}

/** What the store and the model are asked alike. */
type Asked = Omit<View['records'], 'replay' | 'trim' | 'forget' | 'dropEvents'>;

/** The answers of the store and of the model. */
function apply({ places, now, pass }: World, step: ModelOperation): [unknown, unknown] {
  const { store, model } = places[step.place] as World['places'][number];
  const both = <T>(
    ask: (of: Asked) => T,
    show: (answer: Awaited<T>) => unknown = (answer) => answer,
  ) => [store.records, model].map(async (of) => show(await ask(of))) as [unknown, unknown];
  switch (step.op) {
    case 'create': {
      const from = { epoch: 1, owner: step.owner };
      const record = plainRecord(step.id, from, { ...step.texts, createdAt: now(), stamp: now() });
      return both((of) => of.create(record, step.expiresIn, step.dueIn));
    }
    case 'read':
      return both((of) => of.read(step.id));
    case 'claim': {
      const { epoch, owner } = ownershipOf(model, step.id);
      const seen = { stored: owner, none: null, i1: 'i1' }[step.from];
      const from = { epoch: epoch + step.off, owner: seen };
      return both((of) => of.claim(step.id, from, step.me), inOrder);
    }
    case 'save': {
      const own = seenOf(model, step);
      const { fields, head } = step;
      const due = dueOf(model, step);
      const change = {
        ...(head !== null && { head }),
        fields,
        expiresInMs: step.expiresIn,
        stamp: now(),
        ...due,
      };
      return both((of) => of.save(step.id, own, change));
    }
    case 'release': {
      const own = fenceOf(model, step.id, step.fence);
      const due = dueOf(model, step);
      return both((of) => of.save(step.id, own, { release: true, head: 'released', ...due }));
    }
    case 'add':
      return both((of) => of.add(step.id, step.field, 'added'));
    case 'end': {
      const seen = seenOf(model, step);
      return both((of) => of.end(step.id, seen, step.outcome, step.keepMs));
    }
    case 'mark': {
      const { id, mark, clear } = step;
      const marks = { id, fence: fenceOf(model, id, step.fence), stream: null };
      return both((of) => of.append({ ...marks, ...(clear ? { unmark: mark } : { mark }) }));
    }
    case 'changeEnd':
      return both(async (of) => {
        const found = await of.read(step.id);
        const at = found !== undefined && isEnded(found) ? found.at + step.off : 0;
        return of.end(step.id, { id: step.id, outcome: '', at }, step.outcome);
      });
    case 'list':
      return both((of) => allPages((cursor) => of.list(step.limit, cursor, step.group)));
    case 'count':
      // What an end of an expired record leaves is counted until `due` has checked it.
      return both(async (of) => {
        await allPages((cursor) => of.due(10, cursor));
        return of.count(step.group);
      });
    case 'counted':
      return both(async (of) => {
        await allPages((cursor) => of.due(10, cursor));
        const ended: string[] = [];
        // What no reader is shown any more may be there.
        for (const id of await of.endedOf(step.share)) {
          const found = await of.read(id);
          if (found !== undefined && isEnded(found)) ended.push(id);
        }
        ended.sort();
        return [await of.countOf(step.share), await of.oldest(step.share, step.limit), ended];
      });
    case 'due':
      return both((of) => allPages((cursor) => of.due(step.limit, cursor)), byId);
    case 'append': {
      const { id, stream, events, complete, note } = step;
      // A store may have forgotten such a stream; no owner continues one.
      if (model.replay(id, stream, -1) === 'gone') return [undefined, undefined];
      const from = model.length(id, stream) + step.off;
      const { mark, unmark }: { mark?: string; unmark?: string } = step.marks;
      const given = { id, fence: fenceOf(model, id, step.fence), stream, from, events, complete };
      const request = {
        ...given,
        ...(from === 0 && { note }),
        ...(mark !== undefined && { mark: { name: mark, stream } }),
        ...(unmark !== undefined && { unmark: { name: unmark, stream } }),
      };
      const append = (of: Asked) => of.append(request);
      return step.again ? both((of) => Promise.all([append(of), append(of)])) : both(append);
    }
    case 'replay': {
      const after = Math.max(-1, model.length(step.id, step.stream) - 1 - step.back);
      const expected = model.replay(step.id, step.stream, after);
      const got = store.records.replay(step.id, step.stream, after);
      return expected === 'gone' ? [(async () => (await got).found)(), false] : [got, expected];
    }
    case 'open':
      return both((of) => openStreams({ records: of }, step.id), byStream);
    case 'trim':
      return [store.records.trim(), undefined];
    case 'die':
      return [store.instances.leave(step.instance), undefined];
    case 'pass':
      return [pass(step.ms), undefined];
  }
}

/** Marks and streams have no order. */
function inOrder(outcome: ClaimOutcome): ClaimOutcome {
  if (!outcome.claimed) return outcome;
  const key = ({ name, stream }: Mark): string => `${name} ${stream}`;
  const marks = [...outcome.marks].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return { ...outcome, marks, streams: byStream(outcome.streams) };
}

function ownershipOf(model: PlainStore, id: string): Ownership {
  return model.record(id) ?? { epoch: 1, owner: null };
}

function fenceOf(model: PlainStore, id: string, kind: FenceKind): Fence {
  const { epoch, owner } = ownershipOf(model, id);
  const own = { epoch, owner: owner ?? 'i0' };
  if (kind === 'stale') return { ...own, epoch: epoch - 1 };
  if (kind === 'ahead') return { ...own, epoch: epoch + 1 };
  return kind === 'other' ? { ...own, owner: own.owner === 'i1' ? 'i2' : 'i1' } : own;
}

/** What the caller of a save or an end saw. Without a fence, the record as it is. */
function seenOf(
  model: PlainStore,
  { id, fence, stampOff }: Extract<ModelOperation, { op: 'save' | 'end' }>,
): SeenLiving {
  const { epoch, owner } = fence === null ? ownershipOf(model, id) : fenceOf(model, id, fence);
  return {
    epoch,
    owner,
    ...(stampOff !== undefined && { atStamp: (model.record(id)?.stamp ?? 0) + stampOff }),
  };
}

function dueOf(
  model: PlainStore,
  { id, due }: Extract<ModelOperation, { op: 'save' | 'release' }>,
): RecordChange {
  return due === null
    ? {}
    : { due: { inMs: due.inMs, seen: (model.record(id)?.rung ?? 0) + due.off } };
}

const byStream = (streams: readonly OpenStream[]): OpenStream[] => sortedBy('stream', streams);

/** A record may be on two pages. */
const byId = <T extends Ownership & { readonly id: string }>(records: readonly T[]): T[] =>
  sortedBy('id', [...new Map(records.map((record) => [record.id, record])).values()]);
