/**
 * The calls that run once, of one endpoint. Each key of a user has an entry in the store (`entry.ts`), which the
 * instance owns that runs its handler:
 *
 *     none ──created──▶ running ──the handler settles──▶ ended with its outcome ──keepMs──▶ none
 *       ▲                 │ ├──its owner died──▶ lost, or claimed and run again (`afterCrash`)
 *       ╰──nothing done───╯ ╰──the owner has a new id──▶ claimed for it
 *
 * The entry is stored before the handler runs, and nothing between them waits. The outcome is stored after the answer
 * was sent: if the instance dies in between, the outcome is unknown, which is the safe side. Where nothing was done,
 * the answer waits: a client that calls again at once, with other arguments and at another instance, must not find the
 * old entry. Calls of this process wait for the same promise (`local-entry.ts`). Calls of other instances read the
 * entry until it has ended.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { onceCancelled, onceWithinItself, ownerLost, resultNotKept, SojournError } from '../errors.ts';
import { elapse, every, within } from '../base/system.ts';
import { CallRefusal } from '../session/calls/answer-error.ts';
import { GRACE_MS, type HookTimes } from '../session/hook-time.ts';
import type { StepNotice } from '../observe/step-notices.ts';
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
import { EntryStore, type FoundEntry } from './entry-store.ts';
import { LocalEntry, localKey, type Told } from './local-entry.ts';
import type { OnceCall } from './once-call.ts';
import { type OwnedParts, TEXT_WEIGHT } from '../owned/owned-records.ts';
import type { OnceRun } from './once-run.ts';
import { isUndone, OutcomeUnknown, UnaskedCrash } from './verdicts.ts';

const ENTRY_BYTES = 6_656;

/** The runs that this code is inside of, the innermost first. */
interface Inside {
  readonly local: LocalEntry;
  readonly outer: Inside | undefined;
}

const inside = new AsyncLocalStorage<Inside>();

/** A run counts until its handler has settled. */
interface Running {
  readonly call: OnceCall;
  readonly settled: Promise<unknown>;
}

export class OnceLedger {
  readonly #given: OwnedParts;
  readonly #store: EntryStore;
  readonly #entries = new Map<string, LocalEntry>();
  readonly #runs = new Map<OnceRun, Running>();
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
    return this.#runs.size;
  }

  /** Those of clients that left. */
  get withoutClient(): number {
    let count = 0;
    for (const { call } of this.#runs.values()) if (call.signal.aborted) count += 1;
    return count;
  }

  async run(call: OnceCall): Promise<unknown> {
    const { tool } = call.entry;
    if (call.declaresOnce !== undefined && !this.#seen.has(tool)) this.#checkDeclared(tool, call.declaresOnce);
    for (;;) {
      if (this.#isInside(call.entry.id)) throw onceWithinItself(call.entry.tool);
      const local = this.#entries.get(localKey(call.entry));
      if (local === undefined) return this.#first(call);
      const told = await unlessAborted(call, local);
      if (told !== 'again') return this.#answer(call, told, 'attached');
      call.signal.throwIfAborted();
    }
  }

  #isInside(id: string): boolean {
    for (let at = inside.getStore(); at !== undefined; at = at.outer)
      if (at.local.entry.id === id && this.#entries.get(localKey(at.local.entry)) === at.local) return true;
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
    const local = new LocalEntry(call.entry);
    this.#entries.set(localKey(call.entry), local);
    let found: FoundEntry;
    try {
      found = await this.#store.find(call);
    } catch (cause) {
      this.#over(local);
      const refused = cause instanceof SojournError ? this.#refused(call, cause) : cause;
      if (call.signal.aborted) local.settle('again');
      else local.fail(refused);
      throw refused;
    }
    if (found.is === 'ours' && call.signal.aborted) {
      // No handler begins for a client that left. Another call that waits begins its own, or asks if this one had to.
      if (found.asks) this.#release(found.run, local);
      else this.#forget(found.run, local);
      call.signal.throwIfAborted();
    }
    if (found.is === 'ours') return this.#run(call, local, found);
    this.#over(local);
    local.settle(found.outcome);
    return this.#answer(call, found.outcome, found.waited ? 'attached' : 'replayed');
  }

  async #run(call: OnceCall, local: LocalEntry, { run, asks }: FoundEntry & { is: 'ours' }): Promise<unknown> {
    local.run = run;
    local.waiting += 1;
    const left = (): void => local.leave(call.ended());
    call.signal.addEventListener('abort', left, { once: true });
    call.onExpiry(() => run.abort('its time is over'));
    // A handler may run longer than its entry lasts.
    const stopRenewal = every(this.#given.options.timeProvider, run.lastsMs / 2, () => this.#store.renew(run));
    const running = this.#start(call, local, run, asks);
    this.#runs.set(run, { call, settled: running });
    try {
      return await running;
    } finally {
      stopRenewal();
      this.#runs.delete(run);
      call.signal.removeEventListener('abort', left);
      // A key that may run again does so for a call that follows the answer, at any instance.
      const { timeProvider: time, waitMs } = this.#given.options;
      await within(time, waitMs, local.told, () => undefined);
    }
  }

  async #start(call: OnceCall, local: LocalEntry, run: OnceRun, asks: boolean): Promise<unknown> {
    let value: unknown;
    try {
      const innermost: Inside = { local, outer: inside.getStore() };
      value = await inside.run(innermost, () => call.start(run.signal, asks));
    } catch (cause) {
      if (isUndone(cause)) this.#forget(run, local);
      else if (cause instanceof UnaskedCrash) this.#release(run, local);
      else if (cause instanceof OutcomeUnknown) this.#end(run, local, { is: 'lost' });
      else this.#end(run, local, run.signal.aborted ? { is: 'cancelled' } : errorOutcome(cause));
      if (cause instanceof OutcomeUnknown) throw this.#refused(call, ownerLost(true));
      throw cause instanceof UnaskedCrash ? cause.cause : cause;
    }
    if (asksClient(value)) this.#forget(run, local);
    else this.#end(run, local, resultOutcome(value));
    return value;
  }

  /** Its key may run again: calls that wait here begin with that. */
  #forget(run: OnceRun, local: LocalEntry): void {
    this.#store.end(run, '', 0, () => this.#again(local));
  }

  #release(run: OnceRun, local: LocalEntry): void {
    this.#store.release(run, () => this.#again(local));
  }

  #again(local: LocalEntry): void {
    this.#over(local);
    local.settle('again');
  }

  #over({ entry }: LocalEntry): void {
    this.#entries.delete(localKey(entry));
  }

  /** Until the outcome is stored, this process answers from memory. */
  #end(run: OnceRun, local: LocalEntry, outcome: Outcome): void {
    const { memory } = this.#given;
    const { share, keepMs } = run.entry;
    const text = outcomeText(run.entry, outcome);
    const bytes = TEXT_WEIGHT * text.length + ENTRY_BYTES;
    const fits = memory.take(bytes, 0, share);
    const kept: Outcome = fits ? outcome : { is: 'large' };
    local.settle(kept);
    this.#store.end(run, fits ? text : outcomeText(run.entry, kept), keepMs, () => {
      if (fits) memory.give(bytes, share);
      this.#over(local);
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
        throw this.#refused(call, onceCancelled());
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
    for (const { owned } of this.#runs.keys()) void owned.reclaim();
  }

  /** Aborts what runs, and stores every outcome that there is. */
  async close(): Promise<void> {
    const { timeProvider: time } = this.#given.options;
    const running = [...this.#runs];
    for (const [run] of running) run.abort('its server stops');
    const settled = Promise.allSettled(running.map(([, { settled: one }]) => one));
    if (running.length > 0) await Promise.race([settled, elapse(time, GRACE_MS)]);
    for (const run of this.#runs.keys())
      this.#store.end(run, outcomeText(run.entry, { is: 'cancelled' }), run.entry.keepMs);
    await this.#store.stop();
  }
}

/** The outcome of the entry. Rejects when this call ends before. */
async function unlessAborted(call: OnceCall, local: LocalEntry): Promise<Told> {
  local.waiting += 1;
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    const left = (): void => reject(call.signal.reason);
    call.signal.addEventListener('abort', left, { once: true });
    stop = () => call.signal.removeEventListener('abort', left);
  });
  try {
    call.signal.throwIfAborted();
    return await Promise.race([local.told, aborted]);
  } finally {
    stop();
    local.leave(call.signal.aborted ? call.ended() : undefined);
  }
}
