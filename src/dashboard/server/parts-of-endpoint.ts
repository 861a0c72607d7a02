/** What the dashboard needs of its endpoint. */
import type { Instance } from '../../cluster/instance.ts';
import type { MemoryRows } from '../../limits/held.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Registry } from '../../session/registry.ts';
import type { EndpointStore } from '../../session/record/record-kinds.ts';
import type { Tasks } from '../../tasks/tasks.ts';
import type { EndpointHealth } from '../../types.ts';

export interface DashboardParts {
  readonly options: ResolvedOptions;
  /** The word of the store. */
  readonly storeKind: string;
  readonly registry: Registry;
  readonly instance: Instance;
  readonly store: EndpointStore;
  /** `undefined`: without the option `tasks`. */
  readonly tasks: Tasks | undefined;
  readonly held: MemoryRows;
  /** Requests without a session that run. */
  readonly running: { readonly running: number };
  health(): EndpointHealth;
  /** Resolves once the store is open. */
  ready(): Promise<unknown>;
  /** Ends a session at whichever instance has it. `false`: there is none. */
  terminate(id: string): Promise<boolean>;
  /** Drains, like an order of the command line. `by`: who ordered it. */
  drainOrdered(by: string): void;
}
