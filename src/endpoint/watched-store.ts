/**
 * The store of an endpoint that is opened while the endpoint already serves: every store but the one in memory.
 *
 * Until it is open its calls fail as those of a store that is away, so that requests which need it wait as in any other
 * outage.
 *
 * Where details are listened to, each call makes a notice. The calls of sessions also show whether the store works
 * although its leases are renewed: a missing right, a full part of it. Each kind of call is followed by itself, such as
 * `append`.
 *
 *     working ──a call fails──▶ failing ──for 10 s, of two sessions or without one──▶ broken
 *        ▲                         │                                                    │
 *        └──one call succeeds, or none fails for 10 s───────────────────────────────────┘
 *
 * The calls of one session alone show nothing: its own data may be the cause. The sweep calls the store every few
 * seconds without a session. An instance that gets no requests because of this is ready again after 10 s without a
 * failure, because only requests can show that writes work.
 */
import { SojournError, storeUnavailable } from '../base/errors.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { AppendRequest } from '../stores/store.ts';
import type { MaybePromise } from '../base/types.ts';

const FAILING_MS = 10_000;

type StorePart =
  | 'sessions'
  | 'once'
  | 'tasks'
  | 'results'
  | 'states'
  | 'handles'
  | 'emits'
  | 'events'
  | 'subscriptions'
  | 'figures'
  | 'instances';
type Method = (...given: unknown[]) => unknown;

interface Failures {
  readonly since: number;
  last: number;
  /** The first two. `undefined`: a call without a session. */
  readonly sessions: Set<string | undefined>;
}

type WatchedOptions = Pick<ResolvedOptions, 'notices' | 'timeProvider'>;

export class WatchedStore implements EndpointStore {
  readonly sessions = this.#part('sessions');
  readonly once = this.#part('once');
  readonly tasks = this.#part('tasks');
  readonly results = this.#part('results');
  readonly states = this.#part('states');
  readonly handles = this.#part('handles');
  readonly emits = this.#part('emits');
  readonly events = this.#part('events');
  readonly subscriptions = this.#part('subscriptions');
  readonly figures = this.#part('figures');
  readonly instances = this.#part('instances');
  readonly #options: WatchedOptions;
  readonly #attempt: () => MaybePromise<EndpointStore>;
  readonly #failing = new Map<string, Failures>();
  /** Its first attempt. */
  #first: Promise<EndpointStore> | undefined;
  #store: EndpointStore | undefined = undefined;

  /** `first`: the attempt to open the store that is under way. `attempt`: makes another. */
  constructor(
    first: Promise<EndpointStore>,
    attempt: () => MaybePromise<EndpointStore>,
    options: WatchedOptions,
  ) {
    this.#first = first;
    this.#attempt = attempt;
    this.#options = options;
  }

  /** From then on the calls go to the store. May be called again after it has failed. */
  async open(): Promise<void> {
    if (this.#store !== undefined) return;
    const attempt = this.#first ?? this.#attempt();
    this.#first = undefined;
    this.#store = await attempt;
  }

  /** Why the instance should get no requests. */
  get reason(): string | undefined {
    const now = this.#options.timeProvider.monotonic();
    for (const [call, { since, last, sessions }] of this.#failing) {
      const broken = now - since >= FAILING_MS && (sessions.size > 1 || sessions.has(undefined));
      if (broken && now - last < FAILING_MS)
        return `Each ${call} of the session store has failed for 10 s or more, although its leases are renewed`;
    }
    return undefined;
  }

  async secret(name: string, keepMs?: number): Promise<Uint8Array> {
    return this.#open.secret(name, keepMs);
  }

  get outcomes(): EndpointStore['outcomes'] {
    return this.#open.outcomes;
  }

  get limits(): EndpointStore['limits'] {
    return this.#open.limits;
  }

  get kept(): EndpointStore['kept'] {
    return this.#open.kept;
  }

  full(): boolean {
    return this.#store?.full?.() === true;
  }

  async close(): Promise<void> {
    await this.#store?.close();
  }

  get #open(): EndpointStore {
    if (this.#store === undefined) throw storeUnavailable('it is not open yet');
    return this.#store;
  }

  #part<P extends StorePart>(part: P): EndpointStore[P] {
    const methods = new Map<PropertyKey, Method>();
    const followed: ProxyHandler<EndpointStore[P]> = {
      get: (_, name) => {
        const known = methods.get(name);
        if (known !== undefined) return known;
        const of = this.#open[part];
        const own: unknown = Reflect.get(of, name);
        if (typeof own !== 'function') return own;
        const method: Method = (...given) =>
          this.#follow(part, operationOf(String(name), given[0]), given[0], () =>
            Reflect.apply(own, of, given),
          );
        methods.set(name, method);
        return method;
      },
    };
    return new Proxy({} as EndpointStore[P], followed);
  }

  /** What `run` returns. A store may answer, or fail, in this turn. */
  #follow(part: StorePart, call: string, about: unknown, run: () => unknown): unknown {
    const { notices, timeProvider: time } = this.#options;
    const began = time.monotonic();
    const ended = (failed: boolean): void => {
      notices.emit({
        kind: 'storeCall',
        operation: `${part}.${call}`,
        ms: time.monotonic() - began,
        failed,
      });
    };
    const succeeded = (result: unknown): void => {
      ended(false);
      // A write that was refused did not reach what may be broken.
      if (part === 'sessions' && result !== 'fenced') this.#failing.delete(call);
    };
    const failed = (err: unknown): void => {
      ended(true);
      if (part === 'sessions') this.#failed(call, about, err);
    };
    let outcome: unknown;
    try {
      outcome = run();
    } catch (err) {
      failed(err);
      throw err;
    }
    if (outcome instanceof Promise) outcome.then(succeeded, failed);
    else succeeded(outcome);
    return outcome;
  }

  #failed(call: string, about: unknown, err: unknown): void {
    if (!(err instanceof SojournError) || err.code !== 'STORE_UNAVAILABLE') return;
    const now = this.#options.timeProvider.monotonic();
    let failures = this.#failing.get(call);
    if (failures === undefined || now - failures.last >= FAILING_MS) {
      failures = { since: now, last: now, sessions: new Set() };
      this.#failing.set(call, failures);
    }
    failures.last = now;
    if (failures.sessions.size < 2) failures.sessions.add(sessionOf(about));
  }
}

/** Marks alone are an append without a stream. */
function operationOf(name: string, about: unknown): string {
  return name === 'append' && (about as AppendRequest).stream === null ? 'mark' : name;
}

/** The session that a call is about, from its first argument. */
function sessionOf(about: unknown): string | undefined {
  if (typeof about === 'string') return about;
  const { id } = (typeof about === 'object' && about !== null ? about : {}) as {
    readonly id?: unknown;
  };
  return typeof id === 'string' ? id : undefined;
}
