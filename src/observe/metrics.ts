/**
 * Counts what the notices say, for `endpoint.metrics()`. Only an endpoint with the option `metrics` has one. Values of
 * now, such as the number of sessions, are read when they are asked for (`endpoint/endpoint-metrics.ts`).
 *
 * No client can make a series: each value of a label is a word of this library, a tool that the server has (`few.ts`),
 * or `_OTHER`.
 */
import { KnownNames, OTHER } from './few.ts';
import { type Count, countsOf } from './meters.ts';
import { type Family, METRIC_NAMES, metricOf, type MetricName } from './metric-table.ts';
import type { Notices, RequestNotice } from './notices.ts';
import { Series } from './series.ts';

const HTTP_METHODS: ReadonlySet<string> = new Set(['GET', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PUT', 'PATCH']);

/** Those of all revisions. The methods of an application are `_OTHER`. */
const MCP_METHODS: ReadonlySet<string> = new Set(
  [
    'initialize ping server/discover completion/complete logging/setLevel subscriptions/listen',
    'tools/list tools/call prompts/list prompts/get',
    'resources/list resources/read resources/templates/list resources/subscribe resources/unsubscribe',
    'tasks/get tasks/list tasks/result tasks/cancel tasks/update',
    'notifications/initialized notifications/cancelled notifications/progress notifications/roots/list_changed',
  ].flatMap((line) => line.split(' ')),
);

const MOST_CODES = 50;

/** The supervisor of `sojourn serve --workers` counts the deaths of its workers itself. */
const isCounted = (name: MetricName): boolean =>
  metricOf(name).kind !== 'gauge' && name !== 'sojourn_worker_deaths_total';

export class Metrics {
  readonly #series = new Map(METRIC_NAMES.filter(isCounted).map((name) => [name, new Series(name)]));
  readonly #codes = new KnownNames(MOST_CODES);
  readonly #tools: KnownNames;
  readonly #count: Count = (name, value, labels) => this.#series.get(name)?.add(value, labels);

  constructor(notices: Notices) {
    this.#tools = notices.tools;
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
    return [...this.#series].map(([name, series]) => ({ name, points: series.collect() }));
  }

  #request(notice: RequestNotice): void {
    const { http, method, target, status, ms } = notice;
    this.#count('sojourn_http_requests_total', 1, [HTTP_METHODS.has(http) ? http : OTHER, String(status)]);
    if (method === undefined) return;
    const tool = method === 'tools/call' && target !== undefined ? this.#tools.of(target) : undefined;
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

export const isMcpMethod = (method: string): boolean => MCP_METHODS.has(method);

/** The method, or `_OTHER`. */
const methodName = (method: string): string => (isMcpMethod(method) ? method : OTHER);
