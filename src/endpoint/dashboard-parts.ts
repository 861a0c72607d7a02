/** What the dashboard gets of the parts of an endpoint. */
import type { DashboardParts } from '../dashboard/server/parts-of-endpoint.ts';
import type { MemoryRows } from '../limits/held.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { EndpointHealth } from '../types.ts';
import type { CoreLoader } from './core-loader.ts';
import type { Core } from './core.ts';
import { timeSessions } from './timed-store.ts';

interface EndpointParts {
  readonly core: Core;
  readonly loader: CoreLoader;
  readonly options: ResolvedOptions;
  readonly held: MemoryRows;
  readonly endpoint: { health(): EndpointHealth; drainOrdered(by: string): void };
}

export function dashboardParts({ core, loader, options, held, endpoint }: EndpointParts): DashboardParts {
  const { registry, instance, store, legacy, shutdown, tasks } = core;
  const { store: given } = options;
  // A store that was opened before did not know that its calls would be timed.
  if (given !== undefined && !given.inProcess)
    loader
      .ready(() => true)
      .then(
        () => timeSessions(store, options),
        () => {},
      );
  return {
    options,
    storeKind: given?.kind ?? 'memory',
    registry,
    instance,
    store,
    tasks: tasks?.tasks,
    held,
    running: shutdown.sessionless,
    health: () => endpoint.health(),
    ready: () => loader.ready(),
    terminate: (id) => legacy.terminate(id),
    drainOrdered: (by) => endpoint.drainOrdered(by),
  };
}
