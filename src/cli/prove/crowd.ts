/** Clients that call while something befalls the server, and what they see. */
import { setTimeout as delay } from 'node:timers/promises';

/** A session that answers no ping for so long is lost. */
const LOST_MS = 15_000;
/** A server to which no client can connect for so long is broken. */
const CONNECT_MS = 60_000;
const RETRY_MS = 200;

/** What came of one call. */
export interface Done {
  readonly tool: string;
  /** The time until its answer, less what its tool takes where that is known. */
  readonly waitedMs: number;
  /** `undefined`: the right answer. */
  readonly failed?: string;
}

export interface Called extends Done {
  /** When it ended; if that was calm, when it began. */
  readonly phase: string;
  readonly kind: string;
}

export interface Person {
  readonly kind: string;
  /** Once; the crowd tries again. */
  connect(): Promise<void>;
  /** Does the n-th thing that it does. */
  act(n: number): Promise<Done>;
  /** `undefined`: it has no session. Rejects if the session does not answer. */
  ping(timeoutMs: number): Promise<void> | undefined;
  close(): Promise<void>;
}

/** No answer came in time. */
export const isHung = ({ failed = '' }: Done): boolean => /timed? ?out|-32001/i.test(failed);

export class Crowd<P extends Person = Person> {
  /** What befalls the server now. */
  phase = 'calm';
  readonly called: Called[] = [];
  /** The key is a kind of client. */
  readonly sessionsLost = new Map<string, number>();
  readonly people: readonly P[];
  #isOver = false;
  #lives: Promise<unknown> = Promise.resolve();

  constructor(people: readonly P[]) {
    this.people = people;
  }

  /** The longest answered call so far. */
  get longestMs(): number {
    return this.called.reduce(
      (ms, one) => (one.failed === undefined ? Math.max(ms, one.waitedMs) : ms),
      0,
    );
  }

  /** Resolves when each client has connected; they call from then on. */
  async open(): Promise<void> {
    await Promise.all(this.people.map((person) => this.#connect(person)));
    this.#lives = Promise.all(this.people.map((person, n) => this.#live(person, n)));
    // Its failure is that of `close`.
    this.#lives.catch(() => {});
  }

  /** Resolves when each call has ended. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#lives;
    await this.abandon();
  }

  /** Leaves the clients, and their calls. */
  async abandon(): Promise<void> {
    this.#isOver = true;
    await Promise.allSettled(this.people.map((person) => person.close()));
  }

  async #connect(person: P): Promise<void> {
    const end = performance.now() + CONNECT_MS;
    for (;;)
      try {
        return await person.connect();
      } catch (error) {
        // A client that leaves needs no session any more.
        if (this.#isOver) return;
        if (performance.now() > end) throw error;
        await delay(RETRY_MS);
      }
  }

  async #live(person: P, start: number): Promise<void> {
    for (let n = start; !this.#isOver; n++) {
      const began = this.phase;
      const done = await person.act(n);
      const phase = this.phase === 'calm' ? began : this.phase;
      this.called.push({ phase, kind: person.kind, ...done });
      if (done.failed !== undefined && !(await hasSession(person))) {
        this.sessionsLost.set(person.kind, (this.sessionsLost.get(person.kind) ?? 0) + 1);
        await person.close().catch(() => {});
        if (!this.#isOver) await this.#connect(person);
      }
      await delay(100 + ((n * 37) % 200));
    }
  }
}

async function hasSession(person: Person): Promise<boolean> {
  const end = performance.now() + LOST_MS;
  while (performance.now() < end) {
    const failed = await person.ping(LOST_MS)?.then(
      () => undefined,
      (error: unknown) => String(error),
    );
    if (failed === undefined) return true;
    if (/\b40[04]\b|session|not connected/i.test(failed)) return false;
    await delay(RETRY_MS);
  }
  return false;
}
