/**
 * What each notice counts, for `endpoint.metrics()` (`metrics.ts`) and for OpenTelemetry
 * (`endpoint/otel/counts.ts`) alike.
 */
import type { Labels, MetricName } from './metric-table.ts';
import type { Notice } from './notices.ts';

/** Adds to one series of a metric: 1 to that of a counter, seconds to that of a histogram. */
export type Count = (name: MetricName, value: number, labels: Labels) => void;

const MS = 1_000;

/** Notices that count by their kind alone. */
const PLAIN: Readonly<Partial<Record<Notice['kind'], MetricName>>> = {
  sessionOpened: 'sojourn_sessions_opened_total',
  taskCreated: 'sojourn_tasks_created_total',
  storeUnavailable: 'sojourn_store_outages_total',
  leaseLapsed: 'sojourn_leases_lapsed_total',
  leaseRemoved: 'sojourn_leases_removed_total',
};

/** Returns the function that counts a notice. */
export function countsOf(count: Count): (notice: Notice) => void {
  const add = (name: MetricName, ...labels: Labels): void => count(name, 1, labels);
  return (notice) => {
    switch (notice.kind) {
      case 'requestRefused':
        return add('sojourn_refusals_total', notice.reason, String(notice.status));
      case 'sessionRestored':
        return add('sojourn_sessions_restored_total', notice.cause);
      case 'sessionEnded': {
        const { createdAt, at, reason } = notice;
        if (createdAt !== undefined)
          count('mcp_server_session_duration_seconds', Math.max(0, at - createdAt) / MS, []);
        return add('sojourn_sessions_left_total', reason);
      }
      case 'sessionHibernated':
      case 'sessionReleased':
      case 'sessionFenced':
        return add('sojourn_sessions_left_total', notice.reason);
      case 'requestRelayed':
        return add('sojourn_relays_total', notice.outcome);
      case 'streamResumed':
        return add('sojourn_resumes_total', notice.outcome);
      case 'callLost':
        return add('sojourn_lost_calls_total', notice.runsAgain ? 'ran_again' : 'ended');
      case 'onceAnswered':
        return add('sojourn_once_calls_total', notice.how);
      case 'taskContinued':
        return add('sojourn_tasks_continued_total', notice.cause);
      case 'taskEnded': {
        const { ms, status, reason } = notice;
        if (ms !== undefined) count('sojourn_task_duration_seconds', ms / MS, [status]);
        return add('sojourn_tasks_ended_total', status, reason);
      }
      case 'eventDispatched':
        return add('sojourn_events_total', notice.event);
      case 'eventPosted':
        return add('sojourn_event_posts_total', notice.outcome);
      case 'requestWaited': {
        const { ms, reason, outcome } = notice;
        return count('sojourn_wait_duration_seconds', ms / MS, [reason, outcome]);
      }
      case 'storeCall': {
        const { failed, ms, operation } = notice;
        if (failed) add('sojourn_store_call_failures_total', operation);
        return count('sojourn_store_call_duration_seconds', ms / MS, [operation]);
      }
      default: {
        const plain = PLAIN[notice.kind];
        return plain && add(plain);
      }
    }
  };
}
