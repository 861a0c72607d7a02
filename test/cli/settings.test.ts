import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { type FlagValue, parseFlagValue } from '../../src/cli/flag-value.ts';
import { ALL_FLAGS, type FlagKey, flagName } from '../../src/cli/option-flags.ts';
import { type Environment, type GivenFlags, mergeOptions, readSettings } from '../../src/cli/settings.ts';

type Flags = Partial<Record<FlagKey, string | boolean>>;

const read = (flags: Flags, env: Environment = {}) => readSettings(given(flags), env);

/** As commander has parsed them. */
function given(flags: Flags): GivenFlags {
  const parsed = new Map<FlagKey, FlagValue>();
  for (const [name, value] of Object.entries(flags)) {
    const [key, spec] = [name as FlagKey, ALL_FLAGS.get(name as FlagKey)];
    if (spec === undefined) throw new Error(`no flag ${name}`);
    parsed.set(key, typeof value === 'boolean' ? value : parseFlagValue(spec, value, `--${flagName(key)}`));
  }
  return parsed;
}

const refusal = (flags: Flags, env: Environment = {}): string => {
  try {
    read(flags, env);
  } catch (error) {
    expect((error as Error).name).toBe('UsageError');
    return (error as Error).message;
  }
  throw new Error('accepted');
};

describe('what serve is asked for', () => {
  test('nothing given is the documented place, level and drain time', () => {
    expect(read({})).toMatchObject({
      port: 3000,
      host: '127.0.0.1',
      path: '/mcp',
      workers: 0,
      logLevel: 'info',
      drainTimeoutMs: 25_000,
      storeUrl: undefined,
      options: {},
      warnings: [],
    });
  });

  test('a flag goes before the environment', () => {
    const env = {
      SOJOURN_PORT: '1',
      SOJOURN_IDLE_TIMEOUT_MS: '1',
      SOJOURN_LIMITS_SUBSCRIPTIONS: '1',
      SOJOURN_RETRY_MS: '1',
    };
    const settings = read({ port: '2', idleTimeoutMs: '2', 'limits.subscriptions': '2' }, env);
    expect(settings.port).toBe(2);
    expect(settings.options).toEqual({ idleTimeoutMs: 2, retryMs: 1, limits: { subscriptions: 2 } });
  });

  test('members of a group are chosen one by one', () => {
    const { options } = read({ 'limits.subscriptions': '2' }, { SOJOURN_LIMITS_BODY_BYTES: '9' });
    expect(options).toEqual({ limits: { subscriptions: 2, bodyBytes: 9 } });
  });

  test.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['1.5d', 129_600_000],
    ['250ms', 250],
    ['250', 250],
  ])('a time of %s is %i ms, in a flag and in a variable', (text, ms) => {
    expect(read({ idleTimeoutMs: text }).options).toMatchObject({ idleTimeoutMs: ms });
    expect(read({}, { SOJOURN_IDLE_TIMEOUT_MS: text }).options).toMatchObject({ idleTimeoutMs: ms });
  });

  test('numbers, Infinity, switches and lists are read', () => {
    const env = {
      SOJOURN_IDLE_TIMEOUT_MS: 'Infinity',
      SOJOURN_LEGACY_SSE: '1',
      SOJOURN_PER_SESSION_EXECUTION_CONTEXT: 'false',
      SOJOURN_ALLOWED_HOSTS: 'a.example, b.example,',
    };
    expect(read({}, env).options).toEqual({
      idleTimeoutMs: Infinity,
      legacySse: true,
      perSessionExecutionContext: false,
      allowedHosts: ['a.example', 'b.example'],
    });
  });

  test.skipIf(process.platform === 'win32')(
    'a store that outlives the process has one worker under a supervisor',
    () => {
      expect(read({ store: 'sqlite:./s.db' }).workers).toBe(1);
      expect(read({}, { SOJOURN_STORE: 'redis://localhost' }).workers).toBe(1);
      expect(read({ store: 'memory:' }).workers).toBe(0);
    },
  );

  test('workers are counted, or as many as the machine runs at once', () => {
    expect(read({ workers: '3' }).workers).toBe(3);
    expect(read({ workers: '0', store: 'sqlite:./s.db' }).workers).toBe(0);
    expect(read({}, { SOJOURN_WORKERS: '4' }).workers).toBe(4);
    expect(read({ workers: 'auto' }).workers).toBe(availableParallelism());
  });

  test('an empty variable counts as not set', () => {
    expect(read({}, { SOJOURN_PORT: '', SOJOURN_NAME: '' }).options).toEqual({});
  });

  test('event retention is switched off, trimmed, or switched on again', () => {
    expect(read({ eventRetention: false }).options).toEqual({ eventRetention: false });
    expect(read({ 'eventRetention.events': '5' }).options).toEqual({ eventRetention: { events: 5 } });
    expect(read({ eventRetention: true }, { SOJOURN_EVENT_RETENTION: 'false' }).options).toEqual({
      eventRetention: {},
    });
    expect(read({ 'eventRetention.events': '5' }, { SOJOURN_EVENT_RETENTION: '0' }).options).toEqual({
      eventRetention: { events: 5 },
    });
    expect(refusal({ eventRetention: false, 'eventRetention.events': '5' })).toMatch(
      /turns eventRetention off and also sets its events/,
    );
  });

  test.each<[Flags, Environment, string]>([
    [
      { idleTimeoutMs: 'soon' },
      {},
      '--idle-timeout-ms: got "soon", takes a number of ms, 0 or more, or Infinity (never)',
    ],
    [
      {},
      { SOJOURN_IDLE_TIMEOUT_MS: '2 hours' },
      'SOJOURN_IDLE_TIMEOUT_MS: got "2 hours", takes a number of ms, 0 or more, or Infinity (never)',
    ],
    [{}, { SOJOURN_LEGACY_SSE: 'yes' }, 'SOJOURN_LEGACY_SSE takes true or false; got "yes"'],
    [
      { sessionMode: 'statefull' },
      {},
      "--session-mode: got \"statefull\", takes one of 'hybrid', 'stateful', 'stateless'",
    ],
    [
      { logLevel: 'loud' },
      {},
      "--log-level: got \"loud\", takes one of 'debug', 'info', 'warn', 'error', 'fatal', 'silent'",
    ],
    [{ port: '70000' }, {}, '--port: got 70000, takes a port, 0 to 65535'],
    [{ port: '80.5' }, {}, '--port: got 80.5, takes a port, 0 to 65535'],
    [{ path: 'mcp' }, {}, '--path: got "mcp", takes a path like \'/mcp\''],
    [{}, { SOJOURN_DRAIN_TIMEOUT_MS: '-1' }, 'SOJOURN_DRAIN_TIMEOUT_MS: got -1, takes a number of ms, 0 or more'],
    [{ workers: '-1' }, {}, '--workers takes a whole number of processes, 0 to 256, or auto; got "-1"'],
    [{ workers: '257' }, {}, '--workers takes a whole number of processes, 0 to 256, or auto; got "257"'],
    [
      { authIssuer: 'https://id.example' },
      {},
      '--auth-issuer needs --auth-audience (the URL of this endpoint, as its tokens name it)',
    ],
    [
      {},
      { SOJOURN_AUTH_AUDIENCE: 'https://mcp.example/mcp' },
      'SOJOURN_AUTH_AUDIENCE needs --auth-issuer (the authorization server whose tokens are accepted)',
    ],
    [
      { authScopes: 'a' },
      {},
      '--auth-scopes needs --auth-issuer (the authorization server whose tokens are accepted) and ' +
        '--auth-audience (the URL of this endpoint, as its tokens name it)',
    ],
    [
      { pidFile: 'a.pid' },
      {},
      '--pid-file names the file of a supervisor, and this command starts none: add --workers 1, or a --store ' +
        'that outlives the process, or leave the file out',
    ],
    [
      { workers: '0', store: 'sqlite:a.db' },
      { SOJOURN_PID_FILE: 'a.pid' },
      'SOJOURN_PID_FILE names the file of a supervisor, and this command starts none: add --workers 1, or a ' +
        '--store that outlives the process, or leave the file out',
    ],
    [{}, { SOJOURN_WORKERS: '1.5' }, 'SOJOURN_WORKERS takes a whole number of processes, 0 to 256, or auto; got "1.5"'],
    [
      { logger: 'true' },
      {},
      '--logger has no flag: the option is an object with functions, or false; set it in the options of your module',
    ],
    [
      {},
      { SOJOURN_ONERROR: 'x' },
      'SOJOURN_ONERROR has no flag: the option is a function; set it in the options of your module',
    ],
  ])('%j with %j is refused by name', (flags, env, message) => {
    expect(refusal(flags, env)).toBe(message);
  });

  test('a variable that is nearly ours is pointed out, a foreign one is left alone', () => {
    const env = { SOJOURN_IDLE_TIMEOUT: '5', SOJOURN_MY_DATABASE: 'x', OTHER: 'y' };
    expect(read({}, env).warnings).toEqual([
      'unknown variable SOJOURN_IDLE_TIMEOUT is ignored; did you mean SOJOURN_IDLE_TIMEOUT_MS?',
    ]);
  });

  test('what Kubernetes sets for a Service called sojourn is no setting', () => {
    const settings = read(
      {},
      {
        SOJOURN_PORT: 'tcp://10.0.0.7:3000',
        SOJOURN_SERVICE_HOST: '10.0.0.7',
        SOJOURN_SERVICE_PORT: '3000',
        SOJOURN_PORT_3000_TCP: 'tcp://10.0.0.7:3000',
        SOJOURN_PORT_3000_TCP_ADDR: '10.0.0.7',
        SOJOURN_STORE_PORT: 'tcp://10.0.0.8:6379',
      },
    );
    expect(settings).toMatchObject({ port: 3000, warnings: [] });
  });
});

describe('options of the module under those of the command', () => {
  test('what the command says wins, the rest stays', () => {
    const onerror = () => {};
    expect(mergeOptions({ onerror, name: 'a', retryMs: 1 }, { name: 'b' })).toEqual({ onerror, name: 'b', retryMs: 1 });
  });

  test('limits and retention are merged member by member', () => {
    const lower = { limits: { subscriptions: 1, bodyBytes: 1 }, eventRetention: { events: 1, bytes: 1 } };
    expect(mergeOptions(lower, { limits: { subscriptions: 2 }, eventRetention: { events: 2 } })).toEqual({
      limits: { subscriptions: 2, bodyBytes: 1 },
      eventRetention: { events: 2, bytes: 1 },
    });
    expect(mergeOptions(lower, { eventRetention: false }).eventRetention).toBe(false);
    expect(mergeOptions({ eventRetention: false }, { eventRetention: { events: 2 } }).eventRetention).toEqual({
      events: 2,
    });
  });

  test('the mode may be said either way without contradicting the module', () => {
    expect(mergeOptions({ sessionMode: 'hybrid' }, { stateless: true })).toEqual({ stateless: true });
    expect(mergeOptions({ stateless: true }, { sessionMode: 'hybrid' })).toEqual({ sessionMode: 'hybrid' });
  });
});
