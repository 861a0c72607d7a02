/**
 * The metrics under the names of OpenTelemetry. `base/observe/metric-table.ts` has what each counts. Operations are measured
 * where the server runs them.
 */
import type { Attributes, Meter } from '@opentelemetry/api';
import { internalsOf } from '../internals.ts';
import { KnownNames } from '../../base/observe/known-names.ts';
import { countsOf } from '../../base/observe/meters.ts';
import {
  type Labels,
  METRIC_NAMES,
  metricOf,
  type MetricName,
} from '../../base/observe/metric-table.ts';
import type { Notice } from '../../base/observe/notices.ts';

const MOST_VERSIONS = 20;
const MOST_CODES = 50;
const STATUS = 'http.response.status_code';
const VERSION = 'mcp.protocol.version';
/** What an operation and its span have in common, but for the version, which clients choose. */
const OPERATION = [
  'mcp.method.name',
  'network.transport',
  'gen_ai.operation.name',
  'gen_ai.tool.name',
];

/** Two words of a name that OpenTelemetry writes as one. */
const ONE_WORD = ['lost_calls', 'waiting_requests', 'event_loop'];

/** `sojourn_lost_calls_total` is `sojourn.lost_calls`. */
function meterName(of: MetricName): string {
  const dotted = of.replace(/_(total|seconds|bytes)$/, '').replaceAll('_', '.');
  return ONE_WORD.reduce((name, word) => name.replace(word.replace('_', '.'), word), dotted);
}

export class Counts {
  /** Add to the counter, or record in the histogram, of a metric. */
  readonly #add = new Map<MetricName, (value: number, attributes: Attributes) => void>();
  readonly #versions = new KnownNames(MOST_VERSIONS);
  readonly #codes = new KnownNames(MOST_CODES);
  readonly note: (notice: Notice) => void = countsOf((of, value, labels) => {
    this.#add.get(of)?.(value, attributesOf(of, labels));
  });

  constructor(meter: Meter) {
    for (const of of METRIC_NAMES) {
      const metric = metricOf(of);
      const [name, description] = [meterName(of), metric.help];
      if (metric.kind === 'counter') {
        const counter = meter.createCounter(name, { description });
        this.#add.set(of, (value, attributes) => counter.add(value, attributes));
      } else if (metric.kind === 'histogram') {
        const advice = { explicitBucketBoundaries: [...metric.buckets] };
        const histogram = meter.createHistogram(name, { unit: 's', description, advice });
        this.#add.set(of, (value, attributes) => histogram.record(value, attributes));
      }
    }
  }

  /** `span`: the attributes of its span. `errorType`: `undefined` if it succeeded. */
  ran(span: Attributes, seconds: number, errorType: string | undefined): void {
    const version = span[VERSION];
    this.#add.get('mcp_server_operation_duration_seconds')?.(seconds, {
      ...Object.fromEntries(
        OPERATION.filter((name) => name in span).map((name) => [name, span[name]]),
      ),
      ...(typeof version === 'string' && { [VERSION]: this.#versions.withRoom(version) }),
      ...(errorType !== undefined && { 'error.type': this.#codes.withRoom(errorType) }),
    });
  }
}

function attributesOf(of: MetricName, labels: Labels): Attributes {
  const names = metricOf(of).labels ?? [];
  const pairs = names.map((name, index) => [
    name === 'http_response_status_code' ? STATUS : name,
    labels[index],
  ]);
  const known = pairs.filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    known.map(([name, value]) => [name, name === STATUS ? Number(value) : value]),
  ) as Attributes;
}

/** The values of one process. Its supervisor says whether a worker is up. */
const GAUGES = METRIC_NAMES.filter(
  (name) => metricOf(name).kind === 'gauge' && name !== 'sojourn_worker_up',
);

const unitOf = (name: MetricName): { unit?: string } =>
  name.endsWith('_bytes') ? { unit: 'By' } : name.endsWith('_seconds') ? { unit: 's' } : {};

/** Reports the values of now of an endpoint, as `endpoint.metrics()` has them. Returns a function that ends it. */
export function watch(meter: Meter, endpoint: object): () => void {
  const make = (name: MetricName) =>
    meter.createObservableGauge(meterName(name), {
      description: metricOf(name).help,
      ...unitOf(name),
    });
  const gauges = new Map(GAUGES.map((name) => [name, make(name)]));
  const all = [...gauges.values()];
  const read: Parameters<Meter['addBatchObservableCallback']>[0] = (observer) => {
    for (const { name, points } of internalsOf(endpoint)?.families() ?? []) {
      const gauge = gauges.get(name);
      if (gauge === undefined) continue;
      for (const { labels, value } of points)
        observer.observe(gauge, value, attributesOf(name, labels));
    }
  };
  meter.addBatchObservableCallback(read, all);
  return () => meter.removeBatchObservableCallback(read, all);
}
