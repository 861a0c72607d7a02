/**
 * Group commit. Writes wait for the end of the event-loop turn that asked for them and go into the file as one
 * transaction, in the order in which they were asked for; their promises resolve when it is committed.
 *
 *     write() ──▶ waiting ──end of turn──▶ committed
 *                    ▲          │ the file is locked: wait, at most BUSY_LIMIT_MS each
 *                    └──────────┘
 *
 * A write that throws takes nothing with it: the group is rolled back, and each of its writes is done again on its own.
 * So a write must be repeatable, and change nothing but the file. A crash keeps whole groups and only those; whoever was
 * told that its write is stored is in one of them.
 */
import { afterTurn } from '../../options/system.ts';
import type { Database } from './database.ts';
import { isBusy, storeClosed, storeFailure, storeLocked } from './failures.ts';
import { BUSY_LIMIT_MS, type Patience } from './patience.ts';

/** Of one transaction: 512 appends take some 3 ms. */
const GROUP = 512;

/** How writes of one kind are done that follow each other: all at once where that is cheaper, an outcome for each. */
export interface Kind<W, T> {
  run(writes: readonly W[]): readonly T[];
}

/** Each on its own. */
const STEPS: Kind<() => unknown, unknown> = { run: (steps) => steps.map((step) => step()) };

interface Write {
  readonly kind: Kind<never, unknown>;
  readonly what: unknown;
  resolve(value: unknown): void;
  reject(error: Error): void;
  /** When the file was first found locked. */
  since: number | undefined;
}

export class Writer {
  readonly #database: Database;
  readonly #patience: Patience;
  #waiting: Write[] = [];
  #armed = false;
  #tries = 0;
  #closed = false;
  #held = false;
  /** The end of a turn came while held. */
  #due = false;
  readonly #committed: () => void;

  /** `committed` is called after each transaction. */
  constructor(database: Database, patience: Patience, committed: () => void) {
    this.#database = database;
    this.#patience = patience;
    this.#committed = committed;
  }

  /** Resolves with what `step` returned, once that is stored. */
  write<T>(step: () => T): Promise<T> {
    return this.writeAs(STEPS, step) as Promise<T>;
  }

  /** `what` is looked at when the turn has ended. */
  writeAs<W, T>(kind: Kind<W, T>, what: W): Promise<T> {
    return new Promise((resolve: (value: never) => void, reject) => {
      if (this.#closed) return reject(storeClosed(this.#database.path));
      this.#waiting.push({ kind, what, resolve, reject, since: undefined });
      if (this.#armed) return;
      this.#armed = true;
      afterTurn(this.#endTurn);
    });
  }

  /** Until `resume`, everything waits. */
  hold(): void {
    this.#held = true;
  }

  resume(): void {
    this.#held = false;
    if (this.#due) afterTurn(this.#endTurn);
    this.#due = false;
  }

  /** Resolves when every write so far is stored or refused; later ones are refused. */
  async close(): Promise<void> {
    const last = this.#closed ? undefined : this.write(() => undefined);
    this.#closed = true;
    await last?.catch(() => undefined);
  }

  readonly #endTurn = (): void => {
    this.#due = this.#held;
    if (this.#held) return;
    const group = this.#waiting.length <= GROUP ? this.#waiting : this.#waiting.slice(0, GROUP);
    this.#waiting = this.#waiting.slice(GROUP);
    const locked = this.#commit(group);
    if (locked.length > 0) return this.#wait(locked);
    this.#tries = 0;
    this.#armed = this.#waiting.length > 0;
    if (this.#armed) afterTurn(this.#endTurn);
  };

  /** Returns those that could not be tried, because the file is locked. */
  #commit(group: readonly Write[]): readonly Write[] {
    let outcomes: readonly unknown[];
    try {
      outcomes = this.#database.transaction(() => runAll(group));
    } catch (error) {
      if (isBusy(error)) return group;
      if (group.length > 1) return this.#commitEach(group);
      group[0]?.reject(storeFailure(this.#database.path, error));
      return [];
    }
    for (const [n, { resolve }] of group.entries()) resolve(outcomes[n]);
    this.#committed();
    return [];
  }

  #commitEach(group: readonly Write[]): readonly Write[] {
    for (const [n, write] of group.entries()) {
      if (this.#commit([write]).length > 0) return group.slice(n);
    }
    return [];
  }

  /** Those that have waited long enough are refused, the others stay first in line. */
  #wait(locked: readonly Write[]): void {
    const now = this.#patience.now();
    const patient = locked.filter((write) => {
      write.since ??= now;
      if (now - write.since < BUSY_LIMIT_MS) return true;
      write.reject(storeLocked(this.#database.path, BUSY_LIMIT_MS));
      return false;
    });
    this.#waiting.unshift(...patient);
    this.#armed = this.#waiting.length > 0;
    if (this.#armed) this.#patience.wait(++this.#tries, this.#endTurn);
  }
}

/** Within a transaction, in order. */
function runAll(group: readonly Write[]): readonly unknown[] {
  const outcomes: unknown[] = [];
  for (let from = 0; from < group.length;) {
    const kind = group[from]?.kind;
    let to = from + 1;
    while (to < group.length && group[to]?.kind === kind) to++;
    const writes = group.slice(from, to).map(({ what }) => what as never);
    for (const outcome of kind?.run(writes) ?? []) outcomes.push(outcome);
    from = to;
  }
  return outcomes;
}
