/**
 * The metrics. Their names are those of `endpoint.metrics()` before OpenTelemetry's translation for Prometheus, and
 * `observe/metric-table.ts` has what each counts. Operations are measured where the server runs them.
 */
import type { Attributes, Counter, Histogram, Meter } from '@opentelemetry/api';
import { boundedText } from '../base/shown.ts';
import { Few } from '../observe/few.ts';
import { type MetricName, metricOf } from '../observe/metric-table.ts';
import type { Notice } from '../observe/notices.ts';
import type { RunningRequest } from '../options/around-request.ts';
import type { ServerNames } from './names.ts';

const MOST_VERSIONS = 20;
const MOST_CODES = 50;
const MOST_REASONS = 100;
const MS = 1_000;

export class Counts {
  readonly #meter: Meter;
  readonly #operations: Histogram;
  readonly #sessions: Histogram;
  readonly #waits: Histogram;
  readonly #storeCalls: Histogram;
  readonly #tasks: Histogram;
  readonly #counters = new Map<string, Counter>();
  readonly #names: ServerNames;
  readonly #versions = new Few(MOST_VERSIONS);
  readonly #codes = new Few(MOST_CODES);
  readonly #reasons = new Few(MOST_REASONS);

  constructor(meter: Meter, names: ServerNames) {
    this.#meter = meter;
    this.#names = names;
    const histogram = (name: string, of: MetricName): Histogram => {
      const metric = metricOf(of);
      const explicitBucketBoundaries = metric.kind === 'histogram' ? [...metric.buckets] : [];
      return meter.createHistogram(name, { unit: 's', description: metric.help, advice: { explicitBucketBoundaries } });
    };
    this.#operations = histogram('mcp.server.operation.duration', 'mcp_server_operation_duration_seconds');
    this.#sessions = histogram('mcp.server.session.duration', 'mcp_server_session_duration_seconds');
    this.#waits = histogram('sojourn.wait.duration', 'sojourn_wait_duration_seconds');
    this.#tasks = histogram('sojourn.task.duration', 'sojourn_task_duration_seconds');
    this.#storeCalls = histogram('sojourn.store.call.duration', 'sojourn_store_call_duration_seconds');
  }

  /** `errorType`: `undefined` if it succeeded. */
  ran(request: RunningRequest, seconds: number, errorType: string | undefined): void {
    const { method, name, protocolVersion } = request;
    this.#operations.record(seconds, {
      'mcp.method.name': this.#names.method(method),
      'network.transport': 'tcp',
      ...(protocolVersion !== undefined && { 'mcp.protocol.version': this.#versions.of(boundedText(protocolVersion)) }),
      ...(method === 'tools/call' &&
        name !== undefined && {
          'gen_ai.operation.name': 'execute_tool',
          'gen_ai.tool.name': this.#names.target(request),
        }),
      ...(errorType !== undefined && { 'error.type': this.#codes.of(errorType) }),
    });
  }

  note(notice: Notice): void {
    switch (notice.kind) {
      case 'refused':
        return this.#add('sojourn.refusals', 'sojourn_refusals_total', {
          reason: this.#reasons.of(notice.reason),
          'http.response.status_code': notice.status,
        });
      case 'opened':
        return this.#add('sojourn.sessions.opened', 'sojourn_sessions_opened_total');
      case 'restored':
        return this.#add('sojourn.sessions.restored', 'sojourn_sessions_restored_total', { cause: notice.cause });
      case 'ended':
        if (notice.createdAt !== undefined) this.#sessions.record(Math.max(0, notice.at - notice.createdAt) / MS);
        return this.#add('sojourn.sessions.left', 'sojourn_sessions_left_total', { reason: notice.reason });
      case 'hibernated':
      case 'released':
      case 'fenced':
        return this.#add('sojourn.sessions.left', 'sojourn_sessions_left_total', { reason: notice.reason });
      default:
        return this.#step(notice);
    }
  }

  #step(notice: Notice): void {
    switch (notice.kind) {
      case 'relayed':
        return this.#add('sojourn.relays', 'sojourn_relays_total', { outcome: notice.outcome });
      case 'resumed':
        return this.#add('sojourn.resumes', 'sojourn_resumes_total', { outcome: notice.outcome });
      case 'callLost':
        return this.#add('sojourn.lost_calls', 'sojourn_lost_calls_total', {
          outcome: notice.runsAgain ? 'ran_again' : 'ended',
        });
      case 'onceAnswered':
        return this.#add('sojourn.once.calls', 'sojourn_once_calls_total', { outcome: notice.how });
      case 'taskCreated':
        return this.#add('sojourn.tasks.created', 'sojourn_tasks_created_total');
      case 'taskContinued':
        return this.#add('sojourn.tasks.continued', 'sojourn_tasks_continued_total', { cause: notice.cause });
      case 'taskEnded': {
        const { status, reason, ms } = notice;
        if (ms !== undefined) this.#tasks.record(ms / MS, { status });
        const attributes = { status, ...(reason !== undefined && { reason }) };
        return this.#add('sojourn.tasks.ended', 'sojourn_tasks_ended_total', attributes);
      }
      case 'waited':
        return this.#waits.record(notice.ms / MS, {
          reason: this.#reasons.of(notice.reason),
          outcome: notice.outcome,
        });
      case 'storeCall':
        if (notice.failed)
          this.#add('sojourn.store.call.failures', 'sojourn_store_call_failures_total', {
            operation: notice.operation,
          });
        return this.#storeCalls.record(notice.ms / MS, { operation: notice.operation });
      case 'storeAway':
        return this.#add('sojourn.store.outages', 'sojourn_store_outages_total');
      case 'leaseLapsed':
        return this.#add('sojourn.leases.lapsed', 'sojourn_leases_lapsed_total');
      case 'leaseRemoved':
        return this.#add('sojourn.leases.removed', 'sojourn_leases_removed_total');
      default:
        return undefined;
    }
  }

  #add(name: string, of: MetricName, attributes: Attributes = {}): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = this.#meter.createCounter(name, { description: metricOf(of).help });
      this.#counters.set(name, counter);
    }
    counter.add(1, attributes);
  }
}
