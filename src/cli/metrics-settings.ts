/** `--metrics [host:]port` and `--metrics-token`. */
import { isLoopback } from '../listen/exposed.ts';
import { UsageError } from './failure.ts';
import { METRICS_AT } from './option-flags.ts';

export interface MetricsSettings {
  readonly host: string;
  readonly port: number;
  /** What a scraper must send; `undefined`: nothing. */
  readonly token: string | undefined;
}

const ADDRESS = /^(?:(\[[\da-f:.]+\]|[\w.-]+):)?(\d{1,5})$/i;
const [DEFAULT_HOST = ''] = METRICS_AT.split(':');
const LARGEST_PORT = 65_535;

/** `origin`: the flag or variable that says it. */
export function metricsSettings(
  text: string | undefined,
  token: string | undefined,
  origin: string | undefined,
): MetricsSettings | undefined {
  if (text === undefined) {
    if (token === undefined) return undefined;
    throw new UsageError('--metrics-token needs --metrics, which says where the metrics are served');
  }
  const [, given = DEFAULT_HOST, digits] = ADDRESS.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= LARGEST_PORT))
    throw new UsageError(`${origin} takes a port, or host:port (${METRICS_AT}); got ${JSON.stringify(text)}`);
  if (token === '') throw new UsageError('--metrics-token is empty');
  const host = given.replace(/^\[|\]$/g, '');
  if (token === undefined && host !== 'localhost' && !isLoopback(host)) {
    throw new UsageError(
      `${origin}: other machines reach ${host}, so the metrics need --metrics-token (or SOJOURN_METRICS_TOKEN)`,
    );
  }
  return { host, port, token };
}

/** commander would take the module after a `--metrics` without a value for its value. */
export function withMetricsAddress(args: readonly string[]): readonly string[] {
  return args.flatMap((arg, index) =>
    arg === '--metrics' && !ADDRESS.test(args[index + 1] ?? '') ? [arg, METRICS_AT] : [arg],
  );
}
