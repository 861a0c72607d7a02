/** The value under the key of a session: its record with the store's own fields, or its tombstone. */
import { RECORD_VERSION, type EndedSession, type SessionRecord } from '../store.ts';
import { newerValue, unreadable } from './failures.ts';
import type { LogSummary } from './log-state.ts';
import type { ValuePosition } from './keyed-values.ts';
import { urisInValue, type ListPiece } from './subscription-lists.ts';

const VERSION = 1;

export interface LivingValue {
  readonly v: number;
  /** Stored without the subscriptions that `lists` names. */
  readonly record: SessionRecord;
  /** Earlier pieces of a long list of subscriptions. */
  readonly lists?: readonly ListPiece[];
  /** Made at creation. It distinguishes the session from an earlier one with the same id. */
  readonly birth: string;
  /** The sequence of its message in the order of `list`. */
  readonly place: number;
  /** The time of its entry in the cleanup schedule, set by the last write that moved the expiry; `null` for none. */
  readonly due: number | null;
  /** The store has answered that this session expired, so it stays expired. */
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
  readonly ended: EndedSession;
  /** ms since 1970. */
  readonly forgetAt: number;
  readonly place: number;
}

export type Value = LivingValue | EndedValue;

/** A value and its position. */
export type Found = { readonly position: ValuePosition; readonly value: LivingValue } | FoundEnded;

interface FoundEnded {
  readonly position: ValuePosition;
  readonly value: EndedValue;
}

export function isLiving(found: Found): found is Exclude<Found, FoundEnded> {
  return 'record' in found.value;
}

export function encodeValue(value: Value): Buffer {
  if (!('lists' in value)) return Buffer.from(JSON.stringify(value));
  const record = { ...value.record, subscriptions: urisInValue(value) };
  return Buffer.from(JSON.stringify({ ...value, record }));
}

export function decodeValue(where: string, id: string, body: Buffer): Value {
  const what = `session ${id}`;
  let value: Value;
  try {
    value = JSON.parse(body.toString()) as Value;
  } catch (cause) {
    throw unreadable(where, what, cause);
  }
  if (typeof value?.v !== 'number') throw unreadable(where, what);
  if (value.v > VERSION) throw newerValue(where, what, value.v, VERSION);
  const { v } = 'record' in value ? value.record : value.ended;
  if (v > RECORD_VERSION) throw newerValue(where, what, v, RECORD_VERSION);
  return value;
}

export function newValue(record: SessionRecord, birth: string, place: number): LivingValue {
  return { v: VERSION, record, birth, place, due: record.expiresAt };
}

export function endedValue(ended: EndedSession, forgetAt: number, place: number): EndedValue {
  return { v: VERSION, ended, forgetAt, place };
}

/** No pieces: the whole list is in the value. */
export function withLists(value: LivingValue, pieces: readonly ListPiece[]): LivingValue {
  const { lists: _before, ...rest } = value;
  return pieces.length === 0 ? rest : { ...rest, lists: pieces };
}

/** A value as it was stored, with its whole list. */
export function wholeValue(value: LivingValue, earlier: readonly string[]): LivingValue {
  const { record } = value;
  return { ...value, record: { ...record, subscriptions: [...earlier, ...record.subscriptions] } };
}

/** `undefined` removes the log. */
export function withLog(value: LivingValue, log: LogCheckpoint | undefined): LivingValue {
  const { log: _before, ...rest } = value;
  return log === undefined ? rest : { ...rest, log };
}
