/** The settings of one `sojourn serve`. Flags override the environment, and both override the module's options. */
import type { McpEndpointOptions } from '../options/endpoint-options.ts';
import { type Values, valuesOf } from '../options/value-kinds.ts';
import { nearestName } from '../base/nearest-name.ts';
import { resolveOptions } from '../options/resolve.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { UsageError } from './failure.ts';
import {
  ALL_FLAGS,
  AUTH_FLAGS,
  checkedByName,
  type Environment,
  type Given,
  givenBy,
  isServiceLink,
  type OriginOf,
  SERVE_FLAGS,
  variableName,
} from './flags.ts';
import { canHoldPort } from './held-socket.ts';
import { dashboardSettings } from './dashboard.ts';
import { metricsSettings } from './metrics-server.ts';

const PREFIX = 'SOJOURN_';

/** The values of the flags of `serve`, and what follows from several of them. */
export type ServeSettings = ReturnType<typeof readSettings>;

export function readSettings(flags: Given, env: Environment, dev = false) {
  const { variables, originOf, given } = givenBy(flags, env);
  const own = checkedByName(originOf, () => valuesOf(SERVE_FLAGS, given));
  const storeUrl = given['store'] as string | undefined;
  const auth = authOf(own, originOf);
  const metrics = dev ? undefined : metricsSettings(own.metrics, own.metricsToken, originOf);
  const wanted = own.dashboard ?? (dev || undefined);
  const dashboard = dashboardSettings(wanted, own.dashboardToken, own.path, originOf);
  // A parent helps only where sessions outlive the process that serves them (docs/adr/the-port.md).
  const outlives = storeUrl !== undefined && !storeUrl.startsWith('memory:');
  const workers = dev ? 1 : (own.workers ?? (outlives && canHoldPort() ? 1 : 0));
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
    storeUrl,
    /** Options from flags and environment, without `store`. */
    options,
    /** The flag or variable that set an option. */
    origin: originOf,
    /** One warning for each unknown variable with a name like a known one. */
    warnings: unknownVariableWarnings(env),
  };
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

function authOf(
  { authIssuer: issuer, authAudience: audience, authJwksUri: jwksUri, authScopes }: Values<typeof SERVE_FLAGS>,
  originOf: OriginOf,
): McpEndpointOptions['auth'] | undefined {
  const [given] = Object.values(AUTH_FLAGS).flatMap((key) => originOf(key) ?? []);
  if (given === undefined) return undefined;
  if (issuer === undefined || audience === undefined)
    throw new UsageError(
      `${given} needs --auth-issuer (the authorization server whose tokens are accepted) and --auth-audience ` +
        '(the URL of this endpoint, as its tokens name it)',
    );
  return { jwt: { issuer, audience, jwksUri }, ...(authScopes && { requiredScopes: authScopes }) };
}

function layer({ eventRetention, ...values }: Given, where: string): McpEndpointOptions {
  const options: Record<string, unknown> = {};
  if (eventRetention !== undefined) options['eventRetention'] = eventRetention === true && {};
  for (const [key, value] of Object.entries(values)) {
    const [name = '', member] = key.split('.');
    if (Object.hasOwn(SERVE_FLAGS, key) || key === 'store') continue;
    if (member !== undefined && options[name] === false)
      throw new UsageError(`${where} turns ${name} off and also sets its ${member}; do one of the two`);
    options[name] = member === undefined ? value : { ...(options[name] as object), [member]: value };
  }
  return options;
}

function unknownVariableWarnings(env: Environment): string[] {
  const known = new Set([...ALL_FLAGS.keys()].map((key) => variableName(key).slice(PREFIX.length)));
  return Object.entries(env).flatMap(([name, text = '']) => {
    const own = name.slice(PREFIX.length);
    if (!name.startsWith(PREFIX) || known.has(own) || isServiceLink(name, text)) return [];
    const meant = nearestName(own, known);
    return meant === undefined ? [] : [`unknown variable ${name} is ignored; did you mean ${PREFIX}${meant}?`];
  });
}
