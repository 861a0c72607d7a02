/**
 * Every metric: its name, what it counts and its labels. `docs/reference/metrics.md` prints this table. The first two
 * are those of OpenTelemetry's MCP conventions (status Development) under the names that its Prometheus exporter gives
 * them. A label has few values: words of this library, or tools that the server has.
 */

interface DescribedMetric {
  readonly help: string;
  readonly labels?: readonly string[];
  /**
   * Labels of series that are shown before their first count: Prometheus sees no increase of a series that begins with
   * its first value.
   */
  readonly first?: readonly Labels[];
}

/** One value for each label of a metric, in its order. */
export type Labels = readonly (string | undefined)[];

export type Metric = DescribedMetric &
  (
    | { readonly kind: 'counter' }
    | { readonly kind: 'gauge' }
    | { readonly kind: 'histogram'; readonly buckets: readonly number[] }
  );

/** In s: those of the MCP conventions. */
const MCP_BUCKETS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];
const TASK_BUCKETS = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];
const STORE_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

const OUR_FAILURES = ['owner_lost', 'too_many_attempts'].map((reason) => ['failed', reason]);

const metrics = <const Name extends string>(all: Readonly<Record<Name, Metric>>) => all;

export const METRICS = metrics({
  mcp_server_operation_duration_seconds: {
    kind: 'histogram',
    buckets: MCP_BUCKETS,
    labels: ['mcp_method_name', 'gen_ai_tool_name', 'error_type'],
    help: 'Requests and notifications, from arrival to the end of the response, at the instance that has the client',
  },
  mcp_server_session_duration_seconds: {
    kind: 'histogram',
    buckets: MCP_BUCKETS,
    help: 'Sessions that ended here, from their opening on any instance',
  },
  sojourn_http_requests_total: {
    kind: 'counter',
    labels: ['http_request_method', 'http_response_status_code'],
    help: 'HTTP requests whose response is over; 499: the client left before its head',
  },
  sojourn_refusals_total: {
    kind: 'counter',
    labels: ['reason', 'http_response_status_code'],
    help: 'Requests that were refused before the server had them',
  },
  sojourn_handler_errors_total: {
    kind: 'counter',
    labels: ['mcp_method_name'],
    help: 'What handlers threw',
  },
  sojourn_sessions_live: { kind: 'gauge', help: 'Sessions in the memory of this process' },
  sojourn_sessions_idle: { kind: 'gauge', help: 'Those of them without a running request' },
  sojourn_sessions_hibernated: {
    kind: 'gauge',
    help: 'Sessions that this process hibernated and has not woken',
  },
  sojourn_sessions_opened_total: { kind: 'counter', help: 'Sessions that clients opened here' },
  sojourn_sessions_restored_total: {
    kind: 'counter',
    labels: ['cause'],
    first: [['wake'], ['takeover']],
    help: 'Sessions that became live here again: wake, takeover, migration, reclaim',
  },
  sojourn_sessions_left_total: {
    kind: 'counter',
    labels: ['reason'],
    help: 'Sessions that ended here or left for another instance, by reason',
  },
  sojourn_relays_total: {
    kind: 'counter',
    labels: ['outcome'],
    first: [['done'], ['refused'], ['lost'], ['unreachable']],
    help: 'Calls that were passed to the owner of their session: done, refused, lost, unreachable',
  },
  sojourn_resumes_total: {
    kind: 'counter',
    labels: ['outcome'],
    first: [['continued'], ['finished'], ['gap']],
    help: 'Clients that came back to a stream: continued (replayed), finished, gap (events were not kept)',
  },
  sojourn_lost_calls_total: {
    kind: 'counter',
    labels: ['outcome'],
    first: [['ran_again'], ['ended']],
    help: 'Calls whose instance died: ran_again here, or ended with owner_lost',
  },
  sojourn_once_calls_total: {
    kind: 'counter',
    labels: ['outcome'],
    first: [['attached'], ['replayed'], ['conflict'], ['unknown']],
    help: 'Calls of once() that did not run their handler: attached, replayed, conflict, unknown',
  },
  sojourn_tasks_created_total: { kind: 'counter', help: 'Calls that became tasks here' },
  sojourn_tasks_continued_total: {
    kind: 'counter',
    labels: ['cause'],
    first: [['answered'], ['released'], ['takeover']],
    help: 'Later runs of tasks that began here: answered, released (given back, by a drain or for later), takeover (an instance died)',
  },
  sojourn_tasks_ended_total: {
    kind: 'counter',
    labels: ['status', 'reason'],
    first: [
      ...['completed', 'failed', 'cancelled', 'expired'].map((status) => [status, undefined]),
      ...OUR_FAILURES,
    ],
    help: 'Tasks whose end was stored here: completed, failed, cancelled, expired',
  },
  sojourn_task_duration_seconds: {
    kind: 'histogram',
    buckets: TASK_BUCKETS,
    labels: ['status'],
    help: 'Tasks whose end was stored here, from their calls on',
  },
  sojourn_tasks_running: { kind: 'gauge', help: 'Handlers of tasks that run in this process' },
  sojourn_tasks_running_limit: { kind: 'gauge', help: 'How many may run' },
  sojourn_live_objects: {
    kind: 'gauge',
    labels: ['kind'],
    help: 'Objects of live() that are open in this process',
  },
  sojourn_events_total: {
    kind: 'counter',
    labels: ['event'],
    help: 'Events that were dispatched here, by their type',
  },
  sojourn_event_posts_total: {
    kind: 'counter',
    labels: ['outcome'],
    first: [['taken'], ['connection_refused'], ['timeout'], ['http_4xx'], ['http_5xx']],
    help: 'POSTs of events to callbacks: taken, connection_refused, timeout, tls_error, http_4xx, http_5xx',
  },
  sojourn_event_subscriptions: {
    kind: 'gauge',
    labels: ['state'],
    help: 'Subscriptions with a callback, at the instance that dispatches: live, behind, suspended',
  },
  sojourn_wait_duration_seconds: {
    kind: 'histogram',
    buckets: MCP_BUCKETS,
    labels: ['reason', 'outcome'],
    first: [
      ['store_unavailable', 'refused'],
      ['lease_lost', 'refused'],
    ],
    help: 'Calls that waited for the store, the lease or a place: served, refused, left',
  },
  sojourn_waiting_requests: {
    kind: 'gauge',
    help: 'Requests that wait now for the store, the lease or a place',
  },
  sojourn_memory_bytes: {
    kind: 'gauge',
    labels: ['row'],
    help: 'What clients make this process hold, by row of limits.memoryBytes',
  },
  sojourn_memory_limit_bytes: { kind: 'gauge', help: 'limits.memoryBytes' },
  sojourn_store_call_duration_seconds: {
    kind: 'histogram',
    buckets: STORE_BUCKETS,
    labels: ['operation'],
    help: 'Calls to the session store (not the memory store)',
  },
  sojourn_store_call_failures_total: {
    kind: 'counter',
    labels: ['operation'],
    help: 'Those that failed',
  },
  sojourn_store_up: { kind: 'gauge', help: '1: the session store can be reached and takes writes' },
  sojourn_store_outages_total: { kind: 'counter', help: 'Times that the session store went away' },
  sojourn_lease_remaining_seconds: {
    kind: 'gauge',
    help: 'How long the lease is valid without another renewal',
  },
  sojourn_leases_lapsed_total: {
    kind: 'counter',
    help: 'Times that the lease of this process ran out or was removed',
  },
  sojourn_leases_removed_total: {
    kind: 'counter',
    help: 'Leases of dead instances that this one removed',
  },
  sojourn_ready: { kind: 'gauge', help: '1: the endpoint serves, as /readyz says' },
  sojourn_event_loop_delay_seconds: {
    kind: 'gauge',
    labels: ['stat'],
    help: 'How late the event loop ran since the read before: mean, p99, max',
  },
  sojourn_worker_up: {
    kind: 'gauge',
    help: 'With a supervisor: 1: a process of this worker answered the scrape. 0: the other values are its last',
  },
  sojourn_worker_deaths_total: {
    kind: 'counter',
    help: 'With a supervisor: processes of this worker that crashed or were killed',
  },
});

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

export const metricOf = (name: MetricName): Metric => METRICS[name];

/** One series of a metric. */
export interface MetricPoint {
  readonly labels: Labels;
  /** A histogram has the number of its measurements here. */
  readonly value: number;
  /** All measurements of a histogram together, in s. */
  readonly sum?: number;
  /** How many measurements of a histogram each bucket holds; the last one holds those above every bound. */
  readonly buckets?: readonly number[];
  /** The number of a supervisor's worker. */
  readonly worker?: number;
}

export interface Family {
  readonly name: MetricName;
  readonly points: readonly MetricPoint[];
}
