/** Every default value, in one place. */
import { consoleLogger } from './logger.ts';
import { systemTime } from './system.ts';
import type { EventRetention, SessionLimits, UserLimits } from '../types.ts';
import { KNOWN_VERSIONS } from '../protocol/versions.ts';
import type { ResolvedOptions } from './endpoint-options.ts';
import { heapLimit, sharesOf } from './heap-shares.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;

/** An ended session is remembered as long as it could have lived on, but at most a day. */
export const TOMBSTONE_MAX_MS = 24 * HOUR_MS;

/** The default for `Host` and `Origin`: this machine, as a URL spells it. */
export const LOOPBACK_NAMES: readonly string[] = Object.freeze(['localhost', '127.0.0.1', '[::1]']);

const shares = sharesOf(heapLimit());

const limits: Readonly<SessionLimits> = Object.freeze({
  // The SDK's limit; a photo in base64 fits.
  bodyBytes: 4 * MIB,
  requestsPerSession: 64,
  sessions: shares.sessions,
  streamBufferBytes: MIB,
  batch: 50,
  stateBytes: 256 * KIB,
  sessionIdLength: 256,
  // The SDK's limit.
  subscriptions: 1_024,
  eventLogBytes: shares.eventLogBytes,
  tombstones: 100_000,
  waitingRequests: 10_000,
  waitingBytes: shares.waitingBytes,
  memoryBytes: shares.memoryBytes,
  requests: shares.requests,
  // Capabilities and client information are below 2 KiB in every known client.
  handshakeBytes: 16 * KIB,
  uriBytes: 8 * KIB,
  subscriptionBytes: 64 * KIB,
  // NATS takes values up to 1 MiB.
  recordBytes: 768 * KIB,
});

const perUser: Readonly<UserLimits> = Object.freeze({
  sessions: Infinity,
  requests: Infinity,
  // A quarter of `limits.subscriptions`.
  subscriptions: 256,
  requestsPerMinute: Infinity,
});

/**
 * Far more than a client that was cut off can have missed. Its connection loses what waited here (`streamBufferBytes`)
 * and in the kernel's buffers of both ends (up to 6 MiB on Linux).
 */
const eventRetention: Readonly<EventRetention> = Object.freeze({ ttlMs: HOUR_MS, events: 10_000, bytes: 8 * MIB });

/** In `instanceKeys`: the key that the instances share through their store. */
export const STORE_KEY = 'store';

/**
 * The value of each omitted option. `undefined`: none, or the endpoint creates it. `tombstoneMs` fits the default
 * `idleTimeoutMs`.
 */
export const DEFAULTS: ResolvedOptions = Object.freeze({
  sessionMode: 'hybrid',
  configureSessionOptions: undefined,
  runSessionHandler: undefined,
  perSessionExecutionContext: false,
  idleTimeoutMs: 2 * HOUR_MS,
  maxIdleSessionCount: Math.min(10_000, Math.floor(0.8 * shares.sessions)),
  hibernateAfterMs: Infinity,
  timeProvider: systemTime as Required<typeof systemTime>,
  sessionMigrationHandler: undefined,
  store: undefined,
  leaseMs: 3_000,
  // Clients of some SDKs give up after 20 s.
  waitMs: 15_000,
  tombstoneMs: 2 * HOUR_MS,
  eventRetention,
  sessionIdGenerator: undefined,
  requestStateKeys: undefined,
  instanceKeys: Object.freeze([STORE_KEY]),
  legacySse: false,
  responseMode: 'auto',
  allowedHosts: undefined,
  allowedOrigins: LOOPBACK_NAMES,
  auth: undefined,
  relayedHeaders: Object.freeze([]),
  credentialHeaders: Object.freeze([]),
  limits,
  perUser,
  perTool: Object.freeze({}),
  name: 'mcp',
  supportedProtocolVersions: KNOWN_VERSIONS,
  pinnedProtocolVersions: undefined,
  sessionUser: undefined,
  bus: undefined,
  onerror: undefined,
  logger: consoleLogger,
  hookTimeoutMs: 30_000,
  keepAliveMs: 15_000,
  retryMs: 4_000,
  lostCalls: 'error',
  knownClients: true,
  // Longer than any pause of a client that still reads.
  writeTimeoutMs: 60_000,
});
