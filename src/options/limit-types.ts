/** What the option `limits` holds, resolved. `docs/reference/options.md` is made of these comments. */

export interface SessionLimits {
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
   * Running requests of one session; the next waits up to `waitMs`. A cancelled request counts until its handler has
   * ended.
   * @default 64
   */
  requestsPerSession: number;
  /**
   * How long one handler may take. Then the client gets `CALL_TIMEOUT` and the handler's signal aborts. Waiting for the
   * client counts. Set it where handlers call systems that may hang.
   * @default Infinity
   */
  callMs: number;
  /**
   * Live sessions of this instance. Above it a durable store hibernates an idle one; otherwise `initialize` gets 503.
   * @default 32,768 (one per 128 KiB of heap)
   */
  sessions: number;
  /**
   * Bytes that may wait for one slow reader, at least 64 KiB. Above it the connection is cut, and the client resumes from
   * the event log.
   * @default 1,048,576 (1 MiB)
   */
  streamBufferBytes: number;
  /**
   * `session.state` of one session, as UTF-8 JSON. A change above it is refused as a whole.
   * @default 262,144 (256 KiB)
   */
  stateBytes: number;
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
   * Ended sessions remembered in this process (memory store).
   * @default 100,000
   */
  tombstones: number;
  /**
   * Requests that wait (`waitMs`). A user may take half of the places that others leave free.
   * @default 10,000
   */
  waitingRequests: number;
  /**
   * Bodies of waiting requests, shared like their places.
   * @default 67,108,864 (64 MiB)
   */
  waitingBytes: number;
  /**
   * All that clients make this instance keep (docs/internals/memory.md). Above it bodies, `initialize` and
   * `session.state.set()` are refused (`OVER_MEMORY`); connections whose clients do not read are cut; idle sessions
   * leave memory.
   * @default 1,073,741,824 (1 GiB, a quarter of the heap)
   */
  memoryBytes: number;
  /**
   * What the store has room for, where it reports less or nothing (PostgreSQL, a Redis Cluster). Of 90 % of it a user
   * gets its share for tasks and keys of `once()`; above, its oldest large results go, then new ones are refused
   * (`STORE_FULL`).
   * @default Infinity (what the store reports)
   */
  storeBytes: number;
  /**
   * The part of what is free that one user may have: of memory, sessions, requests, subscriptions, a tool and the
   * store. Set 1 where all requests come from one service account, or one proxy without users.
   * @default 0.5
   */
  userShare: number;
  /**
   * Running requests without a session (2026-07-28, stateless).
   * @default 8,192 (two for each MiB of heap)
   */
  requests: number;
}

/** What one user may use on one instance. A caller without a user counts by the address of its connection. */
export interface UserLimits {
  /** Live sessions. */
  sessions: number;
  /** Running requests. */
  requests: number;
  /** Open `subscriptions/listen` streams. Default 256. */
  subscriptions: number;
  /** Requests a minute, `initialize`, GET and DELETE included. */
  requestsPerMinute: number;
  /**
   * Bytes of tasks, their results and keys of `once()` in the store, on all instances together. Default 67,108,864 (64
   * MiB).
   */
  keptBytes: number;
}

/** What all users together may use of one tool on one instance. */
export interface ToolLimits {
  /** Running calls. */
  requests: number;
  /** Calls a minute. */
  requestsPerMinute: number;
  /** ms that a call may take. Without it, `limits.callMs`. */
  callMs: number;
}
