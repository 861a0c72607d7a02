/**
 * The flag and the environment variable of every endpoint option, from the table of options, and the other flags of
 * `serve`. Names are derived: `limits.bodyBytes` = `--limits-body-bytes` = `SOJOURN_LIMITS_BODY_BYTES`.
 */
import { availableParallelism } from 'node:os';
import { optionInvalid } from '../errors.ts';
import { LISTEN } from '../listen/listen-options.ts';
import { DRAIN_TIMEOUT_MS } from '../options/defaults.ts';
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
  type ValueSpec,
} from '../options/value-kinds.ts';
import { flagName, variableName } from '../options/flag-names.ts';
import { LEVELS } from '../options/logger.ts';
import { LIMITS, RETENTION } from '../options/resolve-limits.ts';
import { OPTIONS } from '../options/table.ts';

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
  const own = Object.entries(specs).flatMap(([name, spec]) => ('kind' in spec ? [[`${scope}${name}`, spec]] : []));
  return Object.fromEntries(own) as Record<string, FlagSpec>;
}

const running = textIn('Running');
const callers = textIn('Who may call');
const text = (shown: FlagText) => option<string | undefined>('text', undefined, shown);
const names = (shown: FlagText) => option<readonly string[] | undefined>('list', undefined, shown);

/** More than the cores of common machines. The limit keeps a typing error from starting thousands of processes. */
const MAX_WORKERS = 256;

function parseWorkers(name: string, value: unknown): number {
  if (value === 'auto') return availableParallelism();
  if (/^\d+$/.test(String(value)) && Number(value) <= MAX_WORKERS) return Number(value);
  throw optionInvalid('range', name, value, `a whole number of processes, 0 to ${MAX_WORKERS}, or auto`);
}

/** Where `--metrics` without a value serves. */
export const METRICS_AT = '127.0.0.1:9464';

/** `json`: one object a line, with pino's names. `text`: one readable line, with the cause below it. */
const LOG_FORMATS = ['json', 'text'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** The flags of `serve` that are not endpoint options. */
export const SERVE_FLAGS = {
  ...LISTEN,
  authIssuer: text(callers('callers need a JWT of this authorization server (with --auth-audience)', { value: 'url' })),
  authAudience: names(callers('aud of these JWTs: the URL of this endpoint', { value: 'names' })),
  authJwksUri: text(callers('where its keys are, if its metadata does not say', { value: 'url' })),
  authScopes: names(callers('scopes that every token must have', { value: 'names' })),
  workers: option<number | undefined>(
    'text',
    undefined,
    running('processes under a supervisor that holds the port; auto = one per core, 0 = no supervisor', {
      value: 'n',
      shown: '1 with a --store that outlives the process, else 0',
    }),
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
    running(`serve metrics for Prometheus at [host:]port, path /metrics; without a value ${METRICS_AT}`, {
      value: 'address',
      preset: METRICS_AT,
    }),
  ),
  metricsToken: text(
    running('what a scraper must send as bearer token; needed away from loopback, better set in the environment', {
      value: 'text',
    }),
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
  drainTimeoutMs: number(DRAIN_TIMEOUT_MS, ms(), running('how long running requests may take after SIGTERM')),
} as const satisfies Readonly<Record<string, FlagSpec>>;

/** The flag or variable that set an option. */
export type OriginOf = (option: string) => string | undefined;

export const ALL_FLAGS: ReadonlyMap<string, FlagSpec> = new Map(Object.entries({ ...SERVE_FLAGS, ...OPTION_FLAGS }));

/** The default of an option, as the help text shows it. */
export function defaultOf({ shown, fallback }: FlagSpec): string | undefined {
  if (shown !== undefined) return shown;
  if (fallback === undefined) return undefined;
  return typeof fallback === 'boolean' ? (fallback ? 'on' : 'off') : String(fallback) || undefined;
}
