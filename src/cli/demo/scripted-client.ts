/**
 * A client that counts: every BEAT_MS it calls the tool with its next number, unless a call is still open. It raises
 * its number only when the answer has that number, so none is skipped. A call that fails is repeated at the next beat
 * with the same number, and counts as lost. After 404 the client stops: its session has ended for good.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DemoConnection, Era } from './official-clients.ts';

export const BEAT_MS = 250;
const WARM_UP_CALLS = 3;

/** What happened in a quarter of a second. */
export type Sign = 'answered' | 'waits' | 'error' | 'quiet';

const SIGNS = 18;
const MOST_ANSWERS = 2;

export interface Waited {
  readonly ms: number;
  /** When it began and ended, as `performance.now()`. */
  readonly from: number;
  readonly at: number;
}

export interface ClientHost {
  /** A call that takes longer than this waits. `from`: when it began. */
  longMs(from: number): number;
  /** A call was answered without a wait. */
  answered(ms: number): void;
  waited(client: ScriptedClient, waited: Waited): void;
  lost(client: ScriptedClient, error: unknown): void;
}

export class ScriptedClient {
  readonly name: string;
  readonly era: Era;
  readonly version: string;
  readonly #connection: DemoConnection;
  readonly #host: ClientHost;
  readonly #signs: Sign[] = [];
  #number = 0;
  #lost = 0;
  #since: number | undefined;
  #ended = false;
  #stopped = false;
  #lastWait: Waited | undefined;
  /** Answers without a sign. The one more at the start lets an answer come later than its quarter of a second. */
  #answers = 1;
  /** Since the last sign. */
  #hasWait = false;
  /** The open call has a sign for its wait. */
  #isSigned = false;
  #hasError = false;

  constructor(name: string, era: Era, connection: DemoConnection, host: ClientHost) {
    this.name = name;
    this.era = era;
    this.version = connection.version;
    this.#connection = connection;
    this.#host = host;
  }

  /** The number of its last answered call. */
  get number(): number {
    return this.#number;
  }

  /** Calls that its code saw fail. */
  get lost(): number {
    return this.#lost;
  }

  /** It got 404. */
  get ended(): boolean {
    return this.#ended;
  }

  get sessionId(): string | undefined {
    return this.#connection.sessionId;
  }

  /** How long the open call has waited, in ms; `undefined`: no call takes longer than usual. */
  get waitsMs(): number | undefined {
    if (this.#since === undefined || this.#stopped) return undefined;
    const ms = performance.now() - this.#since;
    return ms > this.#host.longMs(this.#since) ? ms : undefined;
  }

  get lastWait(): Waited | undefined {
    return this.#lastWait;
  }

  /** One for each quarter of a second, the newest last. */
  get signs(): readonly Sign[] {
    return this.#signs;
  }

  /** The first calls take longer than the others: they load code. */
  async warmUp(): Promise<void> {
    for (let calls = 0; calls < WARM_UP_CALLS; calls++) await this.#call();
  }

  /** Counts until `stop`. */
  async run(): Promise<void> {
    // The clients do not call all at once.
    await delay(Math.random() * BEAT_MS);
    let beat = performance.now();
    while (!this.#stopped && !this.#ended) {
      await this.#call();
      // After a wait it does not catch up.
      beat = Math.max(beat + BEAT_MS, performance.now());
      await delay(Math.max(0, beat - performance.now()));
    }
  }

  stop(): void {
    this.#stopped = true;
    void this.#connection.close().catch(() => {});
  }

  /** Called once for each quarter of a second. */
  sign(): void {
    const isOpen = this.waitsMs !== undefined;
    const waits = this.#hasWait || isOpen;
    this.#isSigned ||= isOpen;
    const isError = this.#hasError || this.#ended;
    this.#signs.push(isError ? 'error' : waits ? 'waits' : this.#answers > 0 ? 'answered' : 'quiet');
    if (this.#signs.length > SIGNS) this.#signs.shift();
    this.#answers = Math.max(0, Math.min(this.#answers, MOST_ANSWERS) - 1);
    this.#hasWait = this.#hasError = false;
  }

  async #call(): Promise<void> {
    const began = performance.now();
    this.#since = began;
    this.#isSigned = false;
    const number = this.#number + 1;
    try {
      const answer = await this.#connection.count(number);
      if (answer !== `${number}`) throw new Error(`call ${number} was answered with ${answer}`);
      this.#number = number;
      this.#answers += 1;
    } catch (error) {
      if (this.#stopped) return;
      this.#hasError = true;
      this.#lost += 1;
      this.#ended = isNotFound(error);
      this.#host.lost(this, error);
    } finally {
      this.#since = undefined;
      if (!this.#stopped && !this.#ended) this.#took(began);
    }
  }

  #took(from: number): void {
    const at = performance.now();
    const ms = at - from;
    if (ms <= this.#host.longMs(from)) return this.#host.answered(ms);
    this.#hasWait = !this.#isSigned;
    this.#lastWait = { ms, from, at };
    this.#host.waited(this, this.#lastWait);
  }
}

/** The clients of both eras put the status of the answer on their errors, under different names. */
function isNotFound(error: unknown): boolean {
  const { code, status, data } = Object(error) as { code?: unknown; status?: unknown; data?: unknown };
  return [code, status, (Object(data) as { status?: unknown }).status].includes(404);
}
