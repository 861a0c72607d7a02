/** What the option `limits` holds, resolved. `docs/reference/options.md` has the defaults. */

export interface SessionLimits {
  /** Bytes of one POST body. */
  bodyBytes: number;
  /** Keys and objects of one POST body. */
  bodyKeys: number;
  /** Running requests of one session. */
  requestsPerSession: number;
  /** ms that the handler of one request may take. `Infinity`: no limit. */
  callMs: number;
  /** Live sessions of one instance. */
  sessions: number;
  /** Bytes that may wait for one slow reader. */
  streamBufferBytes: number;
  /** Messages in one JSON-RPC batch (2025-03-26 only). */
  batch: number;
  /** Bytes of `session.state` as UTF-8 JSON. */
  stateBytes: number;
  /** Characters of a session id. */
  sessionIdLength: number;
  /** Open `subscriptions/listen` streams of one instance. */
  subscriptions: number;
  /** Bytes of all event logs held in this process (memory store). */
  eventLogBytes: number;
  /** Ended sessions remembered in this process (memory store). */
  tombstones: number;
  /** Requests of one instance that wait for its lease or for an unreachable store. */
  waitingRequests: number;
  /** Bytes of the bodies of waiting requests. */
  waitingBytes: number;
  /** Bytes that clients may make one instance hold: bodies, unread answers, handshakes, subscriptions, state. */
  memoryBytes: number;
  /** Bytes that the store has for all, where it reports less or nothing. `Infinity`: what it reports. */
  storeBytes: number;
  /** The part of memory, store, sessions, requests and streams that one user may have of what the others leave free. */
  userShare: number;
  /** Requests that run without a session on one instance (2026-07-28 and stateless). */
  requests: number;
}

/** What one user may use on one instance. A caller without a user counts by the address of its connection. */
export interface UserLimits {
  /** Live sessions. */
  sessions: number;
  /** Running requests, of both eras. */
  requests: number;
  /** Open `subscriptions/listen` streams. */
  subscriptions: number;
  requestsPerMinute: number;
  /** Bytes of tasks, their results and keys of `once()` in the store, on all instances together. */
  keptBytes: number;
}

/** What all users together may use of one tool on one instance. */
export interface ToolLimits {
  /** Running calls. */
  requests: number;
  requestsPerMinute: number;
  /** The part of `requests` that one user may have of what the others leave free. Without it, `limits.userShare`. */
  userShare: number;
  /** ms that a call may take. Without it, `limits.callMs`. */
  callMs: number;
}
