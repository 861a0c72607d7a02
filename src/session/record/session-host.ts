import type { MemoryRows } from '../../http/limits/memory-rows.ts';
import type { Logger } from '../../base/types.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { ClaimQueue, ClaimLease } from '../ownership/session-ownership.ts';
import type { EndpointStore } from './record-kinds.ts';

/** What the parts of a session use of the instance it lives on. */
export interface SessionHost {
  readonly options: ResolvedOptions;
  readonly logger: Logger;
  readonly store: EndpointStore;
  /** Other processes may own sessions of this store: calls have markers (`calls/markers.ts`). */
  readonly durable: boolean;
  readonly lifecycle: Lifecycle;
  readonly lease: ClaimLease;
  readonly claims: ClaimQueue;
  readonly held: MemoryRows;
  /**
   * Charges a row for what a session keeps. Where the store is durable, idle sessions hibernate until there is room.
   * `false`: there is none.
   */
  hold(bytes: number, held: number, share: string): boolean;
  /** How long the record of a session lasts that was in use `idleMs` ago; `null`: it does not expire. */
  expiresInMs(idleMs?: number): number | null;
}
