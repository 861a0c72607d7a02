/** The metrics of an endpoint: what its notices counted, and what is now. */
import type { HeldName } from '../http/limits/memory-rows.ts';
import type { Family, MetricName, MetricPoint } from '../base/observe/metric-table.ts';
import { Metrics } from '../base/observe/metrics.ts';
import type { Notices } from '../base/observe/notices.ts';
import { watchEventLoop } from '../base/system.ts';
import type { EventRequests } from '../durable/events/event-requests.ts';
import type { Core } from './core.ts';

export class EndpointMetrics {
  readonly #counted: Metrics;
  readonly #loop = watchEventLoop();

  constructor(notices: Notices) {
    this.#counted = new Metrics(notices);
  }

  collect(core: Core): Family[] {
    return [...this.#counted.collect(), ...valuesOf(core), this.#delay()];
  }

  stop(): void {
    this.#loop.stop();
  }

  #delay(): Family {
    const delays = Object.entries(this.#loop.read() ?? {}).map(
      ([stat, value]: [string, number]) => ({
        labels: [stat],
        value,
      }),
    );
    return { name: 'sojourn_event_loop_delay_seconds', points: delays };
  }
}

/** None at an instance that does not dispatch. */
const statesOf = ({ dispatcher }: EventRequests): readonly MetricPoint[] =>
  dispatcher.isOwner
    ? Object.entries(dispatcher.index.states).map(([state, value]) => ({ labels: [state], value }))
    : [];

function valuesOf(core: Core): Family[] {
  const { registry, instance, legacy, live, tasks, events, options } = core;
  const { held } = registry;
  const { state, store, reason } = core.health();
  const { remainingMs } = instance.lease;
  const one = (name: MetricName, value: number | boolean): Family => ({
    name,
    points: [{ labels: [], value: Number(value) }],
  });
  const running = tasks?.tasks.places;
  const rows = (Object.keys(held) as HeldName[]).map((row) => ({
    labels: [row],
    value: held[row].used,
  }));
  const objects = [...live.sizes].map(([kind, value]) => ({ labels: [kind], value }));
  return [
    one('sojourn_sessions_live', registry.count),
    one('sojourn_sessions_idle', registry.idle.size),
    one('sojourn_sessions_hibernated', registry.hibernated.size),
    ...(running === undefined
      ? []
      : [
          one('sojourn_tasks_running', running.used),
          one('sojourn_tasks_running_limit', running.size),
        ]),
    { name: 'sojourn_live_objects', points: objects },
    ...(events === undefined
      ? []
      : [{ name: 'sojourn_event_subscriptions' as const, points: statesOf(events) }]),
    one('sojourn_waiting_requests', legacy.waiting.size),
    { name: 'sojourn_memory_bytes', points: rows },
    one('sojourn_memory_limit_bytes', options.limits.memoryBytes),
    one('sojourn_store_up', store === 'ok'),
    ...(remainingMs === undefined
      ? []
      : [one('sojourn_lease_remaining_seconds', remainingMs / 1_000)]),
    one('sojourn_ready', state === 'serving' && store === 'ok' && reason === undefined),
  ];
}
