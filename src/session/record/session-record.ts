/**
 * What the texts of a session's record mean. The store keeps them and reads none of them.
 *
 *     head    JSON list of the members of `SessionHead`
 *     body    JSON text of the client's `initialize` parameters
 *     fields  `s` and a key of `session.state` → JSON text of its value; `u` and a subscribed resource URI → `1`
 *     stamp   when the session was last in use, coarse: ms since 1970, by the clock of the instance that saved it
 *
 * A key or a URI is written as JSON text in the name of its field.
 */
import {
  type EndedRecord,
  RECORD_VERSION,
  type NewRecord,
  type RecordChange,
  type Ownership,
  type StoredRecord,
} from '../../stores/store.ts';
import { damagedRecord } from '../../stores/shared/failures.ts';
import { storedShare } from '../../base/budget.ts';
import type { EndReason } from '../../base/types.ts';
import { type Handshake, handshakeIn } from './handshake.ts';

/** The parts of a record that its session holds. */
export interface SessionIdentity {
  /** The requested protocol version until `initialize` is answered, then the negotiated version. */
  readonly version: string;
  readonly id: string;
  readonly userKey: string | undefined;
  /** Whose share it counts in. */
  readonly share: string;
  readonly handshake: Handshake;
  readonly createdAt: number;
}

/** The members that its owner changes, except state and subscriptions. */
export interface SessionHead {
  /** Negotiated protocol version. */
  readonly version: string;
  /** Whether `notifications/initialized` has arrived. */
  readonly initialized: boolean;
  readonly logLevel: string | null;
  /** See `server-answer.ts`. */
  readonly answer: string;
  /** Its owner gave it back because it was idle. Means nothing while a living instance owns it. */
  readonly hibernated?: boolean;
}

/** A record as the session it is of. */
export interface SessionRecord extends SessionHead, Ownership {
  readonly id: string;
  readonly userKey: string | undefined;
  readonly handshake: Handshake;
  /** Resource URIs that the client is subscribed to, in no order. */
  readonly subscriptions: readonly string[];
  /** `session.state`: key → JSON text. */
  readonly state: Readonly<Record<string, string>>;
  readonly createdAt: number;
  readonly activeAt: number;
}

/** `hibernated`: for the last write of a copy that leaves. */
export const encodeHead = (
  { version, initialized, logLevel, answer }: SessionHead,
  hibernated = false,
): string => JSON.stringify([version, initialized, logLevel, answer, hibernated]);

export function decodeHead(head: string): SessionHead {
  const [version, initialized, logLevel, answer, hibernated] = JSON.parse(head) as [
    string,
    boolean,
    string | null,
    string,
    boolean,
  ];
  return { version, initialized, logLevel, answer, hibernated };
}

/** The record of a session that is created. Its client is subscribed to nothing yet. */
export function encodeSession(
  identity: Pick<SessionIdentity, 'id' | 'userKey' | 'share' | 'handshake' | 'createdAt'>,
  { epoch, owner }: Ownership,
  head: SessionHead,
  state: SessionRecord['state'],
): NewRecord {
  const { id, userKey: user, handshake, createdAt } = identity;
  const share = storedShare(identity.share);
  const fields = Object.fromEntries(
    Object.entries(state).map(([key, json]) => [fieldName('s', key), json]),
  );
  const texts = { head: encodeHead(head), body: handshake.text, fields };
  return {
    v: RECORD_VERSION,
    id,
    epoch,
    owner,
    user: user ?? null,
    share,
    ...texts,
    createdAt,
    stamp: createdAt,
  };
}

/** @throws an error that names the record, where its texts are not those of a session */
export function decodeSession(record: StoredRecord): SessionRecord {
  const { id, epoch, owner, user, head, body, fields, createdAt, stamp } = record;
  try {
    const subscriptions: string[] = [];
    const state: [string, string][] = [];
    for (const [name, text] of Object.entries(fields)) {
      const key = JSON.parse(name.slice(1)) as string;
      if (name.startsWith('u')) subscriptions.push(key);
      else state.push([key, text]);
    }
    const [known, handshake] = [decodeHead(head), handshakeIn(body)];
    const { name, version } = handshake.params.clientInfo;
    for (const text of [known.version, name, version])
      if (typeof text !== 'string') throw new TypeError('a version or the client is no text');
    return {
      ...known,
      id,
      epoch,
      owner,
      userKey: user ?? undefined,
      handshake,
      subscriptions,
      // `fromEntries` makes own properties of all keys, `__proto__` included.
      state: Object.fromEntries(state),
      createdAt,
      activeAt: stamp,
    };
  } catch (cause) {
    throw damagedRecord('the session store', id, cause);
  }
}

/** The field of a key of `session.state`, or of a subscribed URI. */
export const fieldName = (kind: 's' | 'u', key: string): string => kind + JSON.stringify(key);

/** Why a session ended. A session without an outcome has expired. */
export const endReasonOf = ({ outcome }: EndedRecord): EndReason =>
  outcome === '' ? 'idle' : (outcome as EndReason);

/** One change for both. */
export function merged(earlier: RecordChange, later: RecordChange | undefined): RecordChange {
  const fields = { ...earlier.fields, ...later?.fields };
  return {
    ...earlier,
    ...later,
    ...((earlier.fields ?? later?.fields) !== undefined && { fields }),
  };
}
