/**
 * The code of every error, with its HTTP status and its JSON-RPC code. `scripts/pages.mjs` makes
 * docs/reference/errors.md of it.
 */

export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  invalidParams: -32602,
  internal: -32603,
  transport: -32000,
  sessionNotFound: -32001,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** An error may be built with another status. A comment says when the error happens, and what to do. */
export const ERRORS = {
  // ## The request
  /** The `Host` is not in `allowedHosts` (`reason: host`). */
  HOST_NOT_ALLOWED: [403, RPC.transport],
  /** The page's origin is not in `allowedOrigins` (`reason: origin`). */
  ORIGIN_NOT_ALLOWED: [403, RPC.transport],
  /** The request has no valid access token. */
  UNAUTHORIZED: [401, RPC.transport],
  /** The authorization server cannot be reached. */
  AUTH_UNAVAILABLE: [503, RPC.transport],
  /** The caller lacks a scope of `auth.requiredScopes`, or of the tool, resource or prompt. */
  INSUFFICIENT_SCOPE: [403, RPC.transport],
  /** GET and DELETE without sessions, PUT, HEAD and the like. */
  METHOD_NOT_ALLOWED: [405, RPC.transport],
  /** Send `Accept: application/json, text/event-stream`. */
  NOT_ACCEPTABLE: [406, RPC.transport],
  /** Send `Content-Type: application/json`, without `Content-Encoding`. */
  UNSUPPORTED_MEDIA_TYPE: [415, RPC.transport],
  /**
   * A body above `limits.bodyBytes` (`reason: body_too_large`), or a handshake above 16 KiB (`reason:
   * handshake_too_large`).
   */
  BODY_TOO_LARGE: [413, RPC.transport],
  /** More keys and objects than `limits.bodyKeys`, or 512 in a handshake. */
  TOO_MANY_KEYS: [413, RPC.transport],
  /** The connection broke, or other code had read the body: pass `parsedBody`. */
  BODY_UNREADABLE: [400, RPC.parse],
  /** The body is not JSON, or not UTF-8. */
  PARSE_ERROR: [400, RPC.parse],
  /** No JSON-RPC message, or nested deeper than 128; or two `Host` or `Authorization` headers. */
  INVALID_REQUEST: [400, RPC.invalidRequest],
  /** More header fields than the server reads: set `maxHeadersCount = 0`. */
  TOO_MANY_HEADERS: [431, RPC.invalidRequest],
  /** A parameter is missing, has a wrong shape or is too long; the message names it. */
  INVALID_PARAMS: [400, RPC.invalidParams],
  /** A batch outside a session of 2025-03-26, or of more than 50 messages. */
  BATCH_NOT_ALLOWED: [400, RPC.invalidRequest],
  /** `data.supported` lists the versions that are served. */
  UNSUPPORTED_VERSION: [400, RPC.unsupportedVersion],
  /** A header contradicts the body or is missing: look for a proxy that changes headers. */
  HEADER_MISMATCH: [400, RPC.headerMismatch],

  // ## The session
  /** The session ended, never existed, or the store lost it. */
  SESSION_NOT_FOUND: [404, RPC.sessionNotFound],
  /** The session was opened by another user (`reason: user`); see `sessionUser`. */
  OTHER_USER: [403, RPC.transport],
  /** `endpoint.forgetUser()` of this user was called less than 24 h ago: no session, task, key or state begins. */
  USER_FORGOTTEN: [403, RPC.transport],
  /** No `Mcp-Session-Id`: the client sends `initialize` first. */
  SESSION_ID_MISSING: [400, RPC.transport],
  /** Not visible ASCII, or longer than 256, or `sessionIdGenerator.maxLength`. */
  SESSION_ID_INVALID: [400, RPC.transport],
  /** `MCP-Protocol-Version` is not the negotiated version of this session. */
  VERSION_CHANGED: [400, RPC.invalidRequest],
  /** A second `initialize`. */
  ALREADY_INITIALIZED: [400, RPC.invalidRequest],
  /** Another request with this id still runs on the session. */
  REQUEST_ID_IN_FLIGHT: [400, RPC.invalidRequest],

  // ## Limits
  /** `limits.requestsPerSession` run on the session. */
  TOO_MANY_REQUESTS: [429, RPC.transport],
  /** `limits.sessions` are live here, or this user has its share (`limits.userShare`). */
  TOO_MANY_SESSIONS: [503, RPC.transport],
  /** `limits.sessionlessRequests` run here without a session, or this user has its share. */
  OVERLOADED: [503, RPC.transport],
  /** `limits.memoryBytes` is full, or this user has its share. Give more heap. */
  OVER_MEMORY: [503, RPC.transport],
  /** The user has reached a limit of `limits.perUser`. */
  USER_LIMIT: [429, RPC.transport],
  /** The tool has reached a limit of `limits.perTool`, or this user its share. */
  TOOL_LIMIT: [429, RPC.transport],
  /** The user has its share of the store: `limits.perUser.keptBytes`, `limits.userShare`, `limits.storeBytes`. */
  STORE_FULL: [503, RPC.transport],

  // ## Retry later
  /** The store cannot be reached, or refuses this instance; sessions are kept. */
  STORE_UNAVAILABLE: [503, RPC.transport],
  /** This instance lost its lease. */
  LEASE_LOST: [503, RPC.transport],
  /** The factory or a hook failed at a restore; the session is kept. */
  RESTORE_FAILED: [503, RPC.transport],
  /** The owner has a lease, but answers no message. 200: it may have run. */
  OWNER_UNREACHABLE: [503, RPC.transport],
  /** The `sessionMigrationHandler` threw. */
  MIGRATION_FAILED: [503, RPC.transport],
  /** The factory, a hook or the handshake took longer than `hookTimeoutMs`. */
  HOOK_TIMEOUT: [503, RPC.transport],
  /** The instance is being drained. 200: the request ran when the time was over. */
  DRAINING: [503, RPC.transport],
  /** The endpoint is closed. 200: the request ran then. */
  ENDPOINT_CLOSED: [503, RPC.transport],

  // ## A call that ends without its result
  /** The instance that ran it crashed or lost its lease. */
  OWNER_LOST: [200, RPC.transport],
  /** The session ended while it ran, or its record is lost. */
  SESSION_ENDED: [200, RPC.transport],
  /** The client resumes a call whose answer is not kept (`reason: answer_not_kept`). Raise `eventRetention`. */
  ANSWER_NOT_KEPT: [200, RPC.transport],
  /** The live object of the call is dead, another call closed it, or its handle was ended from outside. */
  OBJECT_CLOSED: [200, RPC.transport],
  /** The handler ran longer than `limits.callTimeoutMs`. */
  CALL_TIMEOUT: [200, RPC.transport],
  /** Too many messages of a call waited for the instance of its client: it was aborted. Send less, or wait between. */
  MESSAGES_CUT: [200, RPC.transport],
  /** An earlier call with this key of `once` had other arguments. */
  ONCE_CONFLICT: [200, RPC.invalidParams],
  /** A tool of `once` without a user and a session: set up `auth`, or `anonymous: 'shared'`. */
  ONCE_NEEDS_USER: [200, RPC.invalidRequest],
  /** An earlier call with this key, or the task, ran; its result was too large, found no room, or was deleted. */
  RESULT_NOT_KEPT: [200, RPC.transport],
  /** The run with this key was aborted. `sojourn once forget` lets it run again. */
  ONCE_ABORTED: [200, RPC.transport],

  // ## Tasks
  /** `tasks/*`, or a tool with `when: 'required'`, from a client that did not declare the extension. */
  TASK_REQUIRED: [400, RPC.missingCapability],
  /** The id is wrong, its time is over, or the task is another user's. */
  TASK_NOT_FOUND: [200, RPC.invalidParams],
  /** A newer build made the task. */
  TASK_UNREADABLE: [200, RPC.internal],
  /** This user, or this instance, has as many as it may. */
  TOO_MANY_TASKS: [429, RPC.transport],
  /** The call has more than 256 KiB. */
  TASK_TOO_LARGE: [200, RPC.invalidParams],
  /** The process of the task died `maxAttempts` times. */
  TOO_MANY_ATTEMPTS: [200, RPC.internal],
  /** More than 4 MiB, or no memory for it: return a link. */
  RESULT_TOO_LARGE: [200, RPC.internal],

  // ## Programs on stdio
  /** The child of `sojourn stdio` does not start, or ended while the call ran. The log has its stderr. */
  CHILD_ENDED: [200, RPC.internal],
  /** All children that may live are busy, of all callers or of one: `--max-children`. */
  CHILDREN_BUSY: [503, RPC.transport],
  /** So many children start that this call had no turn within 45 s: add cores or instances. */
  CHILDREN_STARTING: [503, RPC.transport],

  // ## Your server
  /** The factory or a hook failed. The log has the cause. */
  FACTORY_FAILED: [500, RPC.internal],
  /** An unexpected error in sojourn or a store's client: please report it. */
  INTERNAL: [500, RPC.internal],

  // ## Thrown to your code
  /** A question while no request ran, and no GET stream. Ask in a handler. */
  NO_STREAM: [500, RPC.transport],
  /** A question before `oninitialized`: ask there or later. */
  NOT_INITIALIZED: [500, RPC.transport],
  /** Sampling, elicitation, roots or an unsolicited notification without sessions. */
  SESSION_REQUIRED: [500, RPC.transport],
  /** A server or session object is used after its session left this instance. */
  SESSION_GONE: [500, RPC.transport],
  /**
   * A server of all sessions asks a client, or is closed, outside of a handler: use `ctx`, `currentSession().server`,
   * `endpoint.close()`. Or no endpoint serves a call of `once`, `live`, `userState`, `openHandle`.
   */
  OUTSIDE_HANDLER: [500, RPC.internal],
  /** `next()` of `middleware`: the client cancelled or left, or its session left. */
  CALL_ABORTED: [500, RPC.transport],
  /** `middleware` called `next()` a second time. */
  NEXT_TWICE: [500, RPC.internal],
  /** `middleware` passed another method, id, tool, prompt or URI to `next()`. */
  REQUEST_CHANGED: [500, RPC.internal],
  /** A state would be larger than `limits.stateBytes`; nothing was changed. */
  STATE_TOO_LARGE: [500, RPC.internal],
  /** `userState()` or `listHandles()` in a call without a user: set up `auth`, or `anonymous: 'shared'`. */
  STATE_NEEDS_USER: [500, RPC.invalidRequest],
  /** The answer to a change was lost, and others changed the state since: it may be stored. */
  STATE_UNSURE: [500, RPC.transport],
  /** The id of a handle is wrong, over, or of another user or kind. */
  HANDLE_NOT_FOUND: [500, RPC.invalidParams],
  /** The user has `limits.perUser.handles`, or callers without one have `limits.anonymousHandles`. */
  TOO_MANY_HANDLES: [500, RPC.transport],
  /** `limits.liveObjects` of `live()` are open on this instance, or this user has its share. */
  TOO_MANY_OBJECTS: [500, RPC.transport],
  /** A client's handshake does not fit into a sealed id of 4,096 characters. Use a store. */
  SEAL_TOO_LONG: [500, RPC.internal],
  /** The handler of a tool of `once` called itself with its own key. */
  ONCE_WITHIN_ITSELF: [500, RPC.internal],
  /** `key` of `once` or `task` returned no text of 1 to 512 characters. */
  ONCE_KEY_INVALID: [500, RPC.internal],
  /** A step, question or value of a task: no name, a name twice, no JSON, or no room. */
  STEP_INVALID: [500, RPC.internal],

  // ## Configuration
  /** The server object cannot serve all sessions: use a factory. */
  DEFINITION_REFUSED: [500, RPC.internal],
  /** An option has a wrong value, is unknown, or contradicts another. */
  OPTION_INVALID: [500, RPC.internal],
} as const satisfies Record<string, readonly [status: number, rpc: number]>;

/** `OPTION_INVALID` is the code of a `TypeError` or `RangeError`, and never of a `SojournError`. */
export type ErrorCode = Exclude<keyof typeof ERRORS, 'OPTION_INVALID'>;
export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[];
