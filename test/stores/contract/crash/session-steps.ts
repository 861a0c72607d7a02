/** The life of a session as steps 1 to `LAST_STEP`, in a store and in the model. The last step ends it. */
import type { Fence, MaybePromise, Records, StoredRecord } from '../../../../src/stores/store.ts';
import { VIEW_DEFAULTS } from '../store-kit.ts';
import { PlainStore } from '../model/plain-store.ts';
import { plainRecord } from '../plain-record.ts';
import type { ViewSettings } from '../view.ts';

export const LAST_STEP = 41;
export const OUTCOME = '{"done":true}';
const TEXT = 'x'.repeat(2_000);
const KEPT_MS = 3_600_000;

/** The groups of the sessions. The name of one begins with the other. */
export const GROUPS = ['g', 'g-'] as const;

/** Nothing is dropped. */
const LOG = { maxAgeMs: KEPT_MS, events: 10_000, bytes: 100_000_000 };

/** What a session counts in: both writers write to each. */
export const SHARES = ['one', 'two'] as const;

export const newRecord = (id: string, owner: string): StoredRecord =>
  plainRecord(id, { epoch: 1, owner }, { user: 'ada', share: SHARES[id.length % 2] ?? null });

/** For the writers and for the process that looks at what they stored. */
export const viewOptions = (name: string): ViewSettings => ({
  ...VIEW_DEFAULTS,
  deployment: name,
  leaseMs: KEPT_MS,
  keepMs: KEPT_MS,
  log: LOG,
  grouped: true,
  counted: true,
});

const isSave = (step: number): boolean => step % 5 === 1;
const isMarked = (step: number): boolean => step % 5 === 2;
const isUnmarked = (step: number): boolean => step % 5 === 3;
const isCall = (step: number): boolean => step % 5 === 4;
/** The record is due until the next step, which puts that off. */
const rings = (step: number): boolean => step > 0 && step % 5 === 0;
const onGet = (step: number): boolean => isMarked(step) || isUnmarked(step);
const upTo = (step: number, fits: (step: number) => boolean): number[] =>
  Array.from({ length: step }, (_, n) => n + 1).filter(fits);

const callStream = (step: number): string => `p${step}`;
/** The GET stream, and those of calls. */
export const STREAMS: readonly string[] = ['g', ...upTo(LAST_STEP - 1, isCall).map(callStream)];

type Writes = Pick<Records, 'save' | 'add' | 'end' | 'append'>;

export function doStep(
  records: Writes,
  id: string,
  step: number,
  fence: Fence,
): MaybePromise<string> {
  if (step === LAST_STEP) return records.end(id, fence, OUTCOME);
  if (rings(step)) return records.add(id, `added ${step}`, '1');
  const due = { inMs: KEPT_MS, seen: upTo(step, rings).length };
  if (isSave(step))
    return records.save(id, fence, { stamp: step, fields: { step: `${step}`, [step]: '1' }, due });
  const text = JSON.stringify({ step, text: TEXT });
  const common = { id, fence };
  if (isCall(step))
    return records.append({
      ...common,
      stream: callStream(step),
      from: 0,
      events: ['', text],
      complete: true,
    });
  const append = { ...common, stream: 'g', from: upTo(step - 1, onGet).length, events: [text] };
  return records.append(
    isMarked(step)
      ? { ...append, note: '[1]', mark: { name: `${step}`, stream: 'g' } }
      : { ...append, unmark: { name: `${step - 1}`, stream: 'g' } },
  );
}

/** A model with one session, as it is after this step. */
export function modelAfter(id: string, step: number): PlainStore {
  const model = new PlainStore({ now: () => 0, keepMs: KEPT_MS, log: LOG });
  const record = newRecord(id, 'writer');
  model.create(record, null, null);
  for (const one of upTo(step, () => true))
    void doStep(model, id, one, { epoch: record.epoch, owner: 'writer' });
  return model;
}
