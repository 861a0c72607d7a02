/**
 * Rows and entries as texts, for stores that keep texts. A record is a list, not an object: the names of its members
 * would be half of what is stored.
 */
import { damagedRecord, newerRecord } from '../shared/failures.ts';
import { type EndedRecord, RECORD_VERSION, type StoredRecord } from '../store.ts';
import type { LogEntry, EntryHead, Row, RowWrite } from './backend.ts';
import { entryBytes } from './counted-bytes.ts';

const isText = (part: unknown): boolean => typeof part === 'string';
const isNumber = (part: unknown): boolean => typeof part === 'number';
const isTextOrNull = (part: unknown): boolean => part === null || isText(part);
const isNumberOrNull = (part: unknown): boolean => part === null || isNumber(part);
const areTexts = (part: unknown): boolean =>
  part instanceof Object && Object.values(part).every(isText);

/**
 * A record is stored as its version and these members; `id` and `body` are beside it. An ended one
 * as its version, when and how it ended, and its share. The version is first, so that any build can
 * read it. Every program with access to the store can write a row, and a client of a database may
 * end the process for a value of a type that it does not know.
 */
const PARTS = {
  epoch: isNumber,
  owner: isTextOrNull,
  user: isTextOrNull,
  head: isText,
  fields: areTexts,
  createdAt: isNumber,
  stamp: isNumber,
  expiresAt: isNumberOrNull,
  dueAt: isNumberOrNull,
  rung: isNumber,
  share: isTextOrNull,
} as const satisfies Partial<Record<keyof StoredRecord, (part: unknown) => boolean>>;
const NAMES = Object.keys(PARTS) as Array<keyof typeof PARTS>;

/** A row as a store of texts keeps it. An ended record has no body. */
export interface RowTexts extends Pick<Row, 'id' | 'version' | 'fence' | 'wakeAt'> {
  readonly body: string;
  readonly data: string;
}

/** The texts of a row; of an ended record the body is empty. */
export function textsOf({
  fence,
  share,
  value,
}: Pick<Row, 'fence' | 'share' | 'value'>): Pick<RowTexts, 'body' | 'data'> {
  if (fence === null) {
    const { at, outcome, apart } = value as EndedRecord;
    const parts = [RECORD_VERSION, at, outcome, share];
    return { body: '', data: JSON.stringify(apart === undefined ? parts : [...parts, apart]) };
  }
  const record = value as StoredRecord;
  return {
    body: record.body,
    data: JSON.stringify([record.v, ...NAMES.map((name) => record[name])]),
  };
}

/** For a store that keeps them beside the texts. `stamp`: `null` where `countOf` and `oldest` pass over the row. */
export function countedIn({
  row,
  share,
}: RowWrite): readonly [share: string | null, stamp: number | null] {
  if (row === null || share === null || row.share === null) return [null, null];
  return [share, row.fence === null ? null : (row.value as StoredRecord).stamp];
}

/** `where`: the server or file, for the error about a record of a newer build. One such row hides no other of its page. */
export function rowOf(texts: RowTexts, where: string): Row {
  const { id, version, fence, wakeAt } = texts;
  try {
    const { value, share } = valueOf(texts, where);
    return { id, version, fence, wakeAt, share, value };
  } catch (cause) {
    return unreadableRow(texts, cause);
  }
}

/** A row whose value throws `cause`. */
export function unreadableRow(
  { id, version, fence, wakeAt }: Pick<Row, 'id' | 'version' | 'fence' | 'wakeAt'>,
  cause: unknown,
): Row {
  const value = (): never => {
    throw cause;
  };
  const row = { id, version, fence, wakeAt, share: null, unreadable: cause } as Row;
  return Object.defineProperty(row, 'value', { get: value });
}

function valueOf(
  { id, version, fence, body, data }: RowTexts,
  where: string,
): Pick<Row, 'value' | 'share'> {
  const [v, ...parts] = listIn(data, where, id);
  if (v > RECORD_VERSION) throw newerRecord(where, id, v, RECORD_VERSION);
  // No put could ever replace it.
  if (!(version > 0)) throw damagedRecord(where, id);
  if (fence === null) {
    const [at, outcome, share, apart] = parts as [number, string, string | null, string?];
    const isEnd =
      isNumber(at) &&
      isText(outcome) &&
      isTextOrNull(share) &&
      (apart === undefined || isText(apart));
    if (!isEnd) throw damagedRecord(where, id);
    return { value: { id, outcome, at, ...(apart !== undefined && { apart }) }, share };
  }
  if (!NAMES.every((name, n) => PARTS[name](parts[n]))) throw damagedRecord(where, id);
  const members = Object.fromEntries(NAMES.map((name, n) => [name, parts[n]]));
  const value = { v, id, body, ...members } as unknown as StoredRecord;
  return { value, share: value.share };
}

function listIn(data: string, where: string, id: string): [number, ...unknown[]] {
  try {
    const [...list] = JSON.parse(data) as [number, ...unknown[]];
    return list;
  } catch (cause) {
    throw damagedRecord(where, id, cause);
  }
}

/** Id, version, fence, wake time, body, data, as a database answers. `null` or empty: there is none. */
export type RowColumns = readonly (string | number | null)[];

export function rowOfColumns(columns: RowColumns, where: string): Row {
  const [id, version, fence, wake, body, data] = columns as readonly (string | null)[];
  const wakeAt = wake === undefined || wake === null || wake === '' ? null : Number(wake);
  return rowOf(
    {
      id: id ?? '',
      version: Number(version),
      fence: fence || null,
      wakeAt,
      body: body ?? '',
      data: data ?? '',
    },
    where,
  );
}

export interface EntryTexts extends Pick<LogEntry, 'no' | 'stream'> {
  readonly head: string;
  /** `''`: no events, or not asked for. */
  readonly data: string;
}

/** `bytes`: what the entry counts, which a store keeps beside its texts. */
export function entryTexts(entry: LogEntry): EntryTexts & { readonly bytes: number } {
  const { no, stream, head, events } = entry;
  return {
    no,
    stream,
    head: JSON.stringify(head),
    data: events.join(SEPARATOR),
    bytes: entryBytes(entry),
  };
}

/** The record separator: no JSON text has it, and the text of a priming event is empty. */
const SEPARATOR = '\u001e';

const NO_EVENTS: readonly string[] = Object.freeze([]);

/** `withEvents`: the data is that of the entry. */
export function entryOfTexts(
  { no, stream, head, data }: EntryTexts,
  withEvents: boolean,
): LogEntry {
  return entryOfHead(no, stream, JSON.parse(head) as EntryHead, withEvents ? data : undefined);
}

/** A store calls it that reads the head with what is beside it. `data`: `undefined` where no events are asked for. */
export function entryOfHead(
  no: number,
  stream: string,
  head: EntryHead,
  data: string | undefined,
): LogEntry {
  return {
    no,
    stream,
    head,
    events: data !== undefined && head[1] > 0 ? data.split(SEPARATOR) : NO_EVENTS,
  };
}
