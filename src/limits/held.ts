/**
 * What clients can make one endpoint keep in memory, one row for each thing. Each row charges its bytes to the budget
 * of `limits.memoryBytes` when a client makes them, and gives them back. Nothing else can charge that budget.
 *
 * `scripts/pages.mjs` writes this table into `docs/internals/memory.md`. `test/limits/held.test.ts` and
 * `test/limits/rows.test.ts` measure every row in the heap.
 */
import { Budget, type MemoryUse } from '../base/budget.ts';

interface HeldThing {
  readonly what: string;
  /** How its size in memory is counted. */
  readonly counted: string;
  /** How large it can get, and for whom. */
  readonly most: string;
  readonly until: string;
}

const things = <const Name extends string>(all: Readonly<Record<Name, HeldThing>>) => all;

export const HELD = things({
  bodies: {
    what: 'a request: its bytes, its text, its values, its handlers; the URIs of a `subscriptions/listen`',
    counted:
      'four times its bytes; 160 for a key, 48 for an object or array, 24 for an element; 12 KiB for a handler, ' +
      '56 with its own server; 16 KiB and header fields on the fetch face',
    most: '`bodyBytes` and `bodyKeys` each',
    until: 'its answer is complete and its handlers have settled',
  },
  answers: {
    what: 'an answer or a stream that its client does not read',
    counted: 'its bytes, from 64 KiB per connection on; on the fetch face from 4 KiB per answer on',
    most: '`streamBufferBytes` and one message each',
    until: 'the client has read it, or its connection is cut',
  },
  handshakes: {
    what: 'the handshake of a live session, with the copies of its server',
    counted: 'four times its text, one and a half times its values, and the header fields of its request',
    most: '16 KiB, with at most 512 keys',
    until: 'the session ends or hibernates',
  },
  state: {
    what: '`session.state` of a live session',
    counted: 'its JSON text and 192 for each key',
    most: '`stateBytes` for each session',
    until: 'the session ends or hibernates',
  },
  subscriptions: {
    what: 'the resource URIs that a live session is subscribed to',
    counted: 'twice their characters and 768 for each URI',
    most: '64 KiB for each session',
    until: 'the session ends or hibernates',
  },
  questions: {
    what: 'a question of a server that waits for the stream of its client',
    counted: '4 KiB and four times its text',
    most: '16 for each session',
    until: 'it is sent, cancelled or refused',
  },
  hibernated: {
    what: 'the record of a hibernated session (memory store)',
    counted: 'as while it was live',
    most: '`maxIdleSessionCount` of them',
    until: 'it wakes, ends or expires',
  },
  events: {
    what: 'an event of a stream that waits for the store',
    counted: 'its bytes',
    most: 'what the running calls of a session send',
    until: 'the store has it',
  },
  outcomes: {
    what: 'the result of a call of `once()` that is not stored yet',
    counted: '5 KiB, and four times the characters of its JSON text',
    most: '1 MiB for each call that runs',
    until: 'the store has it',
  },
  calls: {
    what: 'a 2026-07-28 call without a client, and the messages kept for it',
    counted: '56 KiB and its body, if another instance began it; its messages, and 160 for each',
    most: '`streamBufferBytes` each, an eighth of `memoryBytes` for all',
    until: 'its client returns, or two `retryMs` are over (an answer: 8 s at least)',
  },
  tasks: {
    what: 'a task that runs here: a later run, what it reads of earlier ones, its questions and answers; its end until that is stored',
    counted:
      '56 KiB, its call and its values for a later run; 1 KiB and four times its length for a text, three times that for a question',
    most: '256 KiB of call, 256 KiB of questions, 1 MiB of steps and state each, 1,000 of them; a result of 4 MiB',
    until: 'its handler has settled, or it parks; the store has its end',
  },
});

export type HeldName = keyof typeof HELD;

/** A request up to this size may use the reserve of the budget. */
const SMALL_BYTES = 32 * 1024;

/** What one row holds, as part of the budget. */
export class MemoryRow implements MemoryUse {
  readonly #budget: Budget;
  #used = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Bytes of this row. */
  get used(): number {
    return this.#used;
  }

  /** Whether only small requests are accepted now. */
  get full(): boolean {
    return this.#budget.used > this.#budget.size;
  }

  /** What this user holds of all rows that are shared. */
  heldBy(user: string): number {
    return this.#budget.heldBy(user);
  }

  isOver(user: string, more = 0): boolean {
    return this.#budget.isOver(user, more);
  }

  take(bytes: number, held: number, user: string): boolean {
    if (!this.#budget.take(bytes, user, held + bytes <= SMALL_BYTES)) return false;
    this.#used += bytes;
    return true;
  }

  charge(bytes: number, user: string): void {
    this.#used += bytes;
    this.#budget.charge(bytes, user);
  }

  give(bytes: number, user: string): void {
    this.charge(-bytes, user);
  }
}

export type MemoryRows = { readonly [Name in HeldName]: MemoryRow };

/** The rows of one endpoint. `bytes`: `limits.memoryBytes`. */
export function memoryRows(bytes: number, userShare = 1): MemoryRows {
  const budget = new Budget(bytes, userShare);
  const rows = Object.keys(HELD).map((name) => [name, new MemoryRow(budget)] as const);
  return Object.fromEntries(rows) as MemoryRows;
}
