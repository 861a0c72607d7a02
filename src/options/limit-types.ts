/** What the option `limits` holds, resolved. `docs/reference/options.md` is made of these comments. */

export interface SessionLimits {
  /**
   * The largest POST body (`BODY_TOO_LARGE`).
   * @default 4,194,304 (4 MiB)
   */
  bodyBytes: number;
  /**
   * Keys and objects in one POST body (`TOO_MANY_KEYS`); elements of arrays do not count. 400,000 keys in 4 MiB keep a
   * process busy for a second.
   * @default 32,768
   */
  bodyKeys: number;
  /**
   * Running requests of one session; the next waits up to `waitMs`, then gets `TOO_MANY_REQUESTS`. A cancelled request
   * counts until its handler has ended, here and in all limits of running requests.
   * @default 64
   */
  requestsPerSession: number;
  /**
   * How long one handler may take. Then the client gets `CALL_TIMEOUT` (`mayHaveRun: true`) and the handler's signal
   * aborts. Waiting for the client counts. Set it where handlers call systems that may hang: a handler that never ends
   * keeps its place in the limits. It ends no task.
   * @default Infinity
   */
  callMs: number;
  /**
   * Live sessions of this instance. Above it a durable store hibernates an idle session; otherwise `initialize` gets
   * 503.
   * @default 32,768 (one per 128 KiB of heap)
   */
  sessions: number;
  /**
   * Bytes that may wait for one slow reader. Above it the stream ends, and the client resumes from the event log.
   * @default 1,048,576 (1 MiB)
   */
  streamBufferBytes: number;
  /**
   * Messages of one JSON-RPC batch (2025-03-26 only).
   * @default 50
   */
  batch: number;
  /**
   * `session.state` of one session, as UTF-8 JSON. A change above it is refused as a whole.
   * @default 262,144 (256 KiB)
   */
  stateBytes: number;
  /**
   * Characters of a session id; a longer one gets 400. The `maxLength` of a `sessionIdGenerator` raises the default.
   * @default 256
   */
  sessionIdLength: number;
  /**
   * Open `subscriptions/listen` streams of this instance.
   * @default 1,024
   */
  subscriptions: number;
  /**
   * All event logs in this process (memory store). Above it the oldest events are dropped, those of a user with more
   * than a quarter first.
   * @default 268,435,456 (256 MiB)
   */
  eventLogBytes: number;
  /**
   * Ended sessions remembered in this process (memory store). Above it the oldest are forgotten.
   * @default 100,000
   */
  tombstones: number;
  /**
   * Requests that wait (`waitMs`). The newest above it are refused. A user may take half of the places that others
   * leave free.
   * @default 10,000
   */
  waitingRequests: number;
  /**
   * Bodies of waiting requests, shared like their places.
   * @default 67,108,864 (64 MiB)
   */
  waitingBytes: number;
  /**
   * All that clients make this instance keep: bodies, unread answers, handshakes, `session.state`, waiting questions
   * (docs/internals/memory.md). Above it bodies, `initialize` and `session.state.set()` are refused (`OVER_MEMORY`),
   * but a quarter stays reserved for requests up to 4 KiB; connections whose clients do not read are cut; idle sessions
   * leave memory.
   * @default 1,073,741,824 (1 GiB, a quarter of the heap)
   */
  memoryBytes: number;
  /**
   * What the store has room for, where it reports less or nothing: PostgreSQL and a Redis Cluster report nothing. Tasks
   * and keys of `once()` get 90 % of it; then a user loses its oldest results of more than 64 KiB (`RESULT_NOT_KEPT`),
   * and new ones are refused (`STORE_FULL`). Logs of sessions are not counted.
   * @default Infinity (what the store reports)
   */
  storeBytes: number;
  /**
   * The part of what is free that one user may have: of memory, sessions, requests, subscriptions, a tool and the
   * store. With 0.5 one user gets half, and a second one half of the rest. Set 1 where all requests come from one
   * service account, or one proxy without users.
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
  /** The part of `requests` that one user may have of what the others leave free. Without it, `limits.userShare`. */
  userShare: number;
  /** ms that a call may take. Without it, `limits.callMs`. */
  callMs: number;
}
