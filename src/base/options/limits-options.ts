/** The option `limits`: `resolve-limits.ts` has the default and the check of each. */
import type { Some } from './value-kinds.ts';

/** What clients may use of one instance. */
export interface Limits {
  /**
   * The largest POST body (`BODY_TOO_LARGE`).
   * @default 4,194,304 (4 MiB)
   */
  bodyBytes: number;
  /**
   * Keys and objects in one POST body (`TOO_MANY_KEYS`).
   * @default 32,768
   */
  bodyKeys: number;
  /**
   * Running requests of one session; the next waits up to `maxWaitMs`.
   * @default 64
   */
  requestsPerSession: number;
  /**
   * How long one handler may take. Then the client gets `CALL_TIMEOUT` and the handler's signal
   * aborts. Waiting for the client counts.
   * @default Infinity
   */
  callTimeoutMs: number;
  /**
   * Live sessions of this instance. Above it a durable store hibernates an idle one; otherwise `initialize` gets 503.
   * @default 32,768 (one per 128 KiB of heap)
   */
  sessions: number;
  /**
   * Bytes that may wait for one slow reader, at least 64 KiB. Above it the connection is cut, and
   * the client resumes.
   * @default 1,048,576 (1 MiB)
   */
  streamBufferBytes: number;
  /**
   * The state of one session, one user or one handle, as UTF-8 JSON.
   * @default 262,144 (256 KiB)
   */
  stateBytes: number;
  /**
   * Handles of all callers without a user (`TOO_MANY_HANDLES`). One address gets `limits.userShare` of what the others
   * leave free.
   * @default 100,000
   */
  anonymousHandles: number;
  /**
   * Open `subscriptions/listen` streams of this instance.
   * @default 1,024
   */
  subscriptions: number;
  /**
   * All event logs in this process (memory store).
   * @default 268,435,456 (256 MiB)
   */
  eventLogBytes: number;
  /**
   * Requests that wait (`maxWaitMs`). A user may take half of the places that others leave free.
   * @default 10,000
   */
  waitingRequests: number;
  /**
   * All that clients make this instance keep (docs/internals/memory.md). Above it requests and
   * changes of state are refused (`OVER_MEMORY`), connections whose clients do not read are cut,
   * and idle sessions leave memory.
   * @default 1,073,741,824 (1 GiB, a quarter of the heap)
   */
  memoryBytes: number;
  /**
   * What the store has room for, where it reports less or nothing (PostgreSQL, a Redis Cluster). Of
   * 90 % of it a user gets its share (`STORE_FULL`).
   * @default Infinity (what the store reports)
   */
  storeBytes: number;
  /**
   * The part of what is free that one user may have: of memory, sessions, requests, subscriptions, a tool and the
   * store. Set 1 where all requests come from one service account, or one address.
   * @default 0.5
   */
  userShare: number;
  /**
   * Running requests without a session (2026-07-28, stateless).
   * @default 8,192 (two for each MiB of heap)
   */
  sessionlessRequests: number;
  /**
   * Handlers of tasks that run on this instance; one user gets `limits.userShare` of what is free.
   * @default 1,000
   */
  runningTasks: number;
  /**
   * Objects of `live()` that are open on this instance; one user gets `limits.userShare` of what is free.
   * @default 1,000
   */
  liveObjects: number;
  /**
   * Tasks that have not ended, of all callers without a user together, on all instances.
   * @default 100,000
   */
  anonymousTasks: number;
  /**
   * Event subscriptions with a callback, on all instances together.
   * @default 100,000
   */
  eventSubscriptions: number;
}

/**
 * What one user may use, of one instance unless it says otherwise. A caller without a user counts
 * by its address (`trustedProxies`).
 */
export interface UserLimits {
  /**
   * Sessions in the store, on all instances together. Past it the session that is idle longest ends
   * (`user_limit`); if none is idle, `initialize` is refused. Raise it where many people use one
   * account. Default 500, and 10,000 for callers without a user, because many people may have one
   * address; a number that is set counts for both. `limits.sessions`, `keptBytes` and the store may
   * allow fewer.
   */
  sessions: number;
  /** Running requests. */
  requests: number;
  /** Open `subscriptions/listen` streams. Default 256. */
  subscriptions: number;
  /** Tasks that have not ended, on all instances together. Default 1,000. */
  tasks: number;
  /** Requests a minute, `initialize`, GET and DELETE included. */
  requestsPerMinute: number;
  /** Handles in the store, on all instances together (`TOO_MANY_HANDLES`). Default 100. */
  handles: number;
  /** Event subscriptions with a callback, on all instances together. Default 100. */
  eventSubscriptions: number;
  /**
   * Bytes that the store keeps of sessions with their events, tasks with their steps and results, and keys of `once()`,
   * on all instances together. Past it the oldest events and long results go, then new records are refused. Default
   * 67,108,864 (64 MiB).
   */
  keptBytes: number;
}

/** What all users together may use of one tool on one instance. */
export interface ToolLimits {
  /** Running calls. */
  requests: number;
  /** Calls a minute. */
  requestsPerMinute: number;
  /** ms that a call may take. Without it, `limits.callTimeoutMs`. */
  callTimeoutMs: number;
}

export interface LimitsOptions extends Some<Limits> {
  /** The limits of each user. Default: those of each. */
  perUser?: Some<UserLimits> | undefined;
  /** The limits of a tool, by its name. Default: no limit. */
  perTool?: Readonly<Record<string, Some<ToolLimits>>> | undefined;
}
