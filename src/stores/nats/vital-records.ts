/**
 * Leases and secrets: records that are few and small, each one value in the bucket of instances. That bucket has room
 * when the others are full, and a write touches no log, list or schedule.
 *
 * A record lasts for `lastsMs` after the server stored its value, by the time in that message. Each step replaces the
 * value that was read, so of a renewal and a burial at the same time one succeeds. A reader that finds a record expired
 * stores its end before it answers, so a renewal under way fails. An ended record is a value too, and is remembered for
 * the `keepMs` of its kind. The server deletes nothing by age here: its timer is late by up to a second.
 */
import type { LeaseRecords } from '../shared/instances.ts';
import type {
  DueRecord,
  EndedRecord,
  Fence,
  Kind,
  NewRecord,
  RecordChange,
  RecordPage,
  Seen,
  StoredRecord,
  WriteOutcome,
} from '../store.ts';
import type { ServerClock } from './clock.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import { contended, newerValue, unreadable } from './failures.ts';
import { NO_VALUE, type KeyedValues, type ValuePosition } from './keyed-values.ts';
import { token, type Names } from './names.ts';

const VERSION = 1;
/** Each write that came first costs one. */
const TRIES = 8;

interface VitalValue {
  readonly v: number;
  readonly record: NewRecord;
  /** `null`: for ever. */
  readonly lastsMs: number | null;
  /** The outcome of a record that ended. */
  readonly ended?: string;
}

/** A value, judged by the server's clock. */
interface Found {
  readonly subject: string;
  readonly position: ValuePosition;
  readonly value: VitalValue;
  /** The record has ended or expired, at `overAt`. */
  readonly over: boolean;
  readonly overAt: number;
  /** It is over and shows no more. */
  readonly forgotten: boolean;
}

export interface VitalRecordsOptions {
  readonly kind: Kind;
  readonly values: KeyedValues;
  readonly names: Names;
  readonly clock: ServerClock;
  readonly deadlines: Deadlines;
}

export class VitalRecords implements LeaseRecords {
  readonly #options: VitalRecordsOptions;

  constructor(options: VitalRecordsOptions) {
    this.#options = options;
  }

  async create(record: NewRecord, lastsMs: number | null = null): Promise<'created' | 'exists'> {
    const deadline = this.#deadline();
    const subject = this.#subject(record.id);
    for (let tries = 0, position = NO_VALUE; tries < TRIES; tries++) {
      if (await this.#replace({ subject, position }, { v: VERSION, record, lastsMs }, deadline)) return 'created';
      const found = await this.#look(subject, deadline);
      if (found?.forgotten === false) return 'exists';
      position = found?.position ?? NO_VALUE;
    }
    throw this.#contended(subject);
  }

  async read(id: string): Promise<StoredRecord | EndedRecord | undefined> {
    const deadline = this.#deadline();
    for (;;) {
      const found = await this.#look(this.#subject(id), deadline);
      if (found === undefined || found.forgotten) return undefined;
      if (!found.over) return recordOf(found);
      const { ended } = found.value;
      if (ended !== undefined || (await this.#replace(found, { ...found.value, ended: '' }, deadline)))
        return { id, outcome: ended ?? '', at: found.overAt };
    }
  }

  save(id: string, fence: Fence, { head, stamp, expiresInMs }: RecordChange): Promise<WriteOutcome> {
    return this.#change(id, (found) => {
      if (found === undefined || found.over || !fits(found, fence)) return 'fenced';
      const { record, lastsMs } = found.value;
      const changed = { ...record, head: head ?? record.head, stamp: stamp ?? record.stamp };
      return ['written', { v: VERSION, record: changed, lastsMs: expiresInMs === undefined ? lastsMs : expiresInMs }];
    });
  }

  end(id: string, seen: Seen, outcome: string): Promise<'ended' | 'fenced' | 'gone'> {
    return this.#change(id, (found) => {
      if (found === undefined || found.value.ended !== undefined) return 'gone';
      if (!fits(found, seen)) return 'fenced';
      return ['ended', { ...found.value, ended: found.over ? '' : outcome }];
    });
  }

  /** One page. */
  async list(): Promise<RecordPage> {
    return { records: (await this.#all()).filter(({ over }) => !over).map(recordOf) };
  }

  /** One page, of records whose end is not stored. */
  async due(): Promise<RecordPage<DueRecord>> {
    const expired = (await this.#all()).filter(({ over, value }) => over && value.ended === undefined);
    return { records: expired.map(({ value }) => ({ ...value.record, expired: true })) };
  }

  async trim(): Promise<void> {
    for (const { subject, position, forgotten } of await this.#all())
      if (forgotten) await this.#options.values.erase('instances', subject, position, this.#deadline());
  }

  /** `step` answers what a record as it was found refuses, or the outcome and the value that replaces it. */
  async #change<T extends string>(
    id: string,
    step: (found: Found | undefined) => T | readonly [outcome: T, value: VitalValue],
  ): Promise<T> {
    const deadline = this.#deadline();
    const subject = this.#subject(id);
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.#look(subject, deadline);
      const next = step(found);
      if (typeof next === 'string') return next;
      if (found !== undefined && (await this.#replace(found, next[1], deadline))) return next[0];
    }
    throw this.#contended(subject);
  }

  /** `false`: the value is not the last one any more. */
  async #replace(
    { subject, position }: Pick<Found, 'subject' | 'position'>,
    value: VitalValue,
    deadline: number,
  ): Promise<boolean> {
    const body = Buffer.from(JSON.stringify(value));
    return (await this.#options.values.write('instances', subject, body, position, deadline)) !== undefined;
  }

  async #look(subject: string, deadline: number): Promise<Found | undefined> {
    const { values, clock, kind } = this.#options;
    const read = await values.read('instances', subject, deadline);
    // `deleted`: by another program. A dead instance loses its lease that way, too.
    if (read === undefined) return undefined;
    const { position, stored } = read;
    if (stored.deleted) return { subject, position, value: DELETED, over: true, overAt: stored.at, forgotten: true };
    const value = this.#decode(subject, stored.data);
    const overAt = value.ended === undefined ? stored.at + (value.lastsMs ?? Infinity) : stored.at;
    const now = overAt === Infinity ? 0 : await clock.now(deadline);
    const over = value.ended !== undefined || overAt <= now;
    return { subject, position, value, over, overAt, forgotten: over && overAt + kind.keepMs <= now };
  }

  async #all(): Promise<readonly Found[]> {
    const { values, names, kind } = this.#options;
    const subjects = await values.jetstream.subjects('instances', names.vital(kind, '*'), this.#deadline());
    const found = await Promise.all([...subjects.keys()].map((subject) => this.#look(subject, this.#deadline())));
    return found.filter((one) => one !== undefined);
  }

  #decode(subject: string, data: Buffer): VitalValue {
    const { where } = this.#options.values.jetstream.link;
    let value: VitalValue;
    try {
      value = JSON.parse(data.toString()) as VitalValue;
    } catch (cause) {
      throw unreadable(where, subject, cause);
    }
    if (value.v > VERSION) throw newerValue(where, subject, value.v, VERSION);
    return value;
  }

  #subject(id: string): string {
    const { names, kind } = this.#options;
    return names.vital(kind, token(id));
  }

  #deadline(): number {
    return this.#options.deadlines.deadline();
  }

  #contended(subject: string): Error {
    return contended(this.#options.values.jetstream.link.where, subject);
  }
}

/** The value of a key that another program deleted. */
const DELETED: VitalValue = {
  v: VERSION,
  record: {
    v: VERSION,
    id: '',
    epoch: 0,
    owner: null,
    user: null,
    head: '',
    body: '',
    fields: {},
    createdAt: 0,
    stamp: 0,
  },
  lastsMs: 0,
  ended: '',
};

const fits = ({ value: { record } }: Found, { epoch, owner, atStamp }: Seen): boolean =>
  record.epoch === epoch && record.owner === owner && record.stamp === (atStamp ?? record.stamp);

const recordOf = ({ value: { record, lastsMs }, overAt }: Found): StoredRecord => {
  const expiresAt = lastsMs === null ? null : overAt;
  return { ...record, expiresAt, dueAt: null, rung: 0 };
};
