/**
 * The calls that run once, of one endpoint. Each key of a user has an entry in the store (`entry.ts`), which the
 * instance owns that runs its handler:
 *
 *     none ──created──▶ running ──the handler settles──▶ ended with its outcome ──keepMs──▶ none
 *       ▲                 │ ├──its owner died──▶ lost, or claimed and run again (`afterCrash`), up to `MOST_RUNS`
 *       ╰──nothing done───╯ ╰──the owner has a new id──▶ claimed for it
 *
 * The entry is stored before the handler runs, and nothing between them waits. The outcome is stored after the answer
 * was sent: if the instance dies in between, the outcome is unknown, which is the safe side. Where nothing was done,
 * the answer waits: a client that calls again at once, with other arguments and at another instance, must not find the
 * old entry. Calls of this process wait for the same promise (`once-run.ts`). Calls of other instances read the
 * entry until it has ended.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  onceAborted,
  onceWithinItself,
  ownerLost,
  resultNotKept,
  SojournError,
} from '../../base/errors.ts';
import { elapse, every, within } from '../../base/system.ts';
import { MOST_RUNS } from '../../session/inbound/retries.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import { GRACE_MS, type HookTimes } from '../../base/hook-time.ts';
import type { StepNotice } from '../../base/observe/step-notices.ts';
import {
  asksClient,
  errorOutcome,
  type Outcome,
  outcomeText,
  replayedResult,
  RESULT_BYTES,
  resultOutcome,
  thrownAgain,
} from './entry.ts';
import { EntryStore, type FoundEntry, lastsMs, type OwnedEntry } from './entry-store.ts';
import { isUndone, type OnceCall } from './once-call.ts';
import { type OwnedParts, TEXT_WEIGHT } from '../records/owned-records.ts';
import { OnceRun, runKey, type Told } from './once-run.ts';

const ENTRY_BYTES = 6_656;

/** The runs that this code is inside of, the innermost first. */
interface Inside {
  readonly run: OnceRun;
  readonly outer: Inside | undefined;
}

const inside = new AsyncLocalStorage<Inside>();

/** A handler that has not settled. */
interface Running {
  readonly call: OnceCall;
  readonly owned: OwnedEntry;
}

export class OnceLedger {
  readonly #given: OwnedParts;
  readonly #store: EntryStore;
  /** Until their outcome is stored. */
  readonly #runs = new Map<string, OnceRun>();
  readonly #running = new Map<OnceRun, Running>();
  /** Tools whose calls had a marker of their session: each is looked at once. */
  readonly #seen = new Set<string>();

  constructor(given: OwnedParts) {
    this.#given = given;
    this.#store = new EntryStore(given);
  }

  get hookTimes(): HookTimes {
    return this.#given.options;
  }

  /** Handlers that run: of clients that left, too. */
  get running(): number {
    return this.#running.size;
  }

  /** Those of clients that left. */
  get withoutClient(): number {
    let count = 0;
    for (const { call } of this.#running.values()) if (call.signal.aborted) count += 1;
    return count;
  }

  async run(call: OnceCall): Promise<unknown> {
    const { tool } = call.entry;
    if (call.declaresOnce !== undefined && !this.#seen.has(tool))
      this.#checkDeclared(tool, call.declaresOnce);
    for (;;) {
      if (this.#isInside(call.entry.id)) throw onceWithinItself(call.entry.tool);
      const run = this.#runs.get(runKey(call.entry));
      if (run === undefined) return this.#first(call);
      const told = await toldTo(call, run);
      if (told !== 'again') return this.#answer(call, told, 'attached');
      call.signal.throwIfAborted();
    }
  }

  #isInside(id: string): boolean {
    for (let at = inside.getStore(); at !== undefined; at = at.outer)
      if (at.run.entry.id === id && this.#runs.get(runKey(at.run.entry)) === at.run) return true;
    return false;
  }

  /** A client may not have listed the tools yet, so a marker alone is no mistake. */
  #checkDeclared(tool: string, declaresOnce: () => Promise<boolean>): void {
    this.#seen.add(tool);
    void declaresOnce().then((declares) => {
      if (!declares)
        this.#given.options.logger.warn(
          { tool },
          'A tool of once() has no _meta: RUNS_ONCE: in a session, a call that its instance loses ends with owner_lost, although its outcome may be known',
        );
    });
  }

  /** The first call of an entry in this process. */
  async #first(call: OnceCall): Promise<unknown> {
    const run = new OnceRun(call.entry);
    this.#runs.set(runKey(call.entry), run);
    let found: FoundEntry;
    try {
      found = await this.#store.find(call, run);
    } catch (cause) {
      this.#over(run);
      const refused = cause instanceof SojournError ? this.#refused(call, cause) : cause;
      if (call.signal.aborted) run.settle('again');
      else run.fail(refused);
      throw refused;
    }
    if (found.is === 'ours' && call.signal.aborted) {
      // No handler begins for a client that left. Another call that waits begins its own, or asks if this one had to.
      this.#again(run, found.asks ? found.owned.release() : found.owned.settle());
      call.signal.throwIfAborted();
    }
    if (found.is === 'ours') return this.#run(call, run, found);
    this.#over(run);
    run.settle(found.outcome);
    return this.#answer(call, found.outcome, found.waited ? 'attached' : 'replayed');
  }

  async #run(call: OnceCall, run: OnceRun, found: FoundEntry & { is: 'ours' }): Promise<unknown> {
    const { owned } = found;
    run.begins();
    const stopWaiting = run.waits(call);
    call.onExpiry(() => run.abort('its time is over'));
    const { timeProvider: time, maxWaitMs } = this.#given.options;
    // A handler may run longer than its entry lasts.
    const stopRenewals = every(time, lastsMs(call.entry) / 2, () => owned.renew());
    this.#running.set(run, { call, owned });
    try {
      return await this.#start(call, run, found);
    } finally {
      stopRenewals();
      this.#running.delete(run);
      stopWaiting();
      // A key that may run again does so for a call that follows the answer, at any instance.
      await within(time, maxWaitMs, run.told, () => undefined);
    }
  }

  async #start(
    call: OnceCall,
    run: OnceRun,
    { owned, asks, begun }: FoundEntry & { is: 'ours' },
  ): Promise<unknown> {
    const now: Inside = { run, outer: inside.getStore() };
    let value: unknown = 'run';
    try {
      if (asks) value = await inside.run(now, () => call.asks(run.signal));
      if (value === 'run' && begun >= MOST_RUNS) value = 'fail';
      if (value === 'run' && begun > 0)
        await owned.countRun(begun + 1, () => run.signal.throwIfAborted());
    } catch (cause) {
      // The next call with this key asks again.
      this.#again(run, owned.release());
      throw cause;
    }
    if (value === 'fail') {
      this.#end(run, owned, { is: 'lost' });
      throw this.#refused(call, ownerLost(true));
    }
    try {
      if (value === 'run') value = await inside.run(now, () => call.start(run.signal));
    } catch (cause) {
      if (isUndone(cause)) this.#again(run, owned.settle());
      else this.#end(run, owned, run.signal.aborted ? { is: 'cancelled' } : errorOutcome(cause));
      throw cause;
    }
    if (asksClient(value)) this.#again(run, owned.settle());
    else this.#end(run, owned, resultOutcome(value));
    return value;
  }

  /** Once that is stored, its key may run again: calls that wait here begin with that. */
  #again(run: OnceRun, stored: Promise<unknown>): void {
    void stored.then(() => {
      this.#over(run);
      run.settle('again');
    });
  }

  #over({ entry }: OnceRun): void {
    this.#runs.delete(runKey(entry));
  }

  /** Until the outcome is stored, this process answers from memory. */
  #end(run: OnceRun, owned: OwnedEntry, outcome: Outcome): void {
    const { memory } = this.#given;
    const { entry } = run;
    const bytes = TEXT_WEIGHT * outcomeText(entry, outcome).length + ENTRY_BYTES;
    const fits = memory.take(bytes, 0, entry.share);
    const kept: Outcome = fits ? outcome : { is: 'large' };
    run.settle(kept);
    void owned.settle(kept).then(() => {
      if (fits) memory.give(bytes, entry.share);
      this.#over(run);
    });
  }

  // ——— what a call gets that did not run the handler ———

  #answer(call: OnceCall, outcome: Outcome, how: 'attached' | 'replayed'): unknown {
    switch (outcome.is) {
      case 'result':
        this.#notice(call, how);
        return replayedResult(outcome.json);
      case 'error':
        this.#notice(call, how);
        throw thrownAgain(outcome.error);
      case 'lost':
        throw this.#refused(call, ownerLost(true));
      case 'cancelled':
        throw this.#refused(call, onceAborted());
      case 'large':
        throw this.#refused(call, resultNotKept(RESULT_BYTES));
    }
  }

  #refused(call: OnceCall, error: SojournError): CallRefusal {
    if (error.code === 'ONCE_CONFLICT') this.#notice(call, 'conflict');
    else if (error.data?.['mayHaveRun'] === true) this.#notice(call, 'unknown');
    return new CallRefusal(error);
  }

  #notice({ entry: { tool }, session }: OnceCall, how: StepNotice<'onceAnswered'>['how']): void {
    this.#given.options.notices.emit({ kind: 'onceAnswered', tool, how, sessionId: session });
  }

  // ——— the instance ———

  /** The lease was renewed, or this instance has a new id. */
  extended(): void {
    for (const { owned } of this.#running.values()) void owned.reclaim();
  }

  /** Aborts what runs, and stores every outcome that there is. */
  async close(): Promise<void> {
    const { timeProvider: time } = this.#given.options;
    const running = [...this.#running];
    for (const [run] of running) run.abort('its server stops');
    const settled = Promise.allSettled(running.map(([{ told }]) => told));
    if (running.length > 0) await Promise.race([settled, elapse(time, GRACE_MS)]);
    for (const { owned } of this.#running.values()) void owned.settle({ is: 'cancelled' });
    await this.#store.stop();
  }
}

/** Rejects when this call ends before. */
function toldTo(call: OnceCall, run: OnceRun): Promise<Told> {
  call.signal.throwIfAborted();
  let stop = (): void => {};
  const left = new Promise<never>((_, reject) => {
    stop = run.waits(call, () => reject(call.signal.reason));
  });
  return Promise.race([run.told, left]).finally(stop);
}
