/** The value under the key of a record: its record with the store's own fields, or its tombstone. */
import { wakeTime } from '../shared/record-change.ts';
import { RECORD_VERSION, type EndedRecord, type StoredRecord } from '../store.ts';
import { newerValue } from './failures.ts';
import type { LogSummary } from './log-state.ts';
import { storedJson } from './stored-json.ts';
import { changesInValue, type FieldChanges, type FieldPiece, foldedFields } from './field-pieces.ts';
import { shownRecord } from '../shared/failures.ts';

const VERSION = 1;

export interface LivingValue {
  readonly v: number;
  readonly record: StoredRecord;
  /** Where most fields of a large record are. */
  readonly pieces?: readonly FieldPiece[];
  /** Made at creation. It distinguishes the record from an earlier one with the same id. */
  readonly birth: string;
  /** The sequence of its message in the order of `list`. */
  readonly place: number;
  /** The time of its entry in the schedule, set by the last write that moved expiry or due time; `null` for none. */
  readonly due: number | null;
  /** The store has answered that this record expired, so it stays expired. */
  readonly expired?: true;
  /** The state of its log after the message `last`, when this value was written. */
  readonly log?: LogCheckpoint;
}

export interface LogCheckpoint {
  readonly last: number;
  readonly state: LogSummary;
}

export interface EndedValue {
  readonly v: number;
  readonly ended: EndedRecord;
  /** ms since 1970. */
  readonly forgetAt: number;
  readonly place: number;
}

export type Value = LivingValue | EndedValue;

/** A value as it is stored: with the changes that come after the pieces, and the sequences of their messages. */
export type StoredValue = Omit<LivingValue, 'record' | 'pieces'> & {
  readonly record: Omit<StoredRecord, 'fields'> & { readonly fields: FieldChanges };
  readonly pieces?: readonly number[];
};

export function encodeValue(value: Value): Buffer {
  if (!('pieces' in value) || value.pieces === undefined) return Buffer.from(JSON.stringify(value));
  const { record, pieces } = value;
  const stored: StoredValue = {
    ...value,
    record: { ...record, fields: changesInValue(pieces, record.fields) },
    pieces: pieces.map(({ seq }) => seq),
  };
  return Buffer.from(JSON.stringify(stored));
}

export function decodeValue(where: string, id: string, body: Buffer): StoredValue | EndedValue {
  const what = shownRecord(id);
  const value = storedJson<StoredValue | EndedValue>(where, what, body, VERSION);
  const v = 'record' in value ? value.record.v : 0;
  if (v > RECORD_VERSION) throw newerValue(where, what, v, RECORD_VERSION);
  return value;
}

export function newValue(record: StoredRecord, birth: string, place: number): LivingValue {
  return { v: VERSION, record, birth, place, due: wakeTime(record) };
}

export function endedValue(ended: EndedRecord, forgetAt: number, place: number): EndedValue {
  return { v: VERSION, ended, forgetAt, place };
}

/** No pieces: all fields are in the value. */
export function withPieces(value: LivingValue, pieces: readonly FieldPiece[]): LivingValue {
  const { pieces: _before, ...rest } = value;
  return pieces.length === 0 ? rest : { ...rest, pieces };
}

/** A value as it was stored, with all fields. `bodies`: the messages of its pieces. */
export function wholeValue(value: StoredValue, bodies: readonly Buffer[]): LivingValue {
  const { pieces: seqs = [], record, ...rest } = value;
  const pieces = bodies.map((body, n): FieldPiece => {
    return { seq: seqs[n] ?? 0, changes: JSON.parse(body.toString()) as FieldChanges };
  });
  const fields = foldedFields([...pieces.map(({ changes }) => changes), record.fields]);
  return withPieces({ ...rest, record: { ...record, fields } }, pieces);
}

/** `undefined` removes the log. */
export function withLog(value: LivingValue, log: LogCheckpoint | undefined): LivingValue {
  const { log: _before, ...rest } = value;
  return log === undefined ? rest : { ...rest, log };
}
