/** Converts records to the values of their keys, and back. `session-scripts.ts` lists the one-letter fields. */
import {
  RECORD_VERSION,
  type EndedSession,
  type Handshake,
  type Marker,
  type NewSessionRecord,
  type RecordPatch,
  type SessionRecord,
} from '../store.ts';
import type { EndReason } from '../../types.ts';
import type { Reply } from './client.ts';
import { newerRecord } from '../shared/failures.ts';

/** What never changes. `answer` may change: the new value is stored in the state hash and takes precedence. */
interface Body {
  readonly user: string | null;
  readonly handshake: Handshake;
  readonly answer: string;
  readonly createdAt: number;
}

/** Fields of the head that every record has: protocol version, initialized, active at. */
const NEEDED = ['p', 'i', 'a'];

/** Fields and values in turn. */
export type Fields = readonly string[];

export function fieldsOf(reply: Reply | undefined): ReadonlyMap<string, string> {
  const flat = (reply ?? []) as Fields;
  const fields = new Map<string, string>();
  for (let n = 0; n + 1 < flat.length; n += 2) fields.set(flat[n] ?? '', flat[n + 1] ?? '');
  return fields;
}

const flag = (on: boolean): string => (on ? '1' : '');
/** Keys may contain any text; JSON text restores them exactly. */
const stateField = (key: string): string => `.${JSON.stringify(key)}`;
const subscriptionField = (uri: string): string => `u${JSON.stringify(uri)}`;

export function bodyOf({ user, handshake, answer, createdAt }: NewSessionRecord): string {
  return JSON.stringify({ user, handshake, answer, createdAt } satisfies Body);
}

/** The fields of the head besides the fence, the last write and the expiry. */
export const headOf = (record: NewSessionRecord): string[] => ['v', String(record.v), ...changedHead(record)];

/** The fields of the head that a patch changes, except the expiry. */
export function changedHead(patch: Omit<RecordPatch, 'subscriptions'>): string[] {
  const { version, initialized, logLevel, getStream, activeAt } = patch;
  const fields: string[] = [];
  if (version !== undefined) fields.push('p', version);
  if (initialized !== undefined) fields.push('i', flag(initialized));
  if (logLevel !== undefined) fields.push('l', logLevel ?? '');
  if (getStream !== undefined) fields.push('g', flag(getStream));
  if (activeAt !== undefined) fields.push('a', String(activeAt));
  return fields;
}

/** The fields of the state hash of a new session. */
export function stateFields({ subscriptions, state }: NewSessionRecord): string[] {
  const fields = changedState({ state });
  for (const [n, uri] of subscriptions.entries()) fields.push(subscriptionField(uri), String(n + 1));
  if (subscriptions.length > 0) fields.push('n', String(subscriptions.length));
  return fields;
}

/** The fields of the state hash that a patch changes; an empty value removes the field. */
export function changedState({ answer, subscriptions = [], state }: RecordPatch): string[] {
  const fields: string[] = [];
  if (answer !== undefined) fields.push('a', `=${answer}`);
  for (const [uri, subscribed] of subscriptions) fields.push(subscriptionField(uri), subscribed ? '1' : '');
  for (const [key, value] of Object.entries(state ?? {})) fields.push(stateField(key), value ?? '');
  return fields;
}

/** The answer of `READ`; `CLAIM` adds the last two members. */
export type ReadReply = readonly [
  now: string,
  head: Fields,
  body: string | null,
  state: Fields,
  outcome?: string,
  open?: Fields,
];

/**
 * The session as read; undefined: there is none. `damaged` is called when a part of it is missing; then the answer is
 * undefined.
 */
export function foundSession(id: string, reply: ReadReply, where: string, damaged: () => void): Found | undefined {
  const [time, headReply, bodyText, stateReply] = reply;
  const head = fieldsOf(headReply);
  const [v, now] = [Number(head.get('v')), Number(time)];
  if (head.size === 0) return undefined;
  if (v > RECORD_VERSION) throw newerRecord(where, id, v, RECORD_VERSION);
  const reason = head.get('d');
  if (reason !== undefined) {
    return { now, ended: { v, id, ended: reason as EndReason, at: Number(head.get('at')) } };
  }
  const fence = head.get('f');
  if (!Number.isInteger(v) || fence === undefined || bodyText === null || !NEEDED.every((field) => head.has(field))) {
    damaged();
    return undefined;
  }
  const body = JSON.parse(bodyText) as Body;
  const aside = fieldsOf(stateReply);
  const [logLevel, expiry] = [head.get('l'), head.get('x')];
  const [epoch, owner] = fenceOf(fence);
  const record: SessionRecord = {
    v,
    id,
    epoch,
    owner,
    user: body.user,
    version: head.get('p') ?? '',
    handshake: body.handshake,
    answer: aside.get('a')?.slice(1) ?? body.answer,
    initialized: head.get('i') === '1',
    logLevel: logLevel === undefined || logLevel === '' ? null : logLevel,
    subscriptions: subscriptionsOf(aside),
    state: stateOf(aside),
    getStream: head.get('g') === '1',
    createdAt: body.createdAt,
    activeAt: Number(head.get('a')),
    expiresAt: expiry === undefined ? null : Math.abs(Number(expiry)),
  };
  return { now, record, expired: expiry !== undefined && Number(expiry) <= now };
}

export type Found =
  | {
      readonly now: number;
      readonly record: SessionRecord;
      readonly expired: boolean;
      readonly ended?: undefined;
    }
  | { readonly now: number; readonly ended: EndedSession; readonly record?: undefined };

/** Epoch and owner of a head. */
export function fenceOf(text: string): readonly [epoch: number, owner: string | null] {
  const space = text.indexOf(' ');
  const owner = text.slice(space + 1);
  return [Number(text.slice(0, space)), owner === '' ? null : owner];
}

function subscriptionsOf(aside: ReadonlyMap<string, string>): string[] {
  const numbered = [...aside].filter(([field]) => field.startsWith('u')).sort(([, a], [, b]) => Number(a) - Number(b));
  return numbered.map(([field]) => JSON.parse(field.slice(1)) as string);
}

/** `fromEntries` makes own properties of every key, `__proto__` too. */
function stateOf(aside: ReadonlyMap<string, string>): Record<string, string> {
  const entries = [...aside].filter(([field]) => field.startsWith('.'));
  return Object.fromEntries(entries.map(([field, value]) => [JSON.parse(field.slice(1)) as string, value]));
}

/** A marker is one field beside the open streams. */
export function markerField({ request, stream }: Marker): string {
  return `m${JSON.stringify([request, stream])}`;
}

export function markersOf(open: ReadonlyMap<string, string>): readonly Marker[] {
  const markers: Marker[] = [];
  for (const field of open.keys()) {
    if (!field.startsWith('m')) continue;
    const [request, stream] = JSON.parse(field.slice(1)) as [string, string];
    markers.push({ request, stream });
  }
  return markers;
}
