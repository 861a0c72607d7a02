/** What each notice counts, for `endpoint.metrics()` (`metrics.ts`) and for OpenTelemetry (`otel/counts.ts`) alike. */
import { Few } from './few.ts';
import type { Labels, MetricName } from './metric-table.ts';
import type { Notice } from './notices.ts';

/** The counters and histograms of one endpoint. */
export interface Meters {
  add(name: MetricName, ...labels: Labels): void;
  measure(name: MetricName, seconds: number, ...labels: Labels): void;
}

const MOST_REASONS = 100;
const MS = 1_000;

/** Returns the function that counts a notice. */
export function countsOf(meters: Meters): (notice: Notice) => void {
  const reasons = new Few(MOST_REASONS);
  return (notice) => {
    switch (notice.kind) {
      case 'refused':
        return meters.add('sojourn_refusals_total', reasons.of(notice.reason), String(notice.status));
      case 'opened':
        return meters.add('sojourn_sessions_opened_total');
      case 'restored':
        return meters.add('sojourn_sessions_restored_total', notice.cause);
      case 'ended': {
        const { createdAt, at, reason } = notice;
        if (createdAt !== undefined)
          meters.measure('mcp_server_session_duration_seconds', Math.max(0, at - createdAt) / MS);
        return meters.add('sojourn_sessions_left_total', reason);
      }
      case 'hibernated':
      case 'released':
      case 'fenced':
        return meters.add('sojourn_sessions_left_total', notice.reason);
      case 'relayed':
        return meters.add('sojourn_relays_total', notice.outcome);
      case 'resumed':
        return meters.add('sojourn_resumes_total', notice.outcome);
      case 'callLost':
        return meters.add('sojourn_lost_calls_total', notice.runsAgain ? 'ran_again' : 'ended');
      case 'onceAnswered':
        return meters.add('sojourn_once_calls_total', notice.how);
      case 'taskCreated':
        return meters.add('sojourn_tasks_created_total');
      case 'taskContinued':
        return meters.add('sojourn_tasks_continued_total', notice.cause);
      case 'taskEnded': {
        const { ms, status, reason } = notice;
        if (ms !== undefined) meters.measure('sojourn_task_duration_seconds', ms / MS, status);
        return meters.add('sojourn_tasks_ended_total', status, reason);
      }
      case 'waited': {
        const { ms, reason, outcome } = notice;
        return meters.measure('sojourn_wait_duration_seconds', ms / MS, reasons.of(reason), outcome);
      }
      case 'storeCall': {
        const { failed, ms, operation } = notice;
        if (failed) meters.add('sojourn_store_call_failures_total', operation);
        return meters.measure('sojourn_store_call_duration_seconds', ms / MS, operation);
      }
      case 'storeAway':
        return meters.add('sojourn_store_outages_total');
      case 'leaseLapsed':
        return meters.add('sojourn_leases_lapsed_total');
      case 'leaseRemoved':
        return meters.add('sojourn_leases_removed_total');
      default:
        return undefined;
    }
  };
}
