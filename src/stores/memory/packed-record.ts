/**
 * A compact form of records, for processes that hold a million of them. The texts that many records have in common are
 * one shared object. Times are differences from the first record's, because V8 stores small whole numbers without a
 * heap object. Reading builds a new record.
 */
import { wakeTime } from '../shared/record-change.ts';
import type { StoredRecord } from '../store.ts';

/** What records of the same kind of client have in common. Most records are never due. */
type SharedTexts = Pick<StoredRecord, 'v' | 'head' | 'body' | 'fields' | 'dueAt' | 'rung'>;

/** New records are compared with this many shared objects. A dropped one stays with the records that refer to it. */
const MAX_KNOWN = 16;
const known: SharedTexts[] = [];

let origin: number | undefined;

export class PackedRecord {
  readonly id: string;
  epoch: number;
  owner: string | null;
  #shared: SharedTexts;
  #user: string | null;
  #createdAt: number;
  #stamp: number;
  #expiresAt: number | null;

  constructor(record: StoredRecord) {
    const from = (origin ??= Math.floor(record.createdAt));
    this.id = record.id;
    this.epoch = record.epoch;
    this.owner = record.owner;
    this.#shared = sharedTextsOf(record);
    this.#user = record.user;
    this.#createdAt = record.createdAt - from;
    this.#stamp = record.stamp - from;
    this.#expiresAt = record.expiresAt === null ? null : record.expiresAt - from;
  }

  get expiresAt(): number | null {
    return this.#expiresAt === null ? null : this.#expiresAt + (origin ?? 0);
  }

  /** The earlier of expiry and due time. */
  get wakesAt(): number | null {
    return wakeTime({ expiresAt: this.expiresAt, dueAt: this.#shared.dueAt });
  }

  get record(): StoredRecord {
    const from = origin ?? 0;
    const { v, head, body, fields, dueAt, rung } = this.#shared;
    return {
      v,
      id: this.id,
      epoch: this.epoch,
      owner: this.owner,
      user: this.#user,
      head,
      body,
      fields,
      createdAt: this.#createdAt + from,
      stamp: this.#stamp + from,
      expiresAt: this.expiresAt,
      dueAt,
      rung,
    };
  }

  /** The new record must be of the same record. */
  set record(record: StoredRecord) {
    const from = origin ?? 0;
    this.epoch = record.epoch;
    this.owner = record.owner;
    this.#shared = sharedTextsOf(record, this.#shared);
    this.#stamp = record.stamp - from;
    this.#expiresAt = record.expiresAt === null ? null : record.expiresAt - from;
  }
}

function sharedTextsOf(record: StoredRecord, before?: SharedTexts): SharedTexts {
  if (before !== undefined && same(before, record)) return before;
  const found = known.find((texts) => same(texts, record));
  if (found !== undefined) return found;
  const { v, head, body, fields, dueAt, rung } = record;
  const texts: SharedTexts = { v, head, body, fields, dueAt, rung };
  // Fields and a due time belong to one record: no other record can share them.
  if (dueAt !== null || Object.keys(fields).length > 0) return texts;
  if (known.length >= MAX_KNOWN) known.shift();
  known.push(texts);
  return texts;
}

/** Compares fields by identity. Empty ones are the same object for all records. */
function same(texts: SharedTexts, record: StoredRecord): boolean {
  return (
    texts.fields === record.fields &&
    texts.head === record.head &&
    texts.body === record.body &&
    texts.v === record.v &&
    texts.dueAt === record.dueAt &&
    texts.rung === record.rung
  );
}
