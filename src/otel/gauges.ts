/** The values of now of an endpoint, as `endpoint.metrics()` has them. */
import type { Meter } from '@opentelemetry/api';
import { internalsOf } from '../endpoint/internals.ts';
import { METRIC_NAMES, metricOf, type MetricName } from '../observe/metric-table.ts';
import { attributesOf, meterName } from './counts.ts';

/** The values of one process. Its supervisor says whether a worker is up. */
const GAUGES = METRIC_NAMES.filter((name) => metricOf(name).kind === 'gauge' && name !== 'sojourn_worker_up');

const unitOf = (name: MetricName): { unit?: string } =>
  name.endsWith('_bytes') ? { unit: 'By' } : name.endsWith('_seconds') ? { unit: 's' } : {};

/** Returns a function that ends it. */
export function watch(meter: Meter, endpoint: object): () => void {
  const make = (name: MetricName) =>
    meter.createObservableGauge(meterName(name), { description: metricOf(name).help, ...unitOf(name) });
  const gauges = new Map(GAUGES.map((name) => [name, make(name)]));
  const all = [...gauges.values()];
  const read: Parameters<Meter['addBatchObservableCallback']>[0] = (observer) => {
    for (const { name, points } of internalsOf(endpoint)?.families() ?? []) {
      const gauge = gauges.get(name);
      if (gauge === undefined) continue;
      for (const { labels, value } of points) observer.observe(gauge, value, attributesOf(name, labels));
    }
  };
  meter.addBatchObservableCallback(read, all);
  return () => meter.removeBatchObservableCallback(read, all);
}
