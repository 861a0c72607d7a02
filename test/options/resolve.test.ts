import { describe, expect, test } from 'vitest';
import { Notices } from '../../src/observe/notices.ts';
import { DEFAULTS, OPTIONS } from '../../src/options/table.ts';
import { LIMITS, RETENTION, USER_DEFAULTS } from '../../src/options/resolve-limits.ts';
import type { McpEndpointOptions } from '../../src/options/endpoint-options.ts';
import { OPTION_NAMES, resolveOptions } from '../../src/options/resolve.ts';
import { KNOWN_VERSIONS } from '../../src/protocol/versions.ts';
import { heapLimit, sharesOf } from '../../src/options/heap-shares.ts';

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
      perTool: {},
      pinnedProtocolVersions: undefined,
      notices: expect.any(Notices) as Notices,
      sessionIdLength: 256,
    };
    expect(resolved).toEqual({ ...own, ...shares });
    expect(resolveOptions({})).toEqual(resolveOptions(undefined));
  });

  test('the defaults are those of the documentation', () => {
    expect(resolveOptions(undefined)).toMatchObject({
      sessionMode: 'hybrid',
      perSessionExecutionContext: false,
      idleTimeoutMs: 7_200_000,
      maxIdleSessionCount: Math.min(10_000, Math.floor(0.8 * sharesOf(heapLimit()).sessions)),
      hibernateAfterMs: Infinity,
      leaseMs: 3_000,
      waitMs: 15_000,
      tombstoneMs: 7_200_000,
      eventRetention: { ttlMs: 3_600_000, events: 10_000, bytes: 8_388_608 },
      legacySse: false,
      responseMode: 'auto',
      allowedOrigins: ['localhost', '127.0.0.1', '[::1]'],
      limits: {
        bodyBytes: 4_194_304,
        requestsPerSession: 64,
        callMs: Infinity,
        ...sharesOf(heapLimit()),
        streamBufferBytes: 1_048_576,
        stateBytes: 262_144,
        subscriptions: 1_024,
        tombstones: 100_000,
        waitingRequests: 10_000,
      },
      name: 'mcp',
      supportedProtocolVersions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'],
      keepAliveMs: 15_000,
      retryMs: 4_000,
    });
  });

  test('undefined means the default, for every option and every member', () => {
    const names = OPTION_NAMES.filter((name) => name !== 'limits' && name !== 'eventRetention');
    const input = {
      ...Object.fromEntries(names.map((name) => [name, undefined])),
      limits: Object.fromEntries(Object.keys(DEFAULTS.limits).map((name) => [name, undefined])),
      eventRetention: { ttlMs: undefined, events: undefined, bytes: undefined },
    };
    expect(resolveAny(input)).toEqual(resolveOptions(undefined));
    // The types agree, or this call would not compile.
    type Nothing = { [K in keyof McpEndpointOptions]-?: undefined };
    const nothing = Object.fromEntries(OPTION_NAMES.map((name) => [name, undefined])) as Nothing;
    expect(resolveOptions(nothing)).toEqual(resolveOptions({}));
  });

  test('members left out of limits and eventRetention keep their defaults', () => {
    const { limits, eventRetention } = resolveOptions({ limits: { subscriptions: 5 }, eventRetention: { events: 7 } });
    expect(limits).toEqual({ ...DEFAULTS.limits, subscriptions: 5 });
    expect(eventRetention).toEqual({ ttlMs: 3_600_000, events: 7, bytes: 8_388_608 });
  });

  test('a tool has the callMs of all where it has none of its own', () => {
    const perTool = { of: { requests: 4 }, own: { callMs: 7 } };
    const { perTool: resolved } = resolveOptions({ limits: { callMs: 9, perTool } });
    expect(resolved).toMatchObject({ of: { callMs: 9 }, own: { callMs: 7 } });
  });

  test('the tombstone time follows the idle timeout, up to a day', () => {
    expect(resolveOptions({ idleTimeoutMs: 5_000 }).tombstoneMs).toBe(5_000);
    expect(resolveOptions({ idleTimeoutMs: Infinity }).tombstoneMs).toBe(86_400_000);
    expect(resolveOptions({ idleTimeoutMs: 5_000, tombstoneMs: 9 }).tombstoneMs).toBe(9);
  });
});

describe('what is resolved', () => {
  test('is frozen, down to its lists', () => {
    const resolved = resolveOptions({
      limits: { subscriptions: 5 },
      eventRetention: { events: 7 },
      allowedHosts: ['mcp.example'],
      allowedOrigins: ['*'],
      requestStateKeys: [KEY],
      supportedProtocolVersions: ['2025-11-25'],
    });
    const { limits, eventRetention, allowedHosts, allowedOrigins, requestStateKeys, supportedProtocolVersions } =
      resolved;
    const parts = [
      resolved,
      limits,
      eventRetention,
      allowedHosts,
      allowedOrigins,
      requestStateKeys,
      supportedProtocolVersions,
    ];
    expect(parts.map((part) => Object.isFrozen(part))).toEqual(parts.map(() => true));
    expect([DEFAULTS, DEFAULTS.limits, DEFAULTS.eventRetention, DEFAULTS.allowedOrigins].every(Object.isFrozen)).toBe(
      true,
    );
  });

  test('does not change when what was given does', () => {
    const key = new Uint8Array(32);
    const allowedHosts = ['a.example'];
    const limits = { subscriptions: 5 };
    const resolved = resolveOptions({ allowedHosts, limits, requestStateKeys: [key] });
    allowedHosts.push('b.example');
    limits.subscriptions = 6;
    key.fill(1);
    expect(resolved).toMatchObject({ allowedHosts: ['a.example'], limits: { subscriptions: 5 } });
    expect(resolved.requestStateKeys).toEqual([new Uint8Array(32)]);
  });

  test('hands on what is yours as it is, and leaves it unfrozen', () => {
    const store = {
      kind: 'own',
      inProcess: true,
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

  test('the versions are newest first, and pinned only when they were given', () => {
    const { supportedProtocolVersions, pinnedProtocolVersions } = resolveOptions({
      supportedProtocolVersions: ['2025-06-18', '2026-07-28', '2025-06-18'],
    });
    expect(supportedProtocolVersions).toEqual(['2026-07-28', '2025-06-18']);
    expect(pinnedProtocolVersions).toEqual(supportedProtocolVersions);
    expect(resolveOptions({})).toMatchObject({ supportedProtocolVersions: KNOWN_VERSIONS });
    expect(resolveOptions({}).pinnedProtocolVersions).toBeUndefined();
  });

  test('B87 stateless is short for the two plain modes', () => {
    expect(resolveOptions({ stateless: true }).sessionMode).toBe('stateless');
    expect(resolveOptions({ stateless: false }).sessionMode).toBe('stateful');
    expect(resolveOptions({ stateless: true, sessionMode: 'stateless' }).sessionMode).toBe('stateless');
    expect(resolveOptions({ stateless: false, sessionMode: 'stateful' }).sessionMode).toBe('stateful');
  });

  test('limits that may be endless are, and zero is a number', () => {
    expect(
      resolveOptions({ idleTimeoutMs: Infinity, maxIdleSessionCount: Infinity, limits: { sessions: Infinity } }),
    ).toMatchObject({ idleTimeoutMs: Infinity, maxIdleSessionCount: Infinity, limits: { sessions: Infinity } });
    expect(resolveOptions({ idleTimeoutMs: 0, maxIdleSessionCount: 0, waitMs: 0, retryMs: 0 })).toMatchObject({
      idleTimeoutMs: 0,
      maxIdleSessionCount: 0,
      waitMs: 0,
      retryMs: 0,
    });
  });

  test('eventRetention: false stays false', () => {
    expect(resolveOptions({ eventRetention: false }).eventRetention).toBe(false);
  });
});

describe('what is refused', () => {
  test('B59 a negative idleTimeoutMs is a RangeError that names the option', () => {
    const error = refusal({ idleTimeoutMs: -1 });
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toBe('Option idleTimeoutMs: got -1, takes a number of ms, 0 or more, or Infinity (never)');
    for (const wrong of [-Infinity, Number.NaN]) expect(refusal({ idleTimeoutMs: wrong })).toBeInstanceOf(RangeError);
    expect(resolveOptions({ idleTimeoutMs: Infinity }).idleTimeoutMs).toBe(Infinity);
  });

  test('B60 a negative maxIdleSessionCount is a RangeError that names the option, zero is allowed', () => {
    const error = refusal({ maxIdleSessionCount: -1 });
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/^Option maxIdleSessionCount: got -1, takes a whole number of sessions, 0 or more/);
    for (const wrong of [-Infinity, Number.NaN, 1.5])
      expect(refusal({ maxIdleSessionCount: wrong })).toBeInstanceOf(RangeError);
    expect(resolveOptions({ maxIdleSessionCount: 0 }).maxIdleSessionCount).toBe(0);
  });

  test('B87 stateless and a sessionMode that says otherwise', () => {
    const error = refusal({ stateless: true, sessionMode: 'hybrid' });
    expect(error.message).toMatch(
      /stateless and sessionMode contradict .* stateless: true .* 'stateless', but .* 'hybrid'/,
    );
    expect(refusal({ stateless: false, sessionMode: 'hybrid' }).message).toContain("'stateful'");
    expect(refusal({ stateless: false, sessionMode: 'stateless' }).message).toContain('contradict');
  });

  test('B90 legacySse without sessions, naming both settings', () => {
    expect(refusal({ legacySse: true, stateless: true }).message).toMatch(/legacySse and stateless: true contradict/);
    expect(refusal({ legacySse: true, sessionMode: 'stateless' }).message).toMatch(
      /legacySse and sessionMode: 'stateless' contradict/,
    );
    expect(resolveOptions({ legacySse: true, stateless: false }).legacySse).toBe(true);
  });

  test('versions of which the mode serves none', () => {
    const modernOnly = { supportedProtocolVersions: ['2026-07-28'] };
    expect(refusal({ ...modernOnly, stateless: false }).message).toMatch(
      /supportedProtocolVersions and stateless: false/,
    );
    expect(refusal({ ...modernOnly, legacySse: true }).message).toMatch(/legacySse and supportedProtocolVersions/);
    expect(resolveOptions({ ...modernOnly, stateless: true }).supportedProtocolVersions).toEqual(['2026-07-28']);
  });

  test.each([
    ['idleTimeoutM', 'idleTimeoutMs'],
    ['IdleTimeoutMs', 'idleTimeoutMs'],
    ['maxIdleSessions', 'maxIdleSessionCount'],
    ['sesionMode', 'sessionMode'],
    ['bodyBytes', 'limits.bodyBytes'],
    ['limit', 'limits'],
  ])('an unknown option %s, with %s offered', (given, meant) => {
    const error = refusal({ [given]: 1 });
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe(`Unknown option ${given}; did you mean ${meant}?`);
  });

  test('an unknown member of limits and eventRetention, with the nearest offered', () => {
    expect(refusal({ limits: { bodyByte: 1 } }).message).toBe(
      'Unknown option limits.bodyByte; did you mean limits.bodyBytes?',
    );
    expect(refusal({ limits: { retryMs: 1 } }).message).toBe('Unknown option limits.retryMs; did you mean retryMs?');
    expect(refusal({ eventRetention: { event: 1 } }).message).toContain('did you mean eventRetention.events?');
    expect(refusal({ perUser: { requests: 1 } }).message).toContain('did you mean limits.perUser?');
  });

  test('an option that resembles none, with what there is', () => {
    expect(refusal({ colour: 'red' }).message).toMatch(/^Unknown option colour; known are .*idleTimeoutMs/);
    expect(refusal({ limits: { colour: 1 } }).message).toMatch(/^Unknown option limits.colour; known are bodyBytes, /);
    const known = 'known are sessions, requests, subscriptions, requestsPerMinute, keptBytes';
    for (const name of ['calls', 'rate'])
      expect(refusal({ limits: { perUser: { [name]: 1 } } }).message).toBe(
        `Unknown option limits.perUser.${name}; ${known}`,
      );
    expect(refusal({ constructor: 1 }).message).toMatch(/^Unknown option constructor/);
  });

  test.each([
    ['legacy', 'sessionMode'],
    ['maxSubscriptions', 'limits.subscriptions'],
    ['maxRequestBodySize', 'limits.bodyBytes'],
  ])('%s of createMcpHandler, naming %s', (theirs, ours) => {
    const { message } = refusal({ [theirs]: 1 });
    expect(message).toContain(`Option ${theirs} belongs to createMcpHandler; here it is ${ours}`);
    expect(resolveAny({ [theirs]: undefined })).toEqual(resolveOptions({}));
  });

  test.each([
    ['IdleTimeout', 'here it is idleTimeoutMs, in ms'],
    ['idleTimeout', 'here it is idleTimeoutMs, in ms'],
    ['EnableLegacySse', 'here it is legacySse'],
    ['EventStreamStore', 'here it is store, with eventRetention'],
    ['StatefulForInitializeClients', "here it is sessionMode: 'hybrid'"],
    ['Stateless', 'did you mean stateless?'],
    ['SessionMode', 'did you mean sessionMode?'],
    ['MaxIdleSessionCount', 'did you mean maxIdleSessionCount?'],
    ['ConfigureSessionOptions', 'did you mean configureSessionOptions?'],
    ['RunSessionHandler', 'did you mean runSessionHandler?'],
    ['PerSessionExecutionContext', 'did you mean perSessionExecutionContext?'],
    ['SessionMigrationHandler', 'did you mean sessionMigrationHandler?'],
    ['TimeProvider', 'did you mean timeProvider?'],
    ['sessionTimeout', 'here it is idleTimeoutMs, in ms'],
    ['port', 'belongs to listen(); here it is endpoint.listen({ port })'],
    ['host', 'belongs to listen(); here it is endpoint.listen({ host })'],
    ['path', 'belongs to listen(); here it is endpoint.listen({ path })'],
  ])('%s of other software, saying %s', (theirs, ours) => {
    expect(refusal({ [theirs]: 1 }).message).toContain(ours);
  });

  test('the name that the C# SDK has for the default mode', () => {
    expect(refusal({ sessionMode: 'StatefulForInitializeClients' }).message).toContain("here it is 'hybrid'");
  });

  test('options that are no object', () => {
    for (const input of [null, 5, 'stateless', [], () => {}]) {
      expect(refusal(input).message).toContain('createMcpEndpoint takes an object of options');
    }
  });

  const wrongTypes: [string, unknown][] = [
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
    ['requestStateKeys', KEY],
    ['legacySse', 'true'],
    ['responseMode', true],
    ['allowedHosts', 'mcp.example'],
    ['allowedOrigins', '*'],
    ['limits', 5],
    ['limits', null],
    ['name', 5],
    ['supportedProtocolVersions', '2025-11-25'],
    ['sessionUser', 'sub'],
    ['bus', { publish() {} }],
    ['onerror', 'log'],
    ['logger', { ...logger, error: undefined }],
    ['keepAliveMs', '0'],
    ['retryMs', false],
  ];
  test.each(wrongTypes)('%s of the wrong type is a TypeError that names it (%#)', (name, value) => {
    const error = refusal({ [name]: value });
    expect(error).toBeInstanceOf(TypeError);
    expect(error).not.toBeInstanceOf(RangeError);
    expect(error.message).toMatch(new RegExp(`^Option ${name}: got .+, takes .+`));
    expect(error.code).toBe('OPTION_INVALID');
  });

  const outOfRange: [string, Record<string, unknown>][] = [
    ['sessionMode', { sessionMode: 'statefull' }],
    ['idleTimeoutMs', { idleTimeoutMs: NaN }],
    ['maxIdleSessionCount', { maxIdleSessionCount: 1.5 }],
    ['hibernateAfterMs', { hibernateAfterMs: -1 }],
    ['hibernateAfterMs', { hibernateAfterMs: NaN }],
    ['waitMs', { waitMs: -1 }],
    ['leaseMs', { leaseMs: 0 }],
    ['leaseMs', { leaseMs: Infinity }],
    ['tombstoneMs', { tombstoneMs: -1 }],
    ['tombstoneMs', { tombstoneMs: Infinity }],
    ['eventRetention.events', { eventRetention: { events: 0 } }],
    ['eventRetention.ttlMs', { eventRetention: { ttlMs: -1 } }],
    ['eventRetention.bytes', { eventRetention: { bytes: Infinity } }],
    ['requestStateKeys', { requestStateKeys: [] }],
    ['requestStateKeys[1]', { requestStateKeys: [KEY, new Uint8Array(31)] }],
    ['responseMode', { responseMode: 'stream' }],
    ['allowedHosts', { allowedHosts: [] }],
    ['limits.bodyBytes', { limits: { bodyBytes: 0 } }],
    ['limits.bodyBytes', { limits: { bodyBytes: Infinity } }],
    ['limits.requestsPerSession', { limits: { requestsPerSession: 2.5 } }],
    ['name', { name: '' }],
    ['name', { name: 'a b' }],
    ['name', { name: 'n'.repeat(65) }],
    ['supportedProtocolVersions', { supportedProtocolVersions: [] }],
    ['supportedProtocolVersions[0]', { supportedProtocolVersions: ['2025-01-01'] }],
    ['keepAliveMs', { keepAliveMs: -1 }],
    ['retryMs', { retryMs: 0.5 }],
    ['retryMs', { retryMs: -1 }],
  ];
  test.each(outOfRange)('%s out of range is a RangeError that names it (%#)', (name, input) => {
    const error = refusal(input);
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message.startsWith(`Option ${name}: got `)).toBe(true);
    expect(error.code).toBe('OPTION_INVALID');
  });

  test('a member of an object of yours, naming the member', () => {
    const handler = { allowSessionMigration: () => null, onSessionEnded: 'log' };
    expect(refusal({ sessionMigrationHandler: handler }).message).toMatch(
      /^Option sessionMigrationHandler.onSessionEnded: /,
    );
    const timeProvider = { now: () => 0, setTimeout() {}, clearTimeout() {}, monotonic: 5 };
    expect(refusal({ timeProvider }).message).toMatch(/^Option timeProvider.monotonic: got 5, takes a function/);
  });

  test('a key too short, without showing it', () => {
    const { message } = refusal({ requestStateKeys: ['geheim'] });
    expect(message).toBe('Option requestStateKeys[0]: got 6 bytes, takes a string or Uint8Array of 32 bytes or more');
    expect(refusal({ requestStateKeys: [12345678] }).message).not.toContain('12345678');
  });
});

describe('names', () => {
  /** How a name shows the unit of its number. */
  const UNITS: Readonly<Record<string, RegExp>> = {
    ms: /Ms$/,
    bytes: /[bB]ytes$/,
    requests: /[rR]equests/,
    sessions: /[sS]ession|tombstones/,
    keys: /Keys$/,
    streams: /subscriptions/,
    events: /^events$/,
    'what is free': /Share$/,
  };
  const numbers = Object.entries({ ...OPTIONS, ...LIMITS, ...RETENTION }).flatMap(([name, spec]) =>
    'range' in spec ? [[name, spec.range.unit] as const] : [],
  );

  test.each(numbers)('%s tells its unit, %s', (name, unit) => {
    expect(name).toMatch(UNITS[unit] ?? /^never$/);
  });

  test('Infinity turns a number off; of keepAliveMs so does 0, as the SDK has it', () => {
    expect(resolveOptions({ keepAliveMs: Infinity }).keepAliveMs).toBe(Infinity);
    expect(resolveOptions({ keepAliveMs: 0 }).keepAliveMs).toBe(Infinity);
    expect(refusal({ writeTimeoutMs: 0 }).message).toBe(
      'Option writeTimeoutMs: got 0, takes a number of ms, 1 or more, or Infinity (no limit)',
    );
  });
});
