/**
 * The metrics of the workers of a supervisor, with a label `worker` and no totals. A slot has one process after the
 * other, and two while one drains: what an ended process had counted stays in the counts of its slot, so they never
 * fall. A worker sends its values when it is asked, every `PUSH_MS` by itself, and at its end. A process that is killed
 * loses what it counted since.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Family, metricOf, type MetricName, METRICS, type Sample } from '../observe/metric-table.ts';
import { labelsText, prometheusText } from '../observe/prometheus-text.ts';
import { EXIT } from './failure.ts';
import { isMessage } from './worker-messages.ts';
import type { WorkerProcess } from './worker-process.ts';

/** How often a worker sends its values by itself. */
export const PUSH_MS = 2_000;
/** A worker that is busy or frozen for longer shows its last values. */
const ANSWER_MS = 500;

type Values = Map<string, Sample>;

interface Slot {
  /** The counts of processes that have ended. */
  readonly ended: Map<MetricName, Values>;
  /** The newest values of each process. */
  readonly running: Map<WorkerProcess, readonly Family[]>;
  deaths: number;
  up: boolean;
}

export class WorkerMetrics {
  readonly #slots = new Map<number, Slot>();
  /** Those that wait for the next values of a process. */
  readonly #asked = new Map<WorkerProcess, () => void>();

  launched(worker: WorkerProcess): void {
    const slot = this.#slot(worker.number);
    slot.running.set(worker, []);
    void worker.ended.then(({ code }) => {
      this.#asked.get(worker)?.();
      for (const { name, samples } of slot.running.get(worker) ?? []) {
        if (metricOf(name).kind !== 'gauge') add(valuesOf(slot.ended, name), samples);
      }
      slot.running.delete(worker);
      if (code !== EXIT.ok) slot.deaths += 1;
    });
  }

  heard(worker: WorkerProcess, message: unknown): void {
    if (!isMessage(message, 'metrics')) return;
    const { running } = this.#slot(worker.number);
    if (running.has(worker)) running.set(worker, message.families);
    this.#asked.get(worker)?.();
  }

  /** Asks every process, and does not wait long for one. */
  async text(): Promise<string> {
    const slots = [...this.#slots].toSorted(([one], [other]) => one - other);
    await Promise.all(slots.map(async ([, slot]) => this.#ask(slot)));
    return prometheusText(
      (Object.keys(METRICS) as MetricName[]).map((name) => ({
        name,
        samples: slots.flatMap(([number, slot]) => samplesOf(name, number, slot)),
      })),
    );
  }

  #slot(number: number): Slot {
    let slot = this.#slots.get(number);
    if (slot === undefined)
      this.#slots.set(number, (slot = { ended: new Map(), running: new Map(), deaths: 0, up: false }));
    return slot;
  }

  async #ask(slot: Slot): Promise<void> {
    const answers = [...slot.running.keys()].map(async (worker) => this.#answers(worker));
    slot.up = (await Promise.all(answers)).includes(true);
  }

  async #answers(worker: WorkerProcess): Promise<boolean> {
    const before = this.#slot(worker.number).running.get(worker);
    const told = new Promise<void>((resolve) => {
      const earlier = this.#asked.get(worker);
      this.#asked.set(worker, () => {
        earlier?.();
        resolve();
      });
    });
    worker.askMetrics();
    await Promise.race([told, delay(ANSWER_MS, undefined, { ref: false })]);
    this.#asked.delete(worker);
    const now = this.#slot(worker.number).running.get(worker);
    return now !== undefined && now !== before;
  }
}

function valuesOf(all: Map<MetricName, Values>, name: MetricName): Values {
  let values = all.get(name);
  if (values === undefined) all.set(name, (values = new Map()));
  return values;
}

const plus = (one: number, other: number): number => one + other;

function add(values: Values, samples: readonly Sample[], merge: (one: number, other: number) => number = plus): void {
  for (const [suffix, labels, value] of samples) {
    const key = `${suffix} ${labels}`;
    const before = values.get(key);
    values.set(key, [suffix, labels, before === undefined ? value : merge(before[2], value)]);
  }
}

function samplesOf(name: MetricName, number: number, { ended, running, deaths, up }: Slot): Sample[] {
  const worker = labelsText({ worker: String(number) });
  if (name === 'sojourn_worker_up') return [['', worker, Number(up)]];
  if (name === 'sojourn_worker_deaths_total') return [['', worker, deaths]];
  const metric = metricOf(name);
  const merge =
    metric.kind === 'gauge' && metric.merge !== undefined && metric.merge !== 'sum' ? Math[metric.merge] : plus;
  const values: Values = new Map(ended.get(name));
  for (const families of running.values()) {
    for (const family of families) if (family.name === name) add(values, family.samples, merge);
  }
  return [...values.values()].map(([suffix, labels, value]) => [
    suffix,
    labels === '' ? worker : `${worker},${labels}`,
    value,
  ]);
}
