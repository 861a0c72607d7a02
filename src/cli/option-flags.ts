/**
 * The flag and the environment variable of every endpoint option. The type `OptionKey` requires an entry for each
 * option. Names are derived: `limits.bodyBytes` = `--limits-body-bytes` = `SOJOURN_LIMITS_BODY_BYTES`.
 */
import { DEFAULTS } from '../options/defaults.ts';
import type { McpEndpointOptions } from '../options/endpoint-options.ts';
import type { EventRetention, SessionLimits } from '../types.ts';

/** The option, or the member of an option, that a flag sets. */
export type OptionKey =
  | Exclude<keyof McpEndpointOptions, 'limits'>
  | `limits.${keyof SessionLimits | 'perUser' | 'perTool'}`
  | `eventRetention.${keyof EventRetention}`;

export type FlagKind =
  | 'number' // ms, bytes, a count; Infinity where the option accepts it
  | 'switch' // --x, --no-x; in the environment true, false, 1, 0
  | 'text'
  | 'list' // separated by commas; the flag may be repeated
  | 'module'; // a function or an object: only the module can set it

export interface FlagSpec {
  readonly kind: FlagKind;
  /** The name of the value in the help text. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /**
   * One line for `--help`. For a switch that is on by default it describes `--no-x`; for `module`, the type of the
   * value.
   */
  readonly help: string;
  readonly group: (typeof GROUPS)[number];
}

export const GROUPS = ['Listening', 'Sessions', 'Streams and resuming', 'Who may call', 'Limits', 'Running'] as const;

const sessions = { group: 'Sessions' } as const;
const streams = { group: 'Streams and resuming' } as const;
const guards = { group: 'Who may call' } as const;
const limits = { group: 'Limits', kind: 'number' } as const;

export const OPTION_FLAGS: Readonly<Record<OptionKey, FlagSpec>> = {
  sessionMode: {
    ...sessions,
    kind: 'text',
    value: 'mode',
    choices: ['hybrid', 'stateful', 'stateless'],
    help: 'which clients get a session; hybrid = those that initialize',
  },
  stateless: { ...sessions, kind: 'switch', help: 'short for --session-mode stateless (--no-stateless: stateful)' },
  idleTimeoutMs: { ...sessions, kind: 'number', value: 'ms', help: 'end a session after this long without a request' },
  maxIdleSessionCount: {
    ...sessions,
    kind: 'number',
    value: 'n',
    help: 'past this number the sessions that were idle longest end',
  },
  hibernateAfterMs: {
    ...sessions,
    kind: 'number',
    value: 'ms',
    help: 'free the memory of a session after this long without a request',
  },
  store: {
    ...sessions,
    kind: 'text',
    value: 'url',
    help: 'where sessions are kept: memory: (this process), sqlite:FILE, redis:, postgres:, nats:',
  },
  name: { ...sessions, kind: 'text', value: 'name', help: 'endpoints with the same name and store are one deployment' },
  leaseMs: {
    ...sessions,
    kind: 'number',
    value: 'ms',
    help: 'other instances take over sessions after this long without a sign of life',
  },
  waitMs: { ...sessions, kind: 'number', value: 'ms', help: 'how long requests wait for an unreachable store' },
  tombstoneMs: { ...sessions, kind: 'number', value: 'ms', help: 'how long an ended session is remembered as ended' },
  hookTimeoutMs: { ...sessions, kind: 'number', value: 'ms', help: 'time limit of the factory and of each hook' },
  perSessionExecutionContext: {
    ...sessions,
    kind: 'switch',
    help: 'run handlers in one async context per session, not per request',
  },
  supportedProtocolVersions: { ...sessions, kind: 'list', value: 'dates', help: 'protocol revisions to serve' },
  requestStateKeys: {
    ...sessions,
    kind: 'list',
    value: 'keys',
    help: 'keys that seal requestState, 32 bytes or more each; better set in the environment',
  },
  instanceKeys: {
    ...sessions,
    kind: 'list',
    value: 'keys',
    help: 'keys that sign messages between instances, 32 bytes or more each; better set in the environment',
  },
  responseMode: {
    ...streams,
    kind: 'text',
    value: 'mode',
    choices: ['auto', 'sse', 'json'],
    help: 'how POSTs are answered',
  },
  legacySse: { ...streams, kind: 'switch', help: 'also serve the 2024-11-05 transport, at <path>/sse and /sse' },
  keepAliveMs: {
    ...streams,
    kind: 'number',
    value: 'ms',
    help: 'time between comments on quiet streams; 0 = no comments',
  },
  writeTimeoutMs: {
    ...streams,
    kind: 'number',
    value: 'ms',
    help: 'when a client that reads nothing loses its connection',
  },
  retryMs: { ...streams, kind: 'number', value: 'ms', help: 'how long clients wait before they reconnect' },
  lostCalls: {
    ...streams,
    kind: 'text',
    value: 'form',
    choices: ['error', 'result'],
    help: 'how a tool call that may have run is answered when its result is lost',
  },
  knownClients: { ...streams, kind: 'switch', help: 'treat every client alike, also those with known bugs' },
  eventRetention: { ...streams, kind: 'switch', help: 'keep no sent messages; clients cannot resume' },
  'eventRetention.ttlMs': { ...streams, kind: 'number', value: 'ms', help: 'how long sent messages are kept' },
  'eventRetention.events': { ...streams, kind: 'number', value: 'n', help: 'how many messages are kept per session' },
  'eventRetention.bytes': { ...streams, kind: 'number', value: 'n', help: 'how many bytes are kept per session' },
  allowedHosts: { ...guards, kind: 'list', value: 'names', help: 'accepted Host names, without port' },
  allowedOrigins: { ...guards, kind: 'list', value: 'origins', help: "browser origins that may call; '*' for any" },
  relayedHeaders: {
    ...guards,
    kind: 'list',
    value: 'names',
    help: 'headers your handlers read, passed on between instances',
  },
  credentialHeaders: {
    ...guards,
    kind: 'list',
    value: 'names',
    help: 'more headers with secrets, never passed on',
  },
  auth: { ...guards, kind: 'module', help: 'an object with functions' },
  'limits.bodyBytes': { ...limits, value: 'n', help: 'largest POST body' },
  'limits.requestsPerSession': { ...limits, value: 'n', help: 'running requests of one session' },
  'limits.sessions': { ...limits, value: 'n', help: 'live sessions of this instance' },
  'limits.streamBufferBytes': { ...limits, value: 'n', help: 'bytes that may wait for one slow reader' },
  'limits.batch': { ...limits, value: 'n', help: 'messages of one JSON-RPC batch' },
  'limits.stateBytes': { ...limits, value: 'n', help: 'session.state of one session' },
  'limits.sessionIdLength': { ...limits, value: 'n', help: 'characters of a session id' },
  'limits.subscriptions': { ...limits, value: 'n', help: 'open subscriptions/listen streams' },
  'limits.eventLogBytes': { ...limits, value: 'n', help: 'all event logs in this process (memory store)' },
  'limits.tombstones': { ...limits, value: 'n', help: 'remembered ended sessions (memory store)' },
  'limits.waitingRequests': { ...limits, value: 'n', help: 'requests that may wait for an unreachable store' },
  'limits.waitingBytes': { ...limits, value: 'n', help: 'bytes of the bodies of waiting requests' },
  'limits.memoryBytes': { ...limits, value: 'n', help: 'bodies, unread answers, handshakes, subscriptions, state' },
  'limits.requests': { ...limits, value: 'n', help: 'running requests without a session' },
  'limits.handshakeBytes': { ...limits, value: 'n', help: 'the parameters of an initialize' },
  'limits.uriBytes': { ...limits, value: 'n', help: 'a resource URI of a subscription' },
  'limits.subscriptionBytes': { ...limits, value: 'n', help: 'all URIs that one session is subscribed to' },
  'limits.recordBytes': { ...limits, value: 'n', help: 'the stored record of one session' },
  'limits.perUser': { ...limits, kind: 'module', help: 'an object' },
  'limits.perTool': { ...limits, kind: 'module', help: 'an object' },
  configureSessionOptions: { ...sessions, kind: 'module', help: 'a function' },
  runSessionHandler: { ...sessions, kind: 'module', help: 'a function' },
  sessionMigrationHandler: { ...sessions, kind: 'module', help: 'an object with functions' },
  sessionIdGenerator: { ...sessions, kind: 'module', help: 'a function' },
  sessionUser: { ...sessions, kind: 'module', help: 'a function' },
  timeProvider: { ...sessions, kind: 'module', help: 'an object with functions' },
  bus: { ...streams, kind: 'module', help: 'an object with functions' },
  onerror: { ...sessions, kind: 'module', help: 'a function' },
  logger: {
    ...sessions,
    kind: 'module',
    help: 'an object with functions',
  },
};

/** The flags of `serve` that are not endpoint options. */
export const SERVE_FLAGS = {
  port: { kind: 'number', value: 'n', group: 'Listening', help: 'TCP port; 0 = any free one' },
  host: { kind: 'text', value: 'address', group: 'Listening', help: 'address to bind; 0.0.0.0 = all of IPv4' },
  path: { kind: 'text', value: 'path', group: 'Listening', help: 'path of the endpoint' },
  authIssuer: {
    kind: 'text',
    value: 'url',
    group: 'Who may call',
    help: 'callers need a JWT of this authorization server (with --auth-audience)',
  },
  authAudience: {
    kind: 'list',
    value: 'names',
    group: 'Who may call',
    help: 'aud of these JWTs: the URL of this endpoint',
  },
  authJwksUri: {
    kind: 'text',
    value: 'url',
    group: 'Who may call',
    help: 'where its keys are, if its metadata does not say',
  },
  authScopes: { kind: 'list', value: 'names', group: 'Who may call', help: 'scopes that every token must have' },
  maxConnections: { kind: 'number', value: 'n', group: 'Listening', help: 'open connections' },
  headersTimeoutMs: { kind: 'number', value: 'ms', group: 'Listening', help: 'until a request has its head' },
  requestTimeoutMs: { kind: 'number', value: 'ms', group: 'Listening', help: 'until a request is complete' },
  workers: {
    kind: 'text',
    value: 'n',
    group: 'Running',
    help: 'processes behind a parent that holds the port; auto = one per core, 0 = no parent',
  },
  pidFile: { kind: 'text', value: 'path', group: 'Running', help: 'file in which that parent writes its process id' },
  logLevel: {
    kind: 'text',
    value: 'level',
    choices: ['debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    group: 'Running',
    help: 'least severe level that is logged, as JSON lines on stderr',
  },
  drainTimeoutMs: {
    kind: 'number',
    value: 'ms',
    group: 'Running',
    help: 'how long running requests may take after SIGTERM',
  },
} as const satisfies Readonly<Record<string, FlagSpec>>;

export type ServeKey = keyof typeof SERVE_FLAGS;

export const SERVE_DEFAULTS = {
  port: 3000,
  host: '127.0.0.1',
  path: '/mcp',
  authIssuer: undefined,
  authAudience: undefined,
  authJwksUri: undefined,
  authScopes: undefined,
  maxConnections: undefined,
  headersTimeoutMs: undefined,
  requestTimeoutMs: undefined,
  workers: undefined,
  pidFile: undefined,
  logLevel: 'info',
  // Kubernetes sends SIGKILL 30 s after SIGTERM.
  drainTimeoutMs: 25_000,
} as const satisfies Readonly<Record<ServeKey, unknown>>;

export const ALL_FLAGS: ReadonlyMap<OptionKey | ServeKey, FlagSpec> = new Map<OptionKey | ServeKey, FlagSpec>([
  ...(Object.entries(SERVE_FLAGS) as [ServeKey, FlagSpec][]),
  ...(Object.entries(OPTION_FLAGS) as [OptionKey, FlagSpec][]),
]);

/** `limits.bodyBytes` → `limits-body-bytes` */
export function flagName(key: string): string {
  return key.replaceAll('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `limits.bodyBytes` → `SOJOURN_LIMITS_BODY_BYTES` */
export function variableName(key: string): string {
  return `SOJOURN_${flagName(key).replaceAll('-', '_').toUpperCase()}`;
}

/** The default of an option, as the help text shows it. */
export function defaultOf(key: OptionKey | ServeKey): string | undefined {
  if (key === 'store') return 'memory:';
  if (key === 'eventRetention') return 'on';
  if (key === 'hibernateAfterMs') return 'never';
  if (key === 'workers') return '1 with a --store that outlives the process, else 0';
  if (key === 'tombstoneMs') return 'the idle timeout, at most 24 h';
  if (key === 'allowedHosts') return 'loopback names on a loopback address, else any';
  if (key === 'supportedProtocolVersions') return 'all';
  const [name = '', member] = key.split('.');
  const value: unknown = Reflect.get({ ...DEFAULTS, ...SERVE_DEFAULTS }, name);
  const shown: unknown = member === undefined ? value : Reflect.get(Object(value), member);
  if (shown === undefined) return undefined;
  return typeof shown === 'boolean' ? (shown ? 'on' : 'off') : shown === Infinity ? 'no limit' : String(shown);
}
