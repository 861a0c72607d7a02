/**
 * Whether the calls to the store work although its leases are renewed: a missing right, a full part of it. It follows
 * each kind of call by itself, such as `append`.
 *
 *     working ──a call fails──▶ failing ──for 10 s, of two sessions or without one──▶ broken
 *        ▲                         │                                                    │
 *        └──one call succeeds, or none fails for 10 s───────────────────────────────────┘
 *
 * The calls of one session alone show nothing: its own data may be the cause. The sweep calls the store every few
 * seconds without a session. An instance that gets no requests because of this is ready again after 10 s without a
 * failure, because only requests can show that writes work.
 *
 * The calls are followed from the first failure in the log on, so that they cost nothing while the store works.
 */
import { SojournError } from '../errors.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { Records } from '../stores/store.ts';
import type { TimeProvider } from '../types.ts';
import { followCall, operationOf } from './timed-store.ts';

const FAILING_MS = 10_000;

type StoreCall = (...given: unknown[]) => unknown;

/** Its sessions are read anew for each call. */
interface WatchedStore extends Pick<EndpointStore, 'full'> {
  sessions: Records;
}

interface Failures {
  readonly since: number;
  last: number;
  /** The first two. `undefined`: a call without a session. */
  readonly sessions: Set<string | undefined>;
}

export class StoreHealth {
  readonly #store: WatchedStore;
  readonly #time: Required<TimeProvider>;
  readonly #failing = new Map<string, Failures>();
  #lastFailure = -Infinity;
  #isOpen = false;
  /** The sessions of the store, while others in their place follow its calls. */
  #own: Records | undefined;

  constructor(store: WatchedStore, time: Required<TimeProvider>) {
    this.#store = store;
    this.#time = time;
  }

  /** Why the instance should get no requests. */
  get reason(): string | undefined {
    const now = this.#time.monotonic();
    for (const [call, { since, last, sessions }] of this.#failing) {
      const broken = now - since >= FAILING_MS && (sessions.size > 1 || sessions.has(undefined));
      if (broken && now - last < FAILING_MS)
        return `Each ${call} of the session store has failed for 10 s or more, although the store can be reached`;
    }
    return undefined;
  }

  /** The store can be reached and takes no writes. */
  get isFull(): boolean {
    return this.#store.full?.() === true;
  }

  /** The store is open. What failed before shows nothing about its calls. */
  begin(): void {
    this.#isOpen = true;
  }

  /** A call to the store has failed: its calls are followed until none has failed for 10 s. */
  watch(): void {
    if (!this.#isOpen) return;
    this.#lastFailure = this.#time.monotonic();
    if (this.#own !== undefined) return;
    const own = (this.#own = this.#store.sessions);
    const following: ProxyHandler<Records> = {
      get: (_, name: keyof Records) => {
        const method = own[name] as StoreCall | undefined;
        return method && ((...given: unknown[]) => this.#follow(name, given, () => method.apply(own, given)));
      },
    };
    this.#store.sessions = new Proxy({} as Records, following);
  }

  #unwatch(): void {
    if (this.#own === undefined) return;
    this.#store.sessions = this.#own;
    this.#own = undefined;
  }

  #follow(name: string, [about]: readonly unknown[], run: () => unknown): unknown {
    const call = operationOf(name, about);
    return followCall(
      run,
      (result) => this.#succeeded(call, result),
      (err) => this.#failed(call, about, err),
    );
  }

  #succeeded(call: string, result: unknown): void {
    // A write that was refused did not reach what may be broken.
    if (result !== 'fenced') this.#failing.delete(call);
    if (this.#time.monotonic() - this.#lastFailure >= FAILING_MS) this.#unwatch();
  }

  #failed(call: string, about: unknown, err: unknown): void {
    if (!(err instanceof SojournError) || err.code !== 'STORE_AWAY') return;
    const now = this.#time.monotonic();
    this.#lastFailure = now;
    let failures = this.#failing.get(call);
    if (failures === undefined || now - failures.last >= FAILING_MS) {
      failures = { since: now, last: now, sessions: new Set() };
      this.#failing.set(call, failures);
    }
    failures.last = now;
    if (failures.sessions.size < 2) failures.sessions.add(sessionOf(about));
  }
}

/** The session that a call is about, from its first argument. */
function sessionOf(about: unknown): string | undefined {
  if (typeof about === 'string') return about;
  const { id } = (typeof about === 'object' && about !== null ? about : {}) as { readonly id?: unknown };
  return typeof id === 'string' ? id : undefined;
}
