/**
 * Records as a process holds a million of them: what many sessions have in common stands in one `Kind`, and times count from
 * the first record seen, because V8 keeps small whole numbers without an object each. Reading makes a record anew.
 */
import type { SessionRecord } from '../store.ts';

/** What sessions of one kind of client have in common. */
type Kind = Pick<
  SessionRecord,
  'v' | 'version' | 'handshake' | 'answer' | 'initialized' | 'logLevel' | 'getStream' | 'subscriptions' | 'state'
>;

/** Kinds that new records are compared with; what is pushed out stays with the sessions that have it. */
const KINDS_KNOWN = 16;
const known: Kind[] = [];

let origin: number | undefined;

export class PackedRecord {
  readonly id: string;
  epoch: number;
  owner: string | null;
  #kind: Kind;
  #user: string | null;
  #createdAt: number;
  #activeAt: number;
  #expiresAt: number | null;

  constructor(record: SessionRecord) {
    const from = (origin ??= Math.floor(record.createdAt));
    this.id = record.id;
    this.epoch = record.epoch;
    this.owner = record.owner;
    this.#kind = kindOf(record);
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
    const { v, version, handshake, answer, initialized, logLevel, subscriptions, state, getStream } = this.#kind;
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

  /** Of the same session. */
  set record(record: SessionRecord) {
    const from = origin ?? 0;
    this.epoch = record.epoch;
    this.owner = record.owner;
    this.#kind = kindOf(record, this.#kind);
    this.#user = record.user;
    this.#createdAt = record.createdAt - from;
    this.#activeAt = record.activeAt - from;
    this.#expiresAt = record.expiresAt === null ? null : record.expiresAt - from;
  }
}

function kindOf(record: SessionRecord, before?: Kind): Kind {
  if (before !== undefined && same(before, record)) return before;
  const found = known.find((kind) => same(kind, record));
  if (found !== undefined) return found;
  const { v, version, handshake, answer, initialized, logLevel, subscriptions, state, getStream } = record;
  const kind: Kind = { v, version, handshake, answer, initialized, logLevel, subscriptions, state, getStream };
  // What is a session's own is of no use to others, and goes with it.
  if (subscriptions.length > 0 || Object.keys(state).length > 0) return kind;
  if (known.length >= KINDS_KNOWN) known.shift();
  known.push(kind);
  return kind;
}

/** Lists and state by identity: those that are empty are one object for all. */
function same(kind: Kind, record: SessionRecord): boolean {
  return (
    kind.handshake === record.handshake &&
    kind.subscriptions === record.subscriptions &&
    kind.state === record.state &&
    kind.answer === record.answer &&
    kind.initialized === record.initialized &&
    kind.getStream === record.getStream &&
    kind.logLevel === record.logLevel &&
    kind.version === record.version &&
    kind.v === record.v
  );
}
