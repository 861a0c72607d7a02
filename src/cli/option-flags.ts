/**
 * Every option of the endpoint and how the command line and the environment spell it. The type holds that none is
 * forgotten; names are derived: `limits.bodyBytes` = `--limits-body-bytes` = `SOJOURN_LIMITS_BODY_BYTES`.
 */
import { DEFAULTS } from '../options/defaults.ts';
import type { McpEndpointOptions } from '../options/endpoint-options.ts';
import type { EventRetention, SessionLimits } from '../types.ts';

/** An option, or a member of one: what a flag stands for. */
export type OptionKey =
  | Exclude<keyof McpEndpointOptions, 'limits'>
  | `limits.${keyof SessionLimits}`
  | `eventRetention.${keyof EventRetention}`;

export type FlagKind =
  | 'number' // ms, bytes, a count; Infinity where the option takes it
  | 'switch' // --x, --no-x; in the environment true, false, 1, 0
  | 'text'
  | 'list' // with commas; the flag may also be repeated
  | 'module'; // a function or an object: only the module can give it

export interface FlagSpec {
  readonly kind: FlagKind;
  /** How help names the value. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /** One line for `--help`; of a switch that is on by default, for its `--no-`; for `module` what the value is. */
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
    help: 'who gets a session: clients that initialize (hybrid), everybody, nobody',
  },
  stateless: { ...sessions, kind: 'switch', help: 'short for --session-mode stateless (--no-stateless: stateful)' },
  idleTimeoutMs: { ...sessions, kind: 'number', value: 'ms', help: 'end a session after this long without a request' },
  maxIdleSessionCount: { ...sessions, kind: 'number', value: 'n', help: 'past it the longest idle sessions end' },
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
  name: { ...sessions, kind: 'text', value: 'name', help: 'endpoints of one name on one store are one deployment' },
  leaseMs: { ...sessions, kind: 'number', value: 'ms', help: 'silence after which others take the sessions over' },
  waitMs: { ...sessions, kind: 'number', value: 'ms', help: 'how long requests wait for a store that is away' },
  tombstoneMs: { ...sessions, kind: 'number', value: 'ms', help: 'how long an ended session is remembered as ended' },
  hookTimeoutMs: { ...sessions, kind: 'number', value: 'ms', help: 'how long the factory or a hook may take' },
  perSessionExecutionContext: {
    ...sessions,
    kind: 'switch',
    help: 'run handlers in one async context per session, not per request',
  },
  supportedProtocolVersions: { ...sessions, kind: 'list', value: 'dates', help: 'protocol revisions that are served' },
  requestStateKeys: {
    ...sessions,
    kind: 'list',
    value: 'keys',
    help: 'seal requestState, each 32 bytes or more; better from the environment',
  },
  responseMode: {
    ...streams,
    kind: 'text',
    value: 'mode',
    choices: ['auto', 'sse', 'json'],
    help: 'how POSTs are answered',
  },
  legacySse: { ...streams, kind: 'switch', help: 'also serve the 2024-11-05 transport, at <path>/sse and /sse' },
  keepAliveMs: { ...streams, kind: 'number', value: 'ms', help: 'comment frames on quiet streams; 0 = none' },
  retryMs: { ...streams, kind: 'number', value: 'ms', help: 'how soon clients are told to reconnect' },
  lostCalls: {
    ...streams,
    kind: 'text',
    value: 'form',
    choices: ['error', 'result'],
    help: 'how a tool call that may have run is answered when its result is lost',
  },
  eventRetention: { ...streams, kind: 'switch', help: 'keep nothing of what was sent: no resuming' },
  'eventRetention.ttlMs': { ...streams, kind: 'number', value: 'ms', help: 'how long it is kept' },
  'eventRetention.events': { ...streams, kind: 'number', value: 'n', help: 'how many messages of a session' },
  'eventRetention.bytes': { ...streams, kind: 'number', value: 'n', help: 'how many bytes of a session' },
  allowedHosts: { ...guards, kind: 'list', value: 'names', help: 'Host names that are served, without port' },
  allowedOrigins: { ...guards, kind: 'list', value: 'origins', help: "origins browsers may call from; '*' for any" },
  relayedHeaders: { ...guards, kind: 'list', value: 'names', help: 'headers of your handlers that instances pass on' },
  credentialHeaders: {
    ...guards,
    kind: 'list',
    value: 'names',
    help: 'more headers that are secrets: never passed on',
  },
  'limits.bodyBytes': { ...limits, value: 'n', help: 'one POST body' },
  'limits.requestsPerSession': { ...limits, value: 'n', help: 'running requests of one session' },
  'limits.sessions': { ...limits, value: 'n', help: 'live sessions of this instance' },
  'limits.streamBufferBytes': { ...limits, value: 'n', help: 'what may wait for one slow reader' },
  'limits.batch': { ...limits, value: 'n', help: 'messages of one JSON-RPC batch' },
  'limits.stateBytes': { ...limits, value: 'n', help: 'session.state of one session' },
  'limits.sessionIdLength': { ...limits, value: 'n', help: 'characters of a session id' },
  'limits.subscriptions': { ...limits, value: 'n', help: 'open subscriptions/listen streams' },
  'limits.eventLogBytes': { ...limits, value: 'n', help: 'all event logs in this process (memory store)' },
  'limits.tombstones': { ...limits, value: 'n', help: 'remembered ended sessions (memory store)' },
  'limits.waitingRequests': { ...limits, value: 'n', help: 'requests that wait for a store that is away' },
  'limits.waitingBytes': { ...limits, value: 'n', help: 'bytes of their bodies' },
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

/** What `serve` needs besides options: where it listens, how it logs and ends. */
export const SERVE_FLAGS = {
  port: { kind: 'number', value: 'n', group: 'Listening', help: 'TCP port; 0 = any free one' },
  host: { kind: 'text', value: 'address', group: 'Listening', help: 'address to bind; 0.0.0.0 = all of IPv4' },
  path: { kind: 'text', value: 'path', group: 'Listening', help: 'where the endpoint is' },
  workers: {
    kind: 'text',
    value: 'n',
    group: 'Running',
    help: 'processes behind a parent that holds the port; auto = one per core, 0 = no parent',
  },
  pidFile: { kind: 'text', value: 'path', group: 'Running', help: 'where that parent writes its process id' },
  logLevel: {
    kind: 'text',
    value: 'level',
    choices: ['debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    group: 'Running',
    help: 'what is logged, as JSON lines on stderr',
  },
  drainTimeoutMs: { kind: 'number', value: 'ms', group: 'Running', help: 'what running requests get after SIGTERM' },
} as const satisfies Readonly<Record<string, FlagSpec>>;

export type ServeKey = keyof typeof SERVE_FLAGS;

export const SERVE_DEFAULTS = {
  port: 3000,
  host: '127.0.0.1',
  path: '/mcp',
  workers: undefined,
  pidFile: undefined,
  logLevel: 'info',
  // Kubernetes kills 30 s after SIGTERM.
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

/** What help says where nothing is given. */
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
  const own: unknown = member === undefined ? value : Reflect.get(Object(value), member);
  if (own === undefined) return undefined;
  return typeof own === 'boolean' ? (own ? 'on' : 'off') : own === Infinity ? 'no limit' : String(own);
}
