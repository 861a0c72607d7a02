/** Converts records to the values of their keys, and back. `record-scripts.ts` lists the one-letter fields. */
import {
  RECORD_VERSION,
  type EndedRecord,
  type Mark,
  type NewRecord,
  type OpenStream,
  type RecordChange,
  type StoredRecord,
} from '../store.ts';
import type { Reply } from './client.ts';
import { newerRecord } from '../shared/failures.ts';

/** Fields of the head hash that every record has: the head, the stamp. */
const NEEDED = ['h', 'a'];

/** Fields and values in turn. */
type Fields = readonly string[];

export function fieldsOf(reply: Reply | undefined): ReadonlyMap<string, string> {
  const flat = (reply ?? []) as Fields;
  const fields = new Map<string, string>();
  for (let n = 0; n + 1 < flat.length; n += 2) fields.set(flat[n] ?? '', flat[n + 1] ?? '');
  return fields;
}

/** What never changes: a line of JSON, then the body. */
export const bodyOf = ({ user, createdAt, body }: NewRecord): string => `${JSON.stringify([user, createdAt])}\n${body}`;

/** The fields of the head hash besides the fence, the last write and the expiry. */
export const headOf = (record: NewRecord): string[] => ['v', String(record.v), ...changedHead(record)];

/** The fields of the head hash that a change names, except the expiry. */
export function changedHead({ head, stamp }: RecordChange): string[] {
  const fields: string[] = [];
  if (head !== undefined) fields.push('h', head);
  if (stamp !== undefined) fields.push('a', String(stamp));
  return fields;
}

/** A time that a change sets, as a script argument. */
export const msUntil = (ms: number | null | undefined): string =>
  ms === undefined ? '' : ms === null ? 'never' : String(ms);

/** Names and values in turn; an empty value removes the field. */
export const changedFields = (fields: RecordChange['fields'] = {}): string[] =>
  Object.entries(fields).flatMap(([name, value]) => [name, value ?? '']);

/** The answer of `READ`; `CLAIM` adds the last two members. */
export type ReadReply = readonly [
  now: string,
  head: Fields,
  body: string | null,
  fields: Fields,
  outcome?: string,
  open?: Fields,
];

/**
 * The record as read; undefined: there is none. `damaged` is called when a part of it is missing; then the answer is
 * undefined.
 */
export function foundRecord(id: string, reply: ReadReply, where: string, damaged: () => void): FoundValue | undefined {
  const [time, headReply, bodyText, fieldsReply] = reply;
  const head = fieldsOf(headReply);
  const [v, now] = [Number(head.get('v')), Number(time)];
  if (head.size === 0) return undefined;
  if (v > RECORD_VERSION) throw newerRecord(where, id, v, RECORD_VERSION);
  const outcome = head.get('d');
  if (outcome !== undefined) {
    const ended = { id, outcome, at: Number(head.get('at')) };
    return { now, ended: Number(head.get('k')) > now ? ended : undefined };
  }
  const fence = head.get('f');
  const line = bodyText?.indexOf('\n') ?? -1;
  if (!Number.isInteger(v) || fence === undefined || line < 0 || !NEEDED.every((field) => head.has(field))) {
    damaged();
    return undefined;
  }
  const [user, createdAt] = JSON.parse(bodyText?.slice(0, line) ?? '') as [string | null, number];
  const expiry = head.get('x');
  const [epoch, owner] = fenceOf(fence);
  const record: StoredRecord = {
    v,
    id,
    epoch,
    owner,
    user,
    head: head.get('h') ?? '',
    body: bodyText?.slice(line + 1) ?? '',
    // `fromEntries` makes own properties of every name, `__proto__` too.
    fields: Object.fromEntries(fieldsOf(fieldsReply)),
    createdAt,
    stamp: Number(head.get('a')),
    expiresAt: expiry === undefined ? null : Math.abs(Number(expiry)),
    dueAt: head.has('q') ? Number(head.get('q')) : null,
    rung: Number(head.get('n') ?? 0),
  };
  return { now, record, expired: expiry !== undefined && Number(expiry) <= now };
}

export type FoundValue =
  | {
      readonly now: number;
      readonly record: StoredRecord;
      readonly expired: boolean;
      readonly ended?: undefined;
    }
  /** No `ended`: it shows no more. */
  | { readonly now: number; readonly ended: EndedRecord | undefined; readonly record?: undefined };

/** Epoch and owner of a head. */
export function fenceOf(text: string): readonly [epoch: number, owner: string | null] {
  const space = text.indexOf(' ');
  const owner = text.slice(space + 1);
  return [Number(text.slice(0, space)), owner === '' ? null : owner];
}

/** A mark is one field beside the open streams. */
export function markField({ name, stream }: Mark): string {
  return `m${JSON.stringify([name, stream])}`;
}

export function marksOf(open: ReadonlyMap<string, string>): readonly Mark[] {
  const marks: Mark[] = [];
  for (const field of open.keys()) {
    if (!field.startsWith('m')) continue;
    const [name, stream] = JSON.parse(field.slice(1)) as [string, string];
    marks.push({ name, stream });
  }
  return marks;
}

export function openStreamsOf(open: ReadonlyMap<string, string>): readonly OpenStream[] {
  const streams: OpenStream[] = [];
  for (const [field, value] of open) {
    if (!field.startsWith('s')) continue;
    const end = value.indexOf('\n');
    const [next, note] = end === -1 ? [value, null] : [value.slice(0, end), value.slice(end + 1)];
    streams.push({ stream: field.slice(1), next: Number(next), note });
  }
  return streams;
}
