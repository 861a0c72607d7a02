/**
 * Sends the writes of one store, one trip at a time and in order. Writes that are requested in one turn, or while a
 * trip runs, form the next one. Where the store answers at once, this does too.
 *
 *     idle ──write──▶ armed ──the turn ends──▶ sending ──answered, others wait──▶ sending
 *      ▲                                         │ ╰──failed: they and all that wait are rejected──▶ idle
 *      ╰──────────────── answered ───────────────╯
 *
 * A trip that fails has an unknown outcome. The writes that wait behind it are rejected too: a later write must not
 * take effect before an earlier one that is tried again.
 */
import { afterTurn } from '../../base/system.ts';
import { type Backend, isRowWrite, type Write, type Written } from './backend.ts';
import { tooMuchPending } from '../shared/failures.ts';
import type { MaybePromise } from '../store.ts';

/** Writes of one trip: SQLite stores them in some 5 ms. */
const MOST = 512;
/** Bytes of one trip; a single write may have more. */
const MOST_BYTES = 4_194_304;
/** A store that does not answer must not fill the memory of the process. */
export const MOST_WAITING_BYTES = 67_108_864;
/** Of a write besides its events and its body. */
export const WRITE_BYTES = 1_000;

interface Waiting {
  readonly write: Write;
  readonly bytes: number;
  resolve(done: boolean): void;
  reject(cause: unknown): void;
}

/** What the kernel writes through. */
export type Writes = Pick<TurnWrites, 'write' | 'settled'>;

export class TurnWrites {
  readonly #backend: Backend;
  readonly #answersAtOnce: boolean;
  readonly #mostWaitingBytes: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isArmed = false;
  #idle: Array<() => void> = [];

  constructor(backend: Backend, answersAtOnce: boolean, mostWaitingBytes = MOST_WAITING_BYTES) {
    this.#backend = backend;
    this.#answersAtOnce = answersAtOnce;
    this.#mostWaitingBytes = mostWaitingBytes;
  }

  /** `false`: refused. */
  write(write: Write): MaybePromise<boolean> {
    if (this.#answersAtOnce) return outcomeOf((this.#backend.write([write]) as readonly Written[])[0]);
    const bytes = bytesOf(write);
    if (this.#waitingBytes + bytes > this.#mostWaitingBytes && this.#waiting.length > 0)
      return Promise.reject(tooMuchPending(this.#backend.where, this.#waitingBytes));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, bytes, resolve, reject });
      this.#waitingBytes += bytes;
      if (this.#isArmed) return;
      this.#isArmed = true;
      afterTurn(() => void this.#send());
    });
  }

  /** Resolves when no write waits for an answer. */
  async settled(): Promise<void> {
    while (this.#isArmed) await new Promise<void>((done) => this.#idle.push(done));
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const trip = this.#take();
      try {
        this.#settle(trip, await this.#backend.write(trip.map(({ write }) => write)));
      } catch (cause) {
        for (const { reject } of [...trip, ...this.#take(Infinity)]) reject(cause);
      }
    }
    this.#isArmed = false;
    for (const done of this.#idle.splice(0)) done();
  }

  #settle(trip: readonly Waiting[], answers: readonly Written[]): void {
    for (const [n, { write, resolve, reject }] of trip.entries()) {
      const answer = answers[n];
      if (!(answer instanceof Error)) resolve(answer === true);
      else {
        reject(answer);
        if (!isRowWrite(write)) this.#refuseBehind(write);
      }
    }
  }

  /** Entries that wait behind a refused one of their log would leave a gap in it. */
  #refuseBehind({ kind, id }: Write): void {
    const behind = this.#waiting.filter(({ write }) => !isRowWrite(write) && write.id === id && write.kind === kind);
    if (behind.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => !behind.includes(one));
    for (const { bytes, resolve } of behind) {
      this.#waitingBytes -= bytes;
      resolve(false);
    }
  }

  #take(most = MOST): readonly Waiting[] {
    let [count, bytes] = [0, 0];
    for (const one of this.#waiting) {
      if (count === most || (count > 0 && most !== Infinity && bytes + one.bytes > MOST_BYTES)) break;
      count += 1;
      bytes += one.bytes;
    }
    this.#waitingBytes -= bytes;
    if (count < this.#waiting.length) return this.#waiting.splice(0, count);
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }
}

function outcomeOf(answer: Written | undefined): boolean {
  if (answer instanceof Error) throw answer;
  return answer === true;
}

function bytesOf(write: Write): number {
  if (!isRowWrite(write)) return write.entries.reduce((sum, { head }) => sum + head[2], WRITE_BYTES);
  const { value } = write.row ?? {};
  if (value === undefined) return WRITE_BYTES;
  if ('outcome' in value) return WRITE_BYTES + value.outcome.length;
  return Object.values(value.fields).reduce((sum, text) => sum + text.length, WRITE_BYTES + value.body.length);
}
