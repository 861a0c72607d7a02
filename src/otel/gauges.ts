/** The values of now of an endpoint, as `endpoint.metrics()` has them. */
import type { Meter, ObservableGauge } from '@opentelemetry/api';
import { internalsOf } from '../endpoint/internals.ts';
import { type MetricName, metricOf } from '../observe/metric-table.ts';

const GAUGES: ReadonlyArray<readonly [of: MetricName, name: string, unit?: string]> = [
  ['sojourn_sessions_live', 'sojourn.sessions.live'],
  ['sojourn_sessions_idle', 'sojourn.sessions.idle'],
  ['sojourn_sessions_hibernated', 'sojourn.sessions.hibernated'],
  ['sojourn_tasks_running', 'sojourn.tasks.running'],
  ['sojourn_tasks_running_limit', 'sojourn.tasks.running.limit'],
  ['sojourn_waiting_requests', 'sojourn.waiting_requests'],
  ['sojourn_memory_bytes', 'sojourn.memory', 'By'],
  ['sojourn_memory_limit_bytes', 'sojourn.memory.limit', 'By'],
  ['sojourn_store_up', 'sojourn.store.up'],
  ['sojourn_lease_remaining_seconds', 'sojourn.lease.remaining', 's'],
  ['sojourn_ready', 'sojourn.ready'],
  ['sojourn_event_loop_delay_seconds', 'sojourn.event_loop.delay', 's'],
];

/** Returns a function that ends it. */
export function watch(meter: Meter, endpoint: object): () => void {
  const gauges = new Map<string, ObservableGauge>(
    GAUGES.map(([of, name, unit]) => [
      of,
      meter.createObservableGauge(name, { description: metricOf(of).help, ...(unit !== undefined && { unit }) }),
    ]),
  );
  const all = [...gauges.values()];
  const read: Parameters<Meter['addBatchObservableCallback']>[0] = (observer) => {
    for (const { name, samples } of internalsOf(endpoint)?.families() ?? []) {
      const gauge = gauges.get(name);
      if (gauge === undefined) continue;
      for (const [, labels, value] of samples) observer.observe(gauge, value, attributesOf(labels));
    }
  };
  meter.addBatchObservableCallback(read, all);
  return () => meter.removeBatchObservableCallback(read, all);
}

/** One label at most, `row="bodies"`, whose value is a word of this library. */
function attributesOf(label: string): Record<string, string> {
  const at = label.indexOf('="');
  return at === -1 ? {} : { [label.slice(0, at)]: label.slice(at + 2, -1) };
}
