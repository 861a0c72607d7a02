/** What `createMcpEndpoint` makes of its options. `test/pages/options-reference.test.ts` holds the defaults. */
import { describe, expect, test } from 'vitest';
import { Notices } from '../../../src/base/observe/notices.ts';
import { DEFAULTS } from '../../../src/base/options/table.ts';
import { USER_DEFAULTS } from '../../../src/base/options/resolve-limits.ts';
import type { McpEndpointOptions } from '../../../src/base/options/mcp-endpoint-options.ts';
import { OPTION_NAMES, resolveOptions } from '../../../src/base/options/resolve.ts';
import { KNOWN_VERSIONS } from '../../../src/base/protocol/versions.ts';

type Given = Readonly<Record<string, unknown>>;

/** Values that a JavaScript caller can pass. */
const resolveAny = (input: unknown) => resolveOptions(input as McpEndpointOptions);

function refusal(input: unknown): Error & { code?: string } {
  try {
    resolveAny(input);
  } catch (error) {
    return error as Error;
  }
  throw new Error(`accepted: ${JSON.stringify(input)}`);
}

const KEY = 'k'.repeat(32);
const logger = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

describe('an omitted option', () => {
  test('nothing given is every default', () => {
    const { logger: _logger, ...resolved } = resolveOptions(undefined);
    const { logger: _default, ...defaults } = DEFAULTS;
    const { stateless: _stateless, ...own } = defaults;
    const shares = {
      perUser: USER_DEFAULTS,
      anonymousSessions: 10_000,
      perTool: {},
      pinnedProtocolVersions: undefined,
      notices: expect.any(Notices) as Notices,
      sessionIdLength: 256,
    };
    expect(resolved).toEqual({ ...own, ...shares });
    expect(resolveOptions({})).toEqual(resolveOptions(undefined));
  });

  test('undefined means the default, for every option and every member', () => {
    const names = OPTION_NAMES.filter((name) => name !== 'limits' && name !== 'eventRetention');
    const input = {
      ...Object.fromEntries(names.map((name) => [name, undefined])),
      limits: Object.fromEntries(Object.keys(DEFAULTS.limits).map((name) => [name, undefined])),
      eventRetention: { maxAgeMs: undefined, events: undefined, bytes: undefined },
    };
    expect(resolveAny(input)).toEqual(resolveOptions(undefined));
    // The types agree, or this call would not compile.
    type Nothing = { [K in keyof McpEndpointOptions]-?: undefined };
    const nothing = Object.fromEntries(OPTION_NAMES.map((name) => [name, undefined])) as Nothing;
    expect(resolveOptions(nothing)).toEqual(resolveOptions({}));
  });
});

const perTool = { of: { requests: 4 }, own: { callTimeoutMs: 7 } };

test.each<[what: string, given: Given, resolved: Given]>([
  [
    'members left out keep their defaults',
    { limits: { subscriptions: 5 }, eventRetention: { events: 7 } },
    {
      limits: { ...DEFAULTS.limits, subscriptions: 5 },
      eventRetention: { maxAgeMs: 3_600_000, events: 7, bytes: 8_388_608 },
    },
  ],
  [
    'a tool has the callTimeoutMs of all where it has none of its own',
    { limits: { callTimeoutMs: 9, perTool } },
    {
      perTool: {
        of: expect.objectContaining({ callTimeoutMs: 9 }),
        own: expect.objectContaining({ callTimeoutMs: 7 }),
      },
    },
  ],
  ['the tombstone time follows the idle timeout', { idleTimeoutMs: 5_000 }, { tombstoneMs: 5_000 }],
  [
    'up to a day',
    { idleTimeoutMs: Infinity },
    { idleTimeoutMs: Infinity, tombstoneMs: 86_400_000 },
  ],
  ['unless it is given', { idleTimeoutMs: 5_000, tombstoneMs: 9 }, { tombstoneMs: 9 }],
  [
    'versions are newest first, and pinned',
    { supportedProtocolVersions: ['2025-06-18', '2026-07-28', '2025-06-18'] },
    {
      supportedProtocolVersions: ['2026-07-28', '2025-06-18'],
      pinnedProtocolVersions: ['2026-07-28', '2025-06-18'],
    },
  ],
  [
    'versions that were not given are not pinned',
    {},
    { supportedProtocolVersions: KNOWN_VERSIONS, pinnedProtocolVersions: undefined },
  ],
  [
    '2026-07-28 alone needs no session',
    { supportedProtocolVersions: ['2026-07-28'], stateless: true },
    { supportedProtocolVersions: ['2026-07-28'] },
  ],
  ['B87 stateless is short for a mode', { stateless: true }, { sessionMode: 'stateless' }],
  ['B87 so is its contrary', { stateless: false }, { sessionMode: 'hybrid' }],
  [
    'B87 beside the same mode',
    { stateless: true, sessionMode: 'stateless' },
    { sessionMode: 'stateless' },
  ],
  [
    'B87 its contrary beside sessions alone',
    { stateless: false, sessionMode: 'stateful' },
    { sessionMode: 'stateful' },
  ],
  ['B90 legacySse with sessions', { legacySse: true, stateless: false }, { legacySse: true }],
  [
    'limits that may be endless are',
    { maxIdleSessionCount: Infinity, limits: { sessions: Infinity } },
    { maxIdleSessionCount: Infinity, limits: expect.objectContaining({ sessions: Infinity }) },
  ],
  [
    'B60 zero is a number',
    { idleTimeoutMs: 0, maxIdleSessionCount: 0, maxWaitMs: 0, retryMs: 0 },
    { idleTimeoutMs: 0, maxIdleSessionCount: 0, maxWaitMs: 0, retryMs: 0 },
  ],
  ['eventRetention: false stays false', { eventRetention: false }, { eventRetention: false }],
  ['Infinity turns a number off', { keepAliveMs: Infinity }, { keepAliveMs: Infinity }],
  ['of keepAliveMs so does 0, as the SDK has it', { keepAliveMs: 0 }, { keepAliveMs: Infinity }],
])('%s', (_what, given, resolved) => {
  const all = resolveAny(given);
  expect(
    Object.fromEntries(Object.keys(resolved).map((name) => [name, Reflect.get(all, name)])),
  ).toEqual(resolved);
});

describe('what is resolved', () => {
  test('is frozen, down to its lists', () => {
    const resolved = resolveOptions({
      limits: { subscriptions: 5 },
      eventRetention: { events: 7 },
      allowedHosts: ['mcp.example'],
      allowedOrigins: ['*'],
      secrets: [KEY],
      supportedProtocolVersions: ['2025-11-25'],
    });
    for (const one of [resolved, DEFAULTS]) {
      const { limits, eventRetention, allowedOrigins, supportedProtocolVersions } = one;
      const parts = [one, limits, eventRetention, allowedOrigins, supportedProtocolVersions];
      expect(parts.map((part) => Object.isFrozen(part))).toEqual(parts.map(() => true));
    }
    expect([resolved.allowedHosts, resolved.secrets].map((part) => Object.isFrozen(part))).toEqual([
      true,
      true,
    ]);
  });

  test('does not change when what was given does', () => {
    const key = new Uint8Array(32);
    const allowedHosts = ['a.example'];
    const limits = { subscriptions: 5 };
    const resolved = resolveOptions({ allowedHosts, limits, secrets: [key] });
    allowedHosts.push('b.example');
    limits.subscriptions = 6;
    key.fill(1);
    expect(resolved).toMatchObject({ allowedHosts: ['a.example'], limits: { subscriptions: 5 } });
    expect(resolved.secrets).toEqual([new Uint8Array(32)]);
  });

  test('hands on what is yours as it is, and leaves it unfrozen', () => {
    const store = {
      kind: 'own',
      durable: true,
      open: () => Promise.reject(new Error('never opened')),
    };
    const bus = { publish() {}, subscribe: () => () => {} };
    const sessionMigrationHandler = { allowSessionMigration: () => null };
    const hook = async () => {};
    const given = {
      store,
      bus,
      sessionMigrationHandler,
      runSessionHandler: hook,
      onerror() {},
      sessionUser: () => 'ada',
    };
    const resolved = resolveOptions(given);
    for (const [name, value] of Object.entries(given)) expect(resolved).toHaveProperty(name, value);
    expect([store, bus, sessionMigrationHandler].some(Object.isFrozen)).toBe(false);
  });

  test('a time provider without monotonic counts by now', () => {
    let now = 5;
    const timeProvider = { now: () => now, setTimeout: (fn: () => void) => fn, clearTimeout() {} };
    const time = resolveOptions({ timeProvider }).timeProvider;
    now = 9;
    expect([time.now(), time.monotonic()]).toEqual([9, 9]);
    const whole = { ...timeProvider, monotonic: () => 1 };
    expect(resolveOptions({ timeProvider: whole }).timeProvider).toBe(whole);
  });
});

/** Each option, with a value of the wrong type. */
const WRONG_TYPES: ReadonlyArray<readonly [name: string, value: unknown]> = [
  ['sessionMode', 1],
  ['stateless', 'yes'],
  ['perSessionExecutionContext', 1],
  ['configureSessionOptions', {}],
  ['runSessionHandler', 'run'],
  ['idleTimeoutMs', '5'],
  ['idleTimeoutMs', null],
  ['maxIdleSessionCount', 5n],
  ['hibernateAfterMs', '5 min'],
  ['timeProvider', { now: () => 0 }],
  ['timeProvider', null],
  ['sessionMigrationHandler', {}],
  ['store', 'memory:'],
  ['store', { open() {} }],
  ['store', { kind: 'own' }],
  ['eventRetention', true],
  ['eventRetention', []],
  ['sessionIdGenerator', 'uuid'],
  ['legacySse', 'true'],
  ['responseMode', true],
  ['allowedHosts', 'mcp.example'],
  ['allowedOrigins', '*'],
  ['limits', 5],
  ['limits', null],
  ['limits', Promise.resolve({ sessions: 5 })],
  ['limits', new Map()],
  ['runSessionHandler', class {}],
  ['deployment', 5],
  ['supportedProtocolVersions', '2025-11-25'],
  ['sessionUser', 'sub'],
  ['bus', { publish() {} }],
  ['onerror', 'log'],
  ['logger', { ...logger, error: undefined }],
  ['keepAliveMs', '0'],
  ['retryMs', false],
];

/** Each option or member, with a value that is out of range. */
const OUT_OF_RANGE: ReadonlyArray<readonly [name: string, given: Given]> = [
  ['idleTimeoutMs', { idleTimeoutMs: -Infinity }],
  ['sessionMode', { sessionMode: 'statefull' }],
  ['idleTimeoutMs', { idleTimeoutMs: NaN }],
  ['maxIdleSessionCount', { maxIdleSessionCount: 1.5 }],
  ['hibernateAfterMs', { hibernateAfterMs: -1 }],
  ['maxWaitMs', { maxWaitMs: -1 }],
  ['leaseMs', { leaseMs: 99 }],
  ['leaseMs', { leaseMs: Infinity }],
  ['tombstoneMs', { tombstoneMs: -1 }],
  ['tombstoneMs', { tombstoneMs: Infinity }],
  ['eventRetention.events', { eventRetention: { events: 0 } }],
  ['eventRetention.maxAgeMs', { eventRetention: { maxAgeMs: -1 } }],
  ['eventRetention.bytes', { eventRetention: { bytes: Infinity } }],
  ['secrets', { secrets: [] }],
  ['secrets[1]', { secrets: [KEY, new Uint8Array(31)] }],
  ['responseMode', { responseMode: 'stream' }],
  ['allowedHosts', { allowedHosts: [] }],
  ['limits.bodyBytes', { limits: { bodyBytes: 0 } }],
  ['limits.bodyBytes', { limits: { bodyBytes: Infinity } }],
  ['limits.requestsPerSession', { limits: { requestsPerSession: 2.5 } }],
  ['deployment', { deployment: '' }],
  ['deployment', { deployment: 'a b' }],
  ['deployment', { deployment: 'n'.repeat(65) }],
  ['supportedProtocolVersions', { supportedProtocolVersions: [] }],
  ['supportedProtocolVersions[0]', { supportedProtocolVersions: ['2025-01-01'] }],
  ['keepAliveMs', { keepAliveMs: -1 }],
  ['retryMs', { retryMs: 0.5 }],
  ['retryMs', { retryMs: -1 }],
];

test.each([
  ...WRONG_TYPES.map(([name, value]) => [name, { [name]: value }, TypeError] as const),
  ...OUT_OF_RANGE.map(([name, given]) => [name, given, RangeError] as const),
])('%s: %o is refused with its name', (name, given, kind) => {
  const error = refusal(given);
  expect([error.constructor, error.code]).toEqual([kind, 'OPTION_INVALID']);
  expect(error.message.startsWith(`Option ${name}: got `)).toBe(true);
  expect(error.message).toMatch(/: got .+, takes .+/);
});

const AUTHORIZED = { verify: () => undefined, authorize: () => true };
const OPTIONAL = { verify: () => undefined, anonymous: () => true };
const MODERN_ONLY = { supportedProtocolVersions: ['2026-07-28'] };
const OF_USER =
  'known are sessions, requests, subscriptions, tasks, requestsPerMinute, handles, ' +
  'eventSubscriptions, keptBytes';
const timeProvider = { now: () => 0, setTimeout() {}, clearTimeout() {}, monotonic: 5 };
const sessionMigrationHandler = { allowSessionMigration: () => null, onSessionEnded: 'log' };
const sessionIdGenerator = Object.assign(() => '', { maxLength: '64' });

/** A text is the whole message. */
test.each<[given: unknown, message: string | RegExp, kind?: typeof TypeError | typeof RangeError]>([
  [{ idleTimeoutM: 1 }, 'Unknown option idleTimeoutM; did you mean idleTimeoutMs?', TypeError],
  [{ IdleTimeoutMs: 1 }, 'Unknown option IdleTimeoutMs; did you mean idleTimeoutMs?', TypeError],
  [
    { maxIdleSessions: 1 },
    'Unknown option maxIdleSessions; did you mean maxIdleSessionCount?',
    TypeError,
  ],
  [{ sesionMode: 1 }, 'Unknown option sesionMode; did you mean sessionMode?', TypeError],
  [{ bodyBytes: 1 }, 'Unknown option bodyBytes; did you mean limits.bodyBytes?', TypeError],
  [{ limit: 1 }, 'Unknown option limit; did you mean limits?', TypeError],
  [{ middleware: 1 }, /^Option middleware: got 1/],
  [{ use: [{ observed: 1 }] }, 'Unknown option use[0].observed; did you mean use[0].observe?'],
  [{ aroundRequest: [] }, 'Unknown option aroundRequest; did you mean middleware?', TypeError],
  [{ name: 'x' }, 'Unknown option name; did you mean deployment?', TypeError],
  [{ bsu: 1 }, 'Unknown option bsu; did you mean bus?', TypeError],
  [{ waitMs: 1 }, 'Unknown option waitMs; did you mean maxWaitMs?'],
  [{ limits: { requests: 1 } }, /limits\.requests; did you mean limits\.sessionlessRequests\?/],
  [{ tasks: { limits: {} } }, /tasks\.limits; did you mean limits\.perUser\.tasks, /],
  [{ limits: { bodyByte: 1 } }, 'Unknown option limits.bodyByte; did you mean limits.bodyBytes?'],
  [{ eventRetention: { event: 1 } }, /did you mean eventRetention\.events\?/],
  [{ perUser: { requests: 1 } }, /did you mean limits\.perUser\?/],
  [{ colour: 'red' }, /^Unknown option colour; known are .*idleTimeoutMs/],
  [{ limits: { colour: 1 } }, /^Unknown option limits.colour; known are bodyBytes, /],
  [{ limits: { perUser: { calls: 1 } } }, `Unknown option limits.perUser.calls; ${OF_USER}`],
  [{ limits: { perUser: { rate: 1 } } }, `Unknown option limits.perUser.rate; ${OF_USER}`],
  [{ constructor: 1 }, /^Unknown option constructor/],
  // Names of createMcpHandler, of the C# SDK (docs/guide/from-csharp.md), and of listen().
  [{ legacy: 1 }, /Option legacy belongs to createMcpHandler; here it is sessionMode/],
  [
    { maxSubscriptions: 1 },
    /Option maxSubscriptions belongs to createMcpHandler; here it is limits\.subscriptions/,
  ],
  [
    { maxRequestBodySize: 1 },
    /Option maxRequestBodySize belongs to createMcpHandler; here it is limits\.bodyBytes/,
  ],
  [{ IdleTimeout: 1 }, /did you mean idleTimeoutMs\?/],
  [{ Stateless: 1 }, /did you mean stateless\?/],
  [{ MaxIdleSessionCount: 1 }, /did you mean maxIdleSessionCount\?/],
  [{ sessionTimeout: 1 }, /here it is idleTimeoutMs, in ms/],
  [{ port: 1 }, /belongs to listen\(\); here it is endpoint\.listen\(\{ port \}\)/],
  [{ enableJsonResponse: true }, /here it is responseMode: 'json'/],
  // The URL of a store, which may have a password.
  [
    { store: 'redis://secret@host' },
    /^(?!.*secret).*import \{ redis \} from 'sojourn-redis' and write store: redis\(…\)/,
  ],
  [
    { store: 'postgresql://secret@host/db' },
    /^(?!.*secret).*import \{ postgres \} from 'sojourn-postgres'/,
  ],
  [{ store: './sessions.db' }, /import \{ sqlite \} from 'sojourn\/sqlite'/],
  [
    { store: () => ({}) },
    /Option store: got a function, takes a store, which that function returns: call it/,
  ],
  // Options that are no object.
  ...[null, 5, 'stateless', [], () => {}, new Map([['stateless', true]]), Promise.resolve({})].map(
    (input): [unknown, RegExp] => [input, /createMcpEndpoint takes an object of options/],
  ),
  // What they take, a member by its name, and a key that is not shown.
  [
    { hookTimeoutMs: 0 },
    'Option hookTimeoutMs: got 0, takes a number of ms, 1 or more, or Infinity (no limit)',
  ],
  // B59, B60
  [
    { idleTimeoutMs: -1 },
    'Option idleTimeoutMs: got -1, takes a number of ms, 0 or more, or Infinity (never)',
    RangeError,
  ],
  [
    { maxIdleSessionCount: -1 },
    /^Option maxIdleSessionCount: got -1, takes a whole number of sessions, 0/,
    RangeError,
  ],
  [{ sharedLists: ['tool'] }, /sharedLists\[0\].*one of 'tools', 'prompts'/],
  [{ sharedLists: true }, /sharedLists.*a list of tools/],
  [{ sessionMigrationHandler }, /^Option sessionMigrationHandler.onSessionEnded: /],
  [{ timeProvider }, /^Option timeProvider.monotonic: got 5, takes a function/],
  [
    { secrets: ['geheim'] },
    'Option secrets[0]: got 6 bytes, takes a string or Uint8Array of 32 bytes or more',
  ],
  [{ secrets: [12345678] }, /^(?!.*12345678)/],
  [
    { secrets: KEY },
    "Option secrets: got a string, takes a list of keys, each 32 bytes or more, or 'store'",
  ],
  [{ secrets: Buffer.from(KEY) }, /^Option secrets: got an object, takes a list of keys/],
  // A value without an end does not hide what is taken.
  [{ deployment: 'n'.repeat(200) }, /^Option deployment: got .{128}, takes 1 to 64 letters/],
  [
    { sessionIdGenerator },
    'Option sessionIdGenerator.maxLength: got "64", takes a whole number of characters, 1 or more',
  ],
])('%o is refused', (given, message, kind) => {
  const error = refusal(given);
  if (typeof message === 'string') expect(error.message).toBe(message);
  else expect(error.message).toMatch(message);
  if (kind !== undefined) expect(error.constructor).toBe(kind);
});

test.each([
  [
    'B87',
    { stateless: true, sessionMode: 'hybrid' },
    /stateless and sessionMode contradict .* stateless is true, but .* 'hybrid'/,
  ],
  ['B87', { stateless: true, sessionMode: 'stateful' }, /contradict/],
  ['B87', { stateless: false, sessionMode: 'stateless' }, /contradict/],
  ['B90', { legacySse: true, stateless: true }, /legacySse and stateless: true contradict/],
  [
    'B90',
    { legacySse: true, sessionMode: 'stateless' },
    /legacySse and sessionMode: 'stateless' contradict/,
  ],
  [
    'versions',
    { ...MODERN_ONLY, sessionMode: 'stateful', stateless: false },
    /supportedProtocolVersions and sessionMode: 'stateful'/,
  ],
  ['versions', { ...MODERN_ONLY, legacySse: true }, /legacySse and supportedProtocolVersions/],
  [
    'lists',
    { sharedLists: ['tools'], auth: AUTHORIZED },
    /sharedLists and auth.authorize contradict/,
  ],
  [
    'lists',
    { sharedLists: ['tools'], auth: OPTIONAL },
    /sharedLists and auth.anonymous contradict/,
  ],
  [
    'anonymous',
    { auth: { ...AUTHORIZED, anonymous: true } },
    /auth.anonymous: true and auth.authorize contradict/,
  ],
])('%s %o is refused as a contradiction', (_what, given, message) => {
  expect(refusal(given).message).toMatch(message);
});
