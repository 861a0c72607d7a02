/**
 * How a core stops: first the drain, which hands sessions to other instances and lets running requests finish, then the
 * close. The states are those of `session/lifecycle.ts`.
 */
import type { Instance } from '../cluster/instance.ts';
import { requestClosed, requestDrained } from '../base/errors.ts';
import { pagesOf } from '../base/pages.ts';
import { elapse } from '../base/system.ts';
import { learnTools } from '../session/life/repeated-calls.ts';
import { GRACE_MS } from '../base/hook-time.ts';
import type { LiveObjects } from '../durable/live/live-objects.ts';
import type { OnceLedger } from '../durable/once/ledger.ts';
import type { Call } from '../session/calls/call.ts';
import type { Registry } from '../session/registry.ts';
import type { LiveSession } from '../session/session.ts';
import type { ServedEras } from './served-eras.ts';
import type { TaskRequests } from '../durable/tasks/task-requests.ts';

/** How often a drain checks whether running requests have finished. */
const DRAIN_POLL_MS = 25;
/** How long a port stays open for requests that came after its drain had noted the calls. First answers take 4 s. */
const LATE_MS = 5_000;

/** The parts of a core that stop. */
export interface ShutdownParts {
  readonly eras: ServedEras;
  readonly instance: Instance;
  readonly registry: Registry;
  readonly once: OnceLedger;
  readonly live: LiveObjects;
  readonly tasks: TaskRequests | undefined;
  readonly events: { close(): Promise<void> } | undefined;
  /** Events of the bus reach no client of this core any more. */
  ignoreBus(): void;
}

export class Shutdown {
  readonly #parts: ShutdownParts;
  #draining: Promise<{ released: number; interrupted: number }> | undefined;
  #drainsSince: number | undefined;
  /** Sessions whose server this drain has asked about its tools. */
  readonly #asked = new WeakSet<LiveSession>();

  constructor(parts: ShutdownParts) {
    this.#parts = parts;
  }

  /** How many requests without a session run, and calls that run once and whose client has left. */
  get sessionless(): number {
    const { eras, once } = this.#parts;
    const { stateless, modern, guests } = eras;
    return stateless.running + modern.running + guests.running + once.withoutClient;
  }

  /**
   * The first part of a drain where no other instance serves: this one serves everything that arrives, new sessions
   * too, until the calls that run now have ended, another instance serves, or `timeoutMs` is over. Resolves with the
   * time that is left.
   */
  async finishAlone(timeoutMs: number): Promise<number> {
    if (this.#parts.registry.lifecycle.prefersOthers) return timeoutMs;
    const { timeProvider } = this.#parts.registry.options;
    const began = timeProvider.monotonic();
    const left = (): number => Math.max(0, timeoutMs - (timeProvider.monotonic() - began));
    if ((await this.#parts.instance.otherListening()) !== undefined) return left();
    if (this.#parts.registry.lifecycle.advance('finishing')) this.#drainBegins();
    await this.#parts.instance.drain();
    const { tracked } = this.#parts.eras.legacy.parts;
    // Some are still on the way to their session, which may be restored for them.
    const callers = new Set<unknown>([...tracked, ...this.#calls().map(({ caller }) => caller)]);
    const isServing = (): boolean =>
      [...tracked].some((caller) => callers.has(caller)) ||
      this.#calls().some(({ caller }) => callers.has(caller));
    // Requests without a session are not told apart: the first moment without any of them ends the wait for them.
    let others = this.sessionless > 0;
    while (left() > 0 && (others || isServing())) {
      this.#learnTools();
      await elapse(timeProvider, DRAIN_POLL_MS);
      others &&= this.sessionless > 0;
      if ((await this.#parts.instance.otherServing()) !== undefined) break;
    }
    return left();
  }

  /**
   * Requests on the way to their session when the port of an instance alone is about to close. A session that is
   * restored for one may ask its client, who answers on a new connection. For at most `timeoutMs`.
   */
  lateRequests(timeoutMs: number): { isAwaited(): boolean; waitedMs(): number } {
    const { timeProvider } = this.#parts.registry.options;
    const began = timeProvider.monotonic();
    let waited = 0;
    const isAwaited = (): boolean => {
      const ms = timeProvider.monotonic() - began;
      const isWaiting = this.#parts.eras.legacy.running > 0 && ms < Math.min(timeoutMs, LATE_MS);
      if (isWaiting) waited = ms;
      return isWaiting;
    };
    return { isAwaited, waitedMs: () => waited };
  }

  /** Those that run in sessions. */
  #calls(): Call[] {
    return [...this.#parts.registry.values()].flatMap((session) => session.calls.running.values());
  }

  /** `expectsRequests`: a connected client may still send a request. */
  drain(
    timeoutMs: number,
    expectsRequests: () => boolean = () => false,
  ): Promise<{ released: number; interrupted: number }> {
    return (this.#draining ??= this.#drain(timeoutMs, expectsRequests));
  }

  async #drain(
    timeoutMs: number,
    expectsRequests: () => boolean,
  ): Promise<{ released: number; interrupted: number }> {
    this.#parts.registry.lifecycle.advance('draining');
    if (this.#parts.registry.lifecycle.refusal !== undefined)
      return { released: 0, interrupted: 0 };
    const began = this.#drainBegins();
    await this.#parts.instance.drain();
    this.#parts.tasks?.tasks.drain();
    const { timeProvider } = this.#parts.registry.options;
    const deadline = timeProvider.monotonic() + timeoutMs;
    // Calls that wait for the next owner wait for less than `maxWaitMs`.
    const nearEnd = deadline - Math.min(timeoutMs, this.#parts.registry.options.maxWaitMs) / 2;
    let released = 0;
    while ((this.isBusy || expectsRequests()) && timeProvider.monotonic() < deadline) {
      if (timeProvider.monotonic() >= nearEnd) this.#parts.registry.lifecycle.nearEnd();
      // Idle sessions leave first, if another instance can take them over.
      await this.#noteOthers();
      if (this.#parts.registry.lifecycle.othersServe) this.#parts.live.closeIdle();
      if (this.#parts.registry.lifecycle.othersServe)
        released += await this.#release((session) => !session.busy);
      if (!this.isBusy && !expectsRequests()) break;
      this.#learnTools();
      await elapse(timeProvider, DRAIN_POLL_MS);
    }
    let interrupted =
      this.sessionless +
      this.#parts.eras.legacy.running +
      (this.#parts.tasks?.tasks.awaitedByDrain ?? 0);
    for (const session of this.#parts.registry.values())
      interrupted += session.calls.running.counted;
    this.#parts.registry.lifecycle.advance('drained');
    this.#parts.eras.legacy.relay.close(requestDrained);
    await this.#noteOthers();
    released += await this.#release(() => true);
    // Calls that wait for their session to leave have moved on with it.
    this.#parts.eras.legacy.waiting.refuseAll();
    await this.#parts.tasks?.close(0);
    await this.#parts.events?.close();
    await this.#closeEras();
    this.#parts.eras.sse?.close();
    await this.#parts.live.close();
    await this.#parts.once.close();
    const ms = timeProvider.monotonic() - began;
    this.#parts.registry.options.notices.emit({ kind: 'drainEnded', released, interrupted, ms });
    return { released, interrupted };
  }

  #drainBegins(): number {
    const { notices, timeProvider } = this.#parts.registry.options;
    if (this.#drainsSince === undefined) {
      this.#drainsSince = timeProvider.monotonic();
      notices.emit({ kind: 'drainBegun' });
    }
    return this.#drainsSince;
  }

  /** When the time is over, calls that may run twice are left to the next owner: clients need not have listed them. */
  #learnTools(): void {
    for (const session of this.#parts.registry.values()) {
      const caller = this.#asked.has(session) ? undefined : session.calls.markedCall?.caller;
      if (caller === undefined) continue;
      this.#asked.add(session);
      learnTools(session, caller).catch((err: unknown) =>
        session.logger.debug(
          { err, sessionId: session.id },
          'A drain could not learn which calls may run twice',
        ),
      );
    }
  }

  async #noteOthers(): Promise<void> {
    this.#parts.registry.lifecycle.noteOthers(
      (await this.#parts.instance.otherServing()) !== undefined,
    );
  }

  /** Something runs that a drain waits for. */
  get isBusy(): boolean {
    const { stateless, modern, guests } = this.#parts.eras;
    if (stateless.running + modern.running + guests.running > 0) return true;
    if (this.#parts.eras.legacy.running > 0 || this.#parts.once.running > 0) return true;
    if ((this.#parts.tasks?.tasks.awaitedByDrain ?? 0) > 0) return true;
    for (const session of this.#parts.registry.values()) if (session.busy) return true;
    return false;
  }

  async #release(which: (session: { readonly busy: boolean }) => boolean): Promise<number> {
    const leaving = [...this.#parts.registry.values()].filter(which);
    await Promise.all(
      leaving.map((session) => this.#parts.registry.leaving.giveBack(session, 'released')),
    );
    return leaving.length;
  }

  /** Called once. */
  async close(): Promise<void> {
    const { eras, registry, instance } = this.#parts;
    const { options, lifecycle } = registry;
    lifecycle.advance('closed');
    const { timeProvider } = options;
    const began = timeProvider.monotonic();
    eras.legacy.waiting.refuseAll();
    eras.legacy.relay.close(requestClosed);
    this.#parts.ignoreBus();
    // The store outlives this endpoint, or other endpoints use it.
    const handsOver = registry.durable || (await instance.otherServing()) !== undefined;
    await this.#parts.events?.close();
    await this.#parts.tasks?.close(GRACE_MS);
    await Promise.all([this.#closeEras(), this.#closeSessions(handsOver)]);
    // Their sessions ended, with an answer to each call.
    this.#parts.eras.sse?.close();
    const left = (): number => Math.max(0, GRACE_MS - (timeProvider.monotonic() - began));
    await this.#parts.live.close(left());
    await this.#parts.once.close();
    await registry.leaving.endHook.settled(left());
    registry.stop();
    await instance.leave();
    await registry.store.close();
  }

  async #closeEras(): Promise<void> {
    const { modern, stateless, guests } = this.#parts.eras;
    await Promise.all([modern.close(), stateless.close(), guests.close()]);
  }

  /** Releases the sessions, or ends them. */
  async #closeSessions(handsOver: boolean): Promise<void> {
    const live = [...this.#parts.registry.values()];
    if (handsOver) {
      await Promise.all(
        live.map((session) => this.#parts.registry.leaving.giveBack(session, 'closed')),
      );
      return;
    }
    await Promise.all(
      live.map((session) => this.#parts.registry.leaving.end(session, 'endpoint_closed')),
    );
    // A store that was never open has no session of this endpoint.
    if (!this.#parts.instance.lease.joined) return;
    const { leaving, store } = this.#parts.registry;
    for await (const { records } of pagesOf((cursor) => store.sessions.list(100, cursor)))
      for (const { id } of records) await leaving.endOwnerless(id, 'endpoint_closed');
  }
}
