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
  CreateOutcome,
  DueRecord,
  EndOutcome,
  Fence,
  FoundRecord,
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
import { contended } from './failures.ts';
import { NO_VALUE, type KeyedValues, type Read, type ValuePosition } from './keyed-values.ts';
import { token, type Names } from './names.ts';
import { storedJson } from './stored-json.ts';

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

/** A record that lives, or shows as ended, by the server's clock. */
interface Found {
  readonly position: ValuePosition;
  readonly value: VitalValue;
  /** It has ended or expired. */
  readonly over: boolean;
  /** When it did or will. */
  readonly overAt: number;
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

  create(record: NewRecord, lastsMs: number | null = null): Promise<CreateOutcome> {
    let position = NO_VALUE;
    return this.#try(record.id, async (subject) => {
      if (await this.#replace(subject, position, { v: VERSION, record, lastsMs })) return 'created';
      const read = await this.#options.values.read('instances', subject);
      position = read?.position ?? NO_VALUE;
      return (await this.#judge(subject, read)) && 'exists';
    });
  }

  async read(id: string): Promise<FoundRecord> {
    const found = await this.#try(id, async (subject) => {
      const seen = (await this.#look(subject)) ?? 'missing';
      if (seen === 'missing' || !seen.over || seen.value.ended !== undefined) return seen;
      return (await this.#replace(subject, seen.position, { ...seen.value, ended: '' })) ? seen : undefined;
    });
    if (found === 'missing') return undefined;
    return found.over ? { id, outcome: found.value.ended ?? '', at: found.overAt } : recordOf(found);
  }

  save(id: string, fence: Fence, change: RecordChange): Promise<WriteOutcome> {
    return this.#change(id, (found) => {
      if (found === undefined || found.over || !fits(found, fence)) return 'fenced';
      const { record, lastsMs } = found.value;
      const changed = { ...record, head: change.head ?? record.head, stamp: change.stamp ?? record.stamp };
      const { expiresInMs = lastsMs } = change;
      return ['written', { v: VERSION, record: changed, lastsMs: expiresInMs }];
    });
  }

  end(id: string, seen: Seen, outcome: string): Promise<EndOutcome> {
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
    const { values } = this.#options;
    for (const subject of await this.#subjects()) {
      const read = await values.read('instances', subject);
      if (read !== undefined && (await this.#judge(subject, read)) === undefined)
        await values.erase('instances', subject, read.position);
    }
  }

  /** `step` answers what a record as it was found refuses, or the outcome and the value that replaces it. */
  #change<T extends string>(
    id: string,
    step: (found: Found | undefined) => T | readonly [outcome: T, value: VitalValue],
  ): Promise<T> {
    return this.#try(id, async (subject) => {
      const found = await this.#look(subject);
      const next = step(found);
      if (typeof next === 'string') return next;
      const [outcome, value] = next;
      return found !== undefined && (await this.#replace(subject, found.position, value)) ? outcome : undefined;
    });
  }

  /** Repeats a step while it answers nothing, because another write came first. */
  #try<T>(id: string, step: (subject: string) => Promise<T | undefined>): Promise<T> {
    const { names, kind, deadlines, values } = this.#options;
    const { where } = values.jetstream.link;
    const subject = names.vital(kind, token(id));
    const work = async (): Promise<T> => {
      for (let tries = 0; tries < TRIES; tries++) {
        const outcome = await step(subject);
        if (outcome !== undefined) return outcome;
      }
      throw contended(where, subject);
    };
    return deadlines.answered(where, work());
  }

  /** `false`: the value is not the last one any more. */
  async #replace(subject: string, position: ValuePosition, value: VitalValue): Promise<boolean> {
    const body = Buffer.from(JSON.stringify(value));
    return (await this.#options.values.write('instances', subject, body, position)) !== undefined;
  }

  async #look(subject: string): Promise<Found | undefined> {
    return this.#judge(subject, await this.#options.values.read('instances', subject));
  }

  /** `undefined`: there is no record, or it is over and shows no more. */
  async #judge(subject: string, read: Read | undefined): Promise<Found | undefined> {
    const { values, clock, kind } = this.#options;
    // `deleted`: by another program. A dead instance loses its lease that way, too.
    if (read === undefined || read.stored.deleted) return undefined;
    const { position, stored } = read;
    const value = storedJson<VitalValue>(values.jetstream.link.where, subject, stored.data, VERSION);
    const overAt = value.ended === undefined ? stored.at + (value.lastsMs ?? Infinity) : stored.at;
    const now = overAt === Infinity ? 0 : await clock.now();
    const over = value.ended !== undefined || overAt <= now;
    return over && overAt + kind.keepMs <= now ? undefined : { position, value, over, overAt };
  }

  async #all(): Promise<readonly Found[]> {
    const subjects = await this.#subjects();
    const found = await Promise.all(subjects.map((subject) => this.#look(subject)));
    return found.filter((one) => one !== undefined);
  }

  async #subjects(): Promise<readonly string[]> {
    const { values, names, kind } = this.#options;
    return [...(await values.jetstream.subjects('instances', names.vital(kind, '*')))];
  }
}

const fits = ({ value: { record } }: Found, { epoch, owner, atStamp }: Seen): boolean =>
  record.epoch === epoch && record.owner === owner && record.stamp === (atStamp ?? record.stamp);

const recordOf = ({ value: { record, lastsMs }, overAt }: Found): StoredRecord => {
  const expiresAt = lastsMs === null ? null : overAt;
  return { ...record, expiresAt, dueAt: null, rung: 0 };
};
