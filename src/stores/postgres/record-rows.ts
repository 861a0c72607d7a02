/** Converts records to rows, and back. */
import { createHash } from 'node:crypto';
import type { EndReason } from '../../types.ts';
import {
  RECORD_VERSION,
  type EndedSession,
  type Handshake,
  type NewSessionRecord,
  type RecordPatch,
  type SessionRecord,
} from '../store.ts';
import { expiredSession } from '../shared/expired-session.ts';
import { newerRecord } from '../shared/failures.ts';
import type { Row, Value } from './pg.ts';
import { SAVED_COLUMNS, type SavedColumn, type SaveParts } from './session-statements.ts';

/** The columns of `record`. */
type RecordRow = readonly [
  id: string,
  v: string,
  epoch: string,
  owner: string | null,
  user: string | null,
  version: string,
  handshake: string | null,
  answer: string | null,
  initialized: string,
  logLevel: string | null,
  subscriptions: string | null,
  getStream: string,
  createdAt: string,
  activeAt: string,
  expiresAt: string | null,
  state: string | null,
  ended: EndReason | null,
  endedAt: string | null,
  over: string,
  expired: string,
];

/** The columns of `claimed` that follow those of `record`: the markers, and the ms until the expiry. */
export const MARKERS = 20;
export const EXPIRES_IN = 21;

export interface ReadSession {
  readonly value: SessionRecord | EndedSession;
  /** Expired, and the end is not stored yet. */
  readonly expiring: boolean;
}

export function readSession(row: Row, place: string): ReadSession {
  const [id, v, epoch, owner, user, version, handshake, answer, initialized, logLevel, ...others] =
    row as unknown as RecordRow;
  const [subscriptions, getStream, createdAt, activeAt, expiresAt, state, ended, endedAt, over, expired] = others;
  if (Number(v) > RECORD_VERSION) throw newerRecord(place, id, Number(v), RECORD_VERSION);
  if (ended !== null) return { value: { v: Number(v), id, ended, at: Number(endedAt) }, expiring: false };
  if (over === 't') return { value: expiredSession(id, Number(expiresAt)), expiring: expired === 'f' };
  const value: SessionRecord = {
    v: Number(v),
    id,
    epoch: Number(epoch),
    owner,
    user: jsonOf<string | null>(user, null),
    version,
    handshake: jsonOf<Handshake>(handshake, NO_HANDSHAKE),
    answer: answer ?? '',
    initialized: initialized === 't',
    logLevel,
    subscriptions: jsonOf<readonly string[]>(subscriptions, []),
    state: jsonOf<Record<string, string>>(state, {}),
    getStream: getStream === 't',
    createdAt: Number(createdAt),
    activeAt: Number(activeAt),
    expiresAt: expiresAt === null ? null : Number(expiresAt),
  };
  return { value, expiring: false };
}

/** For a row whose second part was deleted by hand. */
const NO_HANDSHAKE: Handshake = { protocolVersion: '', capabilities: {}, clientInfo: { name: '', version: '' } };

const jsonOf = <T>(text: string | null, nothing: T): T => (text === null ? nothing : (JSON.parse(text) as T));

/** The values of `create`. */
export function createValues(
  deployment: string,
  record: NewSessionRecord,
  expiresInMs: number | null,
  tombstoneMs: number,
): Value[] {
  const keys = Object.entries(record.state);
  return [
    deployment,
    record.id,
    record.v,
    record.epoch,
    record.owner,
    record.user === null ? null : JSON.stringify(record.user),
    record.version,
    record.initialized,
    record.logLevel,
    record.getStream,
    record.createdAt,
    record.activeAt,
    expiresInMs,
    JSON.stringify(record.handshake),
    record.answer,
    tombstoneMs,
    keys.map(([key]) => keyId(key)),
    keys.map(([key]) => longKey(key)),
    keys.map(([, value]) => value),
    ...(record.subscriptions.length > 0 ? subscribedValues(record.subscriptions) : []),
  ];
}

const subscribedValues = (uris: readonly string[]): Value[] => [uris.map(keyId), uris.map(longKey)];

export interface Save {
  readonly parts: SaveParts;
  /** The values after those of the fence. */
  readonly values: readonly Value[];
}

/** Only what the patch names. */
export function saveOf(patch: RecordPatch, release: boolean): Save {
  const set: Partial<Record<SavedColumn, Value>> = {};
  if (patch.version !== undefined) set.version = patch.version;
  if (patch.initialized !== undefined) set.initialized = patch.initialized;
  if (patch.logLevel !== undefined) set.log_level = patch.logLevel;
  if (patch.getStream !== undefined) set.get_stream = patch.getStream;
  if (patch.activeAt !== undefined) set.active_at = patch.activeAt;
  if (patch.expiresInMs !== undefined) set.expires_at = patch.expiresInMs;
  const columns = SAVED_COLUMNS.filter((column) => set[column] !== undefined);
  const values: Value[] = columns.map((column) => set[column] ?? null);
  if (patch.answer !== undefined) values.push(patch.answer);
  const changes = Object.entries(patch.state ?? {});
  if (changes.length > 0) {
    const kept = changes.filter((entry): entry is [string, string] => entry[1] !== null);
    const gone = changes.filter(([, value]) => value === null);
    values.push(
      kept.map(([key]) => keyId(key)),
      kept.map(([key]) => longKey(key)),
      kept.map(([, value]) => value),
      gone.map(([key]) => keyId(key)),
    );
  }
  const { subscriptions = [] } = patch;
  if (subscriptions.length > 0) {
    const gone = subscriptions.filter(([, subscribed]) => !subscribed);
    const added = subscriptions.filter(([, subscribed]) => subscribed);
    values.push(
      ...subscribedValues(added.map(([uri]) => uri)),
      gone.map(([uri]) => keyId(uri)),
    );
  }
  const parts = {
    columns,
    release,
    answer: patch.answer !== undefined,
    state: changes.length > 0,
    subscriptions: subscriptions.length > 0,
  };
  return { parts, values };
}

/** The size of a key that an index accepts easily; an index page holds three entries of at most some 2,700 bytes. */
const KEY_BYTES = 500;

/** The id of a key: its JSON text, or a hash that starts with `#`, as no JSON text does. */
function keyId(key: string): string {
  const text = JSON.stringify(key);
  if (Buffer.byteLength(text) <= KEY_BYTES) return text;
  return `#${createHash('sha256').update(text).digest('base64url')}`;
}

function longKey(key: string): string | null {
  const text = JSON.stringify(key);
  return Buffer.byteLength(text) <= KEY_BYTES ? null : text;
}
