/**
 * Rows and entries as texts, for stores that keep texts. A record is a list, not an object: the names of its members
 * would be half of what is stored.
 */
import { newerRecord } from '../shared/failures.ts';
import { type EndedRecord, RECORD_VERSION, type StoredRecord } from '../store.ts';
import type { Entry, EntryHead, Row } from './backend.ts';

/** Not `id` and `body`, which are stored beside it. The version is first, so that any build can read it. */
type RecordText = readonly [
  v: number,
  epoch: number,
  owner: string | null,
  user: string | null,
  head: string,
  fields: StoredRecord['fields'],
  createdAt: number,
  stamp: number,
  expiresAt: number | null,
  dueAt: number | null,
  rung: number,
];

/** How a record ended. */
type EndText = readonly [v: number, at: number, outcome: string];

/** A row as a store of texts keeps it. An ended record has no body. */
export interface RowTexts extends Pick<Row, 'id' | 'version' | 'fence' | 'wakeAt'> {
  readonly body: string;
  readonly data: string;
}

/** The texts of a row; of an ended record the body is empty. */
export function textsOf({ fence, value }: Pick<Row, 'fence' | 'value'>): Pick<RowTexts, 'body' | 'data'> {
  if (fence === null) {
    const { at, outcome } = value as EndedRecord;
    return { body: '', data: JSON.stringify([RECORD_VERSION, at, outcome] satisfies EndText) };
  }
  const { v, epoch, owner, user, head, body, fields, createdAt, stamp, expiresAt, dueAt, rung } = value as StoredRecord;
  const list: RecordText = [v, epoch, owner, user, head, fields, createdAt, stamp, expiresAt, dueAt, rung];
  return { body, data: JSON.stringify(list) };
}

/** `where`: the server or file, for the error about a record of a newer build. */
export function rowOf({ id, version, fence, wakeAt, body, data }: RowTexts, where: string): Row {
  const list = JSON.parse(data) as RecordText | EndText;
  if (list[0] > RECORD_VERSION) throw newerRecord(where, id, list[0], RECORD_VERSION);
  if (fence === null) {
    const [, at, outcome] = list as EndText;
    return { id, version, fence, wakeAt, value: { id, outcome, at } };
  }
  const [v, epoch, owner, user, head, fields, createdAt, stamp, expiresAt, dueAt, rung] = list as RecordText;
  const times = { createdAt, stamp, expiresAt, dueAt };
  return { id, version, fence, wakeAt, value: { v, id, epoch, owner, user, head, body, fields, ...times, rung } };
}

/** A row from what a server answers: id, version, fence, wake time, body, data. `null` or empty: there is none. */
export function rowOfColumns(columns: readonly (string | null | undefined)[], where: string): Row {
  const [id, version, fence, wake, body, data] = columns;
  const wakeAt = wake ? Number(wake) : null;
  return rowOf(
    { id: id ?? '', version: Number(version), fence: fence || null, wakeAt, body: body ?? '', data: data ?? '' },
    where,
  );
}

export interface EntryTexts extends Pick<Entry, 'no' | 'stream'> {
  readonly head: string;
  /** `''`: no events, or not asked for. */
  readonly data: string;
}

export function entryTexts({ no, stream, head, events }: Entry): EntryTexts {
  return { no, stream, head: JSON.stringify(head), data: events.join(SEPARATOR) };
}

/** The record separator: no JSON text has it, and the text of a priming event is empty. */
const SEPARATOR = '\u001e';

const NO_EVENTS: readonly string[] = Object.freeze([]);

/** `withEvents`: the data is that of the entry. */
export function entryOfTexts({ no, stream, head, data }: EntryTexts, withEvents: boolean): Entry {
  return entryOfHead(no, stream, JSON.parse(head) as EntryHead, withEvents ? data : undefined);
}

/** A store calls it that reads the head with what is beside it. `data`: `undefined` where no events are asked for. */
export function entryOfHead(no: number, stream: string, head: EntryHead, data: string | undefined): Entry {
  return { no, stream, head, events: data !== undefined && head[1] > 0 ? data.split(SEPARATOR) : NO_EVENTS };
}
