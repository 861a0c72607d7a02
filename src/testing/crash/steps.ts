/** The life of a session as steps 1 to `LAST_STEP`, and what is stored after each. The last step ends it. */
import { systemRandom, systemTime } from '../../options/system.ts';
import type { Fence, MaybePromise, NewRecord } from '../../stores/store.ts';
import type { View, ViewSettings } from '../view.ts';
import { plainRecord } from '../plain-record.ts';

export const LAST_STEP = 41;
export const OUTCOME = '{"done":true}';
const TEXT = 'x'.repeat(2_000);
const KEPT_MS = 3_600_000;

/** A session's content in the store. */
export interface Content {
  readonly fields: Readonly<Record<string, string>>;
  readonly rung: number;
  readonly stamp: number;
  /** The steps whose events are on the GET stream, and on streams of calls. */
  readonly get: readonly number[];
  readonly calls: readonly number[];
  readonly marks: readonly string[];
}

export const newRecord = (id: string, owner: string): NewRecord =>
  plainRecord(id, { epoch: 1, owner }, { user: 'ada' });

/** For the writers and for the process that looks at what they stored. */
export const viewOptions = (name: string, leaseMs: number): ViewSettings => ({
  name,
  time: systemTime,
  random: systemRandom,
  logger: { debug() {}, info() {}, warn() {}, error() {}, fatal() {} },
  leaseMs,
  keepMs: KEPT_MS,
  log: { ttlMs: KEPT_MS, events: 10_000, bytes: 100_000_000 },
  eventLogBytes: 0,
  tombstones: 0,
});

const isSave = (step: number): boolean => step % 5 === 1;
const isMarked = (step: number): boolean => step % 5 === 2;
const isUnmarked = (step: number): boolean => step % 5 === 3;
const isCall = (step: number): boolean => step % 5 === 4;
/** The record is due until the next step, which puts that off. */
export const rings = (step: number): boolean => step > 0 && step % 5 === 0;
const onGet = (step: number): boolean => isMarked(step) || isUnmarked(step);
const upTo = (step: number, fits: (step: number) => boolean): number[] =>
  Array.from({ length: step }, (_, n) => n + 1).filter(fits);

export const CALL_STEPS = upTo(LAST_STEP - 1, isCall);
export const callStream = (step: number): string => `p${step}`;

export function doStep(view: View, id: string, step: number, fence: Fence): MaybePromise<string> {
  if (step === LAST_STEP) return view.records.end(id, fence, OUTCOME);
  if (rings(step)) return view.records.add(id, `added ${step}`, '1');
  const due = { inMs: KEPT_MS, seen: upTo(step, rings).length };
  if (isSave(step)) return view.records.save(id, fence, { stamp: step, fields: { step: `${step}`, [step]: '1' }, due });
  const text = JSON.stringify({ step, text: TEXT });
  const common = { id: id, fence };
  if (isCall(step))
    return view.records.append({ ...common, stream: callStream(step), from: 0, events: ['', text], complete: true });
  const append = { ...common, stream: 'g', from: upTo(step - 1, onGet).length, events: [text] };
  return view.records.append(
    isMarked(step)
      ? { ...append, note: '[1]', mark: { name: `${step}`, stream: 'g' } }
      : { ...append, unmark: { name: `${step - 1}`, stream: 'g' } },
  );
}

export function contentAfter(step: number): Content {
  const saves = upTo(step, isSave);
  const adds = upTo(step, rings);
  const fields = Object.fromEntries([...saves, ...adds.map((add) => `added ${add}`)].map((name) => [`${name}`, '1']));
  const last = saves.at(-1);
  return {
    rung: adds.length,
    fields: last === undefined ? {} : { ...fields, step: `${last}` },
    stamp: last ?? 0,
    get: upTo(step, onGet),
    calls: upTo(step, isCall),
    marks: isMarked(step) ? [`${step}`] : [],
  };
}
