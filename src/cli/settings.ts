/** The settings of one `sojourn serve`. Flags override the environment, and both override the module's options. */
import type { McpEndpointOptions } from '../base/options/mcp-endpoint-options.ts';
import { valuesOf } from '../base/options/value-kinds.ts';
import { resolveOptions } from '../base/options/resolve.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import type { Logger } from '../base/types.ts';
import { UsageError } from './failure.ts';
import {
  authOf,
  checkedByName,
  type Environment,
  type GivenFlags,
  givenBy,
  SERVE_FLAGS,
  unknownVariables,
} from './flags.ts';
import { canHoldPort } from './held-socket.ts';
import { dashboardSettings } from './dashboard.ts';
import { metricsSettings } from './metrics-server.ts';
import { STDIO_VARIABLES } from './stdio.ts';

/** Addresses that only this machine reaches. */
const LOCAL: readonly string[] = ['127.0.0.1', '::1', 'localhost'];

/** The values of the flags of `serve`, and what follows from several of them. */
export type ServeSettings = ReturnType<typeof readSettings>;

export function readSettings(
  flags: GivenFlags,
  env: Environment,
  command: 'serve' | 'dev' | 'stdio' = 'serve',
) {
  const dev = command === 'dev';
  const { variables, originOf, given } = givenBy(flags, env);
  const own = checkedByName(originOf, () => valuesOf(SERVE_FLAGS, given));
  const storeUrl = given['store'] as string | undefined;
  const auth = authOf(own, originOf);
  const metrics = dev ? undefined : metricsSettings(own.metrics, own.metricsToken, originOf);
  const isLocal = LOCAL.includes(own.host);
  const wanted = own.dashboard ?? (dev || (command === 'stdio' && isLocal) || undefined);
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
    warnings: unknownVariables(env, STDIO_VARIABLES),
  };
}

/**
 * `upper` overrides `lower`; in `limits` and `eventRetention` member by member. `stateless` and `sessionMode` are one
 * option.
 */
export function mergeOptions(
  lower: McpEndpointOptions,
  upper: McpEndpointOptions,
): McpEndpointOptions {
  const merged = { ...lower, ...upper };
  if (isObject(lower.limits) && isObject(upper.limits))
    merged.limits = { ...lower.limits, ...upper.limits };
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

function layer({ eventRetention, ...values }: GivenFlags, where: string): McpEndpointOptions {
  const options: Record<string, unknown> = {};
  if (eventRetention !== undefined)
    options['eventRetention'] = eventRetention === true ? {} : eventRetention;
  for (const [key, value] of Object.entries(values)) {
    const [name = '', member] = key.split('.');
    if (Object.hasOwn(SERVE_FLAGS, key) || key === 'store') continue;
    if (member !== undefined && options[name] === false)
      throw new UsageError(
        `${where} turns ${name} off and also sets its ${member}; do one of the two`,
      );
    options[name] =
      member === undefined ? value : { ...(options[name] as object), [member]: value };
  }
  return options;
}

export function warnOfSettings(
  { warnings, origin }: ServeSettings,
  fd: number | undefined,
  logger: Logger,
): void {
  for (const warning of warnings) logger.warn({}, warning);
  if (fd !== undefined && (origin('port') ?? origin('host')) !== undefined) {
    logger.warn(
      {},
      'a listening socket was passed to this process, so --port and --host are ignored',
    );
  }
}
