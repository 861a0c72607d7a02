/** The endpoint that a dashboard is mounted at: what the dashboard reads of it, and what it orders. */
import type { Instance } from '../../cluster/instance.ts';
import type { OrdersTaken } from '../../cluster/orders.ts';
import type { LegacyEra } from '../../eras/sessions/legacy-era.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { EndpointStore } from '../../session/record/record-kinds.ts';
import type { Registry } from '../../session/registry.ts';
import type { LiveObjects } from '../../durable/live/live-objects.ts';
import type { Handles } from '../../durable/state/handles.ts';
import type { TaskRequests } from '../../durable/tasks/task-requests.ts';
import type { EndpointHealth } from '../../base/types.ts';

/** The core of an endpoint implements it. */
export interface ShownEndpoint {
  readonly options: ResolvedOptions;
  readonly store: EndpointStore;
  readonly instance: Instance;
  readonly registry: Registry;
  readonly legacy: Pick<LegacyEra, 'terminate' | 'waiting'>;
  /** `undefined`: without the option `tasks`. */
  readonly tasks: TaskRequests | undefined;
  readonly states: { readonly handles: Pick<Handles, 'end'> };
  readonly live: Pick<LiveObjects, 'closeOne'>;
  readonly orders: OrdersTaken;
  /** It counts the requests in work that belong to no session. */
  readonly shutdown: { readonly sessionless: number };
  /** Resolves once the store is open. Until then `store`, `instance` and `tasks` serve no call. */
  ready(): Promise<unknown>;
  health(): EndpointHealth;
}
