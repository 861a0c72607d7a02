/**
 * One change of shared state: JSON texts in a record that no instance owns. A change names the stamp that it replaces.
 * Where another instance was faster, it is made again on what is stored then.
 *
 *     read ──▶ make ──▶ save at that stamp ──written──▶ done
 *      ▲                    ├──another change came first──╮
 *      ╰────────────────────┴──no answer──────────────────╯   done as well where the head names this change
 *
 * An instance makes one change of a record at a time, and the head names the last change of each writer. So it shows
 * whether a change is stored whose answer was lost. Where it does not reach back so far, the caller gets
 * `STATE_UNSURE`: no change is made twice.
 */
import type { MemoryUse } from '../../base/budget.ts';
import { overMemory, stateTooLarge, stateUnsure, storeUnavailable } from '../../base/errors.ts';
import type { RecordParts } from '../records/owned-records.ts';
import { pause } from '../../session/record/pause.ts';
import { changedFields, type Fields } from '../../stores/shared/record-change.ts';
import type { RecordQueues } from '../../stores/shared/record-queues.ts';
import {
  type FoundRecord,
  isEnded,
  type MaybePromise,
  type NewRecord,
  type Records,
  type StoredRecord,
} from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';
import { type Author, firstHead, nextHead, readHead } from './state-head.ts';

const TRIES = 256;
/** Conflicts after which the next try waits. */
const AT_ONCE = 2;
/** What is read, changed and sent, at two bytes for a character. */
const WEIGHT = 6;

/** What all changes of an endpoint need. */
export interface StateParts {
  readonly time: Required<TimeProvider>;
  readonly maxWaitMs: number;
  /** `limits.stateBytes`. */
  readonly stateBytes: number;
  /** What a change holds until it is stored. */
  readonly memory: MemoryUse;
  /** For a change that begins. */
  author(): Author;
  readonly turns: RecordQueues;
}

/** What the states of an endpoint are made of. `memory`: what changes hold until they are stored. */
export interface StatesGiven extends Pick<RecordParts, 'options' | 'store' | 'random'> {
  readonly memory: MemoryUse;
}

/** A record without what a change gives it. */
export type NewState = Omit<NewRecord, 'head' | 'fields' | 'stamp'>;

/** Which record it is, and whose. */
export interface StateAddress {
  readonly records: Records;
  readonly id: string;
  /** For error messages: `userState()`, `cart`. */
  readonly name: string;
  /** Whose share of the memory a change takes. */
  readonly share: string;
  /** How long the record lasts after a change; `undefined`: as it was made. */
  readonly lastsMs?: number;
  /** There is no living record. Throws where none may be made. */
  absent(found: FoundRecord): NewState;
  /** Its id is never used again, and each claim raises its epoch. */
  readonly isUsedOnce?: true;
  /** Throws where this user may not change the record as it is stored now. */
  refuses?(record: StoredRecord): MaybePromise<void>;
}

/** What a change does, and what its caller gets. Without `fields` there is nothing to store. */
export interface Change<T> {
  readonly fields?: Readonly<Record<string, string | null>>;
  readonly value: T;
}

/** A change as it is sent: again the same while its base is stored, so that its value is that of what is stored. */
interface SentChange<T> {
  readonly epoch: number;
  readonly stamp: number;
  readonly fields: Readonly<Record<string, string | null>>;
  readonly value: T;
}

export class StateChange<T> {
  readonly #parts: StateParts;
  readonly #address: StateAddress;
  readonly #make: (fields: Fields) => Change<T>;
  readonly #author: Author;
  /** What was sent and has no answer: it may be stored. */
  readonly #unsure: SentChange<T>[] = [];
  /** The record that is created, where there was none. */
  #new: NewState | undefined = undefined;

  constructor(parts: StateParts, address: StateAddress, make: (fields: Fields) => Change<T>) {
    this.#parts = parts;
    this.#address = address;
    this.#make = make;
    this.#author = parts.author();
  }

  /** Rejects where the store does not answer, and may be called again after that. */
  async run(): Promise<T> {
    for (let tries = 0; tries < TRIES; tries++) {
      if (tries > AT_ONCE) await pause(this.#parts.time, 0);
      const done = await this.#try();
      if (done !== undefined) return done.value;
    }
    throw storeUnavailable(`${this.#address.name} was changed by others ${TRIES} times in a row`);
  }

  async #try(): Promise<{ readonly value: T } | undefined> {
    const found = await this.#address.records.read(this.#address.id);
    const record = found === undefined || isEnded(found) ? undefined : found;
    const { refuses } = this.#address;
    if (refuses !== undefined && record !== undefined) await refuses(record);
    const stored = record && this.#storedOf(record);
    if (stored !== undefined) return stored;
    const { epoch, stamp } = record ?? {
      epoch: (this.#new ??= this.#address.absent(found)).epoch,
      stamp: 0,
    };
    let sent = this.#unsure.find((one) => this.#isOf(epoch, one) && one.stamp === stamp + 1);
    if (sent === undefined) {
      const change = this.#make(record?.fields ?? {});
      if (change.fields === undefined) return change;
      sent = { epoch, stamp: stamp + 1, fields: change.fields, value: change.value };
    }
    return (await this.#save(record, sent)) ? sent : undefined;
  }

  /** A change whose answer was lost, if it is stored. */
  #storedOf(record: StoredRecord): SentChange<T> | undefined {
    const { dropped, writers } = readHead(record);
    const { writer, change } = this.#author;
    const mine = writers.find(([name, number]) => name === writer && number === change);
    const stored = this.#unsure.find(
      (one) => this.#isOf(record.epoch, one) && one.stamp === mine?.[2],
    );
    const [first] = this.#unsure;
    const isOfRecord = first !== undefined && this.#isOf(record.epoch, first);
    if (stored === undefined && isOfRecord && dropped >= first.stamp)
      throw stateUnsure(this.#address.name);
    return stored;
  }

  /** Whether a change was sent for the record that has this epoch now. */
  #isOf(epoch: number, sent: SentChange<T>): boolean {
    return this.#address.isUsedOnce === true || sent.epoch === epoch;
  }

  /** `false`: another change came first. */
  async #save(record: StoredRecord | undefined, sent: SentChange<T>): Promise<boolean> {
    const { memory, stateBytes } = this.#parts;
    const { records, id, name, share } = this.#address;
    const fields = changedFields(record?.fields ?? {}, sent.fields);
    const bytes = bytesOfFields(fields);
    if (bytes > stateBytes) throw stateTooLarge(bytes, stateBytes, name);
    if (!memory.take(bytes * WEIGHT, 0, share)) throw overMemory();
    const isNew = !this.#unsure.includes(sent);
    if (isNew) this.#unsure.push(sent);
    try {
      const { stamp } = sent;
      let isStored: boolean;
      if (record === undefined) {
        const { lastsMs } = this.#address;
        const made = {
          ...(this.#new as NewState),
          head: firstHead(lastsMs ?? 0, this.#author),
          fields,
          stamp,
        };
        isStored = (await records.create(made, lastsMs)) === 'created';
      } else {
        const lastsMs = this.#address.lastsMs ?? readHead(record).lastsMs;
        const head = nextHead(record, lastsMs, this.#author, stamp);
        const change = { fields: sent.fields, head, stamp, expiresInMs: lastsMs };
        const { epoch, owner, stamp: atStamp } = record;
        isStored = (await records.save(id, { epoch, owner, atStamp }, change)) !== 'fenced';
      }
      if (isNew) this.#unsure.pop();
      return isStored;
    } finally {
      memory.give(bytes * WEIGHT, share);
    }
  }
}

export function bytesOfFields(fields: Fields): number {
  let bytes = 0;
  for (const [key, json] of Object.entries(fields))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(json);
  return bytes;
}
