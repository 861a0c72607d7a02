import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { ALL_FLAGS, flagName, variableName } from '../../src/cli/flags.ts';
import { mergeOptions } from '../../src/cli/settings.ts';
import { settingsOf } from './here.ts';

type Flags = Readonly<Record<string, string | boolean>>;
type Environment = Record<string, string>;

const read = (flags: Flags, env: Environment = {}) =>
  settingsOf(
    Object.entries(flags).map(([key, value]) => {
      if (typeof value === 'boolean') return `--${value ? '' : 'no-'}${flagName(key)}`;
      return `--${flagName(key)}=${value}`;
    }),
    env,
  );

describe('what serve is asked for', () => {
  test('nothing given is the documented place, level and drain time', async () => {
    expect(await read({})).toMatchObject({
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

  test('a flag goes before the environment', async () => {
    expect((await read({ port: '2' }, { SOJOURN_PORT: '1' })).port).toBe(2);
  });

  test('the address of the metrics may be one of IPv6', async () => {
    expect((await read({ metrics: '[::1]:7' })).metrics).toMatchObject({ host: '::1', port: 7 });
  });

  const ISSUER = {
    SOJOURN_AUTH_JWT_ISSUER: 'https://id.example',
    SOJOURN_AUTH_JWT_AUDIENCE: 'a,b',
  };
  const RETENTION_OFF = { SOJOURN_EVENT_RETENTION: 'false' };
  test.each<[Flags, Environment, object]>([
    [
      { idleTimeoutMs: '2', 'limits.subscriptions': '2' },
      { SOJOURN_IDLE_TIMEOUT_MS: '1', SOJOURN_LIMITS_SUBSCRIPTIONS: '1', SOJOURN_RETRY_MS: '1' },
      { idleTimeoutMs: 2, retryMs: 1, limits: { subscriptions: 2 } },
    ],
    // Members of a group are chosen one by one.
    [
      { 'limits.subscriptions': '2' },
      { SOJOURN_LIMITS_BODY_BYTES: '9' },
      { limits: { subscriptions: 2, bodyBytes: 9 } },
    ],
    [
      {},
      {
        SOJOURN_IDLE_TIMEOUT_MS: 'Infinity',
        SOJOURN_LEGACY_SSE: '1',
        SOJOURN_PER_SESSION_EXECUTION_CONTEXT: 'false',
        SOJOURN_ALLOWED_HOSTS: 'a.example, b.example,',
      },
      {
        idleTimeoutMs: Infinity,
        legacySse: true,
        perSessionExecutionContext: false,
        allowedHosts: ['a.example', 'b.example'],
      },
    ],
    [
      { authRequiredScopes: 'x,y', authJwtUserClaim: 'email', authJwtClockToleranceMs: '10s' },
      { ...ISSUER, SOJOURN_AUTH_JWT_JWKS_URI: 'https://id.example/keys' },
      {
        auth: {
          jwt: {
            issuer: 'https://id.example',
            audience: ['a', 'b'],
            jwksUri: 'https://id.example/keys',
            userClaim: 'email',
            clockToleranceMs: 10_000,
          },
          requiredScopes: ['x', 'y'],
        },
      },
    ],
    // An empty variable counts as not set.
    [{}, { SOJOURN_PORT: '', SOJOURN_DEPLOYMENT: '' }, {}],
    // Event retention is switched off, trimmed, or switched on again.
    [{ eventRetention: false }, {}, { eventRetention: false }],
    [{ 'eventRetention.events': '5' }, {}, { eventRetention: { events: 5 } }],
    [{ eventRetention: true }, RETENTION_OFF, { eventRetention: {} }],
    [
      { 'eventRetention.events': '5' },
      { SOJOURN_EVENT_RETENTION: '0' },
      { eventRetention: { events: 5 } },
    ],
    ...[
      ['90s', 90_000] as const,
      ['30m', 1_800_000] as const,
      ['2h', 7_200_000] as const,
      ['1.5d', 129_600_000] as const,
      ['250ms', 250] as const,
      ['250', 250] as const,
    ].flatMap(([text, idleTimeoutMs]): Array<[Flags, Environment, object]> => [
      [{ idleTimeoutMs: text }, {}, { idleTimeoutMs }],
      [{}, { SOJOURN_IDLE_TIMEOUT_MS: text }, { idleTimeoutMs }],
    ]),
  ])('%j with %j are the options %j', async (flags, env, options) => {
    expect((await read(flags, env)).options).toEqual(options);
  });

  // A store that outlives the process has one worker under a supervisor, on a Unix system.
  const supervised = process.platform === 'win32' ? 0 : 1;
  test.each<[Flags, Environment, number]>([
    [{ store: 'sqlite:./s.db' }, {}, supervised],
    [{}, { SOJOURN_STORE: 'redis://localhost' }, supervised],
    [{ store: 'memory:' }, {}, 0],
    [{ workers: '3' }, {}, 3],
    [{ workers: '0', store: 'sqlite:./s.db' }, {}, 0],
    [{}, { SOJOURN_WORKERS: '4' }, 4],
    [{ workers: 'auto' }, {}, availableParallelism()],
  ])('%j with %j: %i workers', async (flags, env, workers) => {
    expect((await read(flags, env)).workers).toBe(workers);
  });

  test.each<[Flags, Environment, string]>([
    [
      { eventRetention: false, 'eventRetention.events': '5' },
      {},
      'the command line turns eventRetention off and also sets its events; do one of the two',
    ],
    [
      { idleTimeoutMs: 'soon' },
      {},
      '--idle-timeout-ms: got "soon", takes a number of ms, 0 or more, or Infinity (never)',
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
    [{ port: '70000' }, {}, '--port: got 70000, takes a port number, 0 to 65535'],
    [{ path: 'mcp' }, {}, '--path: got "mcp", takes a path like \'/mcp\''],
    [{ path: '/healthz' }, {}, '--path: got "/healthz", takes a path like \'/mcp\''],
    [
      {},
      { SOJOURN_DRAIN_TIMEOUT_MS: '-1' },
      'SOJOURN_DRAIN_TIMEOUT_MS: got -1, takes a number of ms, 0 or more',
    ],
    [
      { workers: '-1' },
      {},
      '--workers: got "-1", takes a whole number of processes, 0 to 256, or auto',
    ],
    [
      {},
      { ...ISSUER, SOJOURN_AUTH_JWT_ISSUER: 'id.example' },
      'SOJOURN_AUTH_JWT_ISSUER: got "id.example", takes an https URL, or an http URL on loopback',
    ],
    // A template that was not filled in.
    ...['JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_JWKS_URI', 'REQUIRED_SCOPES'].map(
      (name): [Flags, Environment, string] => [
        {},
        {
          SOJOURN_AUTH_JWT_ISSUER: 'https://id.example',
          SOJOURN_AUTH_JWT_AUDIENCE: 'a',
          [`SOJOURN_AUTH_${name}`]: '',
        },
        `SOJOURN_AUTH_${name} is empty; set it, or remove it`,
      ],
    ),
    [
      { authJwtIssuer: 'https://id.example' },
      {},
      '--auth-jwt-issuer needs --auth-jwt-audience (the URL of this endpoint, as its tokens name it)',
    ],
    [
      { authRequiredScopes: 'a' },
      {},
      '--auth-required-scopes needs --auth-jwt-issuer (the authorization server whose tokens are accepted) and ' +
        '--auth-jwt-audience (the URL of this endpoint, as its tokens name it)',
    ],
    ...['nine', '1.2.3.4:99999', 'http://127.0.0.1:1'].map(
      (metrics): [Flags, Environment, string] => [
        { metrics },
        {},
        `--metrics takes a port, or host:port (127.0.0.1:9464); got "${metrics}"`,
      ],
    ),
    [
      { metricsToken: 'sesame' },
      {},
      '--metrics-token needs --metrics, which says where the metrics are served',
    ],
    [
      { metrics: '0.0.0.0:0' },
      {},
      '--metrics: other machines reach 0.0.0.0, so the metrics need --metrics-token (or SOJOURN_METRICS_TOKEN)',
    ],
    ...['short', 'with blanks in the text'].map((dashboardToken): [Flags, Environment, string] => [
      { dashboard: true, dashboardToken },
      {},
      '--dashboard-token takes 16 characters or more, without blanks; better set it as SOJOURN_DASHBOARD_TOKEN',
    ]),
    [
      {},
      { SOJOURN_DASHBOARD_TOKEN: 'a-token-of-sixteen' },
      'SOJOURN_DASHBOARD_TOKEN needs --dashboard, which serves the dashboard',
    ],
    [
      { dashboard: true, path: '/dashboard/' },
      {},
      '--path /dashboard/ is where the dashboard is: choose another path, or say --no-dashboard',
    ],
  ])('%j with %j is refused by name', async (flags, env, message) => {
    await expect(read(flags, env)).rejects.toThrow(
      `sojourn: ${message}\n(sojourn serve --help says what it takes)\n`,
    );
  });

  test('a variable with a control character is refused, and a list in quotes', async () => {
    for (const [key, { kind }] of ALL_FLAGS) {
      const name = variableName(key);
      await expect(read({}, { [name]: '1\r' })).rejects.toThrow(
        `${name} has a \\r: save its file with line ends of Unix`,
      );
      await expect(read({}, { [name]: 'a\u0000' })).rejects.toThrow(
        `${name} has a control character`,
      );
      if (kind === 'list')
        await expect(read({}, { [name]: '"a,b"' })).rejects.toThrow(
          `${name} begins or ends with a quote`,
        );
    }
  });

  test('a variable that is nearly ours is pointed out, a foreign one is left alone', async () => {
    const env = {
      SOJOURN_IDLE_TIMEOUT: '5',
      SOJOURN_NAME: 'a',
      SOJOURN_MY_DATABASE: 'x',
      OTHER: 'y',
    };
    expect((await read({}, env)).warnings).toEqual([
      'unknown variable SOJOURN_IDLE_TIMEOUT is ignored; did you mean SOJOURN_IDLE_TIMEOUT_MS?',
      'unknown variable SOJOURN_NAME is ignored; did you mean SOJOURN_DEPLOYMENT?',
    ]);
    await expect(read({}, { SOJOURN_AUTH_ISSUER: 'x' })).rejects.toThrow(
      'unknown variable SOJOURN_AUTH_ISSUER; did you mean SOJOURN_AUTH_JWT_ISSUER?',
    );
  });

  test('what Kubernetes sets for a Service called sojourn is no setting', async () => {
    const settings = await read(
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
  const onerror = () => {};
  const authorize = () => true;
  const jwt = { issuer: 'https://id.example', audience: 'a' };
  const lower = {
    limits: { subscriptions: 1, bodyBytes: 1 },
    eventRetention: { events: 1, bytes: 1 },
  };
  test.each<[...Parameters<typeof mergeOptions>, object]>([
    [
      { onerror, deployment: 'a', retryMs: 1 },
      { deployment: 'b' },
      { onerror, deployment: 'b', retryMs: 1 },
    ],
    [
      lower,
      { limits: { subscriptions: 2 }, eventRetention: { events: 2 } },
      { limits: { subscriptions: 2, bodyBytes: 1 }, eventRetention: { events: 2, bytes: 1 } },
    ],
    [lower, { eventRetention: false }, { limits: lower.limits, eventRetention: false }],
    [
      { eventRetention: false },
      { eventRetention: { events: 2 } },
      { eventRetention: { events: 2 } },
    ],
    // The mode may be said either way.
    [{ sessionMode: 'hybrid' }, { stateless: true }, { stateless: true }],
    [{ stateless: true }, { sessionMode: 'hybrid' }, { sessionMode: 'hybrid' }],
    // The flags say how callers are identified, and not what they may do.
    [
      { auth: { verify: async () => undefined, authorize, requiredScopes: ['z'] } },
      { auth: { jwt } },
      { auth: { authorize, requiredScopes: ['z'], jwt } },
    ],
  ])('%j under %j: what the command says wins, and the rest stays', (own, command, merged) => {
    expect(mergeOptions(own, command)).toEqual(merged);
  });
});
