/**
 * The flag and the environment variable of every endpoint option, from the table of options, and the other flags of
 * `serve`. Names are derived: `limits.bodyBytes` = `--limits-body-bytes` = `SOJOURN_LIMITS_BODY_BYTES`.
 */
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { optionInvalid } from '../base/errors.ts';
import { nearestName } from '../base/nearest-name.ts';
import { LISTEN } from '../http/listen/listen-options.ts';
import { DRAIN_TIMEOUT_MS } from '../base/options/defaults.ts';
import {
  choice,
  flag,
  type FlagSpec,
  type FlagText,
  GROUPS,
  ms,
  number,
  option,
  textIn,
  type Values,
  type ValueSpec,
} from '../base/options/value-kinds.ts';
import { meantSpelling } from '../base/options/other-names.ts';
import { flagName, variableName } from '../base/options/flag-names.ts';
import type { McpEndpointOptions } from '../base/options/mcp-endpoint-options.ts';
import { LEVELS } from '../base/options/logger.ts';
import { LIMITS, RETENTION } from '../base/options/resolve-limits.ts';
import { OPTIONS } from '../base/options/table.ts';
import { reason, UsageError } from './failure.ts';
import { keysIn } from './key-file.ts';

export { flagName, GROUPS, variableName, type FlagSpec };

// `serve --metrics` says where they are served.
const { metrics: _metrics, ...options } = OPTIONS;

export const OPTION_FLAGS: Readonly<Record<string, FlagSpec>> = {
  ...flagsOf('', options),
  ...flagsOf('eventRetention.', RETENTION),
  ...flagsOf('limits.', LIMITS),
};

/** The options that have a flag. */
function flagsOf(scope: string, specs: Readonly<Record<string, ValueSpec<unknown> | FlagSpec>>) {
  const own = Object.entries(specs).flatMap(([name, spec]) =>
    'kind' in spec ? [[`${scope}${name}`, spec]] : [],
  );
  return Object.fromEntries(own) as Record<string, FlagSpec>;
}

const running = textIn('Running');
const callers = textIn('Who may call');
export const text = (shown: FlagText) => option<string | undefined>('text', undefined, shown);
export const names = (shown: FlagText) =>
  option<readonly string[] | undefined>('list', undefined, shown);

/** More than the cores of common machines. The limit keeps a typing error from starting thousands of processes. */
const MAX_WORKERS = 256;

function parseWorkers(name: string, value: unknown): number {
  if (value === 'auto') return availableParallelism();
  if (/^\d+$/.test(String(value)) && Number(value) <= MAX_WORKERS) return Number(value);
  throw optionInvalid(
    'range',
    name,
    value,
    `a whole number of processes, 0 to ${MAX_WORKERS}, or auto`,
  );
}

/** Where `--metrics` without a value serves. */
export const METRICS_AT = '127.0.0.1:9464';

/** `json`: one object a line, with pino's names. `text`: one readable line, with the cause below it. */
const LOG_FORMATS = ['json', 'text'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** The flags of `serve` that are not endpoint options. */
export const SERVE_FLAGS = {
  ...LISTEN,
  'auth.jwt.issuer': text(
    callers('callers need a JWT of this authorization server (with --auth-jwt-audience)', {
      value: 'url',
    }),
  ),
  'auth.jwt.audience': names(
    callers('aud of these JWTs: the URL of this endpoint', { value: 'names' }),
  ),
  'auth.jwt.jwksUri': text(
    callers('where its keys are, if its metadata does not say', { value: 'url' }),
  ),
  'auth.jwt.userClaim': text(
    callers('claim of these JWTs that names the user', { value: 'name', shown: 'sub' }),
  ),
  'auth.jwt.clockToleranceMs': option<number | undefined>(
    'number',
    undefined,
    callers('how far the clocks of the issuer and of this machine may differ', {
      value: 'ms',
      shown: '60000',
    }),
  ),
  'auth.requiredScopes': names(callers('scopes that every token must have', { value: 'names' })),
  'auth.keys': text(
    callers(
      'callers need a key of this file: a line for each, its user and the SHA-256 of the key in hex',
      {
        value: 'file',
      },
    ),
  ),
  'auth.trustedProxyUser.header': text(
    callers(
      'a proxy in front names the user in this header; it must overwrite what clients send in it',
      {
        value: 'name',
      },
    ),
  ),
  'auth.trustedProxyUser.from': names(
    callers('addresses of that proxy, as CIDR ranges', { value: 'ranges', shown: 'loopback' }),
  ),
  workers: option<number | undefined>(
    'text',
    undefined,
    running(
      'processes under a supervisor that holds the port; auto = one per core, 0 = no supervisor; above 1 needs --store',
      {
        value: 'n',
        shown: '1 with a --store that outlives the process, else 0',
      },
    ),
    parseWorkers,
  ),
  logLevel: choice(
    [...LEVELS, 'silent'],
    'info',
    running('least severe level that is logged, on stderr', { value: 'level' }),
  ),
  logFormat: choice<LogFormat, undefined>(
    LOG_FORMATS,
    undefined,
    running('how lines are written', { value: 'format', shown: 'text in a terminal, else json' }),
  ),
  requireStore: flag(undefined, {
    group: 'Sessions',
    help: 'end if the store cannot be opened at the start (--no-require-store: never)',
    shown: 'if it refuses, or is a file',
  }),
  metrics: text(
    running(
      `serve metrics for Prometheus at [host:]port, path /metrics; without a value ${METRICS_AT}`,
      {
        value: 'address',
        preset: METRICS_AT,
      },
    ),
  ),
  metricsToken: text(
    running(
      'what a scraper must send as bearer token; needed away from loopback, better set in the environment',
      {
        value: 'text',
      },
    ),
  ),
  dashboard: flag(undefined, {
    group: 'Running',
    help: 'serve the dashboard at /dashboard: instances, sessions, refusals',
    shown: 'on with sojourn dev',
  }),
  dashboardToken: text(
    running('what a page must send to look and to act; better set in the environment', {
      value: 'text',
      shown: 'one is made, and printed to a terminal',
    }),
  ),
  drainTimeoutMs: number(
    DRAIN_TIMEOUT_MS,
    ms(),
    running('how long running requests may take after SIGTERM'),
  ),
} as const satisfies Readonly<Record<string, FlagSpec>>;

export const ALL_FLAGS: ReadonlyMap<string, FlagSpec> = new Map(
  Object.entries({ ...SERVE_FLAGS, ...OPTION_FLAGS }),
);

/** The default of an option, as the help text shows it. */
export function defaultOf({ shown, fallback }: FlagSpec): string | undefined {
  if (shown !== undefined) return shown;
  if (fallback === undefined) return undefined;
  return typeof fallback === 'boolean' ? (fallback ? 'on' : 'off') : String(fallback) || undefined;
}

export type FlagValue = string | number | boolean | readonly string[];

/** Values under the names of their options, such as `limits.bodyBytes`. */
export type GivenFlags = Readonly<Record<string, FlagValue>>;

export type Environment = Readonly<Record<string, string | undefined>>;

/** `group`: the heading in the help. A flag that is not listed works all the same. */
export function addFlag(
  command: Command,
  key: string,
  spec: FlagSpec,
  group?: string,
  isListed = true,
): void {
  const { kind, value = 'value', preset, choices } = spec;
  const name = flagName(key);
  const fallback = defaultOf(spec);
  const add = (flags: string, help: string, isShown: boolean): Option => {
    const option = Object.assign(new Option(flags, help), { attributeName: () => key });
    if (group !== undefined) option.helpGroup(`${group}:`);
    command.addOption(option.hideHelp(!isListed || !isShown));
    return option;
  };
  if (kind === 'switch') {
    add(`--${name}`, spec.help, fallback !== 'on');
    add(`--no-${name}`, spec.help, fallback === 'on');
    return;
  }
  const told = `${choices ? `: ${choices.join(', ')}` : ''}${fallback === undefined ? '' : ` (default: ${fallback})`}`;
  const option = add(
    `--${name} ${preset === undefined ? `<${value}>` : `[${value}]`}`,
    spec.help + told,
    true,
  );
  if (preset !== undefined) option.preset(preset);
  option.argParser((text: string, before: FlagValue | undefined) => {
    const parsed = parseFlagValue(spec, text, `--${name}`);
    return Array.isArray(parsed) && Array.isArray(before) ? [...before, ...parsed] : parsed;
  });
}

/** The flag or variable that set an option. */
export type OriginOf = (option: string) => string | undefined;

/** What flags and variables say of some options. `originOf`: which of them says it. */
export function givenBy(
  flags: GivenFlags,
  env: Environment,
  keys: Iterable<string> = ALL_FLAGS.keys(),
  specs: ReadonlyMap<string, FlagSpec> = ALL_FLAGS,
) {
  const variables: Record<string, FlagValue> = {};
  for (const key of keys) {
    const [name, spec] = [variableName(key), specs.get(key)];
    const text = env[name] ?? '';
    // An empty variable counts as not set. One of `auth` that was not filled in would open the endpoint to all.
    if (env[name] === '' && AUTH_FLAGS.includes(key))
      throw new UsageError(`${name} is empty; set it, or remove it`);
    if (spec === undefined || text === '' || isServiceLink(name, text)) continue;
    checkCharacters(spec, text, name);
    variables[key] = parseFlagValue(spec, text, name);
  }
  const originOf: OriginOf = (option) => {
    if (!Object.hasOwn(flags, option))
      return Object.hasOwn(variables, option) ? variableName(option) : undefined;
    return `--${flags[option] === false ? 'no-' : ''}${flagName(option)}`;
  };
  return { variables, originOf, given: { ...variables, ...flags } as GivenFlags };
}

/** A value of a file for Docker or systemd may end with `\r`, or have quotes that a shell would have removed. */
function checkCharacters(spec: FlagSpec, text: string, name: string): void {
  // eslint-disable-next-line no-control-regex
  const control = /[\0-\x1f\x7f]/.exec(text)?.[0];
  // The value may be secret.
  if (control === '\r')
    throw new UsageError(`${name} has a \\r: save its file with line ends of Unix`);
  if (control !== undefined)
    throw new UsageError(`${name} has a control character (${JSON.stringify(control)})`);
  if (spec.kind === 'list' && /^["']|["']$/.test(text))
    throw new UsageError(`${name} begins or ends with a quote: write the list without quotes, a,b`);
}

const AUTH_FLAGS = Object.keys(SERVE_FLAGS).filter((key) => key.startsWith('auth.'));

/** Where a proxy on this machine connects from. */
const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::1/128', '::ffff:127.0.0.0/104'];

/** What the flags of `auth` say. `undefined`: nothing. */
export function authOf(
  given: Values<typeof SERVE_FLAGS>,
  originOf: OriginOf,
): McpEndpointOptions['auth'] | undefined {
  const {
    'auth.jwt.issuer': issuer,
    'auth.jwt.audience': audience,
    'auth.requiredScopes': requiredScopes,
    'auth.keys': keys,
    'auth.trustedProxyUser.header': header,
    'auth.trustedProxyUser.from': from = LOOPBACK,
  } = given;
  const [first] = AUTH_FLAGS.flatMap((key) => originOf(key) ?? []);
  if (first === undefined) return undefined;
  const ways = ['auth.keys', 'auth.trustedProxyUser.header', 'auth.jwt.issuer'].flatMap(
    (key) => originOf(key) ?? [],
  );
  if (ways.length > 1)
    throw new UsageError(`${ways.join(' and ')} contradict each other: name callers in one way`);
  if (keys !== undefined)
    return { verify: keysIn(keys), ...(requiredScopes && { requiredScopes }) };
  if (header !== undefined) return { trustedProxyUser: { header, from } };
  if (originOf('auth.trustedProxyUser.from') !== undefined)
    throw new UsageError(
      `${originOf('auth.trustedProxyUser.from')} needs --auth-trusted-proxy-user-header`,
    );
  if (issuer === undefined || audience === undefined) {
    const needs = [
      ...(issuer === undefined
        ? ['--auth-jwt-issuer (the authorization server whose tokens are accepted)']
        : []),
      ...(audience === undefined
        ? ['--auth-jwt-audience (the URL of this endpoint, as its tokens name it)']
        : []),
    ];
    throw new UsageError(`${first} needs ${needs.join(' and ')}`);
  }
  const {
    'auth.jwt.jwksUri': jwksUri,
    'auth.jwt.userClaim': userClaim,
    'auth.jwt.clockToleranceMs': clockToleranceMs,
  } = given;
  const jwt = { issuer, audience, jwksUri, userClaim, clockToleranceMs };
  return { jwt, ...(requiredScopes && { requiredScopes }) };
}

/**
 * Kubernetes sets SOJOURN_PORT=tcp://10.0.0.1:3000 and similar variables in every pod when a Service is called
 * `sojourn`.
 */
function isServiceLink(name: string, text: string): boolean {
  return /^(tcp|udp|sctp):\/\//.test(text) || /_SERVICE_(HOST|PORT)|_PORT_\d+_/.test(name);
}

const PREFIX = 'SOJOURN_';

/**
 * A warning for each variable with a name like a known one. `also`: other options that are known. Throws for another
 * name of an option.
 */
export function unknownVariables(env: Environment, also: Iterable<string> = []): string[] {
  const known = new Set(
    [...ALL_FLAGS.keys(), ...also].map((key) => variableName(key).slice(PREFIX.length)),
  );
  return Object.entries(env).flatMap(([name, text = '']) => {
    const own = name.slice(PREFIX.length);
    if (!name.startsWith(PREFIX) || known.has(own) || isServiceLink(name, text)) return [];
    const renamed = meantSpelling(name, variableName);
    // Left out, it could open the endpoint to all.
    if (renamed?.startsWith(`${PREFIX}AUTH_`) === true)
      throw new UsageError(`unknown variable ${name}; did you mean ${renamed}?`);
    const near = nearestName(own, known);
    const meant = renamed ?? (near && `${PREFIX}${near}`);
    return meant === undefined
      ? []
      : [`unknown variable ${name} is ignored; did you mean ${meant}?`];
  });
}

/** An error of commander, which suggests flags with a name that is near. */
export function withMeantFlag(error: string): string {
  const [, flag = ''] = /^error: unknown option '--(?:no-)?([^'=]+)/.exec(error) ?? [];
  const meant = meantSpelling(flag, flagName);
  return meant === undefined
    ? error
    : `error: unknown option '--${flag}'\n(Did you mean --${meant}?)\n`;
}

/** Checks values without the module's options. The error names the flag or variable instead of the option. */
export function checkedByName<T>(originOf: OriginOf, check: () => T): T {
  try {
    return check();
  } catch (error) {
    // "Option idleTimeoutMs: got …"
    const message = reason(error).replace(
      /^Option ([\w.]+)/,
      (name, option: string) => originOf(option) ?? name,
    );
    throw new UsageError(message, { cause: error });
  }
}

/** The check of its option refuses a text that is no number, and ranges. `origin`: the flag or variable, for errors. */
function parseFlagValue(spec: FlagSpec, text: string, origin: string): FlagValue {
  switch (spec.kind) {
    case 'number':
      return numberOf(text, spec.value === 'ms') ?? text;
    case 'switch':
      if (['true', '1'].includes(text)) return true;
      if (['false', '0'].includes(text)) return false;
      throw new UsageError(`${origin} takes true or false; got ${JSON.stringify(text)}`);
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'pairs':
      if (!/^[A-Za-z_]\w*=/.test(text))
        throw new UsageError(`${origin} takes NAME=value; got ${JSON.stringify(text)}`);
      return [text];
    case 'text':
      return text;
  }
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A time may have a unit: `500`, `500ms`, `90s`, `30m`, `2h`, `1d`. `undefined`: no number. */
function numberOf(text: string, isTime: boolean): number | undefined {
  if (/^infinity$/i.test(text)) return Infinity;
  const [, amount, unit] = /^([+-]?\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (amount === undefined || (unit !== undefined && !isTime)) return undefined;
  return Number(amount) * (UNIT_MS[unit ?? 'ms'] ?? 1);
}
