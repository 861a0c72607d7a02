/** The settings of one `sojourn serve`. Flags override the environment, and both override the module's options. */
import { availableParallelism } from 'node:os';
import type { McpEndpointOptions } from '../options/endpoint-options.ts';
import { type Values, valuesOf } from '../options/value-kinds.ts';
import { nearestName } from '../base/nearest-name.ts';
import { resolveOptions } from '../options/resolve.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { reason, UsageError } from './failure.ts';
import { parseFlagValue, type FlagValue } from './flag-value.ts';
import { canHoldPort } from './held-socket.ts';
import { dashboardSettings } from './dashboard.ts';
import { metricsSettings } from './metrics-server.ts';
import { ALL_FLAGS, SERVE_FLAGS, flagName, variableName, type FlagKey, type OriginOf } from './option-flags.ts';

const PREFIX = 'SOJOURN_';
/** More than the cores of common machines. The limit keeps a typing error from starting thousands of processes. */
const MAX_WORKERS = 256;

export type Environment = Readonly<Record<string, string | undefined>>;

/** The flags of the command line, by option name. */
export type GivenFlags = ReadonlyMap<FlagKey, FlagValue>;

/** The values of the flags of `serve`, and what follows from several of them. */
export type ServeSettings = ReturnType<typeof readSettings>;

/** What flags and variables say of some options. `originOf`: which of them says it. */
export function givenBy(flags: GivenFlags, env: Environment, keys: Iterable<FlagKey> = ALL_FLAGS.keys()) {
  const variables = variablesIn(env, keys);
  const originOf = (option: string): string | undefined => {
    const key = AUTH_FLAGS[option] ?? (option as FlagKey);
    if (!flags.has(key)) return variables.has(key) ? variableName(key) : undefined;
    return `--${flags.get(key) === false ? 'no-' : ''}${flagName(key)}`;
  };
  return { variables, originOf, given: Object.fromEntries([...variables, ...flags]) };
}

export function readSettings(flags: GivenFlags, env: Environment, dev = false) {
  const { variables, originOf, given } = givenBy(flags, env);
  const own = checkedByName(originOf, () => valuesOf(SERVE_FLAGS, given));
  const storeUrl = given['store'] as string | undefined;
  const auth = authOf(own, originOf);
  const metrics = dev ? undefined : metricsSettings(own.metrics, own.metricsToken, originOf);
  const wanted = own.dashboard ?? (dev || undefined);
  const dashboard = dashboardSettings(wanted, own.dashboardToken, own.path, originOf);
  const workers = dev ? 1 : workersOf(own.workers, originOf('workers'), storeUrl);
  const options: McpEndpointOptions = {
    ...mergeOptions(layer(variables, 'the environment'), layer(flags, 'the command line')),
    ...(auth !== undefined && { auth }),
    ...(metrics && { metrics: true }),
  };
  checkedByName(originOf, () => resolveOptions(options));
  return {
    ...own,
    /** Where the metrics are served; `undefined`: nowhere. */
    metrics,
    /** `undefined`: there is none. */
    dashboard,
    /** Processes under a supervisor that holds the socket. 0: this process serves without one. */
    workers,
    /** `sojourn dev`. */
    dev,
    /** `undefined`: by where stderr goes. */
    logFormat: own.logFormat ?? (dev ? 'text' : undefined),
    /** Folders that `sojourn dev` watches besides its own. */
    watch: own.watch ?? [],
    storeUrl,
    /** Options from flags and environment, without `store`. */
    options,
    /** The flag or variable that set an option. */
    origin: originOf,
    /** One warning for each unknown variable with a name like a known one. */
    warnings: unknownVariableWarnings(env),
  };
}

/** The variables that are set. */
function variablesIn(env: Environment, keys: Iterable<FlagKey>): GivenFlags {
  const values = new Map<FlagKey, FlagValue>();
  for (const key of keys) {
    const [name, spec] = [variableName(key), ALL_FLAGS.get(key)];
    const text = env[name] ?? '';
    if (spec !== undefined && text !== '' && !isServiceLink(name, text))
      values.set(key, parseFlagValue(spec, text, name));
  }
  return values;
}

/**
 * `upper` overrides `lower`; in `limits` and `eventRetention` member by member. `stateless` and `sessionMode` are one
 * option.
 */
export function mergeOptions(lower: McpEndpointOptions, upper: McpEndpointOptions): McpEndpointOptions {
  const merged = { ...lower, ...upper };
  if (isObject(lower.limits) && isObject(upper.limits)) merged.limits = { ...lower.limits, ...upper.limits };
  if (isObject(lower.eventRetention) && isObject(upper.eventRetention)) {
    merged.eventRetention = { ...lower.eventRetention, ...upper.eventRetention };
  }
  // The flags say how callers are identified; `authorize` and other members may come from the module.
  if (isObject(lower.auth) && isObject(upper.auth))
    merged.auth = { ...lower.auth, verify: undefined, trustedProxyUser: undefined, ...upper.auth };
  if (upper.stateless !== undefined && upper.sessionMode === undefined) delete merged.sessionMode;
  if (upper.sessionMode !== undefined && upper.stateless === undefined) delete merged.stateless;
  return merged;
}

/** The flags of the members of `auth`. */
const AUTH_FLAGS: Readonly<Record<string, FlagKey>> = {
  'auth.jwt.issuer': 'authIssuer',
  'auth.jwt.audience': 'authAudience',
  'auth.jwt.jwksUri': 'authJwksUri',
  'auth.requiredScopes': 'authScopes',
};

function authOf(
  { authIssuer: issuer, authAudience: audience, authJwksUri: jwksUri, authScopes }: Values<typeof SERVE_FLAGS>,
  originOf: OriginOf,
): McpEndpointOptions['auth'] | undefined {
  const given = Object.values(AUTH_FLAGS).flatMap((key) => originOf(key) ?? []);
  if (given.length === 0) return undefined;
  const missing = [
    ...(issuer === undefined ? ['--auth-issuer (the authorization server whose tokens are accepted)'] : []),
    ...(audience === undefined ? ['--auth-audience (the URL of this endpoint, as its tokens name it)'] : []),
  ];
  if (issuer === undefined || audience === undefined)
    throw new UsageError(`${given[0]} needs ${missing.join(' and ')}`);
  return { jwt: { issuer, audience, jwksUri }, ...(authScopes && { requiredScopes: authScopes }) };
}

function layer(values: ReadonlyMap<string, FlagValue>, where: string): McpEndpointOptions {
  const options: Record<string, unknown> = {};
  const groups: Record<string, Record<string, FlagValue>> = {};
  for (const [key, value] of values) {
    const [name = '', member] = key.split('.');
    if (Object.hasOwn(SERVE_FLAGS, key) || key === 'store') continue;
    if (member !== undefined) (groups[name] ??= {})[member] = value;
    else options[name] = value;
  }
  const retention = groups['eventRetention'];
  if (options['eventRetention'] === false && retention !== undefined) {
    throw new UsageError(
      `${where} turns eventRetention off and also sets its ${Object.keys(retention).join(', ')}; do one of the two`,
    );
  }
  if (options['eventRetention'] === true) groups['eventRetention'] ??= {};
  return { ...options, ...groups };
}

/** Checks values without the module's options. The error names the flag or variable instead of the option. */
export function checkedByName<T>(originOf: OriginOf, check: () => T): T {
  try {
    return check();
  } catch (error) {
    // "Option idleTimeoutMs: got …"
    const message = reason(error).replace(/^Option ([\w.]+)/, (name, option: string) => originOf(option) ?? name);
    throw new UsageError(message, { cause: error });
  }
}

/** A parent helps only where sessions outlive the process that serves them (docs/adr/the-port.md). */
function workersOf(text: string | undefined, origin: string | undefined, storeUrl: string | undefined): number {
  if (text === undefined) {
    const outlives = storeUrl !== undefined && !storeUrl.startsWith('memory:');
    return outlives && canHoldPort() ? 1 : 0;
  }
  if (text === 'auto') return availableParallelism();
  const count = Number(text);
  if (/^\d+$/.test(text) && count <= MAX_WORKERS) return count;
  throw new UsageError(
    `${origin} takes a whole number of processes, 0 to ${MAX_WORKERS}, or auto; got ${JSON.stringify(text)}`,
  );
}

/**
 * Kubernetes sets SOJOURN_PORT=tcp://10.0.0.1:3000 and similar variables in every pod when a Service is called
 * `sojourn`.
 */
function isServiceLink(name: string, text: string): boolean {
  return /^(tcp|udp|sctp):\/\//.test(text) || /_SERVICE_(HOST|PORT)|_PORT_\d+_/.test(name);
}

function unknownVariableWarnings(env: Environment): string[] {
  const known = new Map([...ALL_FLAGS.keys()].map((key) => [variableName(key).slice(PREFIX.length), key]));
  return Object.entries(env).flatMap(([name, text = '']) => {
    const own = name.slice(PREFIX.length);
    if (!name.startsWith(PREFIX) || known.has(own) || isServiceLink(name, text)) return [];
    const meant = nearestName(own, known.keys());
    return meant === undefined ? [] : [`unknown variable ${name} is ignored; did you mean ${PREFIX}${meant}?`];
  });
}
