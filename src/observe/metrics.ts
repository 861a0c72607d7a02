/**
 * Counts what the notices say, for `endpoint.metrics()`. Only an endpoint with the option `metrics` has one. Values of
 * now, such as the number of sessions, are read when they are asked for (`endpoint/endpoint-metrics.ts`).
 *
 * No client can make a series: each value of a label is a word of this library, a tool that the server has (`few.ts`),
 * or `_OTHER`.
 */
import { Few, OTHER, KnownNames } from './few.ts';
import type { Family } from './metric-table.ts';
import type { EmittedNotice, Notices, RequestNotice } from './notices.ts';
import { Counter, Histogram } from './series.ts';

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
const MOST_REASONS = 100;

export class Metrics {
  readonly #operations = new Histogram('mcp_server_operation_duration_seconds');
  readonly #sessions = new Histogram('mcp_server_session_duration_seconds');
  readonly #requests = new Counter('sojourn_http_requests_total');
  readonly #refusals = new Counter('sojourn_refusals_total');
  readonly #threw = new Counter('sojourn_handler_errors_total');
  readonly #opened = new Counter('sojourn_sessions_opened_total');
  readonly #restored = new Counter('sojourn_sessions_restored_total');
  readonly #left = new Counter('sojourn_sessions_left_total');
  readonly #relays = new Counter('sojourn_relays_total');
  readonly #resumes = new Counter('sojourn_resumes_total');
  readonly #lost = new Counter('sojourn_lost_calls_total');
  readonly #once = new Counter('sojourn_once_calls_total');
  readonly #tasksCreated = new Counter('sojourn_tasks_created_total');
  readonly #tasksContinued = new Counter('sojourn_tasks_continued_total');
  readonly #tasksEnded = new Counter('sojourn_tasks_ended_total');
  readonly #taskTimes = new Histogram('sojourn_task_duration_seconds');
  readonly #waits = new Histogram('sojourn_wait_duration_seconds');
  readonly #storeCalls = new Histogram('sojourn_store_call_duration_seconds');
  readonly #storeFailures = new Counter('sojourn_store_call_failures_total');
  readonly #outages = new Counter('sojourn_store_outages_total');
  readonly #lapses = new Counter('sojourn_leases_lapsed_total');
  readonly #removals = new Counter('sojourn_leases_removed_total');
  readonly #codes = new Few(MOST_CODES);
  readonly #reasons = new Few(MOST_REASONS);
  readonly #tools: KnownNames;

  constructor(notices: Notices) {
    this.#tools = notices.tools ?? new KnownNames();
    for (const cause of ['wake', 'takeover']) this.#restored.begin(cause);
    for (const outcome of ['done', 'refused', 'lost', 'unreachable']) this.#relays.begin(outcome);
    for (const outcome of ['continued', 'finished', 'gap']) this.#resumes.begin(outcome);
    for (const outcome of ['ran_again', 'ended']) this.#lost.begin(outcome);
    for (const how of ['attached', 'replayed', 'conflict', 'unknown']) this.#once.begin(how);
    for (const cause of ['answered', 'released', 'takeover']) this.#tasksContinued.begin(cause);
    for (const status of ['completed', 'failed', 'cancelled', 'expired']) this.#tasksEnded.begin(status, undefined);
    for (const reason of ['owner_lost', 'too_many_attempts']) this.#tasksEnded.begin('failed', reason);
    for (const reason of ['store_away', 'lapsed']) this.#waits.begin(reason, 'refused');
    notices.listen((notice) => this.#count(notice), { requests: true, details: true });
  }

  collect(): Family[] {
    const counted = [this.#operations, this.#sessions, this.#requests, this.#refusals, this.#threw, this.#opened];
    const moved = [this.#restored, this.#left, this.#relays, this.#resumes, this.#lost, this.#once, this.#waits];
    const tasks = [this.#tasksCreated, this.#tasksContinued, this.#tasksEnded, this.#taskTimes];
    const stored = [this.#storeCalls, this.#storeFailures, this.#outages, this.#lapses, this.#removals];
    return [...counted, ...moved, ...tasks, ...stored].map((series) => ({
      name: series.name,
      samples: series.collect(),
    }));
  }

  #count(notice: EmittedNotice): void {
    switch (notice.kind) {
      case 'request':
        return this.#request(notice);
      case 'refused':
        return this.#refusals.add(this.#reasons.of(notice.reason), String(notice.status));
      case 'handlerThrew':
        return this.#threw.add(methodName(notice.method));
      case 'opened':
        return this.#opened.add();
      case 'restored':
        return this.#restored.add(notice.cause);
      case 'ended':
        if (notice.createdAt !== undefined) this.#sessions.measure(Math.max(0, notice.at - notice.createdAt) / 1_000);
        return this.#left.add(notice.reason);
      case 'hibernated':
      case 'released':
      case 'fenced':
        return this.#left.add(notice.reason);
      default:
        return this.#step(notice);
    }
  }

  #step(notice: EmittedNotice): void {
    switch (notice.kind) {
      case 'relayed':
        return this.#relays.add(notice.outcome);
      case 'resumed':
        return this.#resumes.add(notice.outcome);
      case 'callLost':
        return this.#lost.add(notice.runsAgain ? 'ran_again' : 'ended');
      case 'onceAnswered':
        return this.#once.add(notice.how);
      case 'taskCreated':
        return this.#tasksCreated.add();
      case 'taskContinued':
        return this.#tasksContinued.add(notice.cause);
      case 'taskEnded':
        if (notice.ms !== undefined) this.#taskTimes.measure(notice.ms / 1_000, notice.status);
        return this.#tasksEnded.add(notice.status, notice.reason);
      case 'waited':
        return this.#waits.measure(notice.ms / 1_000, this.#reasons.of(notice.reason), notice.outcome);
      case 'storeCall':
        if (notice.failed) this.#storeFailures.add(notice.operation);
        return this.#storeCalls.measure(notice.ms / 1_000, notice.operation);
      case 'storeAway':
        return this.#outages.add();
      case 'leaseLapsed':
        return this.#lapses.add();
      case 'leaseRemoved':
        return this.#removals.add();
      default:
        return undefined;
    }
  }

  #request(notice: RequestNotice): void {
    const { http, method, target, status, ms } = notice;
    this.#requests.add(HTTP_METHODS.has(http) ? http : OTHER, String(status));
    if (method === undefined) return;
    const tool = method === 'tools/call' && target !== undefined ? this.#tools.of(target) : undefined;
    this.#operations.measure(ms / 1_000, methodName(method), tool, this.#errorType(notice));
  }

  /** `undefined`: it succeeded. */
  #errorType({ failure, status, left }: RequestNotice): string | undefined {
    if (failure?.isError === true) return 'tool_error';
    if (failure?.error !== undefined) return this.#codes.of(String(failure.error));
    if (status >= 400) return String(status);
    return left ? 'client_left' : undefined;
  }
}

export const isMcpMethod = (method: string): boolean => MCP_METHODS.has(method);

/** The method, or `_OTHER`. */
const methodName = (method: string): string => (isMcpMethod(method) ? method : OTHER);
