/**
 * A compact form of records, for processes that hold a million of them. Fields that many sessions have in common are
 * one shared object. Times are differences from the first record's, because V8 stores small whole numbers without a
 * heap object. Reading builds a new record.
 */
import type { SessionRecord } from '../store.ts';

/** What sessions of the same kind of client have in common. */
type SharedFields = Pick<
  SessionRecord,
  'v' | 'version' | 'handshake' | 'answer' | 'initialized' | 'logLevel' | 'getStream' | 'subscriptions' | 'state'
>;

/** New records are compared with this many shared objects. A dropped one stays with the sessions that refer to it. */
const MAX_KNOWN = 16;
const known: SharedFields[] = [];

let origin: number | undefined;

export class PackedRecord {
  readonly id: string;
  epoch: number;
  owner: string | null;
  #shared: SharedFields;
  #user: string | null;
  #createdAt: number;
  #activeAt: number;
  #expiresAt: number | null;

  constructor(record: SessionRecord) {
    const from = (origin ??= Math.floor(record.createdAt));
    this.id = record.id;
    this.epoch = record.epoch;
    this.owner = record.owner;
    this.#shared = sharedFieldsOf(record);
    this.#user = record.user;
    this.#createdAt = record.createdAt - from;
    this.#activeAt = record.activeAt - from;
    this.#expiresAt = record.expiresAt === null ? null : record.expiresAt - from;
  }

  get expiresAt(): number | null {
    return this.#expiresAt === null ? null : this.#expiresAt + (origin ?? 0);
  }

  get record(): SessionRecord {
    const from = origin ?? 0;
    const { v, version, handshake, answer, initialized, logLevel, subscriptions, state, getStream } = this.#shared;
    return {
      v,
      id: this.id,
      epoch: this.epoch,
      owner: this.owner,
      user: this.#user,
      version,
      handshake,
      answer,
      initialized,
      logLevel,
      subscriptions,
      state,
      getStream,
      createdAt: this.#createdAt + from,
      activeAt: this.#activeAt + from,
      expiresAt: this.expiresAt,
    };
  }

  /** The new record must be of the same session. */
  set record(record: SessionRecord) {
    const from = origin ?? 0;
    this.epoch = record.epoch;
    this.owner = record.owner;
    this.#shared = sharedFieldsOf(record, this.#shared);
    this.#user = record.user;
    this.#createdAt = record.createdAt - from;
    this.#activeAt = record.activeAt - from;
    this.#expiresAt = record.expiresAt === null ? null : record.expiresAt - from;
  }
}

function sharedFieldsOf(record: SessionRecord, before?: SharedFields): SharedFields {
  if (before !== undefined && same(before, record)) return before;
  const found = known.find((fields) => same(fields, record));
  if (found !== undefined) return found;
  const { v, version, handshake, answer, initialized, logLevel, subscriptions, state, getStream } = record;
  const fields: SharedFields = {
    v,
    version,
    handshake,
    answer,
    initialized,
    logLevel,
    subscriptions,
    state,
    getStream,
  };
  // Subscriptions and state belong to one session: no other session can share them.
  if (subscriptions.length > 0 || Object.keys(state).length > 0) return fields;
  if (known.length >= MAX_KNOWN) known.shift();
  known.push(fields);
  return fields;
}

/** Compares lists and state by identity. Empty ones are the same object for all sessions. */
function same(fields: SharedFields, record: SessionRecord): boolean {
  return (
    fields.handshake === record.handshake &&
    fields.subscriptions === record.subscriptions &&
    fields.state === record.state &&
    fields.answer === record.answer &&
    fields.initialized === record.initialized &&
    fields.getStream === record.getStream &&
    fields.logLevel === record.logLevel &&
    fields.version === record.version &&
    fields.v === record.v
  );
}
