/**
 * Counts what the notices say, for `endpoint.metrics()`. Only an endpoint with the option `metrics` has one. Values of
 * now, such as the number of sessions, are read when they are asked for (`endpoint/endpoint-metrics.ts`).
 *
 * No client can make a series: each value of a label is a word of this library, a tool that the server has
 * (`known-names.ts`), or `_OTHER`.
 */
import { KnownNames, OTHER } from './known-names.ts';
import { type Count, countsOf } from './meters.ts';
import {
  type Family,
  type Labels,
  METRIC_NAMES,
  metricOf,
  type MetricName,
  type MetricPoint,
} from './metric-table.ts';
import type { Notices, RequestNotice } from './notices.ts';
import { callsTool, isLabel } from '../protocol/methods.ts';

const HTTP_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'POST',
  'DELETE',
  'OPTIONS',
  'HEAD',
  'PUT',
  'PATCH',
]);

const MOST_CODES = 50;

/** The supervisor of `sojourn serve --workers` counts the deaths of its workers itself. */
const isCounted = (name: MetricName): boolean =>
  metricOf(name).kind !== 'gauge' && name !== 'sojourn_worker_deaths_total';

/** One series of a counter or histogram. */
interface Series extends MetricPoint {
  value: number;
  sum: number;
  readonly buckets: number[];
}

export class Metrics {
  /** The series of each metric, by their labels. */
  readonly #counted = new Map<MetricName, Map<string, Series>>();
  readonly #codes = new KnownNames(MOST_CODES);
  readonly #tools: KnownNames;

  constructor(notices: Notices) {
    this.#tools = notices.tools;
    for (const name of METRIC_NAMES.filter(isCounted)) {
      this.#counted.set(name, new Map());
      const { labels: names = [], first = names.length === 0 ? [[]] : [] } = metricOf(name);
      for (const labels of first) this.#seriesOf(name, labels);
    }
    const count = countsOf(this.#count);
    notices.listen(
      (notice) => {
        if (notice.kind === 'request') this.#request(notice);
        else if (notice.kind === 'handlerThrew')
          this.#count('sojourn_handler_errors_total', 1, [methodName(notice.method)]);
        else count(notice);
      },
      { requests: true },
    );
  }

  collect(): Family[] {
    return [...this.#counted].map(([name, series]) => ({ name, points: [...series.values()] }));
  }

  readonly #count: Count = (name, value, labels) => {
    const series = this.#seriesOf(name, labels);
    series.value += 1;
    const metric = metricOf(name);
    if (metric.kind !== 'histogram') return;
    series.sum += value;
    const bucket = metric.buckets.findIndex((most) => value <= most);
    const at = bucket === -1 ? metric.buckets.length : bucket;
    series.buckets[at] = (series.buckets[at] ?? 0) + 1;
  };

  #seriesOf(name: MetricName, labels: Labels): Series {
    const all = this.#counted.get(name);
    const key = labels.length === 0 ? '' : labels.join('\u0000');
    let found = all?.get(key);
    if (found !== undefined) return found;
    found = { labels, value: 0, sum: 0, buckets: [] };
    all?.set(key, found);
    return found;
  }

  #request(notice: RequestNotice): void {
    const { http, method, target, status, ms } = notice;
    this.#count('sojourn_http_requests_total', 1, [
      HTTP_METHODS.has(http) ? http : OTHER,
      String(status),
    ]);
    if (method === undefined) return;
    const tool = callsTool(method) && target !== undefined ? this.#tools.of(target) : undefined;
    const labels = [methodName(method), tool, this.#errorType(notice)];
    this.#count('mcp_server_operation_duration_seconds', ms / 1_000, labels);
  }

  /** `undefined`: it succeeded. */
  #errorType({ failure, status, left }: RequestNotice): string | undefined {
    if (failure?.isError === true) return 'tool_error';
    if (failure?.error !== undefined) return this.#codes.withRoom(String(failure.error));
    if (status >= 400) return String(status);
    return left ? 'client_left' : undefined;
  }
}

/** The method, or `_OTHER` for one of the application. */
const methodName = (method: string): string => (isLabel(method) ? method : OTHER);
