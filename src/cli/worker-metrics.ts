/**
 * The metrics of the workers of a supervisor, with a label `worker` and no totals. Each value is that of the process
 * that served last under this number: counts begin at 0 with a new process, as `rate()` of Prometheus expects.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Family, METRIC_NAMES, type MetricName, type Point } from '../observe/metric-table.ts';
import { prometheusText } from '../observe/prometheus-text.ts';
import { EXIT } from './failure.ts';
import type { WorkerProcess } from './worker-process.ts';

/** A worker that is busy or frozen for longer shows its last values. */
const ANSWER_MS = 500;

interface Slot {
  worker: WorkerProcess;
  /** Its last values. */
  families: readonly Family[];
  deaths: number;
  up: boolean;
}

export class WorkerMetrics {
  readonly #slots = new Map<number, Slot>();

  launched(worker: WorkerProcess): void {
    const slot = this.#slots.get(worker.number) ?? { worker, families: [], deaths: 0, up: false };
    this.#slots.set(worker.number, slot);
    void worker.listening.then((banner) => banner !== undefined && (slot.worker = worker));
    void worker.ended.then(({ code }) => (slot.deaths += code === EXIT.ok ? 0 : 1));
  }

  /** Asks each worker, and does not wait long for one. */
  async text(): Promise<string> {
    const slots = [...this.#slots.values()];
    await Promise.all(slots.map(measure));
    return prometheusText(
      METRIC_NAMES.map((name) => ({ name, points: slots.flatMap((slot) => pointsOf(name, slot)) })),
    );
  }
}

async function measure(slot: Slot): Promise<void> {
  const families = await Promise.race([slot.worker.metrics(), delay(ANSWER_MS, undefined, { ref: false })]);
  slot.up = families !== undefined;
  slot.families = families ?? slot.families;
}

function pointsOf(name: MetricName, { worker: { number: worker }, families, deaths, up }: Slot): Point[] {
  if (name === 'sojourn_worker_up') return [{ labels: [], worker, value: Number(up) }];
  if (name === 'sojourn_worker_deaths_total') return [{ labels: [], worker, value: deaths }];
  return families.flatMap((family) => (family.name === name ? family.points.map((one) => ({ ...one, worker })) : []));
}
