/**
 * Sends the writes of one store, one trip at a time and in order. Writes that are requested in one
 * turn, or while a trip runs, form the next one.
 *
 *     idle ──write──▶ armed ──the turn ends──▶ sending ──answered, others wait──▶ armed
 *      ▲                                         │ ╰──failed: they and all that wait are rejected──▶ idle
 *      ╰──────────────── answered ───────────────╯
 *
 * SQLite answers a trip in the turn that sends it. Each turn accepts one connection, so trips
 * without a turn between them would let a client with long events keep all others waiting.
 *
 * A trip that fails has an unknown outcome. The writes that wait behind it are rejected too: a
 * later write must not take effect before an earlier write that is tried again. Waiting writes
 * count in the memory budget of their writers (`http/limits/memory-rows.ts`).
 *
 * A row has one write in a trip: a put, or log writes that are one. Its next write waits for the
 * next trip. So a store need not keep an order within a trip, and nothing is stored behind an
 * append that the store refuses for what it holds: the log would lack an entry.
 */
import { afterTurn, atEndOfTurn, type TurnTask } from '../../base/system.ts';
import {
  type Backend,
  isRowWrite,
  type LogWrite,
  type Row,
  type Write,
  type Written,
} from './backend.ts';
import type { MaybePromise } from '../store.ts';

/** Writes of one trip: SQLite stores them in some 5 ms. */
const MOST = 512;
/** Bytes of one trip; a single write may have more. */
const MOST_BYTES = 4_194_304;
/** What a write takes besides its events and its body. */
const WRITE_BYTES = 1_000;

interface PendingWrite {
  readonly write: Write;
  readonly bytes: number;
  resolve(done: boolean): void;
  reject(cause: unknown): void;
}

/** One write of a trip: a put, or the appends to one log. */
type Joined = [PendingWrite, ...PendingWrite[]];

/** What the kernel writes through. Memory answers at once. */
export interface Writes {
  /** `false`: refused. */
  write(write: Write): MaybePromise<boolean>;
  /** Resolves when no write waits for an answer. */
  settled(): MaybePromise<void>;
}

export class TurnWrites implements TurnTask, Writes {
  readonly #backend: Backend;
  #waiting: PendingWrite[] = [];
  #isArmed = false;
  #idle: Array<() => void> = [];

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  write(write: Write): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, bytes: bytesOf(write), resolve, reject });
      if (this.#isArmed) return;
      this.#isArmed = true;
      atEndOfTurn(this);
    });
  }

  endTurn(): void {
    void this.#send();
  }

  /** Never called: `#send` gives its errors to those who wait. */
  fail(): void {}

  async settled(): Promise<void> {
    while (this.#isArmed) await new Promise<void>((done) => this.#idle.push(done));
  }

  async #send(): Promise<void> {
    const trip = this.#take();
    try {
      const answers = await this.#backend.write(trip.map(writeOf));
      for (const [n, joined] of trip.entries()) this.#settle(joined, answers[n]);
    } catch (cause) {
      for (const { reject } of [...trip.flat(), ...this.#waiting.splice(0)]) reject(cause);
    }
    if (this.#waiting.length > 0) return afterTurn(() => void this.#send());
    this.#isArmed = false;
    for (const done of this.#idle.splice(0)) done();
  }

  #settle(joined: Joined, answer: Written | undefined): void {
    if (answer instanceof Error) {
      for (const { reject } of joined) reject(answer);
      this.#refuseBehind(joined[0].write);
    } else for (const { resolve } of joined) resolve(answer === true);
  }

  /** Entries that wait behind a refused one of their log would leave a gap in it. */
  #refuseBehind({ kind, id }: Write): void {
    const behind = this.#waiting.filter(
      ({ write }) => !isRowWrite(write) && write.id === id && write.kind === kind,
    );
    if (behind.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => !behind.includes(one));
    for (const { resolve } of behind) resolve(false);
  }

  #take(): readonly Joined[] {
    const trip = new Map<string, Joined>();
    /** Rows of which a write waits. */
    const later = new Set<string>();
    let [count, bytes] = [0, 0];
    let isFull = false;
    this.#waiting = this.#waiting.filter((one) => {
      isFull ||= count === MOST || (count > 0 && bytes + one.bytes > MOST_BYTES);
      if (isFull) return true;
      const { kind, id } = one.write;
      const key = `${kind.name} ${id}`;
      const before = trip.get(key);
      if (later.has(key) || (before !== undefined && !joins(before, one))) {
        later.add(key);
        return true;
      }
      if (before === undefined) trip.set(key, [one]);
      else before.push(one);
      count += 1;
      bytes += one.bytes;
      return false;
    });
    return [...trip.values()];
  }
}

function joins(joined: Joined, { write }: PendingWrite): boolean {
  const { write: before } = joined.at(-1) as PendingWrite;
  if (isRowWrite(before) || isRowWrite(write) || before.fence !== write.fence) return false;
  return (
    before.cut + write.cut === 0 && (before.entries.at(-1)?.no ?? 0) < (write.entries[0]?.no ?? 0)
  );
}

function writeOf(joined: Joined): Write {
  const [{ write }] = joined;
  if (joined.length === 1) return write;
  const all = joined.map((one) => one.write as LogWrite);
  const bytes = all.reduce((sum, one) => sum + one.bytes, 0);
  return { ...(write as LogWrite), entries: all.flatMap(({ entries }) => entries), bytes };
}

function bytesOf(write: Write): number {
  if (isRowWrite(write)) return rowBytes(write.row);
  return write.entries.reduce((sum, { head }) => sum + head[2], WRITE_BYTES);
}

function rowBytes(row: Row | null): number {
  const { value } = row ?? {};
  if (value === undefined) return WRITE_BYTES;
  if ('outcome' in value) return WRITE_BYTES + value.outcome.length;
  return Object.values(value.fields).reduce(
    (sum, text) => sum + text.length,
    WRITE_BYTES + value.body.length,
  );
}
