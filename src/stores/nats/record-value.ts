/** What stands under the key of a session: its record and what the store keeps with it, or what says that it ended. */
import { RECORD_VERSION, type EndedSession, type RecordPatch, type SessionRecord } from '../store.ts';
import { patchRecord } from '../memory/record-patch.ts';
import { newerValue, unreadable } from './failures.ts';
import type { LogSummary } from './log-state.ts';
import type { Spot } from './registers.ts';

const VERSION = 1;

export interface LivingValue {
  readonly v: number;
  readonly record: SessionRecord;
  /** Made at its creation: tells the session from an earlier one of the same id. */
  readonly birth: string;
  /** Its message in the order of `list`. */
  readonly place: number;
  /** The time of its entry in the agenda, as the last one to change its expiry has arranged it; `null`: none. */
  readonly due: number | null;
  /** Somebody has seen it past its expiry: from then on it is. */
  readonly expired?: true;
  /** The state of its log when this was written, after the message `last`. */
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

/** A value, and where it stands. */
export type Found = { readonly spot: Spot; readonly value: LivingValue } | FoundEnded;

interface FoundEnded {
  readonly spot: Spot;
  readonly value: EndedValue;
}

export function isLiving(found: Found): found is Exclude<Found, FoundEnded> {
  return 'record' in found.value;
}

export function encodeValue(value: Value): Buffer {
  return Buffer.from(JSON.stringify(value));
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

export function patchValue(value: LivingValue, patch: RecordPatch): LivingValue {
  return { ...value, record: patchRecord(value.record, patch) };
}

/** `null`: with none, in the sense of `RecordPatch`. */
export function withLog(value: LivingValue, log: LogCheckpoint | undefined): LivingValue {
  const { log: _before, ...rest } = value;
  return log === undefined ? rest : { ...rest, log };
}
