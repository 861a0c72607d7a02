/**
 * The metrics of the workers of a supervisor, with a label `worker` and no totals. Each value is that of the process
 * that served last under this number: counts begin at 0 with a new process, as `rate()` of Prometheus expects.
 */
import {
  type Family,
  METRIC_NAMES,
  type MetricName,
  type MetricPoint,
} from '../base/observe/metric-table.ts';
import { prometheusText } from '../base/observe/prometheus-text.ts';
import type { Slot, Supervisor } from './supervisor.ts';

/** A worker that is busy or frozen for longer shows its last values. */
const ANSWER_MS = 500;

/** Returns a function that asks each worker, and does not wait long for one. */
export function workerMetrics({ slots }: Supervisor): () => Promise<string> {
  const last = new Map<Slot, readonly Family[]>();
  const measure = async (slot: Slot): Promise<boolean> => {
    const families = await slot.serving?.metrics(ANSWER_MS);
    if (families !== undefined) last.set(slot, families);
    return families !== undefined;
  };
  const pointsOf = (name: MetricName, slot: Slot, isUp = false): MetricPoint[] => {
    const { number: worker, deaths } = slot;
    if (name === 'sojourn_worker_up') return [{ labels: [], worker, value: Number(isUp) }];
    if (name === 'sojourn_worker_deaths_total') return [{ labels: [], worker, value: deaths }];
    const family = last.get(slot)?.find((one) => one.name === name);
    return family?.points.map((one) => ({ ...one, worker })) ?? [];
  };
  return async () => {
    const up = await Promise.all(slots.map(measure));
    return prometheusText(
      METRIC_NAMES.map((name) => ({
        name,
        points: slots.flatMap((slot, n) => pointsOf(name, slot, up[n])),
      })),
    );
  };
}
