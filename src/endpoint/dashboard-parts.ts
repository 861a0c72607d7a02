/** What the dashboard gets of the parts of an endpoint. */
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { EndpointHealth } from '../types.ts';
import type { CoreLoader } from './core-loader.ts';
import type { Core } from './core.ts';

interface EndpointParts {
  readonly core: Core;
  readonly loader: CoreLoader;
  readonly options: ResolvedOptions;
  readonly endpoint: { health(): EndpointHealth; drainOrdered(by: string): void };
}

export type DashboardParts = ReturnType<typeof dashboardParts>;

export function dashboardParts({ core, loader, options, endpoint }: EndpointParts) {
  const { registry, instance, store, legacy, shutdown, tasks } = core;
  return {
    options,
    storeKind: options.store?.kind ?? 'memory',
    registry,
    instance,
    store,
    tasks: tasks?.tasks,
    /** Requests without a session that run. */
    running: shutdown.sessionless,
    waiting: legacy.waiting,
    health: () => endpoint.health(),
    ready: () => loader.ready(),
    terminate: (id: string) => legacy.terminate(id),
    drainOrdered: (by: string) => endpoint.drainOrdered(by),
  };
}
